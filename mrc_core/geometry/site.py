"""SITE: scale-invariant translation estimation. A translation as numbers that a crop alone can tell.

tau_xy = (projected origin in crop px - crop centre) / crop size; tau_z = t_z / (r sqrt(fx fy)), r = crop size / crop
side (MRC-Net, supplementary material). The crop's own focal lengths are r fx and r fy, so tau_z is t_z over their
geometric mean: metres per crop pixel at the object's depth. The authors' implementation divides by fx alone, which
`depth_focal="x"` does too, for weights that were trained with it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

DepthFocal = Literal["mean", "x"]


def site_from_translation(
    translation: Tensor, K_crop: Tensor, crop_size: int, depth_focal: DepthFocal = "mean"
) -> tuple[Tensor, Tensor]:
    """tau_xy (..., 2), parts of the crop, and tau_z (...), m per px, of translations (..., 3) in metres."""
    z = translation[..., 2]
    focal = torch.stack([K_crop[..., 0, 0], K_crop[..., 1, 1]], dim=-1)
    pixel = focal * translation[..., :2] / z[..., None] + K_crop[..., :2, 2]
    return (pixel - (crop_size - 1) / 2) / crop_size, z / _depth_focal_px(focal, depth_focal)


def translation_from_site(
    tau_xy: Tensor, tau_z: Tensor, K_crop: Tensor, crop_size: int, depth_focal: DepthFocal = "mean"
) -> Tensor:
    """Translations (..., 3) in metres of tau_xy (..., 2) and tau_z (...): the inverse of `site_from_translation`."""
    focal = torch.stack([K_crop[..., 0, 0], K_crop[..., 1, 1]], dim=-1)
    z = tau_z * _depth_focal_px(focal, depth_focal)
    pixel = tau_xy * crop_size + (crop_size - 1) / 2
    return torch.cat([(pixel - K_crop[..., :2, 2]) / focal * z[..., None], z[..., None]], dim=-1)


def _depth_focal_px(focal: Tensor, which: DepthFocal) -> Tensor:
    """The focal length (...) that tau_z counts in, of fx and fy (..., 2)."""
    return focal.prod(dim=-1).sqrt() if which == "mean" else focal[..., 0]
