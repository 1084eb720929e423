"""A render's features, kept for later frames: as long as an object hardly turns, its picture in the crop stays.

Moved or further away, an object is seen in the same crop pixels if the crop follows it and shrinks as it does. What
is left is rotation, and that stage 2 is there to tell. So the pose that was rendered is carried along: turned with
the direction that the object is seen in, and put where the object was last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mrc_core.model.pyramid import Pyramid

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]

LARGEST_TURN_RAD = math.radians(5.0)
"""Of the object against its render, and of the direction that it is seen in: off the axis a picture is stretched."""
LARGEST_ZOOM = 1.15
"""Of the depth, up or down: nearer, an object shows more of its perspective."""
SAME_ASPECT = 1e-3
"""Of fx / fy: another camera's pixels are of another shape."""


@dataclass(frozen=True)
class KeptRender:
    """What one render gave.

    cam_from_object: (4, 4), the pose that was rendered, of the frame that the network knows, metres.
    K: (3, 3), of the image, not of the crop.
    box_xyxy_px: the box in that image, x0, y0, x1, y1, that the crop was made around.
    features, mask: of this render alone, with a leading dimension of 1.
    """

    cam_from_object: Array
    K: Array
    box_xyxy_px: Box
    features: Pyramid
    mask: Tensor

    def carried_to(self, cam_from_object: Array, K: Array) -> tuple[Array, Box] | None:
        """The pose (4, 4) that the render shows in a crop around the returned box [px of the image with K].

        The pose lies where `cam_from_object` (4, 4) does. None where the render does not hold any more.
        """
        rendered_at, at = self.cam_from_object[:3, 3], cam_from_object[:3, 3]
        zoom = float(at[2] / rendered_at[2])
        aspects = K[0, 0] / K[1, 1], self.K[0, 0] / self.K[1, 1]
        if not 1 / LARGEST_ZOOM < zoom < LARGEST_ZOOM or not math.isclose(*aspects, rel_tol=SAME_ASPECT):
            return None
        follows = turn_between(rendered_at, at)
        carried = follows @ self.cam_from_object[:3, :3]
        left = cam_from_object[:3, :3] @ carried.T
        if max(angle_of(follows), angle_of(left)) >= LARGEST_TURN_RAD:
            return None
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = carried, at
        scale = float(K[0, 0] / self.K[0, 0]) / zoom
        corners = np.asarray(self.box_xyxy_px).reshape(2, 2)
        x0, y0, x1, y1 = (scale * (corners - _pixel(self.K, rendered_at)) + _pixel(K, at)).reshape(4).tolist()
        return pose, (x0, y0, x1, y1)


def turn_between(a: Array, b: Array) -> Array:
    """The least rotation (3, 3) that brings the direction of `a` (3,) to that of `b` (3,), less than half a turn."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    x, y, z = np.cross(a, b)
    across = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn: Array = np.eye(3) + across + across @ across / (1.0 + float(a @ b))
    return turn


def angle_of(rotation: Array) -> float:
    """The angle [rad] of a rotation (3, 3), also exact where it is small."""
    sine = np.linalg.norm(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    return math.atan2(float(sine), float(np.trace(rotation)) - 1.0)


def _pixel(K: Array, point: Array) -> Array:
    pixel: Array = (K @ point)[:2] / point[2]
    return pixel
