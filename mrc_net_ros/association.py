"""Which of the objects that are seen are which of those that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mrc_net_ros.rectification import Box

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """An object as far as association looks at it.

    Args:
        class_id: only equal ones belong together.
        box_px: x0, y0, x1, y1 in the undistorted image.
        middle_m: (3,) in the camera's frame, or None where its pose is not known.
        diameter_m: of the object.
    """

    class_id: str
    box_px: Box
    middle_m: Array | None = None
    diameter_m: float = 1.0


@dataclass(frozen=True)
class Gate:
    """How alike two must be: intersection over union of their boxes, or distance of their middles in diameters."""

    least_overlap: float
    largest_distance: float


SAME = Gate(0.3, 0.5)
"""For an object that was seen an image ago."""
AGAIN = Gate(0.05, 1.5)
"""For one that was lost or drifted, and has moved on since."""
EXPLAINED = Gate(0.5, 0.0)
"""For a box that needs no estimate, since a track says the same: with less, the track may have drifted."""


def associated(found: Sequence[Candidate], known: Sequence[Candidate], gate: Gate = SAME) -> list[tuple[int, int]]:
    """Pairs of places in ``found`` and ``known``, each at most once, such that the sum of their likeness is greatest.

    Boxes and positions count alike: where the boxes of two instances cross, their distances tell them apart.
    """
    if not found or not known:
        return []
    overlap = overlaps([one.box_px for one in found], [one.box_px for one in known])
    distance = np.array([[_distance(a, b) for b in known] for a in found])
    likeness = overlap + np.maximum(0.0, 1.0 - distance)
    same_class = np.array([[a.class_id == b.class_id for b in known] for a in found])
    allowed = same_class & ((overlap >= gate.least_overlap) | (distance <= gate.largest_distance))
    # a pair that is allowed is worth more than none, even where a better pair of one of the two goes without
    rows, columns = linear_sum_assignment(np.where(allowed, 1e-3 + likeness, 0.0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns) if allowed[i, j]]


def overlaps(a: Sequence[Box], b: Sequence[Box]) -> Array:
    """Intersection over union (N, M) of boxes."""
    first, second = np.asarray(a, dtype=np.float64)[:, None], np.asarray(b, dtype=np.float64)[None]
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    both = np.clip(high - low, 0.0, None).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (first, second)]
    share: Array = both / np.maximum(areas[0] + areas[1] - both, 1e-9)
    return share


def _distance(a: Candidate, b: Candidate) -> float:
    """Of the middles, in diameters; infinite where one is not known."""
    if a.middle_m is None or b.middle_m is None:
        return np.inf
    return float(np.linalg.norm(a.middle_m - b.middle_m)) / max(a.diameter_m, b.diameter_m)
