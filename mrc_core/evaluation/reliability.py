"""How well probabilities match what happens: reliability table, calibration error, Brier score, AUROC."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Truth = NDArray[np.bool_]

BINS = 10


class ReliabilityBin(NamedTuple):
    """Those whose probability lies in low <= p < high (the last bin holds 1 too): their number, their mean probability,
    and the share that was right; NaN where there is none."""

    low: float
    high: float
    number: int
    stated: float
    right: float


def reliability_bins(probability: Array, is_right: Truth, bins: int = BINS) -> list[ReliabilityBin]:
    """A table of `bins` equal bins of probabilities (N,)."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    out = []
    for i in range(bins):
        at = which == i
        stated, right = (float(v[at].mean()) if at.any() else float("nan") for v in (probability, is_right))
        out.append(ReliabilityBin(i / bins, (i + 1) / bins, int(at.sum()), stated, right))
    return out


def expected_calibration_error(probability: Array, is_right: Truth, bins: int = BINS) -> float:
    """Mean of |stated - right| over the bins, weighted by their numbers (ECE)."""
    rows = [row for row in reliability_bins(probability, is_right, bins) if row.number]
    return sum(row.number * abs(row.stated - row.right) for row in rows) / max(len(probability), 1)


def auroc(score: Array, is_right: Truth) -> float | None:
    """The chance that a right one has a higher score than a wrong one; ties count half. None where all are alike."""
    right = int(is_right.sum())
    wrong = len(is_right) - right
    if not right or not wrong:
        return None
    return float((rankdata(score)[is_right].sum() - right * (right + 1) / 2) / (right * wrong))


def probability_figures(probability: Array, is_right: Truth) -> dict[str, Any]:
    """{"count", "right" (share), "ece", "auroc", "brier"}; None where there is nothing to count."""
    if not len(probability):
        return {"count": 0, "right": None, "ece": None, "auroc": None, "brier": None}
    area = auroc(probability, is_right)
    return {
        "count": len(probability),
        "right": round(float(is_right.mean()), 4),
        "ece": round(expected_calibration_error(probability, is_right), 4),
        "auroc": None if area is None else round(area, 4),
        "brier": round(float(np.square(probability - is_right).mean()), 4),
    }
