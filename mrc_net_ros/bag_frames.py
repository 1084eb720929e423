"""Reads a recorded bag (rosbag2) into frames: an image with its camera info, detections and ground truth.

The messages stay as they were recorded (CDR bytes), so that playing them publishes exactly what the camera
sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

from mrc_net_ros.synchroniser import stamp_ns


class BagError(ValueError):
    """A bag cannot be read or lacks something; the message says what."""


@dataclass(frozen=True)
class BagTopics:
    """Names of the topics in a bag. ``ground_truth`` may be missing from the bag."""

    image: str = "/camera/image_rect/compressed"
    camera_info: str = "/camera/camera_info"
    detections: str = "/camera/detections"
    ground_truth: str = "/camera/ground_truth"


@dataclass(frozen=True)
class Recorded:
    """A message as it was recorded, and as it reads."""

    message: Any
    cdr: bytes


@dataclass(frozen=True)
class BagFrame:
    """One image with what carries its stamp."""

    stamp_ns: int
    image: Recorded
    camera_info: Recorded
    detections: Recorded
    ground_truth: Recorded | None


def message_class(type_name: str) -> type:
    """The class of a type such as ``sensor_msgs/msg/Image``."""
    package, _, name = type_name.partition("/msg/")
    found: type = getattr(import_module(f"{package}.msg"), name)
    return found


def read_frames(bag: Path, topics: BagTopics | None = None) -> list[BagFrame]:
    """All complete frames of a bag in the order of their stamps.

    Raises:
        BagError: the folder is no bag, a topic is missing, or no image has its camera info and detections.
    """
    topics = topics or BagTopics()
    if not (bag / "metadata.yaml").is_file():
        raise BagError(f"'{bag}' is no rosbag2: it has no metadata.yaml")
    by_stamp: dict[int, dict[str, Recorded]] = defaultdict(dict)
    for topic, recorded in _messages(bag, topics):
        by_stamp[stamp_ns(recorded.message.header.stamp)][topic] = recorded
    frames = [
        BagFrame(
            stamp_ns=at_ns,
            image=found[topics.image],
            camera_info=found[topics.camera_info],
            detections=found[topics.detections],
            ground_truth=found.get(topics.ground_truth),
        )
        for at_ns, found in sorted(by_stamp.items())
        if {topics.image, topics.camera_info, topics.detections} <= found.keys()
    ]
    if not frames:
        raise BagError(f"no image in '{bag}' has a camera info and detections of its stamp")
    return frames


def _messages(bag: Path, topics: BagTopics) -> Iterator[tuple[str, Recorded]]:
    wanted = set(vars(topics).values())
    try:
        reader = Reader(bag)
        reader.open()
    except Exception as error:  # rosbags raises assertions and sqlite's errors beside its own
        raise BagError(f"'{bag}' cannot be read as a rosbag2: {error}") from error
    with closing(reader):
        there = {connection.topic for connection in reader.connections}
        missing = sorted(wanted - there - {topics.ground_truth})
        if missing:
            raise BagError(f"'{bag}' has no topic {', '.join(missing)}; it has {', '.join(sorted(there))}")
        connections = [connection for connection in reader.connections if connection.topic in wanted]
        for connection, _, raw in reader.messages(connections=connections):
            cdr = bytes(raw)
            yield connection.topic, Recorded(deserialize_message(cdr, message_class(connection.msgtype)), cdr)
