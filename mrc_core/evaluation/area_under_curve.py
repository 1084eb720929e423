"""AUC of ADD and ADD-S: the area under accuracy over the threshold from 0 to 0.1 m (Xiang et al., PoseCNN, 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LIMIT_M = 0.1


def area_exact(errors_m: NDArray[np.float64]) -> float:
    """The exact area, 0..1, of errors (n,) in metres, inf for a missing estimate: mean of max(0, 1 - e / 0.1 m).

    Raises:
        ValueError: there is no error at all.
    """
    errors = _checked(errors_m)
    return float(np.clip(1 - errors / LIMIT_M, 0, None).mean())


def area_right_end(errors_m: NDArray[np.float64]) -> float:
    """The area as the YCB-Video toolbox sums it: between two errors it takes the accuracy of the right one.

    Up to 1/n more than `area_exact`. No error within 0.1 m gives 0, where the toolbox divides by zero.

    Raises:
        ValueError: there is no error at all.
    """
    errors = _checked(errors_m)
    within = np.sort(errors[errors <= LIMIT_M])
    if len(within) == 0:
        return 0.0
    accuracy = np.arange(1, len(within) + 1) / len(errors)
    steps = np.diff(within, prepend=0.0)
    return float((steps * accuracy).sum() + (LIMIT_M - within[-1]) * accuracy[-1]) / LIMIT_M


def _checked(errors_m: NDArray[np.float64]) -> NDArray[np.float64]:
    errors = np.asarray(errors_m, dtype=np.float64)
    if errors.ndim != 1 or len(errors) == 0 or np.isnan(errors).any() or (errors < 0).any():
        raise ValueError("errors must be (n,), at least one, none NaN or negative; inf is a missing estimate")
    return errors
