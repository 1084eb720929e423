"""Confusions of a pose with its near-symmetries: large turns, grouped by axis and angle in the object's own frame."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mrc_core.evaluation.instances import Instance

Array = NDArray[np.float64]

LARGE_FROM_DEG = 45.0
NEAR_DEG = 25.0  # of an axis to be called x, y or z, and of an angle to be called 90 or 180
LOOKS_ALIKE_BELOW = 0.1  # ADD-S in diameters
OTHER = "other"
_AXES = "xyz"


@dataclass(frozen=True)
class Confusion:
    """Estimates of an object that are turned alike from the nearest pose equivalent to the truth.

    Attributes:
        axis: x, y or z of the object's frame, or "other" if the axis is over 25 degrees from each. An axis and its
            opposite are the same.
        angle: "90" or "180" degrees, or "other".
        share: of the object's estimates.
        add_s: median ADD-S in diameters. Small: turned so, the shape looks alike.
        remaining_deg: mean angle from the turn that the group is named by; None where "other" is in the name.
    """

    obj_id: int
    name: str
    axis: str
    angle: str
    count: int
    share: float
    add_s: float
    remaining_deg: float | None

    @property
    def looks_alike(self) -> bool:
        """Whether the shape hardly tells the two poses apart."""
        return self.add_s < LOOKS_ALIKE_BELOW


def classify_turn(turn: Array) -> tuple[str, str, float | None]:
    """Axis, angle and remaining angle (degrees, None where there is an "other") of a turn (3,), axis times angle."""
    angle_deg = math.degrees(float(np.linalg.norm(turn)))
    direction = turn / max(float(np.linalg.norm(turn)), 1e-12)
    nearest = int(np.abs(direction).argmax())
    off_deg = math.degrees(math.acos(min(float(np.abs(direction[nearest])), 1.0)))
    axis = _AXES[nearest] if off_deg <= NEAR_DEG else OTHER
    angle = next((str(whole) for whole in (90, 180) if abs(angle_deg - whole) <= NEAR_DEG), OTHER)
    if OTHER in (axis, angle):
        return axis, angle, None
    whole_turn = np.zeros(3)
    whole_turn[nearest] = math.copysign(math.radians(int(angle)), direction[nearest])
    rest = Rotation.from_rotvec(whole_turn).inv() * Rotation.from_rotvec(turn)
    return axis, angle, math.degrees(rest.magnitude())


def find_confusions(rows: Iterable[Instance]) -> list[Confusion]:
    """All groups of turns above 45 degrees, objects in the order of their numbers, the most frequent group first."""
    estimates: dict[int, int] = defaultdict(int)
    groups: dict[tuple[int, str, str], list[tuple[Instance, float | None]]] = defaultdict(list)
    for one in rows:
        if one.est is None or not math.isfinite(one.rotation_rad):
            continue
        estimates[one.obj_id] += 1
        if math.degrees(one.rotation_rad) > LARGE_FROM_DEG:
            axis, angle, rest = classify_turn(one.turn)
            groups[one.obj_id, axis, angle].append((one, rest))
    out = []
    for (obj_id, axis, angle), members in groups.items():
        rests = [rest for _, rest in members if rest is not None]
        add_s = float(np.median([one.add_s / one.diameter for one, _ in members]))
        remaining = float(np.mean(rests)) if rests else None
        share = len(members) / estimates[obj_id]
        out.append(Confusion(obj_id, members[0][0].name, axis, angle, len(members), share, add_s, remaining))
    return sorted(out, key=_order)


def _order(one: Confusion) -> tuple[Any, ...]:
    return one.obj_id, -one.count, one.axis == OTHER, one.axis, one.angle
