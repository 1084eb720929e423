"""Visible surface discrepancy (VSD) on depth maps. Hodan et al., ECCV 2018; BOP Challenge 2019 for the visibility."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def ray_lengths(K: Tensor, height: int, width: int) -> Tensor:
    """Distance from the camera's centre over z, (..., H, W), for each pixel under K (..., 3, 3).

    The centre of pixel (c, r) is at (c, r).
    """
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=K.dtype, device=K.device),
        torch.arange(width, dtype=K.dtype, device=K.device),
        indexing="ij",
    )
    pixels = torch.stack([columns, rows, torch.ones_like(rows)])  # (3, H, W)
    rays = torch.linalg.inv(K) @ pixels.flatten(1)  # (..., 3, H W), z is 1
    return rays.norm(dim=-2).unflatten(-1, (height, width))


def vsd(
    depth_est: Tensor,
    depth_gt: Tensor,
    depth_test: Tensor,
    K: Tensor,
    diameter: float | Tensor,
    delta: float,
    taus: Sequence[float] | Tensor,
) -> Tensor:
    """Visible surface discrepancy (B, T) at each tolerance.

    e(tau) is the mean over the union of the two visible surfaces of [not in both, or |d_est - d_gt| / diameter >= tau];
    1 where nothing is visible. Distances are from the camera's centre; at pixels where the test depth is unknown a
    surface counts as visible.

    Args:
        depth_est, depth_gt: (B, H, W), z in metres of the object in the estimated and in the true pose, 0 elsewhere.
        depth_test: (B, H, W), z in metres as the sensor saw it, 0 where unknown.
        K: (3, 3) or (B, 3, 3), of these maps, pixels.
        diameter: of the object, metres; one or (B,).
        delta: tolerance of the visibility test, metres.
        taus: T tolerances, in parts of the diameter.
    """
    if depth_est.ndim != 3 or not depth_est.shape == depth_gt.shape == depth_test.shape:
        raise ValueError(
            "depth maps must be (B, H, W), all alike, got "
            f"{tuple(depth_est.shape)}, {tuple(depth_gt.shape)} and {tuple(depth_test.shape)}"
        )
    length = ray_lengths(K.to(depth_est), *depth_est.shape[1:])
    est, gt, test = depth_est * length, depth_gt * length, depth_test * length
    unknown = test == 0
    visible_gt = (gt > 0) & ((gt - test <= delta) | unknown)
    visible_est = (est > 0) & ((est - test <= delta) | unknown | visible_gt)
    union, both = visible_gt | visible_est, visible_gt & visible_est
    size = torch.as_tensor(diameter, dtype=est.dtype, device=est.device).expand(len(est))
    gap = (est - gt).abs() / size[:, None, None]
    pixels = union.sum(dim=(1, 2))
    wrong = [(union & (~both | (gap >= float(tau)))).sum(dim=(1, 2)) for tau in taus]
    share = torch.stack(wrong, dim=1).to(est.dtype) / pixels.clamp(min=1)[:, None]
    return torch.where(pixels[:, None] == 0, 1.0, share)
