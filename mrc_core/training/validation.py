"""Accuracy on samples that training never draws: ADD(-S) recall and median errors of both stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_judge import RECALL_THRESHOLD, PoseJudge
from mrc_core.geometry.objects import ObjectModel
from mrc_core.model.two_stage import Crops, TwoStage

FLIP_DEG = 90.0


class PoseErrors(NamedTuple):
    """Errors of both stages on N samples: rows of ADD(-S) over the diameter, degrees, mm, relative depth error.

    object_index: (N,); coarse, refined: (N, 4), on the CPU.
    """

    object_index: Tensor
    coarse: Tensor
    refined: Tensor


@torch.no_grad()
def pose_errors(two_stage: TwoStage, objects: Sequence[ObjectModel], batches: Iterable[SceneBatch]) -> PoseErrors:
    """Runs both stages on every batch."""
    judge = PoseJudge(objects)
    rows: list[PoseErrors] = []
    for batch in batches:
        output = two_stage(Crops(batch.image, batch.K, batch.object_index))
        coarse, refined = (_without_sign(judge(pose, batch)) for pose in (output.coarse, output.pose))
        rows.append(PoseErrors(batch.object_index.cpu(), coarse, refined))
    return PoseErrors(*(torch.cat(parts) for parts in zip(*rows)))


def summarise(errors: PoseErrors, objects: Sequence[ObjectModel]) -> dict[str, Any]:
    """Figures of a validation.

    Returns:
        {"samples", "coarse": figures, "refined": figures, "objects": {class_id: {"samples", "coarse", "refined"}}} with
        figures {"recall" (ADD(-S) < 0.1 diameter), "angle_deg", "shift_mm", "depth_percent", "flipped"}: medians, and
        the share of rotations that are more than 90 degrees off; symmetric equivalents count as right.
    """
    stages = {"coarse": errors.coarse, "refined": errors.refined}
    report: dict[str, Any] = {"samples": len(errors.object_index)}
    report.update({stage: _figures(rows) for stage, rows in stages.items()})
    report["objects"] = {}
    for i, item in enumerate(objects):
        at = errors.object_index == i
        if at.any():
            parts = {stage: _figures(rows[at]) for stage, rows in stages.items()}
            report["objects"][item.class_id] = {"samples": int(at.sum()), **parts}
    return report


def _without_sign(rows: Tensor) -> Tensor:
    """The judge's rows with the size of the depth's error."""
    return torch.cat([rows[:, :3], rows[:, 3:].abs()], dim=1)


def _figures(errors: Tensor) -> dict[str, float]:
    median = errors.median(dim=0).values
    return {
        "recall": round(float((errors[:, 0] < RECALL_THRESHOLD).float().mean()), 4),
        "angle_deg": round(float(median[1]), 2),
        "shift_mm": round(float(median[2]), 2),
        "depth_percent": round(float(median[3]) * 100, 2),
        "flipped": round(float((errors[:, 1] > FLIP_DEG).float().mean()), 4),
    }
