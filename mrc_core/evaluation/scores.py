"""From errors to the benchmark's scores: recalls and their averages, by object and in all.

A target's hits are the matches at each threshold; a recall is the sum of hits over the sum of counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrc_core.evaluation.area_under_curve import LIMIT_M, area_exact, area_right_end
from mrc_core.evaluation.matching import match
from mrc_core.evaluation.target_errors import (
    ADD_THRESHOLD,
    MSPD_THRESHOLDS_PX,
    MSSD_THRESHOLDS,
    VSD_THETAS,
    TargetErrors,
)

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TargetHits:
    """Matches of one target: mssd (10,), mspd (10,), vsd (10 taus, 10 thetas) or None, add () and add_s () below 0.1
    diameters; and the errors (count,) of its instances, inf where no estimate of at most 0.1 m is left: AUC's."""

    target: TargetErrors
    mssd: Counts
    mspd: Counts
    vsd: Counts | None
    add: int
    add_s: int
    add_errors: Array
    add_s_errors: Array


def count_hits(target: TargetErrors) -> TargetHits:
    """Matches of a target at every threshold of every error."""
    e, g = target.counted_estimates, target.counted_truths

    def hits(errors: Array, thresholds: Sequence[float]) -> Counts:
        return (match(errors[:e, :g], thresholds) >= 0).sum(axis=0)[0]

    return TargetHits(
        target,
        mssd=hits(target.mssd / target.diameter, MSSD_THRESHOLDS),
        mspd=hits(target.mspd, MSPD_THRESHOLDS_PX),
        vsd=None if target.vsd is None else (match(target.vsd, VSD_THETAS) >= 0).sum(axis=0),
        add=int(hits(target.add / target.diameter, [ADD_THRESHOLD])[0]),
        add_s=int(hits(target.add_s / target.diameter, [ADD_THRESHOLD])[0]),
        add_errors=_errors_of_instances(target.add, target.count),
        add_s_errors=_errors_of_instances(target.add_s, target.count),
    )


def _errors_of_instances(errors: Array, count: int) -> Array:
    """Errors (count,) of the instances of a target, inf where none of at most 0.1 m is left for one."""
    out = np.full(count, np.inf)
    taken = match(errors, [np.nextafter(LIMIT_M, 1)])[:, 0, 0]
    found = taken >= 0
    out[taken[found]] = errors[found, taken[found]]
    return out


@dataclass(frozen=True)
class Scores:
    """Scores of a set of targets, 0..1; None where nothing was to be found, or an error was not computed.

    Attributes:
        ar: mean of the three below. vsd_instances counts those that ar_vsd is over, which are fewer than `instances`
            where depth pictures could not be read.
        recall_add, recall_add_s: below 0.1 diameters.
        auc_add, auc_add_s: exact area under accuracy over 0..0.1 m; *_right_end by the toolbox's rule.
    """

    instances: int
    vsd_instances: int
    ar: float | None
    ar_vsd: float | None
    ar_mssd: float | None
    ar_mspd: float | None
    recall_add: float | None
    recall_add_s: float | None
    auc_add: float | None
    auc_add_s: float | None
    auc_add_right_end: float | None
    auc_add_s_right_end: float | None


def score(hits: Sequence[TargetHits]) -> Scores:
    """Scores of some targets, taken together: sums of hits over sums of counts."""
    instances = sum(one.target.count for one in hits)
    seen = [(float(one.vsd.mean()), one.target.count) for one in hits if one.vsd is not None]
    vsd_instances = sum(count for _, count in seen)
    if instances == 0:
        return Scores(0, 0, *(None,) * 10)  # type: ignore[arg-type]
    ar_mssd = float(sum(one.mssd.mean() for one in hits) / instances)
    ar_mspd = float(sum(one.mspd.mean() for one in hits) / instances)
    ar_vsd = sum(matches for matches, _ in seen) / vsd_instances if vsd_instances else None
    add = np.concatenate([one.add_errors for one in hits])
    add_s = np.concatenate([one.add_s_errors for one in hits])
    return Scores(
        instances=instances,
        vsd_instances=vsd_instances,
        ar=None if ar_vsd is None else (ar_vsd + ar_mssd + ar_mspd) / 3,
        ar_vsd=ar_vsd,
        ar_mssd=ar_mssd,
        ar_mspd=ar_mspd,
        recall_add=sum(one.add for one in hits) / instances,
        recall_add_s=sum(one.add_s for one in hits) / instances,
        auc_add=area_exact(add),
        auc_add_s=area_exact(add_s),
        auc_add_right_end=area_right_end(add),
        auc_add_s_right_end=area_right_end(add_s),
    )


def by_object(hits: Iterable[TargetHits]) -> dict[int, list[TargetHits]]:
    """The targets of each object, objects in the order of their numbers."""
    out: dict[int, list[TargetHits]] = defaultdict(list)
    for one in hits:
        out[one.target.obj_id].append(one)
    return dict(sorted(out.items()))


def recall_curves(hits: Sequence[TargetHits]) -> dict[str, list[float]]:
    """Recall at each threshold (10): `mssd`, `mspd`, and `vsd` as the mean over its tolerances (if computed)."""
    instances = sum(one.target.count for one in hits)
    seen = [(one.vsd, one.target.count) for one in hits if one.vsd is not None]
    out = {}
    if instances:
        out["mssd"] = [float(v) / instances for v in np.sum([one.mssd for one in hits], axis=0)]
        out["mspd"] = [float(v) / instances for v in np.sum([one.mspd for one in hits], axis=0)]
    if seen:
        total = sum(count for _, count in seen)
        out["vsd"] = [float(v) / total for v in np.sum([vsd for vsd, _ in seen], axis=0).mean(axis=0)]
    return out
