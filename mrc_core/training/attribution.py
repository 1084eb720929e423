"""Where the error of a pose comes from: parts of the estimate are replaced by the truth, and recall is taken again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_judge import RECALL_THRESHOLD, PoseJudge
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import make_transform
from mrc_core.model.two_stage import Crops, TwoStage

ERROR, ANGLE, DEPTH = 0, 1, 3  # columns of the judge's rows

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
        right = (self.error[variant] < RECALL_THRESHOLD).double()
        return float((right if object_index is None else right[self.object_index == object_index]).mean())


@torch.inference_mode()
def attribute(
    two_stage: TwoStage, objects: Sequence[ObjectModel], batches: Iterable[SceneBatch]
) -> Attribution:
    """Runs both stages on every batch, and stage 2 from the truth; symmetric equivalents of it count as true."""
    judge = PoseJudge(objects)
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
    errors = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    columns = [{name: rows[:, i] for name, rows in errors.items()} for i in (ERROR, ANGLE, DEPTH)]
    return Attribution(torch.cat(index), *columns)


def _translations(estimate: Tensor, true: Tensor) -> dict[str, Tensor]:
    """Translations (B, 3): the estimate moved along its viewing ray to the true depth, the true ray at its depth."""
    return {
        TRUE_DIRECTION: true * (estimate[:, 2:] / true[:, 2:]),
        TRUE_DEPTH: estimate * (true[:, 2:] / estimate[:, 2:]),
    }
