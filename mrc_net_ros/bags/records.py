"""What an evaluation leaves behind beside its report: summary.json, poses.csv and timing.json.

The first two are equal, byte for byte, whenever the same bag is evaluated with the same bundle and settings on the same
machine; all that is not is in timing.json.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrc_core.data.atomic_files import write_bytes
from mrc_net_ros.bags.evaluation import Evaluation
from mrc_net_ros.bags.figures import rounded
from mrc_net_ros.bags.judging import JudgedObject

CSV_COLUMNS = (
    ["image", "stamp_ns", "class_id", "instance_id", "score", "detection_score"]
    + ["x_m", "y_m", "z_m", "qx", "qy", "qz", "qw"]
    + ["true_instance", "visible", "rotation_error_deg", "translation_error_mm", "add_mm", "right"]
)
STAGES = {
    "read": "reading and joining the messages",
    "decode": "decoding the image, checking detections",
    "estimate": "the network",
    "frame": "from joined messages to poses",
    "image_to_poses": "from publishing the image to receiving its poses",
    "stamp_to_poses": "from the image's stamp to receiving its poses",
}


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes summary.json, keys sorted."""
    write_bytes(path, _json(summary))


def write_timing(path: Path, timing: Mapping[str, Any]) -> None:
    """Writes timing.json, keys sorted."""
    write_bytes(path, _json(timing))


def latency(seconds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """p50, p95 and the largest time [ms] of each stage."""
    found = {}
    for stage, values in seconds.items():
        p50, p95 = (float(v) for v in np.percentile(1e3 * np.asarray(values), (50, 95)))
        found[stage] = {"p50_ms": p50, "p95_ms": p95, "max_ms": 1e3 * max(values)}
    return found


def write_poses_csv(path: Path, evaluation: Evaluation) -> None:
    """Writes every pose, with its errors where it belongs to a true object."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for record in evaluation.poses:
        pose = record.pose
        at, turn = pose.pose.pose.position, pose.pose.pose.orientation
        numbers = [pose.score, pose.detection_score, at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w]
        rows.writerow(
            [record.image_index, record.stamp_ns, pose.class_id, pose.instance_id]
            + [f"{rounded(float(value)):.6f}" for value in numbers]
            + _judged_cells(record.judged)
        )
    write_bytes(path, file.getvalue().encode("utf-8"))


def _judged_cells(judged: JudgedObject | None) -> list[str]:
    if judged is None or judged.errors is None:
        return [""] * 6
    errors = judged.errors
    visible = "" if judged.visible is None else f"{judged.visible:.3f}"
    numbers = (np.degrees(errors.rotation_rad), 1e3 * errors.translation_m, 1e3 * errors.add_m)
    return [judged.instance, visible, *(f"{value:.3f}" for value in numbers), str(int(judged.is_right))]


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(rounded(content), indent=2, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")
