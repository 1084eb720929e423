"""From an error model along and across the viewing ray to a covariance in the camera's axes.

The error of an estimated pose (R, t) is (d, w): the true pose is Exp(w) R, and the true position of the mesh's origin
is t + d; w is a rotation vector and d a shift, both in the axes of the camera's optical frame. Order, as in
geometry_msgs: x, y, z, rotation about x, y, z; metres and radians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.symmetries import SymmetrySet

Array = NDArray[np.float64]

FREE_TURN_VARIANCE = math.pi**2 / 3  # rad^2, of an angle that is uniform over a full turn
SPREADS = ("along", "across", "roll", "tilt")
"""What an error model tells: standard deviations of the shift along the viewing ray and of each component across it
(m), and of the rotation about that ray and about each axis across it (rad)."""


def free_axes(symmetries: SymmetrySet) -> Array:
    """Projector (3, 3) onto the object's axes of revolution, in its own axes; zeros where it has none.

    Two different axes of revolution are those of a sphere: every axis is free.
    """
    axes = np.array([c.axis for c in symmetries.continuous], dtype=np.float64).reshape(-1, 3)
    if len(axes) == 0:
        return np.zeros((3, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    if np.linalg.matrix_rank(axes, tol=1e-3) > 1:
        return np.eye(3)
    return np.outer(axes[0], axes[0])


def degrees_of_freedom(symmetries: SymmetrySet) -> int:
    """In how many directions a pose can be wrong at all: 6, less the axes of revolution."""
    return 6 - round(float(np.trace(free_axes(symmetries))))


def pose_covariance(cam_from_obj: Array, centre: Array, free: Array, spreads: Array) -> Array:
    """Covariances (B, 6, 6) of poses, of the mesh's origin and in the camera's axes.

    Args:
        cam_from_obj: (B, 4, 4), metres, of the mesh's frame.
        centre: (B, 3), the point of the mesh's frame, metres, whose position and the rotation about which are taken to
            err independently: the middle of the object.
        free: (B, 3, 3) projectors onto axes of revolution in the mesh's axes, see `free_axes`.
        spreads: (B, 4) standard deviations in the order of SPREADS, of the error of `centre`.

    With the centre at R c + t, a rotation w about the centre moves the mesh's origin by (I - Exp(w)) R c, to first
    order (R c) x w. About an axis of revolution the variance is that of a uniform angle, whatever the network says.
    """
    rotation = cam_from_obj[:, :3, :3]
    lever = np.einsum("bij,bj->bi", rotation, centre)
    middle = cam_from_obj[:, :3, 3] + lever
    ray = middle / np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
    along = ray[:, :, None] * ray[:, None, :]  # (B, 3, 3)
    across = np.eye(3) - along
    variance = spreads[:, :, None, None] ** 2
    turn_free = rotation @ free @ rotation.transpose(0, 2, 1)
    turn_bound = np.eye(3) - turn_free
    turn = variance[:, 2] * along + variance[:, 3] * across
    turn = turn_bound @ turn @ turn_bound + FREE_TURN_VARIANCE * turn_free

    moved = _cross_matrices(lever)  # shift of the mesh's origin by a rotation about the centre
    out = np.empty((len(cam_from_obj), 6, 6))
    out[:, :3, :3] = variance[:, 0] * along + variance[:, 1] * across + moved @ turn @ moved.transpose(0, 2, 1)
    out[:, :3, 3:] = moved @ turn
    out[:, 3:, :3] = out[:, :3, 3:].transpose(0, 2, 1)
    out[:, 3:, 3:] = turn
    return (out + out.transpose(0, 2, 1)) / 2  # to the bit


def centres_and_axes(objects: Sequence[ObjectModel]) -> tuple[Array, Array]:
    """What `pose_covariance` needs to know of each object: centres (N, 3), metres, and projectors (N, 3, 3)."""
    centres = np.stack([item.centre.numpy() for item in objects])
    return centres, np.stack([free_axes(item.symmetries) for item in objects])


def _cross_matrices(vector: Array) -> Array:
    """(B, 3, 3): the product of each with u is vector x u."""
    x, y, z = vector.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
