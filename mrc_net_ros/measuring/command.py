"""How the measuring commands run: a console of a width that fits their tables, and errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.live_node import LiveNodeError
from mrc_net_ros.measuring.ending import end_in_order


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
