"""Proposes the symmetries of a mesh, by shape and by appearance.

found = find_symmetries(mesh)
symmetries = symmetry_set([one for one in found if one.verdict == ACCEPT])
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.symmetry_group import axes_of, canonical, completed, index_in
from mrc_core.geometry.symmetry_matching import TurnedSurface
from mrc_core.geometry.symmetry_measure import ANY_ANGLE, Measure, angles_of
from mrc_core.geometry.symmetry_proposals import (
    ACCEPT,
    FAR,
    REJECT,
    SHAPE_ONLY,
    Misfit,
    SymmetryProposal,
    Vector,
    Verdict,
)
from mrc_core.geometry.symmetry_refinement import Axis
from mrc_core.geometry.symmetry_samples import Array
from mrc_core.geometry.symmetry_shape import ShapeSymmetry, shape_symmetry

SHAPE_TOLERANCE = 0.01  # of the diameter, in the mean; the far end may be three times that
COLOUR_TOLERANCE = 0.08  # of 1, likewise
MAX_ORDER = 12
_ACROSS = 36  # directions of half turns across an axis of revolution, 5 degrees apart
_NOTABLY = 0.8
_MOST_NEAR_MISSES = 3


def find_symmetries(
    mesh: Mesh,
    shape_tolerance: float = SHAPE_TOLERANCE,
    colour_tolerance: float = COLOUR_TOLERANCE,
    max_order: int = MAX_ORDER,
) -> list[SymmetryProposal]:
    """All axes about which a mesh looks, or has the shape, as before; and the best of those that are nearly so.

    Accepted proposals go together: `symmetry_set` makes a group of them. The same mesh gives the same proposals. An
    axis of an order above `max_order` is found with its largest divisor below, unless the shape is round within the
    tolerance. Patterns on a ball are not searched.

    Args:
        shape_tolerance: mean distance, in diameters, between the seen surface and itself after a turn; all but 1 % of
            it must be within three times that.
        colour_tolerance: mean difference of colours, 0 to 1; all but 5 % must be within three times that.
        max_order: highest order of an axis.

    Raises:
        ValueError: a number makes no sense, or the mesh has no surface.
    """
    if not 0 < shape_tolerance <= 0.1 or not 0 < colour_tolerance <= 1 or not 2 <= max_order <= 30:
        raise ValueError(
            "tolerances must be above 0, of shape at most 0.1, of colour at most 1, and max_order from 2 to 30; got "
            f"{shape_tolerance}, {colour_tolerance} and {max_order}"
        )
    measure = Measure(TurnedSurface(mesh, shape_tolerance), shape_tolerance, colour_tolerance, max_order)
    found = shape_symmetry(measure)
    describe = _Proposals(measure)
    if found.ball is not None:
        rows = describe.ball(found.ball)
    elif found.lathe is not None:
        rows = describe.lathe(found.lathe, found.across)
    else:
        rows = describe.group(found)
    misses = sorted(found.near_misses, key=lambda item: item[2].far)[:_MOST_NEAR_MISSES]
    return [*rows, *(describe.near_miss(*item) for item in misses)]


class _Proposals:
    """Turns what the shape has into proposals, by what the colours say."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure

    def ball(self, centre: Array) -> list[SymmetryProposal]:
        axes = [Axis(direction, centre) for direction in np.eye(3)]
        shape, colour = Misfit(0.0, 0.0), Misfit(0.0, 0.0)
        for axis in axes:
            shape = shape.worst(self._measure.shape(axis, ANY_ANGLE))
            colour = colour.worst(self._measure.colour(axis, ANY_ANGLE))
        return [self._proposal(axes[2], None, shape, colour, is_ball=True)]

    def lathe(self, lathe: Axis, across: Axis | None) -> list[SymmetryProposal]:
        measure = self._measure
        rows = [self._row(lathe, None)]
        if rows[0].verdict == ACCEPT:
            return [*rows, *([self._row(across, 2)] if across is not None else [])]
        # The print on it may be symmetric where its shape is round.
        orders = [n for n in range(measure.max_order, 1, -1) if measure.colour_fits(self._colour(lathe, n))]
        rows += [self._row(lathe, n) for n in orders[:1]]
        if across is not None:
            rows.append(self._row(self._best_across(lathe, across), 2))
        return rows

    def _best_across(self, lathe: Axis, across: Axis) -> Axis:
        """Of all half turns across an axis of revolution the one that the colours like best."""

        def at(angle: float) -> Axis:
            return Axis(canonical(lathe.turn(angle)[:3, :3] @ across.direction), across.point)

        def misfit(angle: float) -> float:
            return self._colour(at(angle), 2).mean

        step = np.pi / _ACROSS
        best = min((step * np.arange(_ACROSS)).tolist(), key=misfit)
        finer = min((best + step * np.linspace(-0.5, 0.5, 9)).tolist(), key=misfit)
        return at(
            finer if misfit(finer) < _NOTABLY * misfit(best) else best
        )  # round angles unless it is worth it

    def group(self, found: ShapeSymmetry) -> list[SymmetryProposal]:
        rotations = found.rotations
        looks = self._looks_alike(found)
        rows = []
        for one in axes_of(rotations):
            axis = Axis(one.direction, found.centre)
            turns = [axis.turn(2 * np.pi * k / one.order)[:3, :3] for k in range(1, one.order)]
            alike = 1 + sum(looks[index_in(rotations, turn)] for turn in turns)
            if alike < one.order:
                row = self._row(axis, one.order)
                rows.append(row if row.verdict == SHAPE_ONLY else self._held_back(row))
            if alike > 1:
                rows.append(self._row(axis, alike))
        return sorted(
            rows, key=lambda row: (row.verdict != ACCEPT, -(row.order or 0), _upright_first(row.axis))
        )

    def near_miss(self, axis: Axis, order: int | None, misfit: Misfit) -> SymmetryProposal:
        row = self._proposal(axis, order, misfit, self._colour(axis, order))
        if row.verdict == REJECT:
            return row
        reason = "its shape nearly repeats, but this does not go together with turns under which it is exact"
        return replace(row, verdict=REJECT, reason=reason)

    def _looks_alike(self, found: ShapeSymmetry) -> list[bool]:
        """Which turns of the group the colours allow: the largest set that is a group again."""
        rotations = found.rotations
        colours = [Misfit(0.0, 0.0)]
        for rotation in rotations[1:]:
            transform = np.eye(4)
            transform[:3, :3], transform[:3, 3] = rotation, found.centre - rotation @ found.centre
            colours.append(self._measure.colour_of(transform))
        allowed = [self._measure.colour_fits(misfit) for misfit in colours]
        chosen = {0}
        for index in sorted(range(1, len(rotations)), key=lambda i: colours[i].mean):
            if allowed[index] and index not in chosen:
                generators = rotations[sorted({*chosen, index})]
                together = {index_in(rotations, turn) for turn in completed(list(generators))}
                if all(allowed[i] for i in together):
                    chosen = together
        return [i in chosen for i in range(len(rotations))]

    def _colour(self, axis: Axis, order: int | None) -> Misfit:
        return self._measure.colour(axis, angles_of(order))

    def _row(self, axis: Axis, order: int | None) -> SymmetryProposal:
        return self._proposal(
            axis, order, self._measure.shape(axis, angles_of(order)), self._colour(axis, order)
        )

    def _held_back(self, row: SymmetryProposal) -> SymmetryProposal:
        reason = "it nearly looks the same, but does not go together with what looks more so"
        return replace(row, verdict=SHAPE_ONLY, reason=reason)

    def _proposal(
        self, axis: Axis, order: int | None, shape: Misfit, colour: Misfit, is_ball: bool = False
    ) -> SymmetryProposal:
        surface = self._measure.surface
        verdict, reason = self._judge(shape, colour)
        direction = np.where(np.abs(axis.direction) < 1e-9, 0.0, axis.direction)
        offset = surface.centre + surface.diameter * axis.point
        offset = np.where(np.abs(offset) < 1e-9 * surface.diameter, 0.0, offset)
        return SymmetryProposal(
            tuple(direction.tolist()), tuple(offset.tolist()), order, is_ball, shape, colour, verdict, reason
        )

    def _judge(self, shape: Misfit, colour: Misfit) -> tuple[Verdict, str]:
        measure = self._measure
        if not measure.shape_fits(shape):
            limit = f"{100 * measure.shape_tolerance:g} % and {100 * FAR * measure.shape_tolerance:g} %"
            return REJECT, (
                f"the surface is then {100 * shape.mean:.1f} % of the diameter off in the mean, and "
                f"{100 * shape.far:.1f} % at its far end; {limit} are tolerated"
            )
        if not measure.surface.has_colours:
            return ACCEPT, "its shape repeats, and it has no colours"
        if measure.colour_fits(colour):
            return ACCEPT, "its shape and its colours repeat"
        return SHAPE_ONLY, (
            f"its shape repeats, but its colours do not: they differ by {100 * colour.mean:.0f} % in the mean and by "
            f"{100 * colour.far:.0f} % at the far end"
        )


def _upright_first(axis: Vector) -> tuple[float, ...]:
    return tuple(-abs(round(part, 3)) for part in reversed(axis))
