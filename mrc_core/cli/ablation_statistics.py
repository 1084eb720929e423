"""What some seeds of an ablation say: means, spreads, and whether variants stand in the paper's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev

FEW = 3  # seeds; with fewer a standard deviation says nothing, and smallest and largest are told


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: `std` is None for fewer than three of them."""

    mean: float
    low: float
    high: float
    std: float | None
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """None where a value is missing."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        std = stdev(known) if len(known) >= FEW else None
        return cls(mean(known), min(known), max(known), std, len(known))

    def text(self, digits: int = 1, scale: float = 1.0) -> str:
        """`34.2`, of two seeds `34.2 (33.0..35.4)`, of more `34.2 ± 1.1`."""
        centre = f"{scale * self.mean:.{digits}f}"
        if self.std is not None:
            return f"{centre} ± {scale * self.std:.{digits}f}"
        if self.seeds > 1:
            return f"{centre} ({scale * self.low:.{digits}f}..{scale * self.high:.{digits}f})"
        return centre


def beyond_spread(one: Spread, other: Spread) -> bool | None:
    """Whether two variants differ by more than their seeds do; None where one seed leaves that open.

    From three seeds on: by more than the sum of both standard deviations. Two seeds: their ranges do not overlap.
    """
    if min(one.seeds, other.seeds) < 2:
        return None
    if one.std is not None and other.std is not None:
        return abs(one.mean - other.mean) > one.std + other.std
    return one.low > other.high or other.low > one.high


@dataclass(frozen=True)
class OrderCheck:
    """Two variants, of which the paper puts `better` before `worse`. Figures are percent."""

    better: str
    worse: str
    paper: tuple[float, float]
    ours: tuple[Spread, Spread]

    @property
    def agrees(self) -> bool:
        """Whether ours stand in the same order."""
        return self.ours[0].mean > self.ours[1].mean

    @property
    def is_clear(self) -> bool | None:
        """Whether they differ by more than their seeds do."""
        return beyond_spread(*self.ours)

    def verdict(self) -> str:
        """In words."""
        if self.ours[0].mean == self.ours[1].mean:
            return "no difference at all: no conclusion"
        order = "the paper's order" if self.agrees else "NOT the paper's order"
        if self.is_clear is None:
            return f"{order}, but of one seed: no spread is known, no conclusion"
        return f"{order}, beyond the spread" if self.is_clear else f"{order}, but within the spread: no conclusion"

    def text(self) -> str:
        """One line."""
        (a, b), (p, q) = self.ours, self.paper
        ours = f"ours {a.text()} and {b.text()}"
        return f"{self.better} before {self.worse}: paper {p:.1f} and {q:.1f}, {ours}: {self.verdict()}"


def check_order(paper: dict[str, float], ours: dict[str, Spread]) -> list[OrderCheck]:
    """All pairs of variants that both the paper and we have, in the paper's order; figures in percent.

    Args:
        paper, ours: by variant. Pairs that the paper has equal say nothing and are left out.
    """
    both = [name for name in ours if name in paper]
    out = []
    for one, other in combinations(both, 2):
        if paper[one] == paper[other]:
            continue
        better, worse = (one, other) if paper[one] > paper[other] else (other, one)
        out.append(OrderCheck(better, worse, (paper[better], paper[worse]), (ours[better], ours[worse])))
    return out
