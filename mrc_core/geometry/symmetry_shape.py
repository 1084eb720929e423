"""The symmetries of a mesh's shape alone: a finite group of turns, an axis of revolution, or a ball."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from mrc_core.geometry.symmetry_candidates import Candidate, candidate_axes
from mrc_core.geometry.symmetry_group import axes_of, canonical, completed, exact, frame_correction, index_in
from mrc_core.geometry.symmetry_measure import ANY_ANGLE, CLEARLY_FINE, SOME, Measure, angles_of
from mrc_core.geometry.symmetry_proposals import FAR, Misfit, common_point
from mrc_core.geometry.symmetry_refinement import Axis, refined
from mrc_core.geometry.symmetry_samples import Array

_QUICK, _FINE = 4, 2  # every n-th query, to look whether there is anything, and for the axis that is kept
_SAME_AXIS = np.cos(np.deg2rad(6.0))
_FAR_OFF = 3.0  # tolerances: no symmetry, and none that is nearly one
_NEAR_MISS = 1.3, 2.0  # tolerances of the mean and of the far end
_ON_POINT = 0.002  # of the diameter: a coordinate that near to zero is meant to be zero
_EXACT, _FAR_WORSE = 0.1, 8.0  # tolerances that pass for exact; how many times worse a further axis may be
_SNAP_COST = 0.05  # tolerances that the misfit may grow by when axes are moved to where they are meant to be


@dataclass(eq=False)
class ShapeSymmetry:
    """What a shape is symmetric under, in the surface's own unit.

    Attributes:
        ball: the middle (3,) of a ball.
        lathe: an axis of revolution.
        across: an axis of half a turn across it, one for all.
        rotations: a finite group (E, 3, 3), identity first, about `centre` (3,).
        worst: misfit of the group.
        near_misses: axes, with their orders and misfits, that are not within the tolerance.
    """

    ball: Array | None = None
    lathe: Axis | None = None
    across: Axis | None = None
    rotations: Array = field(default_factory=lambda: np.eye(3)[None])
    centre: Array = field(default_factory=lambda: np.zeros(3))
    worst: Misfit = field(default_factory=lambda: Misfit(0.0, 0.0))
    near_misses: list[tuple[Axis, int | None, Misfit]] = field(default_factory=list)


def shape_symmetry(measure: Measure) -> ShapeSymmetry:
    """Searches all axes."""
    surface = measure.surface
    radius = np.linalg.norm(surface.even_points, axis=1)
    off = np.abs(radius - radius.mean())
    if Misfit(float(off.mean()), float(np.percentile(off, 99))).within(measure.shape_tolerance):
        return ShapeSymmetry(ball=np.zeros(3))
    found = ShapeSymmetry()
    axes: list[Axis] = []
    for candidate in candidate_axes(surface, measure.max_order):
        if not _is_known(found, candidate):
            axis, order = _axis_at(measure, found, candidate)
            if axis is None:
                continue
            if order is None:
                found.lathe, found.rotations = axis, np.eye(3)[None]
                break
            axes = _with_axis(measure, found, axes, axis, order)
    found = _settled(measure, found)
    lathes = [item for item in found.near_misses if item[1] is None]
    misses = (
        lathes[:1] or found.near_misses
    )  # what is nearly round nearly has any number of half turns across
    found.near_misses = [item for item in misses if not _covers(found, item[0].direction)]
    return found


def _is_known(found: ShapeSymmetry, candidate: Candidate) -> bool:
    return _covers(found, candidate.direction, candidate.order)


def _covers(found: ShapeSymmetry, direction: Array, order: int = 2) -> bool:
    """Whether a turn about a direction is among those found."""
    if found.lathe is not None:
        along = abs(found.lathe.direction @ direction)
        return along > _SAME_AXIS or (found.across is not None and along < np.sqrt(1 - _SAME_AXIS**2))
    return any(
        one.order % order == 0 and abs(one.direction @ direction) > _SAME_AXIS
        for one in axes_of(found.rotations)
    )


def _axis_at(measure: Measure, found: ShapeSymmetry, candidate: Candidate) -> tuple[Axis | None, int | None]:
    """The axis near a candidate with its order, or nothing; near misses are noted."""
    angle = 2 * np.pi / candidate.order
    axis = refined(measure.surface, Axis(candidate.direction, np.zeros(3)), [angle], _QUICK)
    misfit = measure.shape(axis, [angle])
    if not misfit.within(_FAR_OFF * measure.shape_tolerance) or _covers(
        found, axis.direction, candidate.order
    ):
        return None, 1
    if not measure.shape_fits(misfit):
        anywhere = measure.shape(axis, ANY_ANGLE, SOME) if candidate.highest > 2 else misfit
        is_roundish = candidate.highest > 2 and _is_near_miss(measure, anywhere)
        _note(measure, found, axis, *((None, anywhere) if is_roundish else (candidate.order, misfit)))
        return None, 1
    order = 2 if candidate.highest == 2 else measure.order(axis, candidate.order)
    if order == 1:
        _note(measure, found, axis, None, measure.shape(axis, ANY_ANGLE))
        return None, 1
    axis = refined(measure.surface, axis, angles_of(order), _FINE)
    misfit = measure.shape(axis, angles_of(order))
    if not measure.shape_fits(misfit):
        _note(measure, found, axis, order, misfit)
        return None, 1
    return axis, order


def _note(measure: Measure, found: ShapeSymmetry, axis: Axis, order: int | None, misfit: Misfit) -> None:
    """Keeps a near miss; of those about one axis the best."""
    if not _is_near_miss(measure, misfit):
        return
    directions = [other.direction for other, _, _ in found.near_misses]
    same = [i for i, direction in enumerate(directions) if abs(direction @ axis.direction) > _SAME_AXIS]
    if not same:
        found.near_misses.append((axis, order, misfit))
    elif misfit.far < found.near_misses[same[0]][2].far:
        found.near_misses[same[0]] = (axis, order, misfit)


def _is_near_miss(measure: Measure, misfit: Misfit) -> bool:
    mean, far = (factor * measure.shape_tolerance for factor in _NEAR_MISS)
    return misfit.mean <= mean and misfit.far <= FAR * far


def _with_axis(
    measure: Measure, found: ShapeSymmetry, axes: list[Axis], axis: Axis, order: int
) -> list[Axis]:
    """Adds an axis to the group, if every turn that follows from it is within the tolerance too.

    A shape that is exactly symmetric is not so by the way: a box of 100 x 105 mm has half turns, not quarters.
    """
    together = [*axes, axis]
    turns = [Rotation.from_rotvec(axis.direction * (2 * np.pi / order)).as_matrix()]
    try:
        rotations = completed([*found.rotations[1:], *turns])
    except ValueError:
        _note(measure, found, axis, order, measure.shape(axis, angles_of(order)))
        return axes
    centre = common_point([a.direction for a in together], [a.point for a in together])
    worst = _worst_of(measure, rotations, centre)
    tolerance = measure.shape_tolerance
    exact = max(found.worst.far, _EXACT * tolerance) if axes else np.inf
    if not measure.shape_fits(worst) or worst.far > max(CLEARLY_FINE * tolerance, _FAR_WORSE * exact):
        _note(measure, found, axis, order, worst)
        return axes
    found.rotations, found.centre, found.worst = rotations, centre, worst
    return together


def _worst_of(measure: Measure, rotations: Array, centre: Array) -> Misfit:
    worst = Misfit(0.0, 0.0)
    for one in axes_of(rotations):
        worst = worst.worst(measure.shape(Axis(one.direction, centre), angles_of(one.order), SOME))
    return worst


def _balance(measure: Measure, found: ShapeSymmetry) -> None:
    """Measures every axis of the group anew, and lets all of them have their say.

    A group follows from two or three of its turns; what is wrong with these would be larger in the others.
    """
    axes = axes_of(found.rotations)
    if len(axes) == 1 or found.worst.far <= CLEARLY_FINE * measure.shape_tolerance:
        return
    rotations = found.rotations.copy()
    lines = []
    for one in axes:
        line = refined(measure.surface, Axis(one.direction, found.centre), angles_of(one.order), _FINE)
        lines.append(line)
        for k in range(1, one.order):
            before = Axis(one.direction, found.centre).turn(2 * np.pi * k / one.order)[:3, :3]
            rotations[index_in(found.rotations, before)] = line.turn(2 * np.pi * k / one.order)[:3, :3]
    try:
        rotations = exact(rotations)
    except ValueError:
        return  # an axis went astray: the group stays as it was
    centre = common_point([a.direction for a in lines], [a.point for a in lines])
    worst = _worst_of(measure, rotations, centre)
    if worst.far < found.worst.far:
        found.rotations, found.centre, found.worst = rotations, centre, worst


# ---- where axes are meant to be --------------------------------------------------------------------------------------
def _settled(measure: Measure, found: ShapeSymmetry) -> ShapeSymmetry:
    """Axes moved to x, y, z and zero, where they all but are; and the half turn across an axis of revolution."""
    if found.lathe is not None:
        _settle_lathe(measure, found, found.lathe)
    elif len(found.rotations) > 1:
        _balance(measure, found)
        _settle_group(measure, found)
    return found


def _settle_lathe(measure: Measure, found: ShapeSymmetry, lathe: Axis) -> None:
    angles = angles_of(None)
    correction = frame_correction([lathe.direction])
    moved = Axis(canonical(correction @ lathe.direction), _meant(measure, _foot(measure, lathe)))
    found.lathe = lathe = _cheaper(measure, Axis(canonical(lathe.direction), lathe.point), moved, angles)
    # any direction across will do by shape: the one nearest to a coordinate axis reads best
    helper = np.eye(3)[int(np.abs(lathe.direction).argmin())]
    direction = canonical(helper - lathe.direction * (helper @ lathe.direction))
    half = refined(measure.surface, Axis(direction, np.zeros(3)), [np.pi], _FINE)
    along = (half.point - lathe.point) @ lathe.direction
    across = Axis(direction, lathe.point + along * lathe.direction)
    across = _cheaper(measure, across, Axis(direction, _meant(measure, across.point)), [np.pi])
    misfit = measure.shape(across, [np.pi])
    if measure.shape_fits(misfit):
        found.across = across
    else:
        _note(measure, found, across, 2, misfit)


def _settle_group(measure: Measure, found: ShapeSymmetry) -> None:
    axes = axes_of(found.rotations)
    correction = frame_correction([one.direction for one in axes])
    rotations = correction @ found.rotations @ correction.T
    rotations = np.where(np.abs(rotations - np.round(rotations)) < 1e-9, np.round(rotations), rotations)
    centre = found.centre
    if len(axes) == 1:
        centre = _foot(measure, Axis(axes[0].direction, centre))
    centre = _meant(measure, centre)
    before, after = (
        _worst_of(measure, *pair) for pair in ((found.rotations, found.centre), (rotations, centre))
    )
    if after.far <= before.far + _SNAP_COST * measure.shape_tolerance:
        found.rotations, found.centre = rotations, centre


def _cheaper(measure: Measure, measured: Axis, meant: Axis, angles: tuple[float, ...] | list[float]) -> Axis:
    """Where the axis is meant to be, unless it fits worse there than where it was measured."""
    before, after = (measure.shape(axis, angles).far for axis in (measured, meant))
    return meant if after <= before + _SNAP_COST * measure.shape_tolerance else measured


def _foot(measure: Measure, axis: Axis) -> Array:
    """The axis's point nearest to the origin of the mesh's frame."""
    origin = -measure.surface.centre / measure.surface.diameter
    return axis.point + axis.direction * ((origin - axis.point) @ axis.direction)


def _meant(measure: Measure, point: Array) -> Array:
    """A point whose coordinates in the mesh's frame are zero where they all but are."""
    origin = -measure.surface.centre / measure.surface.diameter
    return np.where(np.abs(point - origin) < _ON_POINT, origin, point)
