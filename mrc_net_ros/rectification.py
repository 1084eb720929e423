"""Cameras as the network needs them: an image without lens distortion, its intrinsics, and boxes in its pixels.

All is in the camera's optical frame (x right, y down, z forward); the centre of the pixel in column c and row r is at
(c, r).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from mrc_core.geometry.lens_map import DistortedImage, LensMap
from mrc_net_ros.conversions import LEAST_SIDE_PX, check_overlap, intrinsics
from mrc_net_ros.unusable_input import UnusableInput

Box = tuple[float, float, float, float]

# How many coefficients each model may have; those of the first two are OpenCV's, in its order
COEFFICIENTS = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
    "fisheye": (4,),
}
FISHEYE_MODELS = ("equidistant", "fisheye")
POINTS_PER_SIDE = 9
LARGEST_RESIDUE_PX = 0.5
_ITERATIONS = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 50, 1e-9)


@dataclass(frozen=True, eq=False)
class CameraModel:
    """One camera's intrinsics for images of one size.

    Args:
        K: (3, 3), of the image that ``undistorted`` gives; the raw image's own as well, apart from distortion.
        image_size: (height, width).
        coefficients: OpenCV's distortion coefficients, or None where the image has no distortion.
        is_fisheye: the coefficients are those of OpenCV's fisheye model (equidistant).
    """

    K: NDArray[np.float64]
    image_size: tuple[int, int]
    coefficients: NDArray[np.float64] | None = None
    is_fisheye: bool = False

    def undistorted(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image (H, W, 3) as a camera without distortion with the intrinsics K would have taken it.

        It has the raw image's size: what the lens saw outside of it is lost, and what it did not see is black.
        """
        if self.coefficients is None:
            return rgb
        return np.asarray(cv2.remap(rgb, *self._maps, cv2.INTER_LINEAR), dtype=np.uint8)  # type: ignore[arg-type]

    def picture(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | DistortedImage:
        """The image (H, W, 3) as the network is given it: distortion is taken out of its crops alone.

        For a few objects that is less work than ``undistorted``, and pixels are interpolated once and not twice.
        """
        return rgb if self.coefficients is None else DistortedImage(rgb, self._lens)

    def undistorted_box(self, box: Box) -> Box:
        """``undistorted_boxes`` of one; raises what that returns."""
        (found,) = self.undistorted_boxes([box])
        if isinstance(found, UnusableInput):
            raise found
        return found

    def undistorted_boxes(self, boxes: Sequence[Box]) -> list[Box | UnusableInput]:
        """The upright boxes around what boxes (left, top, right, bottom) of the raw image show, undistorted.

        Their corners and points of their edges are undistorted, as far as they lie in the raw image: beyond it the
        lens model was never measured. All boxes at once, for OpenCV takes as long for one as for ten.

        Returns:
            Of each box the undistorted one; or why there is none: its part of the image is outside of the undistorted
            one, or the model has no inverse.
        """
        if self.coefficients is None or not boxes:
            return list(boxes)
        height, width = self.image_size
        borders = [
            _border(max(x0, -0.5), max(y0, -0.5), min(x1, width - 0.5), min(y1, height - 0.5))
            for x0, y0, x1, y1 in boxes
        ]
        found = self.undistorted_points(np.concatenate(borders)).reshape(len(boxes), -1, 2)
        return [self._box_around(points) for points in found]

    def _box_around(self, points_px: NDArray[np.float64]) -> Box | UnusableInput:
        """The box around undistorted points (N, 2), of which some may be NaN."""
        known = points_px[np.isfinite(points_px).all(axis=1)]
        if len(known) < POINTS_PER_SIDE:
            return UnusableInput(
                "box_distortion",
                "a detection's box lies where camera_info's distortion has no inverse (at the image's rim): "
                "calibrate with points up to the rim, or feed a rectified image",
            )
        (x0, y0), (x1, y1) = known.min(axis=0).tolist(), known.max(axis=0).tolist()
        if min(x1 - x0, y1 - y0) < LEAST_SIDE_PX:
            return UnusableInput("box_distortion", "a detection's box is less than a pixel once undistorted")
        try:
            check_overlap((x0, y0, x1, y1), self.image_size, "once undistorted, ")
        except UnusableInput as error:
            return error
        return x0, y0, x1, y1

    def undistorted_points(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (N, 2) of the raw image in the undistorted one; NaN where the lens model has no inverse."""
        if self.coefficients is None:
            return points_px
        given = points_px.reshape(-1, 1, 2).astype(np.float64)
        unturned = np.eye(3)
        if self.is_fisheye:
            inverse = cv2.fisheye.undistortPoints(given, self.K, self.coefficients, unturned, self.K)
        else:
            inverse = cv2.undistortPointsIter(given, self.K, self.coefficients, unturned, self.K, _ITERATIONS)
        found = np.asarray(inverse, dtype=np.float64).reshape(-1, 2)
        # The search for the inverse may end anywhere; a point counts if the lens leads back from it
        residue = np.linalg.norm(self.distorted_points(found) - points_px, axis=1)
        return np.where((residue < LARGEST_RESIDUE_PX)[:, None], found, np.nan)

    def distorted_points(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (N, 2) of the undistorted image in the raw one."""
        if self.coefficients is None:
            return points_px
        rays = np.concatenate([points_px, np.ones((len(points_px), 1))], axis=1) @ np.linalg.inv(self.K).T
        still = np.zeros(3)
        project = cv2.fisheye.projectPoints if self.is_fisheye else cv2.projectPoints
        found, _ = project(rays[:, None], still, still, self.K, self.coefficients)
        return np.asarray(found, dtype=np.float64).reshape(-1, 2)

    def distorted_box(self, box: Box) -> Box:
        """The upright box [px of the raw image] around what a box of the undistorted image shows.

        Only the part in the image: the lens model says nothing of what lies beyond.
        """
        height, width = self.image_size
        left, top = min(max(box[0], -0.5), width - 1.0), min(max(box[1], -0.5), height - 1.0)
        right, bottom = max(min(box[2], width - 0.5), left), max(min(box[3], height - 0.5), top)
        if self.coefficients is None:
            return left, top, right, bottom
        found = self.distorted_points(_border(left, top, right, bottom))
        (left, top), (right, bottom) = found.min(axis=0).tolist(), found.max(axis=0).tolist()
        return left, top, right, bottom

    @cached_property
    def _lens(self) -> LensMap:
        return LensMap.measured(self.distorted_points, self.image_size)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """For cv2.remap, in its compact form."""
        size = (self.image_size[1], self.image_size[0])
        coefficients = np.zeros(4) if self.coefficients is None else self.coefficients
        make = cv2.fisheye.initUndistortRectifyMap if self.is_fisheye else cv2.initUndistortRectifyMap
        first, second = make(self.K, coefficients, np.eye(3), self.K, size, cv2.CV_16SC2)
        return np.asarray(first), np.asarray(second)


def _border(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    """Points (N, 2) on the edges of a box."""
    across, down = np.linspace(left, right, POINTS_PER_SIDE), np.linspace(top, bottom, POINTS_PER_SIDE)
    return np.asarray(
        [(x, y) for x in across for y in (top, bottom)] + [(x, y) for y in down for x in (left, right)]
    )


class CameraModels:
    """The models of the last camera infos, so that maps are made once for each calibration and size."""

    def __init__(self, size: int = 8) -> None:
        self._size = size
        self._models: OrderedDict[tuple[object, ...], CameraModel] = OrderedDict()

    def find(self, info: CameraInfo, image_size: tuple[int, int], rectified: bool) -> CameraModel:
        """The model for images of this size.

        Args:
            info: of the camera.
            image_size: (height, width) of the image as it was received.
            rectified: the image has no distortion: take P. Otherwise K and D.

        Raises:
            UnusableInput: as ``intrinsics``, or a distortion that cannot be taken out.
        """
        roi = info.roi
        key = (
            rectified, image_size, info.height, info.width, info.distortion_model, tuple(info.d), tuple(info.k),
            tuple(info.p), roi.x_offset, roi.y_offset, roi.height, roi.width, info.binning_x, info.binning_y,
        )  # fmt: skip
        model = self._models.get(key)
        if model is None:
            model = camera_model(info, image_size, rectified)
            self._models[key] = model
            while len(self._models) > self._size:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return model


def camera_model(info: CameraInfo, image_size: tuple[int, int], rectified: bool) -> CameraModel:
    """What ``CameraModels.find`` remembers; raises as it does."""
    matrix = intrinsics(info, image_size, rectified)
    coefficients = np.asarray(info.d, dtype=np.float64)
    if rectified or not coefficients.any():
        return CameraModel(matrix, image_size)
    counts = COEFFICIENTS.get(info.distortion_model)
    if counts is None:
        raise UnusableInput(
            "distortion_model",
            f"camera_info.distortion_model is '{info.distortion_model}', which the node cannot undistort (it can: "
            f"{', '.join(COEFFICIENTS)}): feed a rectified image and set 'rectified' to true",
        )
    if len(coefficients) not in counts or not np.isfinite(coefficients).all():
        raise UnusableInput(
            "distortion",
            f"camera_info.d has {len(coefficients)} numbers, but '{info.distortion_model}' has "
            f"{' or '.join(map(str, counts))} finite ones: correct the calibration file",
        )
    return CameraModel(matrix, image_size, coefficients, info.distortion_model in FISHEYE_MODELS)
