"""Evaluates a recorded bag: errors, jitter, latency, drops and identities, with a report and an overlay video.

Offline, which is the default, every image is estimated in this process along the node's own path, as fast as the
machine allows and with the same figures each time. With --online the node runs as a process of its own and the bag
is played through live topics.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mrc_core.inference import Bundle
from mrc_core.inference.bundle import BundleError
from mrc_core.rendering import create_renderer
from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bag_pictures import evenly, write_contact_sheet
from mrc_net_ros.bags.answers import Answer, PoseSource
from mrc_net_ros.bags.evaluation import Evaluation, evaluate
from mrc_net_ros.bags.figures import summarise
from mrc_net_ros.bags.judging import ObjectJudge
from mrc_net_ros.bags.offline import OfflineEstimator
from mrc_net_ros.bags.page import object_rows, tiles, write_page
from mrc_net_ros.bags.painting import Painter
from mrc_net_ros.bags.parameter_arguments import read_assignments
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.records import latency, write_poses_csv, write_summary, write_timing
from mrc_net_ros.bags.replay import Replay, ReplayedFrame, Selection
from mrc_net_ros.bags.ros_arguments import split_ros_arguments
from mrc_net_ros.bags.stopwatch import Stopwatch
from mrc_net_ros.bags.topic_choice import CameraTopics, choose_topics
from mrc_net_ros.bags.truth_choice import FORMS, choose_truth
from mrc_net_ros.bags.video import VideoWriter
from mrc_net_ros.naming import NamingError
from mrc_net_ros.parameters import NodeSettings, ParameterError, check_class_map

SHEET_PICTURES = 6
PAGE_PICTURES = 4
MOST_DOMAIN = 232
"""Higher ones have no ports in DDS."""
SHORT_COLUMNS = ("object", "true", "missed", "judged", "right %", "rot °", "p90 °", "mm", "p90 mm")
"""Of ``page.object_rows``, for a terminal of 80 columns."""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="evaluate_bag", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bag", type=Path, help="folder of a rosbag2 (sqlite3 or mcap), or a lone .mcap or .db3 file"
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the trained bundle")
    parser.add_argument(
        "--output", type=Path, default=Path("out/bag"), help="folder for the results (%(default)s)"
    )
    parser.add_argument("--image", help="image topic, raw or compressed (default: the only one of its type)")
    parser.add_argument("--camera-info", help="camera info topic (default: the only one)")
    parser.add_argument("--detections", help="Detection2DArray topic (default: the only one)")
    parser.add_argument("--gt", default="auto", metavar="SOURCE", help=f"ground truth: {FORMS} (%(default)s)")
    parser.add_argument(
        "--gt-class",
        action="append",
        default=[],
        metavar="CLASS",
        help="class of a PoseStamped topic, or OBJ_ID:CLASS for a scene_gt.json; may be repeated",
    )
    parser.add_argument("--start", type=float, default=0.0, help="seconds after the first image's stamp")
    parser.add_argument("--duration", type=float, help="seconds to evaluate (default: to the end)")
    parser.add_argument("--frames", type=int, help="at most so many images")
    parser.add_argument("--every", type=int, default=1, help="every n-th image (%(default)s)")
    parser.add_argument(
        "--tracking",
        default="off",
        choices=("off", "between_detections", "every_frame"),
        help="as the node's parameter (%(default)s)",
    )
    parser.add_argument(
        "--detections-every",
        type=int,
        default=1,
        metavar="N",
        help="let only every n-th message of detections through, as from a slow detector (%(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where the network runs"
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME:=VALUE",
        help="a parameter of the node, such as rectified:=false or sync_slop_s:=0.01; may be repeated",
    )
    parser.add_argument("--no-video", action="store_true", help="no video and no pictures: figures alone")
    parser.add_argument(
        "--online", action="store_true", help="play through live topics into the node's process"
    )
    parser.add_argument(
        "--rate", type=float, default=1.0, help="with --online: times real time (%(default)s)"
    )
    parser.add_argument(
        "--domain",
        type=int,
        help="with --online: ROS_DOMAIN_ID (default: one of its own; nothing leaves the host)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates a bag. Returns 0 if there are poses, else 1; what can be mended prints one line."""
    own, _ = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    options = make_parser().parse_args(own)
    try:
        return run(options)
    except (BagError, BundleError, ParameterError, NamingError, OSError, RuntimeError) as error:
        print(f"evaluate_bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("evaluate_bag: interrupted", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> int:
    """Evaluates with parsed options. Raises what ``main`` reports."""
    if not (math.isfinite(options.rate) and options.rate > 0.0):
        raise BagError(f"--rate is {options.rate:g}: it must be a positive number")
    if options.domain is not None and not 0 <= options.domain <= MOST_DOMAIN:
        raise BagError(f"--domain is {options.domain}: a ROS_DOMAIN_ID is from 0 to {MOST_DOMAIN}")
    selection = Selection(
        options.start, options.duration, options.every, options.frames, options.detections_every
    )
    recording = Recording(options.bag)
    topics = choose_topics(recording, options.image, options.camera_info, options.detections)
    transport = "compressed" if topics.image_is_compressed else "raw"
    fixed = {
        "bundle": str(options.bundle),
        "device": options.device,
        "image_transport": transport,
        "tracking": options.tracking,
    }
    values = read_assignments(options.param, fixed)
    settings = NodeSettings.from_values(values)
    bundle = Bundle.load(options.bundle)
    check_class_map(settings.class_map, bundle.class_ids)
    truth = choose_truth(options.gt, options.gt_class, recording, topics, bundle.class_ids)
    judges = {entry.class_id: ObjectJudge(entry.mesh, entry.symmetries) for entry in bundle.objects}
    _make_folder(options.output)
    replay = Replay(recording, topics, settings, selection)
    source = _source(options, values, settings, recording, topics, replay)
    video = VideoWriter(options.output / "overlay", _rate_hz(recording, topics, options.every))
    painter = None if options.no_video else _painter(bundle, settings, video)
    painting = Stopwatch()

    def observe(replayed: ReplayedFrame, answer: Answer) -> None:
        if painter is not None:
            with painting:
                painter(replayed, answer)

    everything = Stopwatch()
    with video, everything:
        evaluation = evaluate(replay, source, truth, judges, settings, observe)
    took_s, cpu_s = everything.wall_s - painting.wall_s, everything.cpu_s - painting.cpu_s
    summary = summarise(evaluation, judges, _evaluated(options, topics, selection, values))
    timing = _timing(evaluation, options, recording, took_s, cpu_s)
    write_summary(options.output / "summary.json", summary)
    write_poses_csv(options.output / "poses.csv", evaluation)
    write_timing(options.output / "timing.json", timing)
    stills = painter.stills if painter is not None else []
    if stills:
        write_contact_sheet(options.output / "contact_sheet.png", evenly(stills, SHEET_PICTURES))
    shown = evenly(stills, PAGE_PICTURES) if stills else []
    write_page(
        options.output / "report.html", summary, timing, shown, video.path.name if video.path else None
    )
    return _print_ending(summary, timing, options.output, video.path is not None)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):  # told now, not after an hour of work
            pass
    except OSError as error:
        raise BagError(f"--output '{path}' is no folder that can be written ({error.strerror})") from error


