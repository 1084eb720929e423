"""Where the error of a pose comes from: parts of the estimate are replaced by the truth, and recall is taken again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_errors import add_or_add_s
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import make_transform, rotation_angle
from mrc_core.model.two_stage import Crops, TwoStage

WITHIN_DIAMETERS = 0.1  # a pose is right where ADD(-S) is below this
POINTS = 1024  # of each object's surface

STAGE_ONE, ESTIMATE, ONE_MORE, FROM_TRUTH = (
    "stage 1 alone",
    "as it is",
    "one more round of stage 2",
    "stage 2 from the truth",
)
TRUE_ROTATION, TRUE_DEPTH, TRUE_DIRECTION = (
    "with the true rotation",
    "with the true depth",
    "with the true direction",
)


@dataclass(frozen=True)
class Attribution:
    """Errors of N poses in several variants of each.

    object_index: (N,). By name of the variant, in the order above: error (N,), ADD(-S) over the diameter; angle_deg
    (N,); depth (N,), the estimate's distance along the optical axis over the true one, less 1.
    """

    object_index: Tensor
    error: dict[str, Tensor]
    angle_deg: dict[str, Tensor]
    depth: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.object_index)

    def recall(self, variant: str, object_index: int | None = None) -> float:
        """Share of poses with ADD(-S) < 0.1 diameters, of one object or of all; NaN where there is none."""
        right = (self.error[variant] < WITHIN_DIAMETERS).double()
        return float((right if object_index is None else right[self.object_index == object_index]).mean())


@torch.inference_mode()
def attribute(
    two_stage: TwoStage, objects: Sequence[ObjectModel], batches: Iterable[SceneBatch]
) -> Attribution:
    """Runs both stages on every batch, and stage 2 from the truth; symmetric equivalents of it count as true."""
    judge = _Judge(objects)
    index, rows = [], []
    for batch in batches:
        crops = Crops(batch.image, batch.K, batch.object_index)
        output = two_stage(crops)
        poses = {STAGE_ONE: output.coarse, ESTIMATE: output.pose}
        poses[ONE_MORE] = two_stage.refine(crops, output.real, output.pose).pose
        true = judge.nearest(output.pose, batch)
        poses[TRUE_ROTATION] = make_transform(true[:, :3, :3], output.pose[:, :3, 3])
        for name, t in _translations(output.pose[:, :3, 3], true[:, :3, 3]).items():
            poses[name] = make_transform(output.pose[:, :3, :3], t)
        poses[FROM_TRUTH] = two_stage.refine(crops, output.real, batch.cam_from_obj).pose
        index.append(batch.object_index.cpu())
        rows.append({name: judge(pose, batch) for name, pose in poses.items()})
    parts = [{name: torch.cat([row[name][i] for row in rows]) for name in rows[0]} for i in range(3)]
    return Attribution(torch.cat(index), *parts)


def _translations(estimate: Tensor, true: Tensor) -> dict[str, Tensor]:
    """Translations (B, 3): the estimate moved along its viewing ray to the true depth, the true ray at its depth."""
    return {
        TRUE_DIRECTION: true * (estimate[:, 2:] / true[:, 2:]),
        TRUE_DEPTH: estimate * (true[:, 2:] / estimate[:, 2:]),
    }


class _Judge:
    """Compares poses (B, 4, 4) of centred objects with the truth of their batch."""

    def __init__(self, objects: Sequence[ObjectModel]) -> None:
        self.objects = list(objects)
        self.surface = [
            torch.as_tensor(item.centred_mesh.sample_points(POINTS, seed=2)).float() for item in objects
        ]

    def nearest(self, pose: Tensor, batch: SceneBatch) -> Tensor:
        """Of the true pose's symmetric equivalents (B, 4, 4) the nearest ones."""
        out = batch.cam_from_obj.clone()
        for i, item in enumerate(self.objects):
            at = batch.object_index == i
            out[at] = item.centred_symmetries.nearest_pose(batch.cam_from_obj[at], pose[at], item.moment)
        return out

    def __call__(self, pose: Tensor, batch: SceneBatch) -> tuple[Tensor, Tensor, Tensor]:
        """ADD(-S) over the diameter, degrees, and relative depth error, each (B,) on the CPU.

        ADD-S is taken from the nearest equivalent of the truth: sampled points would see a right pose as wrong.
        """
        near, error = self.nearest(pose, batch), pose.new_zeros(len(pose))
        for i, item in enumerate(self.objects):
            at = batch.object_index == i
            if at.any():
                distance = add_or_add_s(
                    pose[at], near[at], self.surface[i].to(pose), not item.symmetries.is_trivial
                )
                error[at] = (distance / item.diameter).to(error)
        angle = torch.rad2deg(rotation_angle(pose[:, :3, :3], near[:, :3, :3]))
        return error.cpu(), angle.cpu(), (pose[:, 2, 3] / near[:, 2, 3] - 1).cpu()
