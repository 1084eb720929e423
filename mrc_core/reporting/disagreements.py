"""The instances that methods disagree on most, and how often which of them is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mrc_core.evaluation.instances import Instance
from mrc_core.reporting.cases import identity, relative_error

WORST = 1.0  # diameters; a larger error is as wrong as a missing estimate


@dataclass(frozen=True)
class Agreement:
    """Numbers of instances by whether two methods are right by ADD(-S)."""

    both: int
    first_alone: int
    second_alone: int
    neither: int


def agreement(first: Sequence[Instance], second: Sequence[Instance]) -> Agreement:
    """Of the same instances in the same order."""
    pairs = [(a.is_right, b.is_right) for a, b in zip(first, second, strict=True)]
    return Agreement(
        *(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
    )


def largest_disagreements(
    methods: Sequence[Sequence[Instance]], count: int, missed: bool
) -> list[tuple[Instance, ...]]:
    """Up to `count` instances, each as every method has it, those with the largest range of MSSD in diameters first
    (errors above one diameter, and missing estimates, count as one); of equal ones the most visible.

    Args:
        methods: the same instances in the same order.
        missed: only instances that some method has no estimate for, else only those that all have one for.
    """

    def spread(rows: tuple[Instance, ...]) -> float:
        errors = [min(relative_error(one), WORST) for one in rows]
        return max(errors) - min(errors)

    groups = [
        rows
        for rows in zip(*methods, strict=True)
        if any(one.est is None for one in rows) == missed and spread(rows) > 0
    ]
    return sorted(groups, key=lambda rows: (-spread(rows), -rows[0].visible, identity(rows[0])))[:count]
