"""ROS messages to arrays and back. Pure functions, no node.

Frames: everything is in the camera's optical frame (x right, y down, z forward). Quaternions in messages are
xyzw.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
from geometry_msgs.msg import Pose
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from tf_transformations import quaternion_matrix
from vision_msgs.msg import BoundingBox2D, Detection2D

from mrc_core.inference import Detection
from mrc_net_ros.images import rgb_from_compressed as rgb_from_compressed
from mrc_net_ros.images import rgb_from_image as rgb_from_image
from mrc_net_ros.unusable_input import UnusableInput as UnusableInput

LEAST_SIDE_PX = 1.01
"""A box must be wider and higher: the network needs a pixel, and arithmetic takes some of its digits."""
MOST_COORDINATE_PX = 1e5
"""A box must lie within plus and minus this: far beyond any image, and float32 still counts in parts of a pixel."""


def intrinsics(info: CameraInfo, image_size: tuple[int, int], rectified: bool) -> NDArray[np.float64]:
    """The camera matrix K (3, 3) for the image as it was received.

    Args:
        info: of the camera; its region of interest and binning are honoured as image_geometry does.
        image_size: (height, width) of the image.
        rectified: the image is rectified: use P's left 3x3 (K where P is zero). Otherwise use K. Distortion is not
            looked at here: see ``rectification``.

    Raises:
        UnusableInput: sizes that differ, or an uncalibrated camera.
    """
    projection = np.asarray(info.p, dtype=np.float64).reshape(3, 4)[:, :3]
    use_projection = rectified and projection[0, 0] > 0.0
    matrix = np.array(projection if use_projection else np.asarray(info.k, dtype=np.float64).reshape(3, 3))
    if not np.isfinite(matrix).all() or matrix[0, 0] <= 0.0 or matrix[1, 1] <= 0.0:
        raise UnusableInput(
            "uncalibrated",
            "the camera is not calibrated (focal length in camera_info is zero or not finite): calibrate "
            "it, for example "
            "with camera_calibration",
        )
    roi, bin_x, bin_y = info.roi, max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    expected = size_of_images(info)
    if expected != tuple(image_size):
        raise UnusableInput(
            "camera_info_size",
            f"camera_info is for an image of {expected[1]}x{expected[0]} pixels, but the image has "
            f"{image_size[1]}x{image_size[0]}: use the camera_info of this very stream",
        )
    matrix[2] = (0.0, 0.0, 1.0)
    matrix[0, 2] -= roi.x_offset
    matrix[1, 2] -= roi.y_offset
    matrix[0] /= bin_x
    matrix[1] /= bin_y
    return matrix


def size_of_images(info: CameraInfo) -> tuple[int, int]:
    """(height, width) of the images that a camera info belongs to, after its region of interest and binning."""
    bin_x, bin_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    return int(info.roi.height or info.height) // bin_y, int(info.roi.width or info.width) // bin_x


def box_xyxy_px(box: BoundingBox2D, image_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box's left, top, right and bottom [px]; of a turned box the upright one around it.

    Raises:
        UnusableInput: a number that is not finite or beyond ``MOST_COORDINATE_PX``, an empty box, or a box
            wholly outside the image (height, width).
    """
    centre, width, height = box.center.position, float(box.size_x), float(box.size_y)
    if not all(math.isfinite(value) for value in (centre.x, centre.y, box.center.theta, width, height)):
        raise UnusableInput("box", "a detection's box is not finite (NaN or infinite): check the detector")
    cos, sin = abs(math.cos(box.center.theta)), abs(math.sin(box.center.theta))
    half_x, half_y = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    corners = (centre.x - half_x, centre.y - half_y, centre.x + half_x, centre.y + half_y)
    if not all(abs(value) < MOST_COORDINATE_PX for value in corners):
        raise UnusableInput(
            "box",
            f"a detection's box ({', '.join(f'{value:.3g}' for value in corners)}) reaches further than "
            f"{MOST_COORDINATE_PX:.0f} px: check the detector",
        )
    # The corners' differences as well: far from zero they are smaller than the size that was sent
    if min(width, height, corners[2] - corners[0], corners[3] - corners[1]) < LEAST_SIDE_PX:
        raise UnusableInput(
            "box",
            f"a detection's box is empty ({width:g} x {height:g} px, not above one pixel): check the detector",
        )
    check_overlap(corners, image_size)
    return corners


