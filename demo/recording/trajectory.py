"""The camera: its intrinsics and its way around the table."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WIDTH, HEIGHT = 640, 480
# Off-centre on purpose: code that forgets the principal point must not get away with it. Pixel centres are at integers.
K = np.array([[605.0, 0.0, 322.3], [0.0, 605.0, 236.8], [0.0, 0.0, 1.0]])
FRAME_COUNT = 72
FRAME_RATE_HZ = 10.0
AZIMUTH_SPAN_DEG = 272.0
ELEVATION_DEG = (15.0, 75.0)


def camera_poses() -> list[Array]:
    """cam_from_world (4, 4) of every frame, camera in the optical convention (x right, y down, z forward)."""
    return [_pose(index / (FRAME_COUNT - 1)) for index in range(FRAME_COUNT)]


def _pose(t: float) -> Array:
    azimuth = math.radians(-125.0 + AZIMUTH_SPAN_DEG * t)
    middle, swing = sum(ELEVATION_DEG) / 2, (ELEVATION_DEG[1] - ELEVATION_DEG[0]) / 2
    elevation = math.radians(middle - swing * math.cos(2 * math.pi * 2.5 * t))
    distance = 0.785 - 0.262 * math.sin(2 * math.pi * (3.5 * t + 0.08))
    target = np.array(
        [0.095 * math.sin(2 * math.pi * 2.2 * t), 0.095 * math.cos(2 * math.pi * 1.7 * t), 0.06]
    )
    roll = math.radians(10.0) * math.sin(2 * math.pi * 3.1 * t + 0.5)
    direction = np.array(
        [
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    # Azimuth and elevation are those about the scene's middle; only the gaze wanders, so that the border cuts objects.
    return look_at(np.array([0.0, 0.0, 0.06]) + distance * direction, target, roll)


def look_at(eye: Array, target: Array, roll: float) -> Array:
    """cam_from_world (4, 4) of a camera at `eye` that looks at `target`, rolled by `roll` radians about its axis."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    rotation = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ np.stack([right, down, forward])
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = rotation
    cam_from_world[:3, 3] = -rotation @ eye
    return cam_from_world
