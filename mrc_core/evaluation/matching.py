"""Greedy matching of estimates to ground truths, as the BOP benchmark does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def match(errors: NDArray[np.float64], thresholds: ArrayLike) -> NDArray[np.int64]:
    """Which ground truth each estimate is matched to, (E, C, T), -1 for none.

    Estimates choose in their order: each takes, of the ground truths that are still free, the one of least error (the
    first of equals), if that error is strictly below the threshold. Every error kind c and threshold t is a matching of
    its own.

    Args:
        errors: (E, G) or (E, G, C), estimates in the order of falling score.
        thresholds: (T,).
    """
    errors = np.asarray(errors, dtype=np.float64)
    errors = errors[..., None] if errors.ndim == 2 else errors
    limits = np.asarray(thresholds, dtype=np.float64)
    estimates, truths, kinds = errors.shape
    matched = np.full((estimates, kinds, len(limits)), -1, dtype=np.int64)
    if truths == 0:
        return matched
    free = np.ones((truths, kinds, len(limits)), dtype=bool)
    for i, error in enumerate(errors):
        candidates = np.where(free, error[:, :, None], np.inf)  # (G, C, T)
        best = candidates.argmin(axis=0)  # (C, T)
        found = np.take_along_axis(candidates, best[None], axis=0)[0] < limits
        matched[i] = np.where(found, best, -1)
        c, t = found.nonzero()
        free[best[c, t], c, t] = False
    return matched


def match_without_limit(errors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which ground truth (E,) each estimate takes where no error is too large but an infinite one."""
    return match(errors, [np.inf])[:, 0, 0]
