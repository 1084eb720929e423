"""True poses from a topic of the bag: vision_msgs/Detection3DArray, or geometry_msgs/PoseStamped of one class."""

from __future__ import annotations

from typing import Any

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.bags.truth import TrueObject
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.synchroniser import stamp_ns

DETECTION_3D_ARRAY = "vision_msgs/msg/Detection3DArray"
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"


class DetectionTruth:
    """A Detection3DArray for each image, of its stamp; a hypothesis' score is the visible share of the silhouette.

    Where every entry i names the class of detection i, it is the truth of that detection. ``Detection3D.id``, where it
    is not empty, names the instance.

    Raises:
        BagError: the bag has no such topic.
    """

    def __init__(self, recording: Recording, topic: str) -> None:
        self.description = f"topic {topic} ({DETECTION_3D_ARRAY}), by stamp"
        self._by_stamp: dict[int, Any] = {}
        for raw in recording.messages([topic]):
            message = raw.read()
            self._by_stamp[stamp_ns(message.header.stamp)] = message

    def objects(self, frame: ReplayedFrame) -> list[TrueObject] | None:
        """The entries of the image's message, None where there is none."""
        message = self._by_stamp.get(frame.stamp_ns)
        if message is None:
            return None
        _check_frame(message.header.frame_id, frame)
        return [
            TrueObject(
                class_id=entry.results[0].hypothesis.class_id,
                instance=entry.id or None,
                cam_from_obj=matrix_from_pose(entry.results[0].pose.pose),
                visible=float(entry.results[0].hypothesis.score),
            )
            for entry in message.detections
            if entry.results
        ]

    def follows_detections(self, frame: ReplayedFrame) -> bool:
        """There is an entry for each detection; classes are compared by who asks."""
        message = self._by_stamp.get(frame.stamp_ns)
        return message is not None and all(entry.results for entry in message.detections)


class PoseTruth:
    """PoseStamped messages of one object of one class, each of an image's stamp.

    Raises:
        BagError: the bag has no such topic.
    """

    def __init__(self, recording: Recording, topic: str, class_id: str) -> None:
        self.description = f"topic {topic} ({POSE_STAMPED}) of class {class_id}, by stamp"
        self._class_id = class_id
        self._by_stamp: dict[int, Any] = {}
        for raw in recording.messages([topic]):
            message = raw.read()
            self._by_stamp[stamp_ns(message.header.stamp)] = message

    def objects(self, frame: ReplayedFrame) -> list[TrueObject] | None:
        """The one pose of the image's stamp, None where there is none."""
        message = self._by_stamp.get(frame.stamp_ns)
        if message is None:
            return None
        _check_frame(message.header.frame_id, frame)
        return [TrueObject(self._class_id, self._class_id, matrix_from_pose(message.pose))]

    def follows_detections(self, frame: ReplayedFrame) -> bool:
        """A pose tells nothing of detections."""
        return False


def _check_frame(frame_id: str, frame: ReplayedFrame) -> None:
    image_frame = frame.frame.image.header.frame_id
    if frame_id and image_frame and frame_id.lstrip("/") != image_frame.lstrip("/"):
        raise BagError(
            f"the ground truth is given in the frame '{frame_id}', but the image is in '{image_frame}': record it in "
            "the camera's optical frame, or as TF (--gt tf)"
        )
