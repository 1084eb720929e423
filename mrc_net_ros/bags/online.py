"""Plays a bag through live topics into the node, at its own pace, and keeps what comes back."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_net_ros.bag_frames import BagError, BagFrame, Recorded
from mrc_net_ros.bag_player import BagPlayer
from mrc_net_ros.bags.answers import Answer
from mrc_net_ros.bags.live_node import LiveNode
from mrc_net_ros.bags.parameter_arguments import as_ros_arguments
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.replay import Replay, ReplayedFrame
from mrc_net_ros.bags.topic_choice import CameraTopics
from mrc_net_ros.msg import ObjectPoseArray

NAMESPACE = "/bag_evaluation"
MARGIN_S = 1.0
"""Camera infos and detections are played from this long before the first image until this long after the last."""
QUIET_S = 10.0
"""After the last message, poses are waited for until none has come for this long."""
NO_POSES = (
    "no poses arrived: the node was still busy with an earlier image, or refused this one (node.log says why)"
)


@dataclass(frozen=True)
class Schedule:
    """Which images are played, by their index in the bag, and between which recording times [ns] the rest is."""

    stamp_by_image: Mapping[int, int]
    from_ns: int
    until_ns: int


class OnlineAnswers:
    """What came back from the node, by the images' stamps.

    Args:
        poses: each with the time [s, monotonic] of its arrival.
        sent_s: when each image was published.
        taken_s: when each image would have been taken, had its stamp been made while the bag was played.
    """

    def __init__(
        self,
        poses: Mapping[int, tuple[ObjectPoseArray, float]],
        sent_s: Mapping[int, float],
        taken_s: Mapping[int, float],
    ) -> None:
        self._poses, self._sent_s, self._taken_s = poses, sent_s, taken_s

    def answer(self, replayed: ReplayedFrame) -> Answer:
        """The poses of one frame, with the latency from publishing the image and from its stamp."""
        at_ns = replayed.stamp_ns
        if at_ns not in self._poses or at_ns not in self._sent_s:
            return Answer(None, reason=NO_POSES)
        message, arrived_s = self._poses[at_ns]
        seconds = {
            "image_to_poses": arrived_s - self._sent_s[at_ns],
            "stamp_to_poses": arrived_s - self._taken_s[at_ns],
        }
        return Answer(message, seconds=seconds)


def play_online(
    recording: Recording,
    topics: CameraTopics,
    replay: Replay,
    parameters: Mapping[str, Any],
    rate: float,
    log: Path,
    domain: int | None = None,
) -> OnlineAnswers:
    """Starts the node, plays the bag's selected images and all that belongs to them, and ends the node.

    Args:
        recording: the bag.
        topics: the node's inputs in it.
        replay: says which images are complete frames.
        parameters: the node's, by name; images are sent reliably unless ``image_qos`` is given.
        rate: times real time.
        log: the node's messages.
        domain: ROS_DOMAIN_ID; None: one of its own. Nothing leaves the host either way.

    Raises:
        BagError: nothing can be played.
        LiveNodeError: the node cannot be used.
    """
    isolate(domain)
    schedule = make_schedule(recording, topics, replay)
    arguments = as_ros_arguments({"image_qos": "reliable", **parameters})
    with LiveNode(_first_frame(recording, topics), arguments, NAMESPACE, log) as live:
        seconds = live.wait_until_ready()
        count = len(schedule.stamp_by_image)
        print(f"The node is ready after {seconds:.1f} s; playing {count} images at {rate:g} times real time.")
        every = replay.selection.detections_every
        sent_s, taken_s = _play(recording, topics, schedule, live.player, rate, every)
        _wait_for_the_rest(live.player, set(sent_s))
        poses = live.player.received()
        if live.process.stop() != 0:
            status, said = live.process.exit_status, live.process.last_lines()
            print(f"The node ended with status {status}:\n{said}", file=sys.stderr)
    return OnlineAnswers(poses, sent_s, taken_s)


def isolate(domain: int | None) -> None:
    """Keeps this process and its children on this host, in a domain of their own unless one is given."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100 if domain is None else domain)


def make_schedule(recording: Recording, topics: CameraTopics, replay: Replay) -> Schedule:
    """The images that become frames. Raises BagError where there is none."""
    stamps = {replayed.image_index: replayed.stamp_ns for replayed in replay}
    if not stamps:
        reasons = "; ".join(replay.counts.lost) or "no image is selected"
        raise BagError(f"no image of the bag becomes a complete frame: {reasons}")
    first, last, times = min(stamps), max(stamps), {}
    for index, raw in enumerate(recording.messages([topics.image])):
        if index in (first, last):
            times[index] = raw.received_ns
    margin_ns = round(MARGIN_S * 1e9)
    return Schedule(stamps, times[first] - margin_ns, times[last] + margin_ns)


def _first_frame(recording: Recording, topics: CameraTopics) -> BagFrame:
    """The first message of each topic, for their types."""
    first = {}
    for topic in topics.names:
        raw = next(recording.messages([topic]))
        first[topic] = Recorded(raw.read(), raw.cdr)
    return BagFrame(0, first[topics.image], first[topics.camera_info], first[topics.detections], None)


def _play(
    recording: Recording,
    topics: CameraTopics,
    schedule: Schedule,
    player: BagPlayer,
    rate: float,
    detections_every: int,
) -> tuple[dict[int, float], dict[int, float]]:
    """Publishes the messages as they were received. Returns when each image was sent, and when it was taken."""
    sent_s: dict[int, float] = {}
    taken_s: dict[int, float] = {}
    images = detections = -1
    started_s, started_ns = 0.0, 0
    for raw in recording.messages(topics.names):
        images += raw.topic == topics.image
        detections += raw.topic == topics.detections
        if not schedule.from_ns <= raw.received_ns <= schedule.until_ns:
            continue
        if raw.topic == topics.image and images not in schedule.stamp_by_image:
            continue
        if not started_ns:
            started_s, started_ns = time.monotonic(), raw.received_ns
        due_s = started_s + (raw.received_ns - started_ns) * 1e-9 / rate
        time.sleep(max(0.0, due_s - time.monotonic()))
        if raw.topic == topics.camera_info:
            player.send_camera_info(raw.cdr)
        elif raw.topic == topics.detections:
            if detections % detections_every == 0:
                player.send_detections(raw.cdr)
        else:
            at_ns = schedule.stamp_by_image[images]
            sent_s[at_ns] = time.monotonic()
            taken_s[at_ns] = started_s + (at_ns - started_ns) * 1e-9 / rate
            player.send_image(raw.cdr)
    return sent_s, taken_s


def _wait_for_the_rest(player: BagPlayer, wanted: set[int]) -> None:
    count, since_s = -1, time.monotonic()
    while time.monotonic() - since_s < QUIET_S:
        arrived = len(player.received())
        if wanted <= player.received().keys():
            return
        if arrived != count:
            count, since_s = arrived, time.monotonic()
        time.sleep(0.05)
