"""An auxiliary task for training: which point of the object's surface does each cell of the fine features show?

Not in the paper. It gives every visible cell a label, where the pose losses give one for a whole crop, and so makes
the shared features geometric early. Its one 1x1 convolution is thrown away after training: the network that is
shipped is the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrc_core.geometry.symmetries import SymmetrySet

TURNS = 36  # steps of a continuous symmetry; ten degrees move a surface point by less than the labels' noise


class SurfaceHead(nn.Module):
    """Object coordinates over half the diameter, (B, 3, h, w), from features (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels, 3, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.point(features)


def surface_points(depth_m: Tensor, K: Tensor, cam_from_obj: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Object-frame points (B, 3, cells, cells) in metres and where there are any (B, cells, cells), bool.

    Args:
        depth_m: depth of the target where it is visible, else 0, (B, S, S).
        K: intrinsics of the crops (B, 3, 3).
        cam_from_obj: true poses (B, 4, 4).
        cells: S / 4, say: the pixel nearest to each cell's middle is taken.
    """
    stride = depth_m.shape[-1] // cells
    at = torch.arange(cells, device=depth_m.device) * stride + stride // 2
    z = depth_m[:, at[:, None], at[None, :]]  # (B, h, w)
    v, u = torch.meshgrid(at.to(z.dtype), at.to(z.dtype), indexing="ij")
    x = (u - K[:, 0, 2, None, None]) / K[:, 0, 0, None, None] * z
    y = (v - K[:, 1, 2, None, None]) / K[:, 1, 1, None, None] * z
    camera = torch.stack([x, y, z], dim=1) - cam_from_obj[:, :3, 3, None, None]
    return torch.einsum("bij,bihw->bjhw", cam_from_obj[:, :3, :3], camera), z > 0


def surface_loss(
    predicted: Tensor, points: Tensor, valid: Tensor, diameter: float, symmetries: SymmetrySet
) -> Tensor:
    """Mean absolute error (B,) over valid cells, of the symmetric equivalent that fits each sample best.

    Args:
        predicted: (B, 3, h, w), over half the diameter.
        points: (B, 3, h, w) in metres; valid (B, h, w).
        symmetries: in the centred frame.
    """
    turns = symmetries.transforms(TURNS)[:, :3, :3].to(points)  # (S, 3, 3)
    target = torch.einsum("sij,bjn->bsin", turns, points.flatten(2)) * (2 / diameter)
    error = (predicted.flatten(2)[:, None] - target).abs().sum(dim=2)  # (B, S, n)
    weight = valid.flatten(1)[:, None].to(error)
    return ((error * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1)).amin(dim=1)
