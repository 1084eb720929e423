"""The recording as a rosbag2 (sqlite3): compressed pictures, intrinsics, detections and ground truth."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore
from scipy.spatial.transform import Rotation

from .layout import Item
from .render import frame_path
from .trajectory import FRAME_RATE_HZ, HEIGHT, WIDTH, K, camera_poses
from .visibility import ObjectView, view_objects
from .vision_messages import vision_types

FRAME_ID = "camera_optical_frame"
START_S = 1_767_261_600  # 2026-01-01 10:00 UTC
JPEG_QUALITY = 96
SENSOR_NOISE = 1.5  # standard deviation, in steps of 8 bits
BOX_JITTER = 0.07
LEAST_VISIBLE = 0.10
SEED = 20260101
# Metadata version 8 is the newest that every distribution from Humble on reads.
BAG_VERSION = 8
TOPICS = {
    "/camera/image_rect/compressed": "sensor_msgs/msg/CompressedImage",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/detections": "vision_msgs/msg/Detection2DArray",
    "/camera/ground_truth": "vision_msgs/msg/Detection3DArray",
}


@dataclass(frozen=True)
class FoundBox:
    """What the recording's pretended detector says about one object."""

    view: ObjectView
    box_xyxy_px: tuple[float, float, float, float]
    score: float


def jittered_box(
    box_xyxy_px: tuple[float, float, float, float], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """The box as a detector gives it: centre and size off by up to BOX_JITTER of the size, clipped to the image."""
    low, high = np.array(box_xyxy_px[:2]), np.array(box_xyxy_px[2:])
    size = high - low
    center = (low + high) / 2 + rng.uniform(-BOX_JITTER, BOX_JITTER, 2) * size
    size = size * (1.0 + rng.uniform(-BOX_JITTER, BOX_JITTER, 2))
    low = np.maximum(center - size / 2, -0.5)
    high = np.minimum(center + size / 2, (WIDTH - 0.5, HEIGHT - 0.5))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def write_bag(items: list[Item], frames_folder: Path, bag_folder: Path) -> None:
    """Write all frames to `bag_folder`, which is replaced once the new bag is complete.

    Raises FileNotFoundError if a picture is missing.
    """
    typestore = get_typestore(Stores.ROS2_HUMBLE)
    typestore.register(vision_types())
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as scratch:
        unfinished = Path(scratch) / bag_folder.name
        with Writer(unfinished, version=BAG_VERSION, storage_plugin=StoragePlugin.SQLITE3) as writer:
            connections = {
                t: writer.add_connection(t, kind, typestore=typestore) for t, kind in TOPICS.items()
            }
            for index, cam_from_world in enumerate(camera_poses()):
                stamp_ns = START_S * 10**9 + round(index * 1e9 / FRAME_RATE_HZ)
                views = view_objects(items, cam_from_world, K, (HEIGHT, WIDTH))
                picture = np.asarray(Image.open(frame_path(frames_folder, index)).convert("RGB"))
                for topic, message in _messages(typestore, stamp_ns, picture, views, rng).items():
                    writer.write(
                        connections[topic], stamp_ns, typestore.serialize_cdr(message, TOPICS[topic])
                    )
        shutil.rmtree(bag_folder, ignore_errors=True)
        bag_folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unfinished, bag_folder)
    size = sum(path.stat().st_size for path in bag_folder.iterdir())
    print(f"{bag_folder}: {len(camera_poses())} frames, {size / 1e6:.1f} MB")


def _messages(
    typestore: Typestore,
    stamp_ns: int,
    picture: NDArray[np.uint8],
    views: list[ObjectView],
    rng: np.random.Generator,
) -> dict[str, Any]:
    types = typestore.types
    stamp = types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=FRAME_ID)
    found, missed = [], []
    for view in views:
        if view.box_xyxy_px is None or view.visib_fract < LEAST_VISIBLE:
            missed.append(view)
        else:
            found.append(FoundBox(view, jittered_box(view.box_xyxy_px, rng), float(rng.uniform(0.70, 0.99))))
    return {
        "/camera/image_rect/compressed": _image(types, header, picture, rng),
        "/camera/camera_info": _camera_info(types, header),
        "/camera/detections": types["vision_msgs/msg/Detection2DArray"](
            header=header, detections=[_detection(types, header, box) for box in found]
        ),
        "/camera/ground_truth": types["vision_msgs/msg/Detection3DArray"](
            header=header,
            detections=[_truth(types, header, view) for view in [box.view for box in found] + missed],
        ),
    }


def _image(types: Any, header: Any, picture: NDArray[np.uint8], rng: np.random.Generator) -> Any:
    # The noise is the sensor's: a denoised rendering is cleaner than any camera.
    noisy = np.clip(np.rint(picture + rng.normal(0.0, SENSOR_NOISE, picture.shape)), 0, 255).astype(np.uint8)
    ok, jpeg = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV could not encode the picture as JPEG")
    return types["sensor_msgs/msg/CompressedImage"](header=header, format="jpeg", data=jpeg.ravel())


def _camera_info(types: Any, header: Any) -> Any:
    roi = types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    return types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([K, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def _hypothesis(types: Any, class_id: str, score: float, pose: Any) -> Any:
    return types["vision_msgs/msg/ObjectHypothesisWithPose"](
        hypothesis=types["vision_msgs/msg/ObjectHypothesis"](class_id=class_id, score=score),
        pose=types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
    )


def _pose(types: Any, cam_from_obj: NDArray[np.float64]) -> Any:
    x, y, z, w = (float(value) for value in Rotation.from_matrix(cam_from_obj[:3, :3]).as_quat())
    px, py, pz = (float(value) for value in cam_from_obj[:3, 3])
    return types["geometry_msgs/msg/Pose"](
        position=types["geometry_msgs/msg/Point"](x=px, y=py, z=pz),
        orientation=types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w),
    )


def _detection(types: Any, header: Any, found: FoundBox) -> Any:
    x0, y0, x1, y1 = found.box_xyxy_px
    center = types["vision_msgs/msg/Pose2D"](
        position=types["vision_msgs/msg/Point2D"](x=(x0 + x1) / 2, y=(y0 + y1) / 2), theta=0.0
    )
    return types["vision_msgs/msg/Detection2D"](
        header=header,
        results=[_hypothesis(types, found.view.class_id, found.score, _pose(types, np.eye(4)))],
        bbox=types["vision_msgs/msg/BoundingBox2D"](center=center, size_x=x1 - x0, size_y=y1 - y0),
        id="",
    )


def _truth(types: Any, header: Any, view: ObjectView) -> Any:
    pose = _pose(types, view.cam_from_obj)
    x, y, z = (float(extent) for extent in view.extents)
    return types["vision_msgs/msg/Detection3D"](
        header=header,
        results=[_hypothesis(types, view.class_id, float(view.visib_fract), pose)],
        bbox=types["vision_msgs/msg/BoundingBox3D"](
            center=pose, size=types["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)
        ),
        id="",
    )
