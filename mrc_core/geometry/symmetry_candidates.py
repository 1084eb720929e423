"""Axes that an object may be symmetric about, from the moments of its surface.

A turn that leaves a body as it is leaves its moments as they are: with three different moments only half turns about
the principal axes come into question; with two equal ones any turn about the third axis, and half turns across it; with
three equal ones (a cube, a ball) anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mrc_core.geometry.so3_grid import healpix_directions
from mrc_core.geometry.symmetry_matching import TurnedSurface
from mrc_core.geometry.symmetry_samples import Array

_PRIMES = (2, 3, 5, 7, 11)
_EQUAL_MOMENTS = 0.15  # of the largest: a superset costs time, a symmetry that is left out is lost
_COARSE_LIMIT = 0.035  # of the diameter: mean distance of a turn that may still be refined into a symmetry
_GRID_N_SIDE = 10  # 600 axes, about 6 degrees apart
_CIRCLE = 72  # axes across the main one, 2.5 degrees apart
_NEIGHBOUR_RAD = np.deg2rad(9.0)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A turn by 1/order about a direction (3,) through the surface's centre, and how far it is off, roughly.

    `highest` is the highest order that the moments allow an axis there.
    """

    direction: Array
    order: int
    distance: float
    highest: int


def candidate_axes(surface: TurnedSurface, max_order: int) -> list[Candidate]:
    """Turns that may be symmetries, the most promising first; only prime orders, which the others are made of."""
    moments, axes = principal_axes(surface)
    equal = np.abs(moments[:, None] - moments[None]) <= _EQUAL_MOMENTS * moments.max()
    primes = [p for p in _PRIMES if p <= max_order]
    found: list[Candidate] = []
    if equal[0, 1] and equal[1, 2]:
        for prime in primes:
            found += _least(surface, _hemisphere(), prime, max_order)
    else:
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            highest = max_order if equal[j, k] else 2
            for prime in primes:
                if prime <= highest:
                    found += _least(surface, axes[i : i + 1], prime, highest)
            if equal[j, k]:
                angle = np.arange(_CIRCLE) * np.pi / _CIRCLE
                across = np.cos(angle)[:, None] * axes[j] + np.sin(angle)[:, None] * axes[k]
                found += _least(surface, across, 2, 2)
    return sorted(found, key=lambda item: item.distance)


def principal_axes(surface: TurnedSurface) -> tuple[Array, Array]:
    """Moments (3,) of the seen surface, ascending, and their axes as rows (3, 3)."""
    moments, columns = np.linalg.eigh(np.cov(surface.even_points.T))
    return moments, columns.T


def _least(surface: TurnedSurface, directions: Array, order: int, highest: int) -> list[Candidate]:
    """Of directions (D, 3) those where the distance is less than at all neighbours."""
    turns = Rotation.from_rotvec(directions * (2 * np.pi / order)).as_matrix()
    distance = surface.coarse_distance(turns)
    near = np.abs(directions @ directions.T) > np.cos(_NEIGHBOUR_RAD)
    least = distance <= np.where(near, distance, np.inf).min(axis=1)
    chosen = np.flatnonzero(least & (distance <= _COARSE_LIMIT))
    return [Candidate(directions[i], order, float(distance[i]), highest) for i in chosen]


def _hemisphere() -> Array:
    """Directions (D, 3), one of each pair of opposite ones."""
    polar, azimuth = (t.numpy() for t in healpix_directions(_GRID_N_SIDE))
    grid = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    x, y, z = grid.round(9).T
    return grid[(z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))]
