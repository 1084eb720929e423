"""Plays the recorded bag through real ROS 2 topics into the pose estimator, and shows what comes back.

The node runs in a process of its own, as on a robot. Run it with `make demo`, or by hand:
`python demo/run_demo.py --help`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

# Before ROS is imported: nothing leaves this machine, and other ROS programs on it are not disturbed
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console, Group  # noqa: E402
from rich.live import Live  # noqa: E402
from rich.markup import escape  # noqa: E402
from rich.table import Table  # noqa: E402

from mrc_core.inference import Bundle  # noqa: E402
from mrc_core.rendering import create_renderer  # noqa: E402
from mrc_net_ros.bag_frames import BagError, BagFrame, read_frames  # noqa: E402
from mrc_net_ros.bag_pictures import evenly, overlays, write_animation, write_contact_sheet  # noqa: E402
from mrc_net_ros.bag_player import BagPlayer, PlayedFrame  # noqa: E402
from mrc_net_ros.bag_report import (  # noqa: E402
    OBJECT_COLUMNS,
    PlayedBag,
    headline_rows,
    object_rows,
    summarise,
    write_poses_csv,
    write_report,
    write_summary,
)
from mrc_net_ros.bag_scores import PoseJudge, judge  # noqa: E402
from mrc_net_ros.bags.live_node import LiveNode, LiveNodeError  # noqa: E402

NAMESPACE = "/camera"


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--bundle", type=Path, default=ROOT / "demo/bundle", help="trained bundle (default: %(default)s)"
    )
    parser.add_argument(
        "--bag", type=Path, default=ROOT / "demo/bag", help="recorded bag (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "out/demo", help="folder for the results (default: %(default)s)"
    )
    parser.add_argument(
        "--frames", type=int, default=None, help="play only the first N frames (default: all)"
    )
    parser.add_argument(
        "--rate", type=float, default=10.0, help="images a second, at most (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        help="seconds to wait for a frame's poses (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where the network runs"
    )
    options = parser.parse_args(arguments)
    if (options.frames is not None and options.frames < 1) or options.rate <= 0.0:
        parser.error("--frames and --rate must be positive")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo. Returns 0 if poses arrived, else 1. SIGTERM and SIGHUP end it in order, with 128 + the signal."""
    options = parse_arguments(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _end)
    console = Console()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        frames = read_frames(options.bag)[: options.frames]
        bundle = load_bundle(options.bundle)
        bag = play_bag(frames, bundle, options, console)
    except (DemoError, LiveNodeError, BagError) as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; the node has ended.")
        return 130
    summary = write_results(bag, bundle, options, console)
    print_ending(bag, summary, options.output, console)
    if summary["poses"] == 0:
        console.print("[bold red]No pose arrived.[/] The node's messages are in", options.output / "node.log")
        return 1
    return 0


def _end(number: int, _: object) -> None:
    # The node has a session of its own and would outlive us: an exception ends it on the way out. Once is enough, a
    # second signal must not cut that short.
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def load_bundle(path: Path) -> Bundle:
    """The bundle, for its meshes and symmetries."""
    try:
        return Bundle.load(path)
    except (OSError, ValueError) as error:
        raise DemoError(f"the bundle cannot be used: {error}") from error


def play_bag(
    frames: list[BagFrame], bundle: Bundle, options: argparse.Namespace, console: Console
) -> PlayedBag:
    """Starts the node, plays all frames and collects what comes back."""
    parameters = {
        "bundle": str(options.bundle),
        "device": options.device,
        "image_transport": "compressed",
        "image_qos": "reliable",
    }
    with LiveNode(frames[0], parameters, NAMESPACE, options.output / "node.log") as live:
        with console.status(
            "Starting the node: loading the bundle and warming up (the first time takes longer) ..."
        ):
            seconds = live.wait_until_ready()
        console.print(f"The node is ready after {seconds:.1f} s.")
        console.print(
            f"Playing {len(frames)} frames at {options.rate:g} Hz at most; the next image is sent once the "
            "poses of the last one have arrived, so that no frame is lost on a slow machine."
        )
        played = play_frames(frames, live.player, options, console)
        transforms = live.player.transforms
        node = live.process
        if node.stop() != 0:
            console.print(f"[yellow]The node ended with status {node.exit_status}:[/]\n{node.last_lines()}")
    judges = {entry.class_id: PoseJudge(entry.mesh, entry.symmetries) for entry in bundle.objects}
    return PlayedBag(played, judge(played, judges), transforms)


def play_frames(
    frames: list[BagFrame], player: BagPlayer, options: argparse.Namespace, console: Console
) -> list[PlayedFrame]:
    """Sends one frame after the other and shows the poses as they arrive."""
    played: list[PlayedFrame] = []
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        for number, frame in enumerate(frames, start=1):
            sent_s = time.monotonic()
            one = player.play(frame, options.timeout)
            played.append(one)
            if console.is_terminal:
                live.update(live_view(one, number, len(frames)))
            elif number % 10 == 0 or number == len(frames):
                console.print(one_line(one, number, len(frames)))
            time.sleep(max(0.0, 1.0 / options.rate - (time.monotonic() - sent_s)))
    return played


def one_line(one: PlayedFrame, number: int, count: int) -> str:
    """A frame in one line, for logs."""
    if one.poses is None or one.latency_s is None:
        return f"frame {number}/{count}: no poses in time"
    return f"frame {number}/{count}: {len(one.poses.poses)} poses after {1e3 * one.latency_s:.0f} ms"


def live_view(one: PlayedFrame, number: int, count: int) -> Group:
    """The poses of a frame as a table, for terminals."""
    table = Table("object", "x, m", "y, m", "z, m", "quaternion xyzw", "score")
    for pose in one.poses.poses if one.poses is not None else ():
        at, turn = pose.pose.pose.position, pose.pose.pose.orientation
        quaternion = " ".join(f"{value:+.2f}" for value in (turn.x, turn.y, turn.z, turn.w))
        name = f"{pose.class_id} {pose.instance_id}"
        table.add_row(name, f"{at.x:+.3f}", f"{at.y:+.3f}", f"{at.z:.3f}", quaternion, f"{pose.score:.2f}")
    return Group(table, one_line(one, number, count))


def write_results(
    bag: PlayedBag, bundle: Bundle, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """Writes summary, table, pictures and report. Returns the summary."""
    summary = summarise(bag)
    write_summary(options.output / "summary.json", summary)
    write_poses_csv(options.output / "poses.csv", bag)
    renderer = create_renderer("warp", [entry.mesh for entry in bundle.objects], device="cpu")
    index = {entry.class_id: i for i, entry in enumerate(bundle.objects)}
    with console.status("Drawing the estimated objects into the images ..."):
        pictures = list(overlays(bag.played, renderer, index))
        write_animation(options.output / "overlay.webp", pictures, options.rate)
        write_contact_sheet(options.output / "contact_sheet.png", evenly(pictures, 6))
        write_report(
            options.output / "report.html", bag, summary, evenly(pictures, 4), "Poses from the recorded bag"
        )
    return summary


def print_ending(bag: PlayedBag, summary: dict[str, Any], output: Path, console: Console) -> None:
    """The figures, at the end of the run."""
    headline = Table(show_header=False)
    for row in headline_rows(bag, summary):
        headline.add_row(*row)
    console.print(headline)
    by_object = Table(*OBJECT_COLUMNS)
    for cells in object_rows(summary):
        by_object.add_row(*cells)
    console.print(by_object)
    console.print(f"Pictures, table and report: {output}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
