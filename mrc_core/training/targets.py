"""Labels of the classification heads (MRC-Net, supplementary material)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mrc_core.geometry.symmetries import SymmetrySet


def bucket_distances(rotation: Tensor, grid: Tensor, moment: Tensor, symmetries: SymmetrySet) -> Tensor:
    """Root-mean-square point distance (B, K) in metres between a rotated object and every bucket of the grid.

    In closed form: sqrt(2 tr C - 2 tr(R C R_k^T)) with C the second moment of the points; of the symmetric
    equivalents the nearest counts. This is the RMS, not the mean, of the point distances: close, and much cheaper.
    About an axis of revolution the trace is a + b cos + c sin of the angle, with the maximum a + sqrt(b^2 + c^2).

    Args:
        rotation: ground truth (B, 3, 3).
        grid: buckets (K, 3, 3).
        moment: mean of x x^T over the object's points (3, 3), in the centred frame.
        symmetries: in the centred frame (their translations are zero, and are not read).
    """
    discrete, axis = symmetries.candidates()
    equivalents = discrete[:, :3, :3].to(rotation)  # (D, 3, 3)
    moment = moment.to(rotation)

    def trace(turned: Tensor) -> Tensor:  # (B, ..., 3, 3) -> (B, ..., K): tr(R C R_k^T)
        return (turned @ moment).flatten(-2) @ grid.flatten(1).T

    if axis is None:
        best = trace(rotation[:, None] @ equivalents).amax(dim=1)
    else:
        turns = axis.transforms(torch.tensor([0.0, math.pi / 2, math.pi], dtype=torch.float64))[:, :3, :3].to(
            rotation
        )
        at0, at90, at180 = trace(rotation[:, None, None] @ equivalents[:, None] @ turns).unbind(
            2
        )  # (B, D, K)
        mean, cosine = (at0 + at180) / 2, (at0 - at180) / 2
        best = (mean + torch.hypot(cosine, at90 - mean)).amax(dim=1)
    return (2 * moment.trace() - 2 * best).clamp(min=0).sqrt()


def rotation_labels(distance: Tensor, diameter: float, scale: float = 0.03) -> Tensor:
    """Soft labels (B, K): exp(-d_k / (scale x diameter)), not normalised; the paper's scale is 0.03 at K = 4608."""
    return torch.exp(-distance / (scale * diameter))


def soft_bin_labels(position: Tensor, bins: int) -> Tensor:
    """Softmax labels (B, bins): softmax(-4 (distance in bins)^2) around `position` (B,), in bins from the low edge."""
    centres = torch.arange(bins, device=position.device, dtype=position.dtype) + 0.5
    return torch.softmax(-4 * (centres - position[:, None]).square(), dim=1)


def cell_labels(tau_xy: Tensor, cells: int) -> Tensor:
    """Softmax labels (B, cells^2), row-major, around tau_xy (B, 2): the product of the two axes' labels.

    An origin outside of the crop is labelled with the nearest cell.
    """
    position = ((tau_xy + 0.5) * cells).clamp(0.5, cells - 0.5)
    x, y = soft_bin_labels(position[:, 0], cells), soft_bin_labels(position[:, 1], cells)
    return (y[:, :, None] * x[:, None, :]).flatten(1)


def depth_labels(tau_z: Tensor, limits: Tensor, bins: int) -> Tensor:
    """Softmax labels (B, bins) around tau_z (B,), with `limits` (B, 2) the range that the bins divide."""
    low, high = limits.unbind(-1)
    position = ((tau_z - low) / (high - low) * bins).clamp(0.5, bins - 0.5)
    return soft_bin_labels(position, bins)
