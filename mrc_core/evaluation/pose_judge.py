"""How far estimated poses of rendered samples are off: for training, diagnosis and calibration."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_errors import add_or_add_s
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import rotation_angle

RECALL_THRESHOLD = 0.1  # of the diameter: a pose is right where ADD(-S) is below
POINTS = 1024  # of each object's surface


class PoseJudge:
    """Compares poses (B, 4, 4) of centred objects with the truth of their batch.

    Args:
        objects: in the order of object_index.
    """

    def __init__(self, objects: Sequence[ObjectModel]) -> None:
        self.objects = list(objects)
        points = [torch.as_tensor(item.centred_mesh.sample_points(POINTS, seed=2)).float() for item in objects]
        self._surface = points

    def nearest(self, pose: Tensor, batch: SceneBatch) -> Tensor:
        """Of the true pose's symmetric equivalents (B, 4, 4) the ones nearest to `pose`."""
        out = batch.cam_from_obj.clone()
        for i, item in enumerate(self.objects):
            at = batch.object_index == i
            out[at] = item.centred_symmetries.nearest_pose(batch.cam_from_obj[at], pose[at], item.moment)
        return out

    def __call__(self, pose: Tensor, batch: SceneBatch) -> Tensor:
        """Rows (B, 4) on the CPU: ADD(-S) over the diameter, degrees, mm, and the depth's error over the true depth.

        The last one is positive where the estimate is too far away. ADD-S is measured from the nearest equivalent of
        the truth: sampled points would see a right pose as wrong.
        """
        near, error = self.nearest(pose, batch), pose.new_zeros(len(pose))
        for i, item in enumerate(self.objects):
            at = batch.object_index == i
            if at.any():
                points, is_symmetric = self._surface[i].to(pose), not item.symmetries.is_trivial
                error[at] = (add_or_add_s(pose[at], near[at], points, is_symmetric) / item.diameter).to(error)
        angle = torch.rad2deg(rotation_angle(pose[:, :3, :3], near[:, :3, :3]))
        shift = (pose[:, :3, 3] - near[:, :3, 3]).norm(dim=-1) * 1000
        depth = (pose[:, 2, 3] - near[:, 2, 3]) / near[:, 2, 3]
        return torch.stack([error, angle, shift, depth], dim=1).cpu()
