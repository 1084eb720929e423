"""The diameter of a point set, exact, also for flat and degenerate sets."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

_ROWS_AT_ONCE = 1024


def point_set_diameter(points: np.ndarray) -> float:
    """The largest distance between two of the points (N, D), in their unit; 0 for a single point."""
    points = np.unique(np.asarray(points, np.float64), axis=0)
    if len(points) < 2:
        return 0.0
    candidates = _hull_points(points)
    candidates = candidates - candidates.mean(axis=0)
    squares = (candidates**2).sum(axis=1)
    largest, pair = -1.0, (0, 0)
    for start in range(0, len(candidates), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        distances = squares[rows, None] + squares[None] - 2 * candidates[rows] @ candidates.T
        index = int(distances.argmax())
        if distances.flat[index] > largest:
            largest = float(distances.flat[index])
            pair = (start + index // len(candidates), index % len(candidates))
    # The expanded square loses digits to cancellation: take the pair from it, not the value.
    return float(np.linalg.norm(candidates[pair[0]] - candidates[pair[1]]))


def _hull_points(points: np.ndarray) -> np.ndarray:
    """The points that can be an end of the diameter."""
    if len(points) <= 64:
        return points
    # In the set's principal axes a flat or straight set is plainly one of fewer dimensions.
    centred = points - points.mean(axis=0)
    _, scale, axes = np.linalg.svd(centred, full_matrices=False)
    rank = max(1, int((scale > 1e-7 * scale[0]).sum()))
    reduced = centred @ axes[:rank].T
    if rank == 1:
        return points[[reduced[:, 0].argmin(), reduced[:, 0].argmax()]]
    try:
        return points[ConvexHull(reduced).vertices]
    except QhullError:
        return points[ConvexHull(reduced, qhull_options="QJ").vertices]
