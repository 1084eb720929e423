"""The inputs of one camera: its topics, what joins their messages, and what is wrong when nothing comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from mrc_net_ros.complaints import Complaints
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.qos import Report, input_qos, subscribe
from mrc_net_ros.starvation import StarvationWatch
from mrc_net_ros.synchroniser import Frame, FrameSynchroniser
from mrc_net_ros.thread_time import NO_TIME, ThreadTime, thread_time
from mrc_net_ros.unusable_input import UnusableInput

IMAGE_TOPIC = "image_rect"
COMPRESSED_TOPIC = "image_rect/compressed"
CAMERA_INFO_TOPIC = "camera_info"
DETECTIONS_TOPIC = "detections"


class CameraInputs:
    """Subscriptions to image, camera info and detections. A message that cannot be taken is named and left out.

    Args:
        node: that subscribes.
        prefix: before the topics' names: ``left/`` or an empty text.
        on_frame: called in the executor's thread with each complete frame.
        report: takes topics whose publishers cannot be heard.
        on_spent: called after each complete frame, also one that is dropped then, with what the callbacks have spent
            since the frame before.
    """

    def __init__(
        self,
        node: Any,
        prefix: str,
        settings: NodeSettings,
        on_frame: Callable[[Frame], None],
        complaints: Complaints,
        report: Report,
        on_spent: Callable[[ThreadTime], None] = lambda spent: None,
    ) -> None:
        self._node, self._complaints = node, complaints
        self._on_spent = on_spent
        self._callback_started = self._spent = NO_TIME
        self._frame_is_complete = False
        self.on_frame = on_frame
        self.synchroniser = FrameSynchroniser(
            self._on_complete,
            settings.sync_queue_size,
            settings.sync_slop_s,
            settings.tracking,
        )
        self._watch = StarvationWatch()
        compressed = settings.image_transport == "compressed"
        image_type, image_topic = (CompressedImage, COMPRESSED_TOPIC) if compressed else (Image, IMAGE_TOPIC)
        image_qos = input_qos(settings.image_qos, settings.sync_queue_size)
        detections_qos = input_qos(settings.detections_qos, settings.sync_queue_size)
        add = self.synchroniser
        self._subscriptions = [
            subscribe(node, kind, prefix + topic, self._guarded(take, prefix + topic), qos, parameter, report)
            for kind, topic, take, qos, parameter in (
                (CameraInfo, CAMERA_INFO_TOPIC, add.add_camera_info, image_qos, "image_qos"),
                (image_type, image_topic, add.add_image, image_qos, "image_qos"),
                (Detection2DArray, DETECTIONS_TOPIC, add.add_detections, detections_qos, "detections_qos"),
            )
        ]

    def destroy(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def trouble(self) -> str:
        """Why no frame is complete, or an empty text. Ask about once a second."""
        topics = [subscription.topic_name for subscription in self._subscriptions]
        return self._watch.trouble(self.synchroniser, topics, time.monotonic())

    def _on_complete(self, frame: Frame) -> None:
        self._frame_is_complete = True
        self.on_frame(replace(frame, callbacks=self._spent + (thread_time() - self._callback_started)))

    def _guarded(self, take: Callable[[Any], None], topic: str) -> Callable[[Any], None]:
        """One publisher must not end the node."""

        def guarded(message: Any) -> None:
            self._callback_started = thread_time()
            try:
                take(message)
            except UnusableInput as error:
                self._complaints(f"{topic} {error.kind}", str(error))
            except Exception as error:
                self._complaints(
                    f"input {topic} {type(error).__name__}",
                    f"a message on {topic} cannot be taken and is left out: {error!r}",
                )
            self._spent += thread_time() - self._callback_started
            if self._frame_is_complete:
                self._on_spent(self._spent)
                self._spent, self._frame_is_complete = NO_TIME, False

        return guarded
