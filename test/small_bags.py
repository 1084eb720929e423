"""Bags of a few frames whose right answers are known: the true poses are the estimator's own, moved as told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import node_harness as harness
import numpy as np
from geometry_msgs.msg import Point, PoseStamped, TransformStamped, Vector3
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import (
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from demo.recording.vision_messages import vision_types
from mrc_core.inference import Detection, PoseEstimator
from mrc_net_ros.conversions import pose_from_matrix

IMAGE, INFO = "/camera/image_rect/compressed", "/camera/camera_info"
DETECTIONS, TRUTH, POSE = "/camera/detections", "/camera/ground_truth", "/mocap/wedge"
TYPES = {
    IMAGE: CompressedImage,
    INFO: CameraInfo,
    DETECTIONS: Detection2DArray,
    TRUTH: Detection3DArray,
    POSE: PoseStamped,
    "/tf": TFMessage,
    "/tf_static": TFMessage,
}
BOXES = ((100.0, 90.0, 220.0, 230.0), (300.0, 200.0, 390.0, 310.0))
START_S, PERIOD_S = 100.0, 0.1
CAMERA_ON_MOUNT = np.array([[0, 0, 1, 0.1], [-1, 0, 0, 0.0], [0, -1, 0, 0.2], [0, 0, 0, 1.0]])


@dataclass(frozen=True)
class Written:
    """A message of a bag: its topic, when it was received [ns], and itself."""

    topic: str
    received_ns: int
    message: Any


@dataclass(frozen=True)
class Scene:
    """The estimator's poses of each frame, by class, and the true ones."""

    estimated: Sequence[dict[str, np.ndarray]]
    true: Sequence[dict[str, np.ndarray]]


def make_scene(estimator: PoseEstimator, frames: int, moved_m: float = 0.0) -> Scene:
    """One object of each class in each frame; the true ones stand this much further along the camera's x."""
    estimated, true = [], []
    for number in range(frames):
        detections = [Detection(c, box, 0.9) for c, box in zip(estimator.class_ids, BOXES)]
        estimates = estimator.estimate(harness.picture(number), harness.K, detections)
        estimated.append({e.class_id: e.cam_from_obj for e in estimates})
        shift = np.eye(4)
        shift[0, 3] = moved_m
        true.append({e.class_id: shift @ e.cam_from_obj for e in estimates})
    return Scene(estimated, true)


def camera_messages(scene: Scene) -> list[Written]:
    """Images, camera infos and detections of every frame, received when they were taken."""
    written = []
    for number, objects in enumerate(scene.true):
        head = harness.header(START_S + PERIOD_S * number)
        detections = [harness.detection(c, box) for c, box in zip(objects, BOXES)]
        for topic, message in (
            (IMAGE, harness.compressed_image(head, harness.picture(number))),
            (INFO, harness.camera_info(head)),
            (DETECTIONS, Detection2DArray(header=head, detections=detections)),
        ):
            written.append(Written(topic, stamp_ns(number), message))
    return written


def truth_messages(scene: Scene, visible: float = 1.0) -> list[Written]:
    """The true poses three times: entry by entry, as the pose of the first class, and as TF along a moving mount."""
    static = [transform(0, "mount", "camera_optical_frame", CAMERA_ON_MOUNT)]
    written = [Written("/tf_static", stamp_ns(0), TFMessage(transforms=static))]
    for number, objects in enumerate(scene.true):
        head = harness.header(START_S + PERIOD_S * number)
        entries = [_entry(c, pose, visible) for c, pose in objects.items()]
        written.append(Written(TRUTH, stamp_ns(number), Detection3DArray(header=head, detections=entries)))
        first = next(iter(objects.values()))
        written.append(
            Written(POSE, stamp_ns(number), PoseStamped(header=head, pose=pose_from_matrix(first)))
        )
        world_from_mount = np.eye(4)
        world_from_mount[:3, :3] = Rotation.from_euler("z", 10.0 * number, degrees=True).as_matrix()
        world_from_mount[:3, 3] = (0.1 * number, 1.0, 0.5)
        world_from_camera = world_from_mount @ CAMERA_ON_MOUNT
        moving = [transform(number, "world", "mount", world_from_mount)]
        moving += [transform(number, "world", f"gt_{c}", world_from_camera @ p) for c, p in objects.items()]
        written.append(Written("/tf", stamp_ns(number), TFMessage(transforms=moving)))
    return written


def write_scene_gt(path: Path, scene: Scene, class_ids: Sequence[str], by_stamp: bool) -> Path:
    """The true poses as BOP has them: millimetres, obj_id 1, 2, ... in the order of the classes."""
    frames = {}
    for number, objects in enumerate(scene.true):
        frames[str(stamp_ns(number) if by_stamp else 3 * number + 7)] = [
            {
                "obj_id": class_ids.index(class_id) + 1,
                "cam_R_m2c": pose[:3, :3].flatten().tolist(),
                "cam_t_m2c": (1e3 * pose[:3, 3]).tolist(),
            }
            for class_id, pose in objects.items()
        ]
    path.write_text(json.dumps(frames), encoding="utf-8")
    return path


def write_bag(path: Path, written: Sequence[Written], storage: StoragePlugin = StoragePlugin.SQLITE3) -> Path:
    """Writes the messages as a bag, and the topics of the camera even where they have none."""
    typestore = get_typestore(Stores.ROS2_HUMBLE)
    typestore.register(vision_types())
    typestore.register(
        get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage")
    )
    with Writer(path, version=8, storage_plugin=storage) as writer:
        used = dict.fromkeys([IMAGE, INFO, DETECTIONS, *(one.topic for one in written)])
        connections = {t: writer.add_connection(t, type_name(TYPES[t]), typestore=typestore) for t in used}
        for one in sorted(written, key=lambda w: w.received_ns):
            writer.write(connections[one.topic], one.received_ns, serialize_message(one.message))
    return path


def stamp_ns(number: int) -> int:
    """The stamp of a frame."""
    return round((START_S + PERIOD_S * number) * 1e9)


def type_name(kind: type) -> str:
    """Such as ``sensor_msgs/msg/Image``."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _entry(class_id: str, pose: np.ndarray, visible: float) -> Detection3D:
    result = ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=class_id, score=visible))
    result.pose.pose = pose_from_matrix(pose)
    return Detection3D(results=[result])


def transform(number: int, parent: str, child: str, matrix: np.ndarray) -> TransformStamped:
    pose = pose_from_matrix(matrix)
    at: Point = pose.position
    message = TransformStamped(
        header=harness.header(START_S + PERIOD_S * number, parent), child_frame_id=child
    )
    message.transform.translation = Vector3(x=at.x, y=at.y, z=at.z)
    message.transform.rotation = pose.orientation
    return message
