"""Pixels of square crops, sampled out of whole images without aliasing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_SUPERSAMPLE = 6


def supersampling(to_crop: Tensor) -> list[int]:
    """How many samples a side each crop's pixels need: n where the crop shrinks the image by up to n, 6 at most.

    Args:
        to_crop: affine maps (B, 3, 3) from image to crop pixels, of one scale in both directions.
    """
    shrink = 1 / to_crop[:, 0, 0]
    return shrink.ceil().clamp(1, MAX_SUPERSAMPLE).int().tolist()


def sample_crops(image: Tensor, image_from_crop: Tensor, size: int, count: int) -> Tensor:
    """Bilinear samples on a grid `count` times as fine as the crops, averaged: (B, C, size, size).

    Args:
        image: (C, H, W); beyond its border all is zero.
        image_from_crop: affine maps (B, 3, 3) from crop to image pixels, pixel centres at integers.
        size: side of the crops, px.
        count: samples a side and pixel; see `supersampling`.
    """
    height, width = image.shape[-2:]
    axis = (torch.arange(size * count, device=image.device, dtype=image.dtype) + 0.5) / count - 0.5
    scale, shift = image_from_crop[:, 0, 0, None], image_from_crop[:, :2, 2]
    x = axis * scale + shift[:, :1]  # (B, n), image pixels
    y = axis * scale + shift[:, 1:]
    # grid_sample without align_corners puts -1 and 1 at the outer edges of the border pixels
    x, y = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    batch = image.expand(len(grid), *image.shape)
    fine = F.grid_sample(batch, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(fine, count) if count > 1 else fine
