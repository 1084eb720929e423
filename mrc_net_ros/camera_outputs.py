"""The outputs of one camera: poses, boxes, markers and the overlay; TF is sent through the node's broadcaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from tf2_ros import TransformBroadcaster
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from mrc_net_ros.complaints import Complaints
from mrc_net_ros.loaded_bundle import LoadedBundle
from mrc_net_ros.markers import MarkerBoard
from mrc_net_ros.msg import ObjectPoseArray
from mrc_net_ros.overlay import OverlayPainter
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.pose_messages import (
    best_pose_messages,
    detections_3d_message,
    pose_array_message,
    transform_messages,
)
from mrc_net_ros.prepared_frame import FrameResult
from mrc_net_ros.qos import RESULTS, Report, advertise

POSES_TOPIC = "poses"
DETECTIONS_3D_TOPIC = "detections_3d"
MARKERS_TOPIC = "markers"


@dataclass(frozen=True)
class Parcels:
    """What is to be sent of one frame: TF, and for each publisher in turn a message in bytes."""

    transforms: Sequence[TransformStamped]
    messages: Sequence[tuple[Any, bytes]]


class CameraOutputs:
    """Lifecycle publishers of one camera; each message carries the image's header.

    Args:
        node: that publishes.
        prefix: before the topics' and the TF leaves' names: ``left/`` or an empty text.
        report: takes topics that a subscriber cannot hear.
    """

    def __init__(
        self, node: Any, prefix: str, tf: TransformBroadcaster, complaints: Complaints, report: Report
    ) -> None:
        self._node, self._prefix, self._tf = node, prefix, tf
        self._complaints, self._report = complaints, report
        self._markers_on_display = MarkerBoard()
        self._poses = self._advertise(ObjectPoseArray, prefix + POSES_TOPIC)
        self._detections_3d = self._advertise(Detection3DArray, prefix + DETECTIONS_3D_TOPIC)
        self._markers = self._advertise(MarkerArray, prefix + MARKERS_TOPIC)
        self._overlay = self._advertise(Image, f"~/{prefix}overlay")
        self._best: dict[str, Any] = {}

    def set_classes(self, tokens: Mapping[str, str], active: bool) -> None:
        """Makes the topics ``pose/<class>``; those of classes that are not among these any more end.

        Args:
            tokens: names of the topics by class id.
            active: the node is active, and so are new publishers.
        """
        before, self._best = self._best, {}
        for token in tokens.values():
            publisher = before.pop(token, None)
            if publisher is None:
                publisher = self._advertise(PoseStamped, f"{self._prefix}pose/{token}")
                if active:
                    publisher.on_activate(None)
            self._best[token] = publisher
        for publisher in before.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def destroy(self) -> None:
        """Ends all publishers."""
        publishers = (self._poses, self._detections_3d, self._markers, self._overlay, *self._best.values())
        for publisher in publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._best = {}

    def packed(self, result: FrameResult, bundle: LoadedBundle, settings: NodeSettings) -> Parcels:
        """A frame's poses in all forms but the overlay, ready for ``send``."""
        messages = [
            (self._best[bundle.tokens[class_id]], message)
            for class_id, message in best_pose_messages(result).items()
        ]
        messages.append((self._poses, pose_array_message(result)))
        messages.append((self._detections_3d, detections_3d_message(result, bundle.objects)))
        if settings.publish_markers:
            markers = self._markers_on_display.message(result, bundle.objects)
        else:
            markers = self._markers_on_display.cleared()
        if markers is not None:
            messages.append((self._markers, markers))
        transforms = self._transforms(result, bundle, settings) if settings.publish_tf else []
        return Parcels(transforms, [(publisher, serialize_message(message)) for publisher, message in messages])

    def _transforms(
        self, result: FrameResult, bundle: LoadedBundle, settings: NodeSettings
    ) -> list[TransformStamped]:
        if result.instances and not result.header.frame_id:
            self._complaints(
                "frame_id", "images come without header.frame_id, so no TF is sent: set it in the driver"
            )
            return []
        return transform_messages(result, bundle.tokens, settings.tf_prefix + self._prefix)

    def send(self, parcels: Parcels) -> None:
        """Hands over to DDS. TF first: who reacts to a pose finds its transform already there."""
        if parcels.transforms:
            self._tf.sendTransform(parcels.transforms)
        for publisher, message in parcels.messages:
            publisher.publish(message)

    def clear_markers(self) -> None:
        """Takes all markers off the display."""
        deletions = self._markers_on_display.cleared()
        if deletions is not None:
            self._markers.publish(deletions)

    @property
    def overlay_is_wanted(self) -> bool:
        """Whether somebody listens to the overlay."""
        return bool(self._overlay.get_subscription_count() > 0)

    def publish_overlay(self, result: FrameResult, painter: OverlayPainter) -> None:
        """Draws and sends the overlay; that takes some time."""
        self._overlay.publish(painter.message(result))

    def _advertise(self, message_type: type, topic: str) -> Any:
        return advertise(self._node, message_type, topic, RESULTS, self._report)
