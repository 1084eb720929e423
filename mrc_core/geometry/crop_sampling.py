"""Pixels of square crops, sampled out of whole images without aliasing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.geometry.lens_map import LensMap

MAX_SUPERSAMPLE = 6


def supersampling(to_crop: Tensor) -> list[int]:
    """How many samples a side each crop's pixels need: n where the crop shrinks the image by up to n, 6 at most.

    Args:
        to_crop: affine maps (B, 3, 3) from image to crop pixels, of one scale in both directions.
    """
    shrink = 1 / to_crop[:, 0, 0]
    return shrink.ceil().clamp(1, MAX_SUPERSAMPLE).int().tolist()


def sample_crops(
    image: Tensor, image_from_crop: Tensor, size: int, count: int, lens: LensMap | None = None
) -> Tensor:
    """Bilinear samples on a grid `count` times as fine as the crops, averaged: (B, C, size, size).

    Args:
        image: (C, H, W); beyond its border all is zero.
        image_from_crop: affine maps (B, 3, 3) from crop to image pixels, pixel centres at integers.
        size: side of the crops, px.
        count: samples a side and pixel; see `supersampling`.
        lens: of an image with distortion; the crops are those of the image without.
    """
    height, width = image.shape[-2:]
    axis = (torch.arange(size * count, device=image.device, dtype=image.dtype) + 0.5) / count - 0.5
    x, y = _along(axis, image_from_crop)  # (B, n), image pixels
    # grid_sample without align_corners puts -1 and 1 at the outer edges of the border pixels
    columns, rows = ((2 * x + 1) / width - 1)[:, None, :], ((2 * y + 1) / height - 1)[:, :, None]
    if lens is not None:
        moved = lens.displacement_at(*_along(torch.arange(size, device=axis.device).to(axis), image_from_crop))
        # One displacement for the samples of a crop's pixel: over so short a way a lens moves all alike
        dx, dy = (2 * moved[:, 0] / width)[:, :, None, :, None], (2 * moved[:, 1] / height)[:, :, None, :, None]
        columns = columns.view(-1, 1, 1, size, count) + dx
        rows = rows.view(-1, size, count, 1, 1) + dy
    grid = torch.stack(torch.broadcast_tensors(columns, rows), dim=-1).view(-1, size * count, size * count, 2)
    batch = image.expand(len(grid), *image.shape)
    fine = F.grid_sample(batch, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    crops = F.avg_pool2d(fine, count) if count > 1 else fine
    if lens is None:
        return crops
    # What the lens saw beyond the image without distortion is left out
    in_x, in_y = ((side >= -0.5) & (side <= end - 0.5) for side, end in ((x, width), (y, height)))
    share_x, share_y = (side.to(crops).view(-1, size, count).mean(dim=2) for side in (in_x, in_y))
    return crops * share_x[:, None, None, :] * share_y[:, None, :, None]


def _along(axis: Tensor, image_from_crop: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows (B, n) in the image of positions (n,) along a crop's sides."""
    scale, shift = image_from_crop[:, 0, 0, None], image_from_crop[:, :2, 2]
    return axis * scale + shift[:, :1], axis * scale + shift[:, 1:]
