"""Plays recorded frames through ROS topics into a running node, and collects the poses that come back."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from mrc_net_ros.bag_frames import BagFrame
from mrc_net_ros.msg import ObjectPoseArray
from mrc_net_ros.synchroniser import stamp_ns


@dataclass(frozen=True)
class PlayedFrame:
    """A frame that was sent, and what came back: None where nothing came in time."""

    frame: BagFrame
    poses: ObjectPoseArray | None
    latency_s: float | None
    """From the moment the image was published until its poses were received."""


class BagPlayer(Node):
    """Publishes frames under the node's input names and listens to ``poses`` and ``/tf``.

    Add it to an executor that spins in another thread; the methods wait.

    Args:
        first: a frame of the bag; its messages' types become the topics' types.
        image_topic: relative name under which images are published.
    """

    def __init__(
        self, first: BagFrame, image_topic: str = "image_rect/compressed", **node_arguments: object
    ) -> None:
        super().__init__("bag_player", **node_arguments)
        qos = QoSProfile(
            depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
        )
        self._image = self.create_publisher(type(first.image.message), image_topic, qos)
        self._camera_info = self.create_publisher(type(first.camera_info.message), "camera_info", qos)
        self._detections = self.create_publisher(type(first.detections.message), "detections", qos)
        # Deep, so that poses that arrived are not lost while this process gets no processor
        self._poses_in = self.create_subscription(
            ObjectPoseArray,
            "poses",
            self._on_poses,
            QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE),
        )
        self._tf_in = self.create_subscription(
            TFMessage, "/tf", self._on_tf, QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        )
        self._diagnostics_in = self.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, 10
        )
        self._trouble: str | None = None
        self._said: tuple[int, dict[str, str]] = (0, {})
        self._arrived = threading.Condition()
        self._poses: dict[int, tuple[ObjectPoseArray, float]] = {}
        self._transforms: dict[int, int] = defaultdict(int)

    @property
    def transforms(self) -> int:
        """How many transforms of played frames have arrived."""
        with self._arrived:
            return sum(self._transforms.values())

    def is_matched(self) -> bool:
        """Whether the node under test takes all three inputs and this one hears its poses.

        The node subscribes only once it is warmed up.
        """
        takes = all(
            p.get_subscription_count() > 0 for p in (self._image, self._camera_info, self._detections)
        )
        return takes and self.count_publishers(self._poses_in.topic_name) > 0

    def node_trouble(self) -> str | None:
        """Why the node cannot start, as it says in its diagnostics; None as long as it may."""
        return self._trouble

    def node_values(self) -> tuple[int, dict[str, str]]:
        """How often the node has sent diagnostics, and what it said last, by key. Of a node with one camera."""
        return self._said

    def play(self, frame: BagFrame, timeout_s: float) -> PlayedFrame:
        """Publishes one frame and waits for its poses, and for as many transforms, at most ``timeout_s``."""
        self.send_camera_info(frame.camera_info.cdr)
        self.send_detections(frame.detections.cdr)
        sent_s = time.monotonic()
        self.send_image(frame.image.cdr)
        at_ns = frame.stamp_ns
        received_s = self.wait_for_poses(at_ns, timeout_s)
        if received_s is None:
            return PlayedFrame(frame, None, None)
        with self._arrived:
            poses, _ = self._poses[at_ns]
            self._arrived.wait_for(lambda: self._transforms[at_ns] >= len(poses.poses), timeout=1.0)
        return PlayedFrame(frame, poses, received_s - sent_s)

    def wait_for_poses(self, at_ns: int, timeout_s: float) -> float | None:
        """Waits for the poses with this stamp. Returns when [s, monotonic] they arrived, or None."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: at_ns in self._poses, timeout=timeout_s):
                return None
            return self._poses[at_ns][1]

    def send_image(self, cdr: bytes) -> None:
        """Publishes a recorded image without waiting for anything."""
        self._image.publish(cdr)

    def send_camera_info(self, cdr: bytes) -> None:
        """Publishes a recorded camera info."""
        self._camera_info.publish(cdr)

    def send_detections(self, cdr: bytes) -> None:
        """Publishes recorded detections."""
        self._detections.publish(cdr)

    def received(self) -> dict[int, tuple[ObjectPoseArray, float]]:
        """The poses that have arrived so far, by stamp [ns], each with the time [s, monotonic] of its arrival."""
        with self._arrived:
            return dict(self._poses)

    def _on_poses(self, message: ObjectPoseArray) -> None:
        received_s = time.monotonic()
        with self._arrived:
            self._poses[stamp_ns(message.header.stamp)] = (message, received_s)
            self._arrived.notify_all()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level == DiagnosticStatus.ERROR and status.message.startswith("cannot be"):
                self._trouble = status.message
        if message.status:
            values = {value.key: value.value for value in message.status[0].values}
            self._said = (self._said[0] + 1, values)

    def _on_tf(self, message: TFMessage) -> None:
        with self._arrived:
            for transform in message.transforms:
                self._transforms[stamp_ns(transform.header.stamp)] += 1
            self._arrived.notify_all()
