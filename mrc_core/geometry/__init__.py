"""Rotations, the SO(3) grid, cameras and crops, symmetries, meshes."""

from mrc_core.geometry.cameras import box_map, camera_matrix, crop_from_image, look_direction, project
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import (
    make_transform,
    matrix_from_6d,
    matrix_from_quat_wxyz,
    quat_wxyz_from_matrix,
    rotation_angle,
    transform_points,
)
from mrc_core.geometry.site import site_from_translation, translation_from_site
from mrc_core.geometry.so3_grid import so3_grid, so3_grid_matrices
from mrc_core.geometry.symmetries import ContinuousSymmetry, SymmetrySet

__all__ = [
    "ContinuousSymmetry",
    "Mesh",
    "ObjectModel",
    "SymmetrySet",
    "box_map",
    "camera_matrix",
    "crop_from_image",
    "look_direction",
    "make_transform",
    "matrix_from_6d",
    "matrix_from_quat_wxyz",
    "project",
    "quat_wxyz_from_matrix",
    "rotation_angle",
    "site_from_translation",
    "so3_grid",
    "so3_grid_matrices",
    "transform_points",
    "translation_from_site",
]
