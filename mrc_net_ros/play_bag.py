"""Plays a recorded bag through ROS topics, for hosts that have no `ros2 bag`.

Messages are published as they were recorded, stamps included, with the time between them. Ctrl+C ends it.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.exceptions import InvalidTopicNameException
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_topic_name import validate_topic_name

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.ros_arguments import split_ros_arguments
from mrc_net_ros.bags.topic_player import PlaybackOptions, TopicPlayer

SETTLE_S = 0.5  # the last messages are on their way when the publishers go


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="play_bag", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bag", type=Path, help="folder of a rosbag2 (sqlite3 or mcap), or a lone .mcap or .db3 file"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="times real time (%(default)s)")
    parser.add_argument("--loop", action="store_true", help="start again at the end, until Ctrl+C")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play these alone")
    parser.add_argument(
        "--remap", nargs="+", default=[], metavar="OLD:=NEW", help="publish topics under other names"
    )
    parser.add_argument("--clock", action="store_true", help="publish /clock with the time of the recording")
    parser.add_argument(
        "--qos",
        default="reliable",
        choices=("reliable", "sensor_data"),
        help="of the publishers; topics that were latched, and /tf_static, always are (%(default)s)",
    )
    parser.add_argument("--start", type=float, default=0.0, help="seconds after the first message")
    parser.add_argument(
        "--delay",
        type=float,
        default=1.0,
        help="seconds for subscribers to connect before it starts (%(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays a bag. Returns 0 at its end or after Ctrl+C, 1 if it cannot be played."""
    own, of_ros = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    options = make_parser().parse_args(own)
    stop = threading.Event()
    try:
        how = PlaybackOptions(
            options.rate,
            options.topics,
            read_remaps(options.remap),
            options.qos == "reliable",
            options.clock,
            options.start,
        )
        if not (math.isfinite(options.rate) and options.rate > 0.0):
            raise BagError(f"--rate is {options.rate:g}: it must be positive")
        if not all(math.isfinite(value) and value >= 0.0 for value in (options.start, options.delay)):
            raise BagError("--start and --delay must be numbers of seconds that are not negative")
        recording = Recording(options.bag)
        if options.start > recording.duration_s:
            raise BagError(f"--start is {options.start:g} s, but the bag lasts {recording.duration_s:.1f} s")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        rclpy.init(args=["play_bag", *of_ros], signal_handler_options=SignalHandlerOptions.NO)
        try:
            player = TopicPlayer(recording, how)
            _play(player, recording, options.delay, options.loop, stop)
            player.destroy_node()
        finally:
            rclpy.try_shutdown()
    except (BagError, InvalidTopicNameException, OSError) as error:
        print(f"play_bag: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


def read_remaps(entries: Sequence[str]) -> dict[str, str]:
    """``["/a:=/b"]`` -> ``{"/a": "/b"}``.

    Raises:
        BagError: an entry is not written so.
        InvalidTopicNameException: no topic can have the new name.
    """
    remap = {}
    for entry in entries:
        old, sign, new = entry.partition(":=")
        if not (sign and old and new):
            raise BagError(f"--remap '{entry}' must be written as OLD:=NEW")
        validate_topic_name(new)
        remap[old] = new
    return remap


def _play(
    player: TopicPlayer, recording: Recording, delay_s: float, loop: bool, stop: threading.Event
) -> None:
    for topic, reason in player.skipped.items():
        print(f"play_bag: {topic} is skipped: {reason}", file=sys.stderr)
    names = ", ".join(new if new == old else f"{old} as {new}" for old, new in player.played.items())
    print(f"Playing {names} ({recording.duration_s:.1f} s)", flush=True)
    stop.wait(delay_s)
    rounds = 0
    while not stop.is_set():
        rounds += 1
        count = player.play(lambda: not stop.is_set())
        print(f"Round {rounds}: {count} messages", flush=True)
        if not loop or not count:
            break
    if not stop.is_set():
        time.sleep(SETTLE_S)


if __name__ == "__main__":
    sys.exit(main())
