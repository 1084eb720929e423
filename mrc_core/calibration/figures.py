"""Figures of a calibration, on samples that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrc_core.calibration.fit import fit_across, region_ratio
from mrc_core.calibration.trials import Trials
from mrc_core.evaluation.reliability import auroc, probability_figures
from mrc_core.geometry.objects import ObjectModel

Array = NDArray[np.float64]
REGIONS = (0.5, 0.9, 0.95)


class Judged(NamedTuple):
    """N trials, each judged by a calibration that did not see it.

    object_index (N,); stage_one (N,), the uncalibrated score; probability (N,); is_right (N,); inside (N, 3): whether
    the true pose lies within each of REGIONS.
    """

    object_index: NDArray[np.int64]
    stage_one: Array
    probability: Array
    is_right: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def judge_across(trials: Trials, objects: Sequence[ObjectModel], evidence: tuple[str, ...]) -> Judged:
    """Every trial, judged by the fit to the half that it is not in."""
    parts = []
    for mine, channel in fit_across(trials, objects, evidence):
        probability = channel.probabilities(mine.evidence, mine.object_index)
        inside = np.stack([region_ratio(channel, mine, objects, share) < 1 for share in REGIONS], axis=1)
        parts.append(Judged(mine.object_index, mine.stage_one, probability, mine.is_right, inside))
    return Judged(*(np.concatenate(columns) for columns in zip(*parts)))


def figures(judged: Judged, objects: Sequence[ObjectModel], with_stage_one: bool) -> dict[str, Any]:
    """Those of `probability_figures`, "coverage" {region: share inside}, "objects" {class_id: the same}; and with
    `with_stage_one` "auroc_stage_one", of the score without calibration."""
    everything = np.ones(len(judged.is_right), dtype=bool)
    report = _of(judged, everything)
    if with_stage_one:
        before = auroc(judged.stage_one, judged.is_right)
        report["auroc_stage_one"] = None if before is None else round(before, 4)
    report["objects"] = {item.class_id: _of(judged, judged.object_index == i) for i, item in enumerate(objects)}
    return report


def _of(judged: Judged, rows: NDArray[np.bool_]) -> dict[str, Any]:
    inside = judged.inside[rows]
    shares = [round(float(v), 4) for v in inside.mean(axis=0)] if len(inside) else [None] * len(REGIONS)
    coverage = dict(zip([f"{100 * share:.0f}%" for share in REGIONS], shares))
    return {**probability_figures(judged.probability[rows], judged.is_right[rows]), "coverage": coverage}
