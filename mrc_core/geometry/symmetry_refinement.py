"""An axis of symmetry made exact: moved until the turned surface lies on itself as well as it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mrc_core.geometry.symmetry_matching import TurnedSurface
from mrc_core.geometry.symmetry_samples import Array

_ROUNDS = 12
_CONVERGED = 1e-5
_LARGEST_TILT_RAD = 0.15  # of one round: further, the distances say nothing any more
_LOOSE, _TIGHT = (
    0.05,
    0.01,
)  # of the diameter: distances that count half, in the first round and from the fourth on


@dataclass(frozen=True, eq=False)
class Axis:
    """A line to turn about: unit direction (3,) and a point on it (3,), in the surface's unit and from its centre."""

    direction: Array
    point: Array

    def turn(self, angle: float) -> Array:
        """The transform (4, 4) that turns by `angle` (radians, right-handed)."""
        transform = np.eye(4)
        transform[:3, :3] = Rotation.from_rotvec(self.direction * angle).as_matrix()
        transform[:3, 3] = self.point - transform[:3, :3] @ self.point
        return transform


def refined(surface: TurnedSurface, axis: Axis, angles: Sequence[float], every: int = 1) -> Axis:
    """The axis near the given one about which turns by all the angles (radians) fit best.

    Gauss-Newton on the distances of every n-th query from the surface, with the weight of far ones cut down: they are
    what the symmetry does not explain. Of all rounds the best one counts: on a sheet, say, only the rim tells where the
    axis is, and steps go to and fro.
    """
    points = surface.queries.points[::every]
    best, least = axis, np.inf
    for number in range(_ROUNDS):
        scale = _LOOSE * (_TIGHT / _LOOSE) ** min(1.0, number / 3)
        normal_matrix, right_side, loss = np.zeros((6, 6)), np.zeros(6), 0.0
        for angle in angles:
            transform = axis.turn(angle)
            rotation = transform[:3, :3]
            moved = points @ rotation.T + transform[:3, 3]
            found, normal = surface.closest(moved)
            gap = moved - found
            length = np.linalg.norm(gap, axis=1)
            away = length > 1e-9
            direction = np.where(away[:, None], gap / np.maximum(length, 1e-30)[:, None], normal)
            # A small motion (w, t) of the axis takes a turned point p' = R(p - o) + o to
            # p' + w x (p' - o) + t - R (w x (p - o) + t); along and about the axis itself nothing changes.
            here, before = moved - axis.point, points - axis.point
            back = direction @ rotation  # R^T d
            by_tilt = np.cross(here, direction) - np.cross(before, back)
            by_shift = direction - back
            weight = 1 / (1 + (length / scale) ** 2)
            rows = np.concatenate([by_tilt, by_shift], axis=1) * weight[:, None]
            normal_matrix += rows.T @ rows
            right_side -= rows.T @ (length * weight)
            loss += float((length**2 / (length**2 + _TIGHT**2)).sum())
        if loss < least:
            best, least = axis, loss
        step = np.linalg.lstsq(normal_matrix, right_side, rcond=1e-10)[0]
        tilt = float(np.linalg.norm(step[:3]))
        step *= min(1.0, _LARGEST_TILT_RAD / max(tilt, 1e-30))
        direction = Rotation.from_rotvec(step[:3]).apply(axis.direction)
        axis = Axis(direction / np.linalg.norm(direction), axis.point + step[3:])
        if number >= 3 and np.linalg.norm(step) < _CONVERGED:
            break  # the last step is too small to be worth a look
    return Axis(best.direction, best.point - best.direction * (best.point @ best.direction))
