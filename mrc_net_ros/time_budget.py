"""How many detections fit into a time, from how long the last passes took; and whose they are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

SHARE_OF_NEW = 0.3
FORGET_S = 20.0
"""A size that was not tried for so long is tried again: its one measurement may have been an exception."""


class PassTimes:
    """What passes of each size took, smoothed, and what a size not measured yet would take."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._measured_at_s: dict[int, float] = {}

    def add(self, size: int, seconds: float, now_s: float) -> None:
        """Notes that a pass over ``size`` detections took so many seconds; ``now_s`` is monotonic."""
        before = self._seconds.get(size, seconds)
        self._seconds[size] = before + SHARE_OF_NEW * (seconds - before)
        self._measured_at_s[size] = now_s

    def predicted(self, size: int, now_s: float) -> float | None:
        """Seconds that a pass of this size takes, or None while nothing is known.

        Between two measured sizes on the line between them; beyond the largest on the line through the last two,
        or in proportion where there is one alone; below the smallest as long as that one.
        """
        known = sorted(s for s, at_s in self._measured_at_s.items() if now_s - at_s < FORGET_S)
        if not known:
            return None
        if size <= known[0]:
            return self._seconds[known[0]]
        if len(known) == 1:
            return self._seconds[known[0]] * size / known[0]
        above = next((i for i, s in enumerate(known) if s >= size), len(known) - 1)
        low, high = known[above - 1], known[above]
        slope = max(0.0, (self._seconds[high] - self._seconds[low]) / (high - low))
        return self._seconds[low] + slope * (size - low)

    def fitting(self, wanted: int, budget_s: float, now_s: float) -> int:
        """The largest size up to ``wanted`` that is predicted to end within the budget, but at least 1."""
        for size in range(1, wanted + 1):
            seconds = self.predicted(size, now_s)
            if seconds is not None and seconds > budget_s:
                return max(1, size - 1)
        return wanted


def shared_out(scores: Sequence[Sequence[float]], limit: int, first: int = 0) -> list[list[int]]:
    """Which detections of each frame are among the ``limit`` that fit, as places in ascending order.

    Every frame gives its best one, then its second best, and so on: no camera takes another's time. Where a round
    does not fit as a whole, the frames from number ``first`` on come first; let it go up with every pass.
    """
    by_score = [sorted(range(len(own)), key=lambda i: -own[i]) for own in scores]
    turn = [(first + i) % len(scores) for i in range(len(scores))]
    rounds = itertools.zip_longest(*(by_score[frame] for frame in turn))
    order = [(frame, place) for row in rounds for frame, place in zip(turn, row) if place is not None]
    kept: list[list[int]] = [[] for _ in scores]
    for frame, place in order[:limit]:
        kept[frame].append(place)
    return [sorted(places) for places in kept]
