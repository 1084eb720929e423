"""Pose errors: ADD and ADD-S. Metres in, metres out, in the inputs' dtype."""

from __future__ import annotations

import torch
from torch import Tensor

from mrc_core.geometry.rotations import transform_points


def add(est: Tensor, gt: Tensor, points: Tensor) -> Tensor:
    """ADD: mean distance (B,) of corresponding points under est and gt (B, 4, 4), points (N, 3)."""
    return (transform_points(est, points) - transform_points(gt, points)).norm(dim=-1).mean(dim=-1)


def add_s(est: Tensor, gt: Tensor, points: Tensor) -> Tensor:
    """ADD-S: mean over ground-truth points of the distance to the nearest estimated point, (B,).

    Distances are differences, not expanded products, which would lose digits. One pose at a time, in blocks of
    ground-truth points, so that memory stays bounded.
    """
    out = []
    for estimated, true in zip(transform_points(est, points), transform_points(gt, points)):
        nearest = [
            torch.cdist(block, estimated, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
            for block in true.split(1024)
        ]
        out.append(torch.cat(nearest).mean())
    return torch.stack(out) if out else est.new_zeros(0)


def add_or_add_s(est: Tensor, gt: Tensor, points: Tensor, symmetric: bool) -> Tensor:
    """ADD(-S): ADD-S for symmetric objects, else ADD."""
    return add_s(est, gt, points) if symmetric else add(est, gt, points)
