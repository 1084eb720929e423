"""The figures of an evaluated bag, the same for the same bag and bundle; times are kept apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mrc_net_ros.bag_scores import MIN_VISIBLE, VISIBLE_BANDS, WITHIN_DIAMETERS
from mrc_net_ros.bags.evaluation import Evaluation, PoseRecord
from mrc_net_ros.bags.identities import id_switches
from mrc_net_ros.bags.jitter import Changes, PosedAt, error_changes, motion_changes
from mrc_net_ros.bags.judging import JudgedObject, ObjectJudge
from mrc_net_ros.conversions import matrix_from_pose

DIGITS = 6


def summarise(
    evaluation: Evaluation, judges: Mapping[str, ObjectJudge], evaluated: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        evaluation: of the whole bag.
        judges: by class.
        evaluated: what was evaluated and how, kept under ``evaluated``; nothing that differs between two runs.
    """
    counts, rows = evaluation.counts, evaluation.judged
    tracks = _by(rows, lambda row: row.instance)
    trembling = {name: _error_changes(of_one) for name, of_one in tracks.items()}
    published = _published_changes(evaluation.poses, judges)
    return {
        "evaluated": {**evaluated, "ground_truth": evaluation.truth},
        "frames": {
            "images_read": counts.images,
            "selected": counts.selected,
            "joined": counts.joined,
            "answered": evaluation.answered,
            "with_ground_truth": evaluation.with_truth,
            "not_joined": dict(counts.lost),
            "not_answered": dict(evaluation.unanswered),
        },
        "detections": {
            "in_answered_frames": evaluation.detections,
            "left_out": {
                kind: {"count": count, "example": evaluation.examples[kind]}
                for kind, count in evaluation.left_out.items()
            },
        },
        "poses": {
            "count": len(evaluation.poses),
            "without_true_object": sum(one.judged is None for one in evaluation.poses) if rows else None,
        },
        "errors": {
            "threshold_diameters": WITHIN_DIAMETERS,
            "least_visible": MIN_VISIBLE,
            "all": scores(rows),
            "by_object": {key: scores(of_one) for key, of_one in _by(rows, lambda r: r.class_id).items()},
            "by_visibility": by_visibility(rows),
            "unknown_classes": dict(evaluation.unknown_classes),
        },
        "instances": {
            name: {
                "class_id": of_one[0].class_id,
                "frames": len(of_one),
                "poses": sum(row.estimated is not None for row in of_one),
                "id_switches": id_switches(of_one),
                "jitter": _jitter(trembling[name]),
            }
            for name, of_one in tracks.items()
        },
        "id_switches": sum(id_switches(of_one) for of_one in tracks.values()) if rows else None,
        "jitter": {
            "against_truth": _jitter(_joined(trembling.values())),
            "second_difference": _jitter(_joined(published.values())),
            "second_difference_by_published_instance": {k: _jitter(v) for k, v in published.items()},
        },
    }


def scores(rows: Sequence[JudgedObject]) -> dict[str, Any]:
    """Of true objects: how many count, the share with a right pose, and the errors of the poses that came."""
    counting = [row for row in rows if row.counts]
    errors = [row.errors for row in counting if row.errors is not None]
    turned = [float(np.degrees(e.rotation_rad)) for e in errors]
    shifted = [1e3 * e.translation_m for e in errors]
    return {
        "true_objects": len(rows),
        "not_detected": sum(not row.detected for row in rows),
        "judged": len(counting),
        "poses": len(errors),
        "recall": sum(row.is_right for row in counting) / len(counting) if counting else None,
        "rotation_error_deg": spread(turned),
        "translation_error_mm": spread(shifted),
        "add_mm": spread([1e3 * e.add_m for e in errors]),
    }


def by_visibility(rows: Sequence[JudgedObject]) -> list[dict[str, Any]]:
    """Scores of each band of visible shares; empty where no share is known."""
    known = [row for row in rows if row.visible is not None]
    if not known:
        return []
    return [
        {
            "from": low,
            "to": min(high, 1.0),
            **scores([row for row in known if row.visible is not None and low <= row.visible < high]),
        }
        for low, high in VISIBLE_BANDS
    ]


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Median and 90th percentile."""
    if not values:
        return {"median": None, "p90": None}
    median, p90 = (float(v) for v in np.percentile(values, (50, 90)))
    return {"median": median, "p90": p90}


def rounded(value: Any) -> Any:
    """The same structure with floats rounded to ``DIGITS`` decimals and -0.0 made 0.0."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {str(key): rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _error_changes(rows: Sequence[JudgedObject]) -> Changes:
    """Of the rows that are judged: what is hardly visible would drown the rest."""
    return error_changes(
        [
            PosedAt(row.order, row.stamp_ns, row.estimated, row.true, row.nearest)
            for row in rows
            if row.counts and row.estimated is not None
        ]
    )


def _published_changes(poses: Sequence[PoseRecord], judges: Mapping[str, ObjectJudge]) -> dict[str, Changes]:
    """Second differences by class and published id: without a truth, the id alone tells what belongs together."""
    changes = {}
    for name, of_one in _by(poses, lambda one: f"{one.pose.class_id} {one.pose.instance_id}").items():
        samples = [PosedAt(p.order, p.stamp_ns, matrix_from_pose(p.pose.pose.pose)) for p in of_one]
        judge = judges.get(of_one[0].pose.class_id)
        changes[name] = motion_changes(samples, judge.nearest if judge else lambda pose, _: pose)
    return changes


def _joined(all_changes: Any) -> Changes:
    joined = Changes()
    for changes in all_changes:
        joined = joined.joined(changes)
    return joined


def _jitter(changes: Changes) -> dict[str, Any]:
    jitter = changes.jitter()
    return {"position_mm": jitter.position_mm, "rotation_deg": jitter.rotation_deg, "changes": jitter.count}


def _by(rows: Sequence[Any], key: Callable[[Any], str]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return dict(sorted(groups.items()))
