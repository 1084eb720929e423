"""What the node itself does for a frame beside the network: measured in a running node, at a camera's rate."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message

from mrc_net_ros.bag_frames import message_class
from mrc_net_ros.bag_player import BagPlayer
from mrc_net_ros.bags.live_node import LiveNode, LiveNodeError
from mrc_net_ros.measuring.frame_sender import FrameSender
from mrc_net_ros.measuring.restamped import RestampedFrames
from mrc_net_ros.qos import RESULTS

NAMESPACE = "/node_work"
PARTS = ("callbacks", "conversion", "publication", "own work", "own work CPU", "transport")
"""Of the node's diagnostics. The first is over all complete frames, the others over those that were answered."""
WARM_UP_FRAMES = 10
ANSWER_TIMEOUT_S = 60.0
DIAGNOSTICS_TIMEOUT_S = 30.0
DESERIALISATIONS = 100


@dataclass(frozen=True)
class NodeWork:
    """Figures of one run.

    Args:
        parts_ms: median, 95th percentile and maximum [ms] by part, as the node counts them over its last 200 frames.
        estimate_ms: the same of the network.
        deserialisation_ms: the same of making messages of a frame's bytes, which rclpy does before any callback;
            measured in this process.
        sent: frames; ``answered`` and ``dropped`` are those that the node counted.
    """

    parts_ms: Mapping[str, tuple[float, float, float]]
    estimate_ms: tuple[float, float, float]
    deserialisation_ms: tuple[float, float, float]
    sent: int
    answered: int
    dropped: int

    @property
    def lost(self) -> int:
        """Frames of which the node never had all messages."""
        return self.sent - self.answered - self.dropped

    @property
    def own_work_p95_ms(self) -> float:
        """The figure that counts."""
        return self.parts_ms["own work"][1]

    def values(self) -> dict[str, Any]:
        """All of it, for JSON."""
        named = {**self.parts_ms, "estimate": self.estimate_ms, "deserialisation": self.deserialisation_ms}
        return {
            "sent": self.sent,
            "answered": self.answered,
            "dropped": self.dropped,
            "lost": self.lost,
            **{f"{name} ms": dict(zip(("p50", "p95", "max"), three)) for name, three in named.items()},
        }


def measure_node_work(
    frames: RestampedFrames, parameters: Mapping[str, str], rate_hz: float, duration_s: float, log: Path
) -> NodeWork:
    """Starts the node, sends frames at this rate for this long, and reads what the node has counted.

    Args:
        parameters: of the node, by name.
        log: takes the node's messages.

    Raises:
        LiveNodeError: the node cannot be used, or answers nothing.
    """
    with LiveNode(frames.frames[0], parameters, NAMESPACE, log) as live:
        live.wait_until_ready()
        hear_everything(live.player)
        sender = FrameSender(live.player, frames)
        for _ in range(WARM_UP_FRAMES):
            if sender.answered(ANSWER_TIMEOUT_S) is None:
                raise LiveNodeError(
                    f"no poses came in {ANSWER_TIMEOUT_S:.0f} s:\n{live.process.last_lines()}"
                )
        until_s = time.monotonic() + duration_s
        sender.send_steadily(rate_hz, lambda: time.monotonic() < until_s)
        values = later_values(live.player, 2)
    return NodeWork(
        {part: three_ms(values, part) for part in PARTS},
        three_ms(values, "estimate"),
        _deserialisation_ms(frames),
        len(sender.sent_s),
        int(values["frames"]),
        int(values["dropped frames"]),
    )


def hear_everything(player: BagPlayer) -> None:
    """Subscribes what the node publishes and ``player`` does not hear yet, so that sending it is measured as well.

    All but the overlay: it is drawn after the poses are out, and only while somebody looks.
    """
    heard = {subscription.topic_name for subscription in player.subscriptions}
    for topic, (kind, *_) in player.get_topic_names_and_types():
        inside = topic.startswith(player.get_namespace() + "/") and "/pose_estimator/" not in topic
        if (
            inside
            and topic not in heard
            and player.count_publishers(topic)
            and player.count_subscribers(topic) == 0
        ):
            player.create_subscription(message_class(kind), topic, lambda data: None, RESULTS, raw=True)


def later_values(player: BagPlayer, updates: int) -> dict[str, str]:
    """The node's diagnostics after so many more of them. Raises LiveNodeError if they do not come."""
    seen, _ = player.node_values()
    end_s = time.monotonic() + DIAGNOSTICS_TIMEOUT_S
    while player.node_values()[0] < seen + updates:
        if time.monotonic() > end_s:
            raise LiveNodeError(f"the node sent no diagnostics for {DIAGNOSTICS_TIMEOUT_S:.0f} s")
        time.sleep(0.02)
    return player.node_values()[1]


def three_ms(values: Mapping[str, str], stage: str) -> tuple[float, float, float]:
    """Median, 95th percentile and maximum [ms] of a stage in diagnostics. Raises LiveNodeError where there are none."""
    texts = [values.get(f"{stage} {name} [ms]", "-") for name in ("p50", "p95", "max")]
    if "-" in texts:
        raise LiveNodeError(f"the node counted no frames for '{stage}'")
    p50, p95, most = (float(text) for text in texts)
    return p50, p95, most


def usable_processors() -> int:
    """Processors that this process and its children may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _deserialisation_ms(frames: RestampedFrames) -> tuple[float, float, float]:
    milliseconds = []
    for number in range(DESERIALISATIONS):
        frame = frames.frames[number % len(frames.frames)]
        started_s = time.perf_counter()
        for one in (frame.image, frame.camera_info, frame.detections):
            deserialize_message(one.cdr, type(one.message))
        milliseconds.append(1e3 * (time.perf_counter() - started_s))
    p50, p95, most = np.percentile(milliseconds, (50, 95, 100))
    return float(p50), float(p95), float(most)
