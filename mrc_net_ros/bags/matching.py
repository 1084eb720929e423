"""Which detection each true object was found by, and which pose was estimated from it.

Where the ground truth follows the detections, entry i belongs to detection i. Otherwise, within each class, true
objects and detections are paired such that the sum of the distances from the projected centres to the boxes' centres
is least. A pose belongs to the detection whose class and box it carries. What is left, tracked poses among them,
belongs to the true object of its class whose centre it is nearest to in the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection2D, Detection2DArray

from mrc_core.inference import Detection
from mrc_net_ros.bags.truth import TrueObject
from mrc_net_ros.conversions import detection_from_message, matrix_from_pose
from mrc_net_ros.msg import ObjectPose
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.rectification import camera_model
from mrc_net_ros.synchroniser import Frame
from mrc_net_ros.unusable_input import UnusableInput

BOX_TOLERANCE_PX = 0.01
BEHIND_PX = 1e7  # a centre that is not in front of the camera is this far from every box


@dataclass(frozen=True)
class Match:
    """A true object of a frame. ``pose`` is None where none was estimated, ``detected`` tells whether one could be.

    One could be of every object where the bag has no detections of the image at all, and tracks alone answer.
    """

    truth: TrueObject
    detected: bool
    pose: ObjectPose | None


def match_frame(
    frame: Frame,
    truths: Sequence[TrueObject],
    follows_detections: bool,
    poses: Sequence[ObjectPose],
    settings: NodeSettings,
    centres_m: Mapping[str, NDArray[np.float64]],
    recorded: Detection2DArray | None = None,
) -> tuple[list[Match], list[ObjectPose]]:
    """The true objects of known classes with their poses, and the poses that belong to none.

    Args:
        frame: its detections, if any, are what the poses were estimated from.
        truths: in the order of the ground truth.
        follows_detections: see ``GroundTruth``.
        poses: as they were published for this frame.
        settings: the node's parameters.
        centres_m: centre (3,) of each known class's mesh, in the mesh's own frame, metres.
        recorded: the bag's detections of the image, where the frame has none; they tell what is judged.
    """
    size = _image_size(frame.camera_info)
    seen = frame.detections if frame.detections is not None else recorded
    messages: list[Detection2D] = list(seen.detections) if seen is not None else []
    usable = [_usable(message, size, settings, centres_m) for message in messages]
    if follows_detections and _names_agree(truths, messages, settings.class_map):
        place = {i: i for i in range(len(messages))}
    else:
        place = _by_distance(frame.camera_info, size, truths, usable, settings.rectified, centres_m)
    left = list(poses)
    matches = []
    for i, truth in enumerate(truths):
        if truth.class_id in centres_m:
            detection = usable[place[i]] if i in place else None
            pose = _take_pose(left, detection) if detection is not None else None
            matches.append(Match(truth, i in place or seen is None, pose))
    if settings.tracking == "off":
        return matches, left
    return _with_the_rest(matches, left, frame.camera_info, size, settings.rectified, centres_m)


def _with_the_rest(
    matches: list[Match],
    left: list[ObjectPose],
    info: CameraInfo,
    size: tuple[int, int],
    rectified: bool,
    centres_m: Mapping[str, NDArray[np.float64]],
) -> tuple[list[Match], list[ObjectPose]]:
    """Gives poses of no detection to the true objects that have none, by the distance of centres in the image."""
    try:
        K = camera_model(info, size, rectified).K
    except UnusableInput:
        return matches, left
    taken: set[int] = set()
    for class_id, centre in centres_m.items():
        rows = [i for i, m in enumerate(matches) if m.pose is None and m.truth.class_id == class_id]
        columns = [j for j, pose in enumerate(left) if pose.class_id == class_id]
        if not rows or not columns:
            continue
        true = np.stack([_projected(matches[i].truth.cam_from_obj, centre, K) for i in rows])
        posed = np.stack([_projected(matrix_from_pose(left[j].pose.pose), centre, K) for j in columns])
        cost = np.minimum(np.linalg.norm(true[:, None] - posed[None], axis=-1), BEHIND_PX)
        for row, column in zip(*linear_sum_assignment(cost)):
            pose = left[columns[column]]
            if cost[row, column] <= max(pose.bbox.size_x, pose.bbox.size_y):
                matches[rows[row]] = replace(matches[rows[row]], pose=pose)
                taken.add(columns[column])
    return matches, [pose for j, pose in enumerate(left) if j not in taken]


def _image_size(info: CameraInfo) -> tuple[int, int]:
    """(height, width) of the image that a camera info is for."""
    bin_x, bin_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    return int(info.roi.height or info.height) // bin_y, int(info.roi.width or info.width) // bin_x


def _usable(
    message: Detection2D, size: tuple[int, int], settings: NodeSettings, known: Mapping[str, object]
) -> Detection | None:
    try:
        return detection_from_message(message, size, frozenset(known), settings.class_map)
    except UnusableInput:
        return None


def _names_agree(
    truths: Sequence[TrueObject], messages: Sequence[Detection2D], class_map: Mapping[str, str]
) -> bool:
    if len(truths) < len(messages):
        return False
    for truth, message in zip(truths, messages):
        named = {r.hypothesis.class_id for r in message.results}
        if truth.class_id not in named | {class_map.get(name, name) for name in named}:
            return False
    return True


def _by_distance(
    info: CameraInfo,
    size: tuple[int, int],
    truths: Sequence[TrueObject],
    detections: Sequence[Detection | None],
    rectified: bool,
    centres_m: Mapping[str, NDArray[np.float64]],
) -> dict[int, int]:
    """Index of the detection of each true object that has one."""
    try:
        camera = camera_model(info, size, rectified)
        inside = [d and replace(d, box_xyxy_px=camera.undistorted_box(d.box_xyxy_px)) for d in detections]
    except UnusableInput:
        return {}
    place: dict[int, int] = {}
    for class_id in centres_m:
        rows = [i for i, truth in enumerate(truths) if truth.class_id == class_id]
        columns = [j for j, d in enumerate(inside) if d is not None and d.class_id == class_id]
        if not rows or not columns:
            continue
        seen = np.stack([_projected(truths[i].cam_from_obj, centres_m[class_id], camera.K) for i in rows])
        boxes = np.array([inside[j].box_xyxy_px for j in columns])  # type: ignore[union-attr]
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        cost = np.minimum(np.linalg.norm(seen[:, None] - middles[None], axis=-1), BEHIND_PX)
        for row, column in zip(*linear_sum_assignment(cost)):
            place[rows[row]] = columns[column]
    return place


def _projected(
    cam_from_obj: NDArray[np.float64], centre_m: NDArray[np.float64], matrix: NDArray[np.float64]
) -> NDArray[np.float64]:
    point = cam_from_obj[:3, :3] @ centre_m + cam_from_obj[:3, 3]
    if point[2] <= 1e-3:
        return np.full(2, 2 * BEHIND_PX)
    pixel: NDArray[np.float64] = (matrix @ point)[:2] / point[2]
    return pixel


def _take_pose(poses: list[ObjectPose], detection: Detection) -> ObjectPose | None:
    """Removes and returns the pose that was estimated from this detection."""
    wanted = np.array(detection.box_xyxy_px)
    for i, pose in enumerate(poses):
        centre, half = pose.bbox.center.position, np.array([pose.bbox.size_x, pose.bbox.size_y]) / 2
        middle = np.array([centre.x, centre.y])
        its = np.concatenate([middle - half, middle + half])
        if pose.class_id == detection.class_id and np.abs(its - wanted).max() <= BOX_TOLERANCE_PX:
            return poses.pop(i)
    return None
