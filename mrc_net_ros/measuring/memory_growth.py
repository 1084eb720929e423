"""Whether a process' memory grows: from samples over time to one number that an allocator's steps do not fool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class MemoryGrowth:
    """Resident memory over time, as seen after the warm-up.

    Args:
        first_mb, last_mb: medians of the first and the last fifth.
        slope_mb_per_h: of the straight line with the least squares. Over minutes it magnifies a single step: to be
            told, not judged.
        samples: after the warm-up.
    """

    first_mb: float
    last_mb: float
    slope_mb_per_h: float
    samples: int

    @property
    def growth_mb(self) -> float:
        """From the first fifth to the last one."""
        return self.last_mb - self.first_mb

    def values(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**vars(self), "growth_mb": self.growth_mb}


def memory_growth(samples: Sequence[tuple[float, float]], warm_up: float = 0.2) -> MemoryGrowth:
    """Judges samples of time [s] and memory [MB].

    Args:
        samples: in the order of time.
        warm_up: leave out this share of the time at the start: allocators and caches fill first.

    Raises:
        ValueError: fewer than five samples are left.
    """
    if not samples:
        raise ValueError("there are no samples of memory")
    from_s = samples[0][0] + warm_up * (samples[-1][0] - samples[0][0])
    kept = np.array([(at_s, mb) for at_s, mb in samples if at_s >= from_s])
    if len(kept) < 5:
        raise ValueError(f"only {len(kept)} samples of memory are left after the warm-up")
    fifth = max(len(kept) // 5, 1)
    first, last = np.median(kept[:fifth, 1]), np.median(kept[-fifth:, 1])
    slope = np.polyfit(kept[:, 0] - kept[0, 0], kept[:, 1], 1)[0] * 3600.0
    return MemoryGrowth(float(first), float(last), float(slope), len(kept))
