"""All scores of an evaluation, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mrc_core.data.bop_objects import BopObject
from mrc_core.evaluation.average_precision import DetectionScores, detection_scores
from mrc_core.evaluation.evaluate import Evaluation
from mrc_core.evaluation.scores import Scores, TargetHits, by_object, count_hits, recall_curves, score
from mrc_core.evaluation.target_errors import TargetErrors

# Which objects ADD(-S) takes ADD-S for. The rows of published tables do not all use the same list.
SYMMETRIC_LISTS: dict[str, dict[str, frozenset[int]]] = {
    "lmo": {"bop": frozenset({10, 11})},
    "lm": {"bop": frozenset({10, 11})},
    "ycbv": {
        "bop": frozenset({1, 13, 14, 16, 18, 19, 20, 21}),
        "ycb-toolbox": frozenset({13, 16, 19, 20, 21}),
    },
}


def symmetric_lists(dataset_name: str, objects: dict[int, BopObject]) -> dict[str, frozenset[int]]:
    """The lists of symmetric objects to report ADD(-S) under, the first one in headlines.

    T-LESS counts all its objects as symmetric; data sets without a published list take the objects for which
    models_info.json declares a symmetry.
    """
    if dataset_name == "tless":
        return {"all": frozenset(objects)}
    declared = frozenset(i for i, item in objects.items() if not item.symmetries.is_trivial)
    return SYMMETRIC_LISTS.get(dataset_name, {"declared": declared})


@dataclass(frozen=True)
class AddScores:
    """ADD(-S) of some objects under one list: recall below 0.1 diameters, exact area, area by the toolbox's rule."""

    recall: float | None
    auc: float | None
    auc_right_end: float | None


@dataclass(frozen=True, eq=False)
class Summary:
    """Scores of an evaluation.

    Attributes:
        total: all targets taken together.
        objects: of each object.
        detection, detection_objects: average precisions.
        add: by name of the list of symmetric objects: of all instances together (`all`), as the mean of the objects
            (`mean`), and of each object (by number).
        curves: recall at each threshold, see `recall_curves`.
        seconds_per_image: mean of the file's times, None where unknown.
    """

    evaluation: Evaluation
    total: Scores
    objects: dict[int, Scores]
    detection: DetectionScores
    detection_objects: dict[int, DetectionScores]
    symmetric: dict[str, frozenset[int]]
    add: dict[str, dict[str | int, AddScores]]
    curves: dict[str, list[float]]
    seconds_per_image: float | None
    hits: list[TargetHits]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; `ar`, `ar_vsd`, `ar_mssd`, `ar_mspd` and `objects` are at the top."""
        one = self.evaluation
        first = next(iter(self.add))
        objects = {}
        for obj_id, scores in self.objects.items():
            objects[str(obj_id)] = {
                "name": one.objects[obj_id].name,
                **asdict(scores),
                **asdict(self.detection_objects.get(obj_id, DetectionScores(None, None, None))),
                "add(-s)": {name: asdict(rows[obj_id]) for name, rows in self.add.items()},
            }
        return {
            **asdict(self.total),
            **asdict(self.detection),
            "recall_add(-s)": self.add[first]["all"].recall,
            "auc_add(-s)": self.add[first]["all"].auc,
            "auc_add_s_mean_of_objects": _mean([s.auc_add_s for s in self.objects.values()]),
            "add(-s)": {
                name: {
                    "symmetric_objects": sorted(self.symmetric[name]),
                    "all_instances": asdict(rows["all"]),
                    "mean_of_objects": asdict(rows["mean"]),
                }
                for name, rows in self.add.items()
            },
            "method": one.method,
            "dataset": one.dataset_name,
            "split": one.split,
            "images": len(one.scored_images),
            "estimates": len(one.results),
            "instances_left_out": one.left_out,
            "is_complete": one.is_complete,
            "vsd_delta_m": one.delta_m,
            "seconds_per_image": self.seconds_per_image,
            "recall_curves": self.curves,
            "objects": objects,
            "problems": one.problems,
        }


def summarise(evaluation: Evaluation) -> Summary:
    """All scores of an evaluation."""
    hits = [count_hits(one) for one in evaluation.targets if one.count]
    groups = by_object(hits)
    detection, detection_objects = detection_scores(_targets_by_object(evaluation.targets))
    objects = {obj_id: score(mine) for obj_id, mine in groups.items()}
    lists = symmetric_lists(evaluation.dataset_name, evaluation.objects)
    return Summary(
        evaluation,
        score(hits),
        objects,
        detection,
        detection_objects,
        lists,
        {name: _add_scores(groups, objects, symmetric) for name, symmetric in lists.items()},
        recall_curves(hits),
        seconds_per_image(evaluation),
        hits,
    )


def seconds_per_image(evaluation: Evaluation) -> float | None:
    """Mean time of the scored images, None where one is unknown."""
    times = image_times(evaluation)
    return float(np.mean(list(times.values()))) if times and min(times.values()) >= 0 else None


def image_times(evaluation: Evaluation) -> dict[tuple[int, int], float]:
    """Seconds of each scored image that there is an estimate for, -1 where unknown."""
    return {
        (row.scene_id, row.image_id): row.time_s
        for row in evaluation.results
        if (row.scene_id, row.image_id) in evaluation.scored_images
    }


def _targets_by_object(targets: Sequence[TargetErrors]) -> dict[int, list[TargetErrors]]:
    out: dict[int, list[TargetErrors]] = {}
    for one in targets:
        out.setdefault(one.obj_id, []).append(one)
    return dict(sorted(out.items()))


def _add_scores(
    groups: dict[int, list[TargetHits]], objects: dict[int, Scores], symmetric: frozenset[int]
) -> dict[str | int, AddScores]:
    each: dict[str | int, AddScores] = {}
    for obj_id, scores in objects.items():
        each[obj_id] = (
            AddScores(scores.recall_add_s, scores.auc_add_s, scores.auc_add_s_right_end)
            if obj_id in symmetric
            else AddScores(scores.recall_add, scores.auc_add, scores.auc_add_right_end)
        )
    weights = {obj_id: sum(one.target.count for one in mine) for obj_id, mine in groups.items()}
    rows = list(each.items())
    each["all"] = AddScores(
        *(_mean([getattr(r, key) for _, r in rows], [weights[i] for i, _ in rows]) for key in _ADD_KEYS)  # type: ignore[index]
    )
    each["mean"] = AddScores(*(_mean([getattr(r, key) for _, r in rows]) for key in _ADD_KEYS))
    return each


_ADD_KEYS = ("recall", "auc", "auc_right_end")


def _mean(values: Sequence[float | None], weights: Sequence[float] | None = None) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if known else None
