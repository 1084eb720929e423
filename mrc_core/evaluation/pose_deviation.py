"""How far a pose is off as six numbers, and whether that lies within the region that a covariance states."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import chi2
from torch import Tensor

from mrc_core.geometry.rotations import quat_wxyz_from_matrix
from mrc_core.geometry.symmetries import SymmetrySet

Array = NDArray[np.float64]


def pose_deviation(estimated: Tensor, true: Tensor, symmetries: SymmetrySet, moment: Tensor) -> Tensor:
    """(d, w) (B, 6), float64, m and rad, in the axes of the camera: the true pose is Exp(w) R and t + d.

    Of the poses that are equivalent to the true one the nearest counts. The error about an axis of revolution, of which
    there is none, is left out of w: it has no part along the axis.

    Args:
        estimated, true: (B, 4, 4), of the frame whose symmetries these are.
        moment: (4, 4), see `SymmetrySet.nearest_pose`.
    """
    est = estimated.double()
    near = symmetries.nearest_pose(true.double(), est, moment)
    turn = rotation_vector(near[:, :3, :3] @ est[:, :3, :3].transpose(1, 2))
    if len(symmetries.continuous) > 1:
        turn = torch.zeros_like(turn)  # a sphere
    elif symmetries.continuous:
        axis = torch.tensor(symmetries.continuous[0].axis, dtype=torch.float64, device=est.device)
        axis = est[:, :3, :3] @ (axis / axis.norm())  # (B, 3)
        turn = turn - (turn * axis).sum(1, keepdim=True) * axis
    return torch.cat([near[:, :3, 3] - est[:, :3, 3], turn], dim=1)


def rotation_vector(rotation: Tensor) -> Tensor:
    """Rotation vectors (..., 3), rad, at most pi long, of rotation matrices (..., 3, 3)."""
    quat = quat_wxyz_from_matrix(rotation)
    sine = quat[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quat[..., :1])
    return quat[..., 1:] / sine.clamp(min=1e-12) * angle


def squared_distances(deviation: Array, covariance: Array) -> Array:
    """Squared Mahalanobis distances (B,) of deviations (B, 6) under covariances (B, 6, 6)."""
    solved = np.linalg.solve(covariance, deviation[..., None])[..., 0]
    distances: Array = np.einsum("bi,bi->b", deviation, solved)
    return distances


def region_limit(share: float, degrees_of_freedom: Array | int) -> Array:
    """The squared Mahalanobis distance within which `share` of a normal distribution lies (chi square).

    Args:
        degrees_of_freedom: 6, less 1 for an axis of revolution: `degrees_of_freedom` of inference.pose_covariance.
    """
    limit: Array = np.asarray(chi2.ppf(share, degrees_of_freedom), dtype=np.float64)
    return limit
