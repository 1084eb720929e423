"""Between poses and what the network speaks: rotation buckets, image cells, depth bins and residuals."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mrc_core.geometry.rotations import make_transform, matrix_from_6d
from mrc_core.geometry.site import site_from_translation, translation_from_site
from mrc_core.geometry.so3_grid import so3_grid_matrices
from mrc_core.model.conventions import OURS, Conventions
from mrc_core.model.network import PoseLogits, PoseResidual

DepthResidual = Literal["object", "coarse"]

SMALLEST_DEPTH = 0.02  # of an object's middle tau_z


class CoarseClasses(NamedTuple):
    """The classes chosen in stage 1: rotation bucket (B,), image cell (B,), row-major, and depth bin (B,)."""

    rotation: Tensor
    cell: Tensor
    depth: Tensor


class PoseCodec(nn.Module):
    """Decodes classes and residuals to poses, all in float32 whatever the network's precision.

    Args:
        n_side: resolution of the SO(3) grid.
        xy_cells: cells along one side of the crop.
        depth_bins: uniform bins of tau_z between an object's limits.
        depth_limits: (num_objects, 2) smallest and largest tau_z by object, metres per crop pixel.
        crop_size: side of the crop in pixels.
        conventions: those that the network's weights were trained under.
        depth_residual: what the depth residual counts in parts of: "object", its middle tau_z, or "coarse", the coarse
            pose's.
    """

    grid: Tensor
    depth_limits: Tensor

    def __init__(
        self,
        n_side: int,
        xy_cells: int,
        depth_bins: int,
        depth_limits: Tensor,
        crop_size: int,
        conventions: Conventions = OURS,
        depth_residual: DepthResidual = "object",
    ) -> None:
        super().__init__()
        if (
            depth_limits.ndim != 2
            or depth_limits.shape[1] != 2
            or not (depth_limits[:, 0] < depth_limits[:, 1]).all()
        ):
            raise ValueError(
                f"depth_limits must be rows of (low, high) with low < high, got {depth_limits.tolist()}"
            )
        self.xy_cells, self.depth_bins, self.crop_size = xy_cells, depth_bins, crop_size
        self.conventions, self.depth_residual = conventions, depth_residual
        self.register_buffer("grid", so3_grid_matrices(n_side).clone(), persistent=False)  # (K, 3, 3)
        self.register_buffer("depth_limits", depth_limits.float(), persistent=False)

    # ---- stage 1 -------------------------------------------------------------------------------------------------
    def most_likely(self, logits: PoseLogits) -> CoarseClasses:
        """The argmax of each head."""
        return CoarseClasses(logits.rotation.argmax(1), logits.xy.argmax(1), logits.depth.argmax(1))

    def coarse_pose(self, classes: CoarseClasses, K_crop: Tensor, object_index: Tensor) -> Tensor:
        """Poses (B, 4, 4) at the centres of the chosen classes, for crops with intrinsics K_crop (B, 3, 3)."""
        tau_xy = self.cell_centres()[classes.cell]
        low, high = self.depth_limits[object_index].unbind(-1)
        tau_z = low + (classes.depth + 0.5) / self.depth_bins * (high - low)
        translation = translation_from_site(
            tau_xy, tau_z, K_crop.float(), self.crop_size, self.conventions.depth_focal
        )
        return make_transform(self.grid[classes.rotation], translation)

    def cell_centres(self) -> Tensor:
        """tau_xy (cells^2, 2) of the cells' centres, (i + 1/2) / cells - 1/2, row-major (y outer)."""
        axis = (torch.arange(self.xy_cells, device=self.grid.device) + 0.5) / self.xy_cells - 0.5
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        return torch.stack([x, y], dim=-1).flatten(0, 1)

    # ---- stage 2 -------------------------------------------------------------------------------------------------
    def refine(self, coarse: Tensor, residual: PoseResidual, K_crop: Tensor, object_index: Tensor) -> Tensor:
        """Poses (B, 4, 4): R = dR R_coarse in camera axes; SITE numbers plus residuals (additive, also tau_z).

        The zero residual is the identity: (1, 0, 0, 0, 1, 0) is added to the six rotation numbers here. The depth
        residual counts in parts of the object's middle tau_z, so that its size does not depend on the object's, or of
        the coarse pose's tau_z: then 0.02 says "2 % too near" at every distance.
        """
        focal = self.conventions.depth_focal
        tau_xy, tau_z = site_from_translation(coarse[:, :3, 3], K_crop.float(), self.crop_size, focal)
        scale = self.depth_scale(object_index)
        unit = tau_z if self.depth_residual == "coarse" else scale
        refined_z = tau_z + residual.depth.float().squeeze(1) * unit
        translation = translation_from_site(
            tau_xy + residual.xy.float(),
            torch.maximum(refined_z, SMALLEST_DEPTH * scale),  # an object behind the camera was not detected
            K_crop.float(),
            self.crop_size,
            focal,
        )
        return make_transform(self.rotation_step(residual) @ coarse[:, :3, :3], translation)

    def rotation_step(self, residual: PoseResidual) -> Tensor:
        """dR (B, 3, 3)."""
        identity = residual.rotation6d.new_tensor([1.0, 0, 0, 0, 1, 0]).float()
        return matrix_from_6d(residual.rotation6d.float() + identity)

    def depth_scale(self, object_index: Tensor) -> Tensor:
        """The middle tau_z (B,) of each object."""
        return self.depth_limits[object_index].mean(dim=-1)
