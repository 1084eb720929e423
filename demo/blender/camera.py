"""A Blender camera with a given camera matrix."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Blender's cameras look along -z with y up.
OPTICAL_FROM_BLENDER_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
SENSOR_WIDTH_MM = 36.0


def add_camera(scene: bpy.types.Scene, K: Array, size: tuple[int, int]) -> bpy.types.Object:
    """The scene's camera with the matrix K (3, 3), pixels, for pictures of `size` (H, W)."""
    height, width = size
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH_MM
    data.lens = fx / width * SENSOR_WIDTH_MM
    data.shift_x = -(cx - (width - 1) / 2) / width
    data.shift_y = (cy - (height - 1) / 2) / width * fx / fy
    data.clip_start = 0.01
    # A pixel's width over its height is fy / fx. Blender takes no aspect below 1, so that the other side grows.
    scene.render.pixel_aspect_x = max(fy / fx, 1.0)
    scene.render.pixel_aspect_y = max(fx / fy, 1.0)
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def blender_pose(cam_from_world: Array) -> Matrix:
    """Blender's world matrix of a camera whose optical frame is at cam_from_world (4, 4)."""
    return Matrix((np.linalg.inv(cam_from_world) @ OPTICAL_FROM_BLENDER_CAMERA).tolist())
