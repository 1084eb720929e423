"""Average precision of 6D detection (BOP Challenge 2024): MSSD and MSPD, ten thresholds each, objects of equal weight.

As the benchmark counts: estimates of an object that an image does not show are not looked at; an estimate matched to a
ground truth of which less than 10 % is visible is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrc_core.evaluation.matching import match
from mrc_core.evaluation.target_errors import MSPD_THRESHOLDS_PX, MSSD_THRESHOLDS, TargetErrors

MAX_ESTIMATES_PER_IMAGE = 100
MIN_VISIBLE = 0.1
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class DetectionScores:
    """Average precisions, 0..1; None where no object has a ground truth that counts."""

    ap: float | None
    ap_mssd: float | None
    ap_mspd: float | None


def detection_scores(by_object: dict[int, list[TargetErrors]]) -> tuple[DetectionScores, dict[int, DetectionScores]]:
    """Scores in all (the mean over objects) and of each object.

    Args:
        by_object: all images' errors of each object.
    """
    each: dict[int, DetectionScores] = {}
    for obj_id, targets in by_object.items():
        if not any((one.visible >= MIN_VISIBLE).any() for one in targets):
            continue
        seen = [(one, one.detected) for one in targets]
        mssd = _mean_precision(
            [(one.score[at], one.mssd[at] / one.diameter, one.visible) for one, at in seen], MSSD_THRESHOLDS
        )
        mspd = _mean_precision([(one.score[at], one.mspd[at], one.visible) for one, at in seen], MSPD_THRESHOLDS_PX)
        each[obj_id] = DetectionScores((mssd + mspd) / 2, mssd, mspd)
    if not each:
        return DetectionScores(None, None, None), each
    mssd, mspd = (float(np.mean([getattr(one, key) for one in each.values()])) for key in ("ap_mssd", "ap_mspd"))
    return DetectionScores((mssd + mspd) / 2, mssd, mspd), each


def _mean_precision(
    images: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]], thresholds: Sequence[float]
) -> float:
    """Mean over thresholds of the average precision; images as (scores (E,), errors (E, G), visibility (G,))."""
    truths = sum(int((visible >= MIN_VISIBLE).sum()) for _, _, visible in images)
    scores = np.concatenate([score for score, _, _ in images])
    right, counts = [], []
    for score, errors, visible in images:
        matched = match(errors, thresholds)[:, 0]  # (E, T)
        ignored = np.append(visible < MIN_VISIBLE, False)[matched] if len(score) else matched.astype(bool)
        right.append((matched >= 0) & ~ignored)
        counts.append(~ignored)
    order = np.argsort(-scores, kind="stable")
    all_right, all_count = np.concatenate(right)[order], np.concatenate(counts)[order]
    columns = range(len(thresholds))
    return float(np.mean([average_precision(all_right[all_count[:, t], t], truths) for t in columns]))


def average_precision(right: NDArray[np.bool_], truths: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or a higher one (COCO's rule).

    Args:
        right: (n,) whether each estimate is right, in the order of falling score.
        truths: how many there were to find, at least one.
    """
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    recall = hits / truths
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.where(at < len(best), np.append(best, 0.0)[np.minimum(at, len(best))], 0.0).mean())
