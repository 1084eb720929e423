"""Pose errors on points: ADD, ADD-S, MSSD, MSPD. Metres in, metres (or px) out, in the inputs' dtype.

Definitions: Hinterstoisser et al., ACCV 2012 (ADD, ADD-S); Hodan et al., BOP Challenge 2020 (MSSD, MSPD). An estimate
that is not finite has an infinite error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError, cKDTree
from torch import Tensor

from mrc_core.geometry.rotations import transform_points

LargestGaps = Callable[[Tensor, Tensor, Tensor], Tensor]

_BLOCK = 2**22  # numbers of one temporary
_FEW_POINTS = 96  # with so few, looking for those that matter takes longer than taking all
_PROBES = 48  # points that give the lower bound of a symmetry
_LEAF = 32  # points of a leaf of the k-d tree: measured, 16 to 40 are alike
_RIGID = 1e-6  # of R^T R - I; beyond, distances in the object's frame are not those in the camera's


def add(est: Tensor, gt: Tensor, points: Tensor) -> Tensor:
    """ADD: mean distance (B,) of corresponding points under est and gt (B, 4, 4), points (N, 3)."""
    _check(est, gt, points)
    out = est.new_empty(len(est))
    for rows in _blocks(len(est), 3 * len(points)):
        gap = transform_points(est[rows], points) - transform_points(gt[rows], points)
        out[rows] = gap.norm(dim=-1).mean(dim=-1)
    return _finite(out)


def add_s(est: Tensor, gt: Tensor, points: Tensor) -> Tensor:
    """ADD-S: mean over ground-truth points of the distance to the nearest estimated point, (B,).

    On the CPU a k-d tree of the points finds the nearest one, in the object's frame; on CUDA all pairs are compared, in
    blocks. The distance itself is that of the two points in the camera's frame either way.
    """
    _check(est, gt, points)
    if len(est) == 0:
        return est.new_empty(0)
    if est.is_cuda:
        return _finite(torch.stack([_add_s_all_pairs(e, g, points) for e, g in zip(est, gt)]))
    return _finite(est.new_tensor(_add_s_by_tree(est.numpy(), gt.numpy(), points.numpy())))


def add_or_add_s(est: Tensor, gt: Tensor, points: Tensor, symmetric: bool) -> Tensor:
    """ADD(-S): ADD-S for symmetric objects, else ADD."""
    return add_s(est, gt, points) if symmetric else add(est, gt, points)


def mssd(est: Tensor, gt: Tensor, points: Tensor, symmetries: Tensor) -> Tensor:
    """Maximum symmetry-aware surface distance (B,): min over S of max over x of |P_est x - P_gt S x|.

    The difference of two affine maps is affine and its norm convex: the maximum over the points is that over the
    corners of their convex hull, and no other point is looked at.

    Args:
        est, gt: (B, 4, 4).
        points: (N, 3), metres.
        symmetries: (S, 4, 4), the identity among them.
    """
    _check(est, gt, points, symmetries)
    symmetries = symmetries.to(est)

    def largest_gaps(rows: Tensor, turns: Tensor, looked_at: Tensor) -> Tensor:
        gap = est[rows, None] - gt[rows, None] @ turns  # (b, S, 4, 4)
        moved = gap[..., :3, :3] @ looked_at.T + gap[..., :3, 3:]  # (b, S, 3, n)
        return moved.square().sum(dim=-2).amax(dim=-1).sqrt()

    return _least_over_symmetries(largest_gaps, len(est), hull_points(points), symmetries)


def mspd(est: Tensor, gt: Tensor, points: Tensor, symmetries: Tensor, K: Tensor) -> Tensor:
    """Maximum symmetry-aware projection distance (B,) in px: MSSD of the points' projections.

    Args:
        est, gt: (B, 4, 4).
        points: (N, 3), metres.
        symmetries: (S, 4, 4), the identity among them.
        K: (3, 3) or (B, 3, 3), pixels.
    """
    _check(est, gt, points, symmetries)
    symmetries = symmetries.to(est)
    K = K.to(est).expand(len(est), 3, 3)

    def largest_gaps(rows: Tensor, turns: Tensor, looked_at: Tensor) -> Tensor:
        seen = _pixels(K[rows] @ est[rows, :3], looked_at)[:, None]  # (b, 1, 2, n)
        true = _pixels(K[rows, None] @ (gt[rows, None] @ turns)[..., :3, :], looked_at)  # (b, S, 2, n)
        return (seen - true).square().sum(dim=-2).amax(dim=-1).sqrt()

    return _least_over_symmetries(largest_gaps, len(est), points, symmetries)


def _least_over_symmetries(largest_gaps: LargestGaps, count: int, points: Tensor, symmetries: Tensor) -> Tensor:
    """The least (B,) over the symmetries of the largest gap over the points.

    A few points that lie far apart bound the largest gap under each symmetry from below; all points are looked at only
    for symmetries whose bound is below the least so far. The result is that of looking at every one.

    Args:
        largest_gaps: of rows (b,), symmetries (S, 4, 4) or (b, S, 4, 4) and points (n, 3), gives (b, S).
    """
    everything = torch.arange(count, device=points.device)
    if len(symmetries) == 1 or len(points) <= _FEW_POINTS:
        return _in_blocks(largest_gaps, everything, symmetries, points).amin(dim=1)
    bound = _in_blocks(largest_gaps, everything, symmetries, spread_points(points, _PROBES))  # (B, S)
    least = points.new_full((count,), torch.inf)
    while True:
        lowest, which = bound.min(dim=1)
        rows = (lowest < least).nonzero().squeeze(1)
        if len(rows) == 0:
            return least
        chosen = which[rows]
        exact = _in_blocks(largest_gaps, rows, symmetries[chosen, None], points).squeeze(1)
        least[rows] = torch.minimum(least[rows], exact)
        bound[rows, chosen] = torch.inf


def _in_blocks(largest_gaps: LargestGaps, rows: Tensor, symmetries: Tensor, points: Tensor) -> Tensor:
    """`largest_gaps` (b, S) of many rows, some at a time, so that memory stays bounded."""
    out = points.new_empty(len(rows), symmetries.shape[-3])
    for part in _blocks(len(rows), 3 * symmetries.shape[-3] * len(points)):
        turns = symmetries[part] if symmetries.ndim == 4 else symmetries
        out[part] = _finite(largest_gaps(rows[part], turns, points))
    return out


def hull_points(points: Tensor) -> Tensor:
    """Those of points (N, 3) that are corners of their convex hull, (n, 3), in their order; all, where they are few or
    lie in a plane."""
    if len(points) <= _FEW_POINTS:
        return points
    try:
        corners = np.sort(ConvexHull(points.double().cpu().numpy()).vertices)
    except QhullError:
        return points
    return points[torch.from_numpy(corners).to(points.device)]


def spread_points(points: Tensor, count: int) -> Tensor:
    """`count` of points (N, 3) that lie far apart: each is the one farthest from those before it."""
    nearest = (points - points.mean(dim=0)).norm(dim=1)
    chosen = []
    for _ in range(min(count, len(points))):
        chosen.append(int(nearest.argmax()))
        gap = (points - points[chosen[-1]]).norm(dim=1)
        nearest = gap if len(chosen) == 1 else torch.minimum(nearest, gap)
    return points[chosen]


def _pixels(projection: Tensor, points: Tensor) -> Tensor:
    """Pixels (..., 2, N) of points (N, 3) under projections K [R | t] (..., 3, 4)."""
    uvw = projection[..., :3] @ points.T + projection[..., 3:]
    return uvw[..., :2, :] / uvw[..., 2:, :]


def _add_s_by_tree(est: np.ndarray, gt: np.ndarray, points: np.ndarray) -> list[float]:
    """ADD-S of each pair of poses (B, 4, 4). Threads share the poses: a tree's queries run outside of Python.

    Numpy alone: threads of torch's own would be in the way of these.
    """
    tree = cKDTree(points, leafsize=_LEAF)

    def one(pair: tuple[np.ndarray, np.ndarray]) -> float:
        if not np.isfinite(pair).all():
            return np.inf
        estimated, true = (points @ pose[:3, :3].T + pose[:3, 3] for pose in pair)
        rotation = pair[0][:3, :3].astype(np.float64)
        if np.abs(rotation.T @ rotation - np.eye(3)).max() < _RIGID:
            relative = np.linalg.inv(pair[0].astype(np.float64)) @ pair[1]
            nearest = tree.query(points @ relative[:3, :3].T + relative[:3, 3])[1]
        else:  # a file with few digits: its matrix does not keep distances
            nearest = cKDTree(estimated).query(true)[1]
        return float(np.linalg.norm(true - estimated[nearest], axis=1).mean())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, zip(est, gt)))


def _add_s_all_pairs(est: Tensor, gt: Tensor, points: Tensor) -> Tensor:
    true, estimated = transform_points(gt, points), transform_points(est, points)
    nearest = [
        # not the expanded product, which would lose digits
        torch.cdist(block, estimated, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
        for block in true.split(1024)
    ]
    return torch.cat(nearest).mean()


def _finite(errors: Tensor) -> Tensor:
    """Errors with infinity in the place of NaN: no pose, no match."""
    return torch.where(torch.isnan(errors), torch.inf, errors)


def _blocks(count: int, numbers_each: int) -> list[slice]:
    """Slices of `count` rows, such that a temporary of `numbers_each` per row stays small."""
    step = max(1, _BLOCK // max(1, numbers_each))
    return [slice(i, min(i + step, count)) for i in range(0, count, step)]


def _check(est: Tensor, gt: Tensor, points: Tensor, symmetries: Tensor | None = None) -> None:
    if est.ndim != 3 or est.shape[1:] != (4, 4) or est.shape != gt.shape:
        raise ValueError(f"poses must be (B, 4, 4), got {tuple(est.shape)} and {tuple(gt.shape)}")
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"points must be (N, 3), at least one, got {tuple(points.shape)}")
    if not est.dtype == gt.dtype == points.dtype:
        raise ValueError(f"one dtype is needed, got {est.dtype}, {gt.dtype} and {points.dtype}")
    if symmetries is not None and (symmetries.ndim != 3 or symmetries.shape[1:] != (4, 4) or len(symmetries) == 0):
        raise ValueError(f"symmetries must be (S, 4, 4), the identity among them, got {tuple(symmetries.shape)}")
