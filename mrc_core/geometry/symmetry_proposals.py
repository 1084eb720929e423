"""What a search for symmetries finds, and the symmetry set that some of it makes together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from mrc_core.geometry.so3_grid import healpix_directions
from mrc_core.geometry.symmetries import ContinuousSymmetry, SymmetrySet
from mrc_core.geometry.symmetry_group import completed
from mrc_core.geometry.symmetry_samples import Array

Verdict = Literal["accept", "shape only", "reject"]
ACCEPT: Verdict = "accept"
SHAPE_ONLY: Verdict = "shape only"
REJECT: Verdict = "reject"
FAR = 3.0  # tolerances: how far the farthest may be
SHOWN_TURN_RAD = math.radians(100.0)  # of an axis of revolution: no multiple of a symmetric print's turn
_BALL_N_SIDE = 3  # 108 directions, 20 degrees apart
_PARALLEL = math.cos(math.radians(5.0))

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Misfit:
    """How much a turned object differs from itself: in the mean, and at the far end, where the rest is nearer.

    Of shape: distances of the seen surface in diameters; all but 1 % of it is nearer than `far`. Of colour: differences
    from 0 to 1 (black and white: 0.5, opposite hues: 1); all but 5 % of the seen surface has less than `far`.
    """

    mean: float
    far: float

    def within(self, tolerance: float) -> bool:
        """Whether the mean is at most the tolerance, and the far end at most three of it."""
        return self.mean <= tolerance and self.far <= FAR * tolerance

    def worst(self, other: Misfit) -> Misfit:
        """The larger one of each number."""
        return Misfit(max(self.mean, other.mean), max(self.far, other.far))


@dataclass(frozen=True)
class SymmetryProposal:
    """One axis, and the turns about it that leave the object as it is.

    Attributes:
        axis: unit vector in the mesh's frame.
        offset: a point on the axis, metres, in the mesh's frame; of a ball its middle.
        order: n for turns by 1/n of a whole one; None for any angle.
        is_ball: any turn about any axis through `offset`; `axis` is then one of them and `order` None.
        shape, colour: the worst of all these turns.
        verdict: `accept`: it looks the same; `shape only`: it does not, but its shape does; `reject`: nearly.
        reason: why, in words.
    """

    axis: Vector
    offset: Vector
    order: int | None
    is_ball: bool
    shape: Misfit
    colour: Misfit
    verdict: Verdict
    reason: str

    def turn(self, angle: float) -> Tensor:
        """The transform (4, 4), float64, obj_from_obj, metres, that turns about the axis by `angle` in radians."""
        return ContinuousSymmetry(self.axis, self.offset).transforms(torch.tensor(angle))

    @property
    def shown_angle(self) -> float:
        """The turn, in radians, that is worth looking at: the smallest one, or of any angle some odd one."""
        return SHOWN_TURN_RAD if self.order is None else 2 * math.pi / self.order

    @property
    def words(self) -> str:
        """What it is, in words."""
        if self.is_ball:
            return "any turn about its middle"
        if self.order is None:
            return "any turn about the axis"
        return {2: "half a turn", 3: "a third of a turn", 4: "a quarter of a turn"}.get(
            self.order, f"1/{self.order} of a turn"
        )


def symmetry_set(chosen: Sequence[SymmetryProposal]) -> SymmetrySet:
    """The symmetries that the chosen proposals make together: all of their compositions.

    Discrete ones become a whole group without the identity. A ball has no finite list; it gets one continuous axis, and
    turns that bring it to within 15 degrees of any other axis.

    Raises:
        ValueError: no object can have all of the chosen symmetries.
    """
    if not chosen:
        return SymmetrySet()
    balls = [one for one in chosen if one.is_ball]
    if balls:
        return _ball(balls[0].offset)
    lathes = [one for one in chosen if one.order is None]
    if any(abs(np.dot(one.axis, lathes[0].axis)) < _PARALLEL for one in lathes):
        return _ball(lathes[0].offset)
    if lathes:
        return _lathe(lathes[0], [one for one in chosen if one.order is not None])
    turns = [
        Rotation.from_rotvec(np.array(one.axis) * (2 * np.pi / (one.order or 1))).as_matrix()
        for one in chosen
    ]
    centre = common_point([np.array(o.axis) for o in chosen], [np.array(o.offset) for o in chosen])
    return SymmetrySet(_transforms(completed(turns)[1:], centre))


def _lathe(lathe: SymmetryProposal, others: Sequence[SymmetryProposal]) -> SymmetrySet:
    """An axis of revolution; half turns across it are all one, up to turns about it."""
    continuous = (ContinuousSymmetry(lathe.axis, lathe.offset),)
    for one in others:
        along = abs(np.dot(one.axis, lathe.axis))
        if along >= _PARALLEL:
            continue  # the axis of revolution has these turns already
        if one.order != 2 or along > math.sqrt(1 - _PARALLEL**2):
            raise ValueError(
                f"{one.words} about {one.axis} does not go together with any turn about {lathe.axis}: "
                "choose one of them"
            )
        across = np.array(one.axis) - np.dot(one.axis, lathe.axis) * np.array(lathe.axis)
        half = Rotation.from_rotvec(across / np.linalg.norm(across) * np.pi).as_matrix().round(15)
        return SymmetrySet(_transforms(half[None], np.array(one.offset)), continuous)
    return SymmetrySet(continuous=continuous)


def _ball(centre: Vector) -> SymmetrySet:
    polar, azimuth = (t.numpy() for t in healpix_directions(_BALL_N_SIDE))
    across = np.stack([np.sin(azimuth), -np.cos(azimuth), np.zeros_like(azimuth)], axis=1)
    to_z = Rotation.from_rotvec(across * polar[:, None]).as_matrix()  # takes each direction to z
    return SymmetrySet(_transforms(to_z, np.array(centre)), (ContinuousSymmetry((0.0, 0.0, 1.0), centre),))


def _transforms(rotations: Array, centre: Array) -> Tensor:
    """Transforms (E, 4, 4) of turns (E, 3, 3) about a point (3,)."""
    out = torch.eye(4, dtype=torch.float64).repeat(len(rotations), 1, 1)
    out[:, :3, :3] = torch.from_numpy(rotations)
    out[:, :3, 3] = torch.from_numpy(centre - rotations @ centre)
    return out


def common_point(directions: Sequence[Array], points: Sequence[Array]) -> Array:
    """The point (3,) nearest to all lines; where they leave it open, the one nearest to the mean of `points`."""
    middle = np.mean(points, axis=0)
    rows = [np.eye(3) - np.outer(d, d) for d in directions]
    values = [row @ (point - middle) for row, point in zip(rows, points)]
    return middle + np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=1e-6)[0]
