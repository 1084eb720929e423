"""Accuracy on synthetic scenes that training never draws: ADD(-S) recall and median errors of both stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_errors import add_or_add_s
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import rotation_angle
from mrc_core.model.two_stage import Crops, TwoStage

RECALL_THRESHOLD = 0.1  # of the diameter
POINTS = 1024  # of each object's surface


@torch.no_grad()
def validate(
    two_stage: TwoStage, objects: Sequence[ObjectModel], batches: Sequence[SceneBatch]
) -> dict[str, Any]:
    """Runs both stages on every batch.

    Returns:
        {"samples", "coarse": figures, "refined": figures, "objects": {class_id: {"coarse", "refined"}}} with figures
        {"recall" (ADD(-S) < 0.1 diameter), "angle_deg", "shift_mm", "depth_percent"}: medians, symmetric equivalents
        counted as right.
    """
    rows: dict[str, list[Tensor]] = {"coarse": [], "refined": []}
    indices = torch.cat([batch.object_index for batch in batches]).cpu()
    surface = [torch.as_tensor(item.centred_mesh.sample_points(POINTS, seed=2)).float() for item in objects]
    for batch in batches:
        output = two_stage(Crops(batch.image, batch.K, batch.object_index))
        rows["coarse"].append(_errors(output.coarse, batch, objects, surface))
        rows["refined"].append(_errors(output.pose, batch, objects, surface))
    stacked = {stage: torch.cat(parts) for stage, parts in rows.items()}
    report: dict[str, Any] = {"samples": len(indices)}
    report.update({stage: _summary(errors) for stage, errors in stacked.items()})
    report["objects"] = {
        item.class_id: {stage: _summary(errors[indices == i]) for stage, errors in stacked.items()}
        for i, item in enumerate(objects)
        if (indices == i).any()
    }
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


def _summary(errors: Tensor) -> dict[str, float]:
    median = errors.median(dim=0).values
    return {
        "recall": round(float((errors[:, 0] < RECALL_THRESHOLD).float().mean()), 4),
        "angle_deg": round(float(median[1]), 2),
        "shift_mm": round(float(median[2]), 2),
        "depth_percent": round(float(median[3]) * 100, 2),
    }
