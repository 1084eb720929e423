"""Accuracy on samples that training never draws: ADD(-S) recall and median errors of both stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_errors import add_or_add_s
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import rotation_angle
from mrc_core.model.two_stage import Crops, TwoStage

RECALL_THRESHOLD = 0.1  # of the diameter
FLIP_DEG = 90.0
POINTS = 1024  # of each object's surface


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
    surface = [torch.as_tensor(item.centred_mesh.sample_points(POINTS, seed=2)).float() for item in objects]
    rows: list[PoseErrors] = []
    for batch in batches:
        output = two_stage(Crops(batch.image, batch.K, batch.object_index))
        coarse, refined = (_errors(pose, batch, objects, surface) for pose in (output.coarse, output.pose))
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


def _errors(
    pose: Tensor, batch: SceneBatch, objects: Sequence[ObjectModel], surface: Sequence[Tensor]
) -> Tensor:
    """Rows (B, 4): ADD(-S) of the surface points over the diameter, degrees, mm, depth error.

    ADD-S is measured from the nearest equivalent of the truth: sampled points would see a right pose as wrong.
    """
    out = torch.zeros(len(pose), 4)
    for i, item in enumerate(objects):
        at = (batch.object_index == i).nonzero().squeeze(1)
        if not len(at):
            continue
        est, true, rows = pose[at], batch.cam_from_obj[at], at.cpu()
        near = item.centred_symmetries.nearest_pose(true, est, item.moment)
        points = surface[i].to(pose)
        out[rows, 0] = (add_or_add_s(est, near, points, not item.symmetries.is_trivial) / item.diameter).cpu()
        out[rows, 1] = torch.rad2deg(rotation_angle(est[:, :3, :3], near[:, :3, :3])).cpu()
        out[rows, 2] = (est[:, :3, 3] - near[:, :3, 3]).norm(dim=-1).cpu() * 1000
        out[rows, 3] = ((est[:, 2, 3] - near[:, 2, 3]).abs() / near[:, 2, 3]).cpu()
    return out


def _figures(errors: Tensor) -> dict[str, float]:
    median = errors.median(dim=0).values
    return {
        "recall": round(float((errors[:, 0] < RECALL_THRESHOLD).float().mean()), 4),
        "angle_deg": round(float(median[1]), 2),
        "shift_mm": round(float(median[2]), 2),
        "depth_percent": round(float(median[3]) * 100, 2),
        "flipped": round(float((errors[:, 1] > FLIP_DEG).float().mean()), 4),
    }
