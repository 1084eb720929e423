"""Measures what the node itself does for a frame beside the network: callbacks, conversion, messages.

The node runs in a process of its own, as on a robot, and gets recorded frames with the same number of detections each
over DDS at a camera's rate; all that it publishes is subscribed. What it cannot answer at that rate it drops, and the
callbacks of those frames count as well.

Not counted: the network, waiting for it or for detections, DDS (handing messages to it is measured by itself), and
rclpy's making of messages out of bytes, which is measured by itself, too. Exit status 1 if the 95th percentile of the
own work is above the limit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mrc_net_ros.bag_frames import read_frames
from mrc_net_ros.bags.online import isolate
from mrc_net_ros.bags.ros_arguments import split_ros_arguments
from mrc_net_ros.measuring import command
from mrc_net_ros.measuring.demo_files import demo_folder
from mrc_net_ros.measuring.node_work import PARTS, NodeWork, measure_node_work, usable_processors
from mrc_net_ros.measuring.restamped import RestampedFrames

DISTORTION = (-0.2, 0.05, 0.001, -0.001, 0.0)
"""Of a lens that bends straight lines visibly, for the run in which the node undistorts."""
INPUTS = {
    "raw": "raw images (rgb8)",
    "compressed": "compressed images (JPEG)",
    "distorted": "raw images that the node undistorts",
}
EXPLANATIONS = {
    "callbacks": "inputs' callbacks and synchroniser; answered and dropped frames",
    "conversion": "messages to picture, intrinsics and boxes",
    "publication": "poses, TF, boxes and markers, made and serialised",
    "own work": "the three together, of answered frames",
    "own work CPU": "of that, what the node's two threads had a processor for",
    "transport": "handing the messages to DDS; not counted",
}


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command.make_parser("benchmark_node", __doc__)
    parser.add_argument(
        "--inputs",
        nargs="+",
        choices=tuple(INPUTS),
        default=tuple(INPUTS),
        help="what is sent (default: all)",
    )
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="of sending, for each input (%(default)s)"
    )
    parser.add_argument(
        "--limit-ms", type=float, default=5.0, help="for the 95th percentile of the own work (%(default)s)"
    )
    parser.add_argument("--json", type=Path, help="also write all figures there")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 0 if the own work keeps the limit, else 1; what can be mended prints one line."""
    own, _ = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    parser = make_parser()
    options = parser.parse_args(own)
    if min(options.rate, options.seconds, options.detections) <= 0:
        parser.error("--rate, --seconds and --detections must be positive")
    return command.measure("benchmark_node", lambda console: run(options, console))


def run(options: argparse.Namespace, console: Console) -> int:
    """Measures with parsed options. Raises what ``main`` reports."""
    bundle, bag = (getattr(options, name) or demo_folder() / name for name in ("bundle", "bag"))
    isolate(None)
    console.print(
        f"{options.rate:g} frames/s with {options.detections} detections for {options.seconds:g} s each; "
        f"{usable_processors()} processors"
    )
    measured: dict[str, NodeWork] = {}
    for kind in options.inputs:
        # Read anew: what is sent is made of these messages in place
        frames = RestampedFrames(
            read_frames(bag),
            options.detections,
            raw=kind != "compressed",
            distortion=DISTORTION if kind == "distorted" else (),
        )
        parameters = {
            "bundle": str(bundle),
            "device": options.device,
            "image_transport": "compressed" if kind == "compressed" else "raw",
            "image_qos": "reliable",
            "rectified": "false" if kind == "distorted" else "true",
        }
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "node.log"
            measured[kind] = measure_node_work(frames, parameters, options.rate, options.seconds, log)
        console.print(work_table(INPUTS[kind], measured[kind]))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        figures = {kind: work.values() for kind, work in measured.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        console.print(f"written to {options.json}")
    slow = {kind: w.own_work_p95_ms for kind, w in measured.items() if w.own_work_p95_ms > options.limit_ms}
    for kind, p95_ms in slow.items():
        console.print(
            f"[bold red]Above the limit:[/] {INPUTS[kind]}: own work p95 {p95_ms:.2f} ms, limit {options.limit_ms:g} ms"
        )
    return 1 if slow else 0


def work_table(title: str, work: NodeWork) -> Table:
    """The figures of one run."""
    table = Table(
        title=f"{title}: {work.sent} sent, {work.answered} answered, {work.dropped} dropped, {work.lost} lost by DDS",
        title_justify="left",
    )
    table.add_column("part, ms")
    for column in ("p50", "p95", "max"):
        table.add_column(column, justify="right")
    table.add_column("")
    for part in PARTS:
        if part == "transport":
            table.add_section()
        table.add_row(part, *_cells(work.parts_ms[part]), EXPLANATIONS[part])
    table.add_row("estimate", *_cells(work.estimate_ms), "the network; not counted")
    table.add_row(
        "bytes to messages",
        *_cells(work.deserialisation_ms),
        "rclpy, by itself in an idle process; not counted",
    )
    return table


def _cells(three_ms: tuple[float, float, float]) -> list[str]:
    return [f"{value:.2f}" for value in three_ms]


if __name__ == "__main__":
    sys.exit(main())
