"""Soak test: the node under twice the frames that it can answer, for ten minutes, then twenty restarts.

The node runs in a process of its own and gets recorded frames over DDS. Demanded: results stay as new as two inference
times and 50 ms allow, every frame is answered or counted as dropped, and memory does not grow. If a demand is not kept
a line says so, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mrc_net_ros.bag_frames import read_frames
from mrc_net_ros.bags.online import isolate
from mrc_net_ros.bags.ros_arguments import split_ros_arguments
from mrc_net_ros.measuring import command
from mrc_net_ros.measuring.demo_files import demo_folder
from mrc_net_ros.measuring.node_work import usable_processors
from mrc_net_ros.measuring.restamped import RestampedFrames
from mrc_net_ros.measuring.soak import SoakFigures, SoakPlan, soak
from mrc_net_ros.measuring.soak_checks import SoakLimits, checks

# Each restart's threads get arenas of the allocator, one after the other: memory settles after ten or so
LEAST_RESTARTS = 20
LEAST_SECONDS = 10.0  # memory and inference time need samples after the warm-up


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    plan, limits = SoakPlan(), SoakLimits()
    parser = command.make_parser("soak_node", __doc__)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("out/soak"),
        help="folder for soak.json and node.log (%(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=plan.seconds,
        help=f"of overload, {LEAST_SECONDS:g} at least (%(default)s)",
    )
    parser.add_argument(
        "--overload", type=float, default=plan.overload, help="times the sustainable rate (%(default)s)"
    )
    parser.add_argument(
        "--restarts", type=int, default=plan.restarts, help="afterwards, 0 or at least 20 (%(default)s)"
    )
    parser.add_argument(
        "--percentile",
        choices=("p50", "p95", "p99"),
        default=limits.percentile,
        help="of the latencies that must keep the limit (%(default)s)",
    )
    parser.add_argument(
        "--growth-mb",
        type=float,
        default=limits.growth_mb,
        help="how much memory may grow under overload (%(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the test. Returns 0 if all demands were kept, else 1; what can be mended prints one line."""
    own, _ = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    parser = make_parser()
    options = parser.parse_args(own)
    if options.seconds < LEAST_SECONDS or options.overload <= 0.0 or options.detections < 1:
        parser.error(f"--seconds must be {LEAST_SECONDS:g} at least, --overload and --detections positive")
    if options.restarts != 0 and options.restarts < LEAST_RESTARTS:
        parser.error("--restarts must be 0 or at least 20: fewer tell nothing of memory")
    return command.measure("soak_node", lambda console: run(options, console))


def run(options: argparse.Namespace, console: Console) -> int:
    """Runs the test with parsed options. Raises what ``main`` reports."""
    bundle, bag = (getattr(options, name) or demo_folder() / name for name in ("bundle", "bag"))
    isolate(None)
    options.output.mkdir(parents=True, exist_ok=True)
    parameters = {
        "bundle": str(bundle),
        "device": options.device,
        "image_transport": "compressed",
        "image_qos": "reliable",
    }
    plan = SoakPlan(options.seconds, options.overload, restarts=options.restarts)
    limits = SoakLimits(percentile=options.percentile, growth_mb=options.growth_mb)
    console.print(f"{usable_processors()} processors, {options.detections} detections in each frame")
    frames = RestampedFrames(read_frames(bag), options.detections)
    figures = soak(frames, parameters, plan, options.output / "node.log", console.print)
    found = checks(figures, limits)
    written = {"plan": vars(plan), "figures": figures.values(), "checks": [vars(check) for check in found]}
    (options.output / "soak.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    console.print(figures_table(figures))
    table = Table("demand", "measured", "allowed", "")
    for check in found:
        table.add_row(check.name, check.measured, check.allowed, "kept" if check.kept else "[bold red]broken")
    console.print(table)
    broken = [check for check in found if not check.kept]
    for check in broken:
        console.print(
            f"[bold red]The soak test failed:[/] {check.name}: {check.measured}, allowed: {check.allowed}",
            highlight=False,
        )
    console.print(f"All figures: {options.output / 'soak.json'}", highlight=False, soft_wrap=True)
    return 1 if broken else 0


def figures_table(figures: SoakFigures) -> Table:
    """What was measured, for the terminal."""
    table = Table(show_header=False)
    latency = ", ".join(f"{name} {value:.0f}" for name, value in figures.latency_ms.items())
    reasons = ", ".join(f"{name} {count}" for name, count in figures.drop_reasons.items())
    memory = figures.memory
    rows = [
        ("inference time, frames one by one", f"{figures.inference_alone_ms:.1f} ms"),
        ("inference time, under overload", f"{figures.inference_ms:.1f} ms"),
        ("sustainable rate", f"{figures.sustainable_hz:.1f} frames/s"),
        ("rate of sending", f"{figures.sent_hz:.1f} frames/s"),
        (
            "frames",
            f"{figures.sent} sent, {figures.answered} answered, {figures.dropped} dropped ({reasons})",
        ),
        ("latency, image published to poses received", f"{latency} ms, of {figures.results} results"),
        ("longest time between two results", f"{1e3 * figures.longest_gap_s:.0f} ms"),
        (
            "memory under overload",
            f"{memory.first_mb:.1f} to {memory.last_mb:.1f} MB, slope {memory.slope_mb_per_h:+.1f} MB/h",
        ),
    ]
    if figures.restart_memory is not None:
        first, last = figures.restart_memory.first_mb, figures.restart_memory.last_mb
        rows.append(("memory over the restarts", f"{first:.1f} to {last:.1f} MB"))
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