def check_overlap(
    corners: tuple[float, float, float, float], image_size: tuple[int, int], circumstance: str = ""
) -> None:
    """Raises UnusableInput if a box (left, top, right, bottom) lies wholly outside the image (height, width)."""
    if corners[0] >= image_size[1] or corners[1] >= image_size[0] or corners[2] <= 0.0 or corners[3] <= 0.0:
        raise UnusableInput(
            "box",
            f"{circumstance}a detection's box ({', '.join(f'{value:.0f}' for value in corners)}) lies outside the "
            f"image of {image_size[1]}x{image_size[0]}: the detector must count in this image's pixels",
        )


def detection_from_message(
    message: Detection2D, image_size: tuple[int, int], classes: Collection[str], class_map: Mapping[str, str]
) -> Detection:
    """The detection with its best-scored hypothesis among the bundle's classes.

    Raises:
        UnusableInput: no hypothesis, none of a known class, a score that is not finite, or a box that cannot
            be used.
    """
    if not message.results:
        raise UnusableInput(
            "hypothesis", "a detection has no hypothesis (results is empty): the detector must name a class"
        )
    named = [
        (class_map.get(r.hypothesis.class_id, r.hypothesis.class_id), float(r.hypothesis.score))
        for r in message.results
    ]
    known = [(class_id, score) for class_id, score in named if class_id in classes]
    if not known:
        raise UnusableInput(
            f"class {named[0][0]}",
            f"the class '{named[0][0]}' is not in the bundle, which has: {', '.join(sorted(classes))}. "
            "Map the detector's ids "
            "with the parameter 'class_map', or use a bundle that knows the class",
        )
    class_id, score = max(known, key=lambda pair: pair[1])
    if not math.isfinite(score):
        raise UnusableInput("score", f"a detection of '{class_id}' has the score {score}: check the detector")
    return Detection(class_id=class_id, box_xyxy_px=box_xyxy_px(message.bbox, image_size), score=score)


def box_message(box: tuple[float, float, float, float]) -> BoundingBox2D:
    """The message of an upright box (left, top, right, bottom) [px]."""
    message = BoundingBox2D()
    message.center.position.x = float(box[0] + box[2]) / 2
    message.center.position.y = float(box[1] + box[3]) / 2
    message.size_x = float(box[2] - box[0])
    message.size_y = float(box[3] - box[1])
    return message


def pose_from_matrix(cam_from_obj: NDArray[np.float64]) -> Pose:
    """The message of a rigid transform (4, 4), metres."""
    x, y, z, w = quaternion_xyzw(cam_from_obj)
    pose = Pose()
    # rclpy writes any other number type as raw bytes without a word, so every field is made a float
    pose.position.x, pose.position.y, pose.position.z = (float(value) for value in cam_from_obj[:3, 3])
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = x, y, z, w
    return pose


def quaternion_xyzw(transform: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """The unit quaternion, w >= 0, of the rotation in a matrix (3, 3) or (4, 4).

    As tf_transformations' ``quaternion_from_matrix``, which takes 0.2 ms for each pose of a frame after the network has
    been through the caches. By the largest of the four squares (Shepperd, Journal of Guidance and Control 1, 1978), so
    that no small number is divided by.
    """
    (a, b, c), (d, e, f), (g, h, i) = transform[:3, :3].tolist()
    squares = (1.0 + a - e - i, 1.0 - a + e - i, 1.0 - a - e + i, 1.0 + a + e + i)  # four times x^2, y^2, z^2, w^2
    largest = squares.index(max(squares))
    numbers = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )[largest]
    length = math.copysign(math.hypot(*numbers), numbers[3])
    x, y, z, w = (number / length for number in numbers)
    return x, y, z, w


def matrix_from_pose(pose: Pose) -> NDArray[np.float64]:
    """The rigid transform (4, 4), metres, of a message."""
    quaternion = pose.orientation
    matrix: NDArray[np.float64] = np.asarray(
        quaternion_matrix([quaternion.x, quaternion.y, quaternion.z, quaternion.w]), dtype=np.float64
    )
    matrix[:3, 3] = (pose.position.x, pose.position.y, pose.position.z)
    return matrix
