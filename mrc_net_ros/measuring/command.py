"""What the measuring commands share: arguments, a console as wide as their tables, errors in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.live_node import LiveNodeError
from mrc_net_ros.measuring.ending import end_in_order


def make_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with what every measurement takes: bundle, bag, detections in a frame, device."""
    parser = argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="trained bundle (default: the demo's)")
    parser.add_argument("--bag", type=Path, help="bag with the demo's topics (default: the demo's)")
    parser.add_argument("--detections", type=int, default=2, help="in each frame (%(default)s)")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where the network runs"
    )
    return parser


def measure(name: str, run: Callable[[Console], int]) -> int:
    """The exit status: that of ``run``, 1 with one line where something can be mended, 130 after Ctrl-C."""
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width; eighty columns would cut the tables
        console = Console(width=120)
    end_in_order()
    try:
        return run(console)
    except (BagError, LiveNodeError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
