"""How much a pose trembles from frame to frame.

With a ground truth: the root mean square of the change of the estimation error from one answered frame to the next,
of positions in millimetres and of rotations in degrees. An error that stays the same is no jitter, and neither is the
object's or the camera's motion. Errors are told in the true object's frame, against the equivalent pose nearest to the
estimate.

Without one: the root mean square of the second difference over three successive frames, divided by sqrt(3). Motion of
constant speed adds nothing, acceleration does. The divisor makes noise that is independent from frame to frame give the
same figure both ways: sqrt(6) sigma for sigma along each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Matrix = NDArray[np.float64]
LONGEST_GAP_S = 1.0
"""Frames further apart in time are not successive."""
UNEVEN = 0.5
"""Three frames whose two intervals differ by more than this part of the longer one tell no second difference."""


@dataclass(frozen=True)
class PosedAt:
    """An estimated pose (4, 4) at a stamp, and, where known, the true one and the equivalent one nearest to it."""

    order: int
    stamp_ns: int
    estimated: Matrix
    true: Matrix | None = None
    nearest: Matrix | None = None


@dataclass(frozen=True)
class Jitter:
    """Root mean squares over ``count`` changes; None where there is none."""

    position_mm: float | None
    rotation_deg: float | None
    count: int


@dataclass(frozen=True)
class Changes:
    """The changes that a jitter is the root mean square of, so that those of several objects can be joined."""

    position_m: tuple[float, ...] = ()
    rotation_rad: tuple[float, ...] = ()

    def joined(self, other: Changes) -> Changes:
        """Those of both."""
        return Changes(self.position_m + other.position_m, self.rotation_rad + other.rotation_rad)

    def jitter(self) -> Jitter:
        """Their root mean squares."""
        if not self.position_m:
            return Jitter(None, None, 0)
        position_mm = 1e3 * float(np.sqrt(np.mean(np.square(self.position_m))))
        rotation_deg = float(np.degrees(np.sqrt(np.mean(np.square(self.rotation_rad)))))
        return Jitter(position_mm, rotation_deg, len(self.position_m))


def error_changes(samples: Sequence[PosedAt]) -> Changes:
    """Changes of the estimation error of one object; samples without a truth are left out."""
    known = [sample for sample in samples if sample.true is not None and sample.nearest is not None]
    position, rotation = [], []
    for before, after in zip(known, known[1:]):
        if not _successive(before, after):
            continue
        (shift_before, turn_before), (shift_after, turn_after) = _error(before), _error(after)
        position.append(float(np.linalg.norm(shift_after - shift_before)))
        rotation.append(float((turn_after * turn_before.inv()).magnitude()))
    return Changes(tuple(position), tuple(rotation))


def motion_changes(samples: Sequence[PosedAt], nearest: Callable[[Matrix, Matrix], Matrix]) -> Changes:
    """Second differences of one object's estimated poses, divided by sqrt(3).

    Args:
        samples: in time order.
        nearest: gives, of the poses equivalent to the first, the one nearest to the second.
    """
    position, rotation = [], []
    for first, second, third in zip(samples, samples[1:], samples[2:]):
        if not (_successive(first, second) and _successive(second, third) and _even(first, second, third)):
            continue
        middle = second.estimated
        start, end = nearest(first.estimated, middle), nearest(third.estimated, middle)
        shift = end[:3, 3] - 2 * middle[:3, 3] + start[:3, 3]
        come = Rotation.from_matrix(middle[:3, :3] @ start[:3, :3].T)
        go = Rotation.from_matrix(end[:3, :3] @ middle[:3, :3].T)
        position.append(float(np.linalg.norm(shift) / np.sqrt(3.0)))
        rotation.append(float((go * come.inv()).magnitude() / np.sqrt(3.0)))
    return Changes(tuple(position), tuple(rotation))


def _error(sample: PosedAt) -> tuple[NDArray[np.float64], Rotation]:
    """The error's translation and rotation, in the true object's frame, whatever equivalent pose was estimated."""
    assert sample.true is not None
    assert sample.nearest is not None
    frame = sample.true[:3, :3]
    shift = frame.T @ (sample.estimated[:3, 3] - sample.nearest[:3, 3])
    turn = frame.T @ sample.estimated[:3, :3] @ sample.nearest[:3, :3].T @ frame
    return shift, Rotation.from_matrix(turn)


def _successive(before: PosedAt, after: PosedAt) -> bool:
    gap_s = (after.stamp_ns - before.stamp_ns) * 1e-9
    return after.order == before.order + 1 and 0.0 < gap_s <= LONGEST_GAP_S


def _even(first: PosedAt, second: PosedAt, third: PosedAt) -> bool:
    come, go = second.stamp_ns - first.stamp_ns, third.stamp_ns - second.stamp_ns
    return abs(go - come) <= UNEVEN * max(go, come)
