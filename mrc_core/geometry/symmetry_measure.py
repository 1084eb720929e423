"""Measures turns about an axis against tolerances, and tells an axis's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrc_core.geometry.symmetry_matching import TurnedSurface
from mrc_core.geometry.symmetry_proposals import Misfit
from mrc_core.geometry.symmetry_refinement import Axis
from mrc_core.geometry.symmetry_samples import Array

_FAR_SHAPE, _FAR_COLOUR = 99.0, 95.0  # percentiles
_GOLDEN = np.pi * (3 - np.sqrt(5))
ANY_ANGLE = tuple(float(_GOLDEN * n % (2 * np.pi)) for n in range(1, 9))  # no polygon fits all of them
SOME = 3  # every n-th query, where many turns are compared
_CLEARLY_BETTER = 4.0
CLEARLY_FINE = 0.5  # tolerances, at the far end: no other order needs to be looked at
_NEARLY_ROUND = 0.6  # a turn must fit better than that part of what any other angle does


@dataclass(frozen=True, eq=False)
class Measure:
    """A surface with what is tolerated of it, and the highest order of an axis that is looked for."""

    surface: TurnedSurface
    shape_tolerance: float
    colour_tolerance: float
    max_order: int

    def shape(self, axis: Axis, angles: Sequence[float], every: int = 1) -> Misfit:
        """The worst misfit of shape of turns by angles (radians), on every n-th query."""
        return _worst([self.surface.distances(axis.turn(angle), every) for angle in angles], _FAR_SHAPE)

    def colour(self, axis: Axis, angles: Sequence[float]) -> Misfit:
        """The worst misfit of colour of turns by angles (radians)."""
        return _worst([self.surface.colour_differences(axis.turn(angle)) for angle in angles], _FAR_COLOUR)

    def colour_of(self, transform: Array) -> Misfit:
        """The misfit of colour of one transform (4, 4)."""
        return _worst([self.surface.colour_differences(transform)], _FAR_COLOUR)

    def shape_fits(self, misfit: Misfit) -> bool:
        """Whether a misfit of shape is within the tolerance."""
        return misfit.within(self.shape_tolerance)

    def colour_fits(self, misfit: Misfit) -> bool:
        """Whether a misfit of colour is within the tolerance."""
        return misfit.within(self.colour_tolerance)

    def order(self, axis: Axis, divisor: int) -> int | None:
        """The highest order by shape of an axis whose turn by 1/divisor fits: 1 for none, None where every angle fits.

        A shape that is nearly round fits itself at every angle nearly: there an order counts only where it fits much
        better than any angle does; and a polygon is not called round while its own order fits much better still.
        """
        anywhere = self.shape(axis, ANY_ANGLE, SOME)
        if self.shape_fits(anywhere) and anywhere.far <= self.shape_tolerance:
            return None
        is_roundish = self.shape_fits(anywhere)
        step = 1 if is_roundish else divisor
        at = {
            n: self.shape(axis, [2 * np.pi / n], SOME) for n in range(max(2, step), self.max_order + 1, step)
        }
        if is_roundish and not self._is_beaten(anywhere, list(at.values())):
            return None
        for n in sorted(at, reverse=True):
            if not self.shape_fits(at[n]) or at[n].far > _NEARLY_ROUND * anywhere.far:
                continue
            others = [at[d] for d in at if d != n]
            if at[n].far <= CLEARLY_FINE * self.shape_tolerance or not self._is_beaten(at[n], others):
                return n
        return 1

    @staticmethod
    def _is_beaten(misfit: Misfit, others: Sequence[Misfit]) -> bool:
        return any(_CLEARLY_BETTER * other.far < misfit.far for other in others)


def angles_of(order: int | None) -> tuple[float, ...]:
    """Turns (radians) that stand for all of an axis: a turn and its inverse are one."""
    return ANY_ANGLE if order is None else tuple(2 * np.pi * k / order for k in range(1, order // 2 + 1))


def _worst(differences: Sequence[Array], percentile: float) -> Misfit:
    rows = [(float(d.mean()), float(np.percentile(d, percentile))) for d in differences]
    return Misfit(max(mean for mean, _ in rows), max(far for _, far in rows))
