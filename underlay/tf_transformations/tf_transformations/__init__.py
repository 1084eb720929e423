"""Rotations and rigid transforms as ROS nodes write them: quaternions are xyzw, matrices are (4, 4), angles radians.

The part of ROS 2 tf_transformations that is in common use, with the same names, signatures and conventions. `axes` is
"s" (static, about fixed axes) or "r" (rotating, about the moving axes) and three axis letters in the order in which the
rotations are applied; the default "sxyz" is roll, pitch, yaw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation, Slerp

Array = NDArray[np.float64]

__all__ = [
    "concatenate_matrices",
    "euler_from_matrix",
    "euler_from_quaternion",
    "euler_matrix",
    "identity_matrix",
    "inverse_matrix",
    "quaternion_about_axis",
    "quaternion_conjugate",
    "quaternion_from_euler",
    "quaternion_from_matrix",
    "quaternion_inverse",
    "quaternion_matrix",
    "quaternion_multiply",
    "quaternion_slerp",
    "rotation_matrix",
    "translation_from_matrix",
    "translation_matrix",
    "unit_vector",
    "vector_norm",
]


def identity_matrix() -> Array:
    """The (4, 4) identity."""
    return np.eye(4)


def translation_matrix(direction: ArrayLike) -> Array:
    """(3,) -> (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, 3] = np.asarray(direction, dtype=np.float64)[:3]
    return matrix


def translation_from_matrix(matrix: ArrayLike) -> Array:
    """(4, 4) -> (3,)."""
    return np.array(matrix, dtype=np.float64)[:3, 3].copy()


def rotation_matrix(angle: float, direction: ArrayLike, point: ArrayLike | None = None) -> Array:
    """Rotation by `angle` about the axis `direction`, through `point` or else through the origin. -> (4, 4)."""
    rotation = Rotation.from_rotvec(angle * unit_vector(np.asarray(direction, dtype=np.float64)[:3]))
    matrix = _homogeneous(rotation)
    if point is not None:
        centre = np.asarray(point, dtype=np.float64)[:3]
        matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def inverse_matrix(matrix: ArrayLike) -> Array:
    """Inverse of a (4, 4) matrix."""
    return np.linalg.inv(np.asarray(matrix, dtype=np.float64))


def concatenate_matrices(*matrices: ArrayLike) -> Array:
    """Product of (4, 4) matrices from left to right; the identity for none."""
    product = np.eye(4)
    for matrix in matrices:
        product = product @ np.asarray(matrix, dtype=np.float64)
    return product


def quaternion_matrix(quaternion: ArrayLike) -> Array:
    """Rotation of an xyzw quaternion of any length but zero, which stands for the identity. -> (4, 4)."""
    quat_xyzw = np.asarray(quaternion, dtype=np.float64)
    if not np.dot(quat_xyzw, quat_xyzw) > np.finfo(np.float64).eps:
        return np.eye(4)
    return _homogeneous(Rotation.from_quat(quat_xyzw))


def quaternion_from_matrix(matrix: ArrayLike) -> Array:
    """xyzw unit quaternion with w >= 0 of a (4, 4) or (3, 3) matrix. -> (4,)."""
    quat_xyzw = Rotation.from_matrix(np.array(matrix, dtype=np.float64)[:3, :3]).as_quat()
    return -quat_xyzw if quat_xyzw[3] < 0 else quat_xyzw


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Array:
    """Three angles in radians -> xyzw unit quaternion, (4,)."""
    return Rotation.from_euler(_scipy_axes(axes), [ai, aj, ak]).as_quat()


def euler_from_quaternion(quaternion: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """xyzw quaternion -> three angles in radians."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def euler_matrix(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Array:
    """Three angles in radians -> (4, 4)."""
    return _homogeneous(Rotation.from_euler(_scipy_axes(axes), [ai, aj, ak]))


def euler_from_matrix(matrix: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """(4, 4) or (3, 3) matrix -> three angles in radians."""
    rotation = Rotation.from_matrix(np.array(matrix, dtype=np.float64)[:3, :3])
    first, second, third = rotation.as_euler(_scipy_axes(axes))
    return float(first), float(second), float(third)


def quaternion_about_axis(angle: float, axis: ArrayLike) -> Array:
    """Rotation by `angle` about `axis` (3,) of any length. -> xyzw, (4,)."""
    direction = unit_vector(np.asarray(axis, dtype=np.float64)[:3])
    return np.append(np.sin(angle / 2.0) * direction, np.cos(angle / 2.0))


def quaternion_multiply(quaternion1: ArrayLike, quaternion0: ArrayLike) -> Array:
    """The Hamilton product quaternion1 * quaternion0: first quaternion0's rotation, then quaternion1's. xyzw."""
    x1, y1, z1, w1 = np.asarray(quaternion1, dtype=np.float64)
    x0, y0, z0, w0 = np.asarray(quaternion0, dtype=np.float64)
    return np.array(
        [
            w1 * x0 + x1 * w0 + y1 * z0 - z1 * y0,
            w1 * y0 - x1 * z0 + y1 * w0 + z1 * x0,
            w1 * z0 + x1 * y0 - y1 * x0 + z1 * w0,
            w1 * w0 - x1 * x0 - y1 * y0 - z1 * z0,
        ]
    )


def quaternion_conjugate(quaternion: ArrayLike) -> Array:
    """xyzw -> -x, -y, -z, w."""
    return np.asarray(quaternion, dtype=np.float64) * np.array([-1.0, -1.0, -1.0, 1.0])


def quaternion_inverse(quaternion: ArrayLike) -> Array:
    """Conjugate over squared length: the product with `quaternion` is (0, 0, 0, 1). xyzw."""
    quat_xyzw = np.asarray(quaternion, dtype=np.float64)
    return quaternion_conjugate(quat_xyzw) / np.dot(quat_xyzw, quat_xyzw)


def quaternion_slerp(quat0: ArrayLike, quat1: ArrayLike, fraction: float) -> Array:
    """From quat0 at fraction 0 to quat1 at 1 on the shorter arc. xyzw."""
    ends = Rotation.from_quat(np.stack([np.asarray(quat0, np.float64), np.asarray(quat1, np.float64)]))
    return Slerp([0.0, 1.0], ends)(float(fraction)).as_quat()


def vector_norm(data: ArrayLike) -> float:
    """Euclidean length."""
    return float(np.linalg.norm(np.asarray(data, dtype=np.float64)))


def unit_vector(data: ArrayLike) -> Array:
    """`data` scaled to length 1."""
    vector = np.asarray(data, dtype=np.float64)
    return vector / np.linalg.norm(vector)


def _homogeneous(rotation: Rotation) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    return matrix


def _scipy_axes(axes: str) -> str:
    # scipy tells the two kinds apart by case: lower for fixed axes, upper for moving ones.
    if len(axes) != 4 or axes[0] not in "sr" or not set(axes[1:]) <= set("xyz"):
        raise KeyError(axes)
    return axes[1:] if axes[0] == "s" else axes[1:].upper()