def _source(
    options: argparse.Namespace,
    values: dict[str, Any],
    settings: NodeSettings,
    recording: Recording,
    topics: CameraTopics,
    replay: Replay,
) -> PoseSource:
    if not options.online:
        return OfflineEstimator.from_settings(settings)
    from mrc_net_ros.bags.online import play_online  # rclpy is started there, and only there

    return play_online(
        recording, topics, replay, values, options.rate, options.output / "node.log", options.domain
    )


def _painter(bundle: Bundle, settings: NodeSettings, video: VideoWriter) -> Painter:
    renderer = create_renderer("warp", [entry.mesh for entry in bundle.objects], device="cpu")
    index = {entry.class_id: i for i, entry in enumerate(bundle.objects)}
    return Painter(renderer, index, settings.rectified, video)


def _rate_hz(recording: Recording, topics: CameraTopics, every: int) -> float:
    """Of the video: the images' own rate, as far as the bag tells it."""
    count = recording.topics[topics.image].count
    rate = (count - 1) / recording.duration_s if count > 1 and recording.duration_s > 0.0 else 10.0
    return min(max(rate / every, 1.0), 60.0)


def _evaluated(
    options: argparse.Namespace, topics: CameraTopics, selection: Selection, values: dict[str, Any]
) -> dict[str, Any]:
    chosen = {"image": topics.image, "camera_info": topics.camera_info, "detections": topics.detections}
    own = {name: value for name, value in values.items() if name not in ("bundle", "device")}
    mode = f"online at {options.rate:g} times real time" if options.online else "offline"
    return {"topics": chosen, "selection": vars(selection), "parameters": own, "mode": mode}


def _timing(
    evaluation: Evaluation, options: argparse.Namespace, recording: Recording, took_s: float, cpu_s: float
) -> dict[str, Any]:
    stamps = [one.stamp_ns for one in evaluation.poses]
    recorded_s = (max(stamps) - min(stamps)) * 1e-9 if stamps else 0.0
    return {
        "run": {
            "bag": str(options.bag),
            "bag_name": recording.path.resolve().name,
            "bundle": str(options.bundle),
            "device": options.device,
        },
        "latency": latency(evaluation.seconds),
        "frames_s": took_s,
        "recorded_s": recorded_s,
        "times_real_time": recorded_s / took_s if took_s > 0.0 and not options.online else None,
        "cpu_s": cpu_s,
    }


def _print_ending(summary: dict[str, Any], timing: dict[str, Any], output: Path, with_video: bool) -> int:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    headline = Table(show_header=False)
    for row in tiles(summary, timing):
        headline.add_row(*row)
    console.print(headline)
    if summary["errors"]["by_object"]:
        by_object = Table(*SHORT_COLUMNS)
        for cells in object_rows(summary):
            by_object.add_row(*cells)
        console.print(by_object)
    print(f"{'Report, tables and video' if with_video else 'Report and tables'}: {output}")
    if summary["poses"]["count"] == 0:
        frames = summary["frames"]
        reasons = [*frames["not_joined"], *frames["not_answered"]]
        reasons += [one["example"] for one in summary["detections"]["left_out"].values()]
        if not frames["selected"]:
            reasons = [
                f"none of the bag's {frames['images_read']} images was selected: see --start, --duration and --every"
            ]
        print(f"evaluate_bag: no pose came: {'; '.join(reasons) or 'no detections'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
