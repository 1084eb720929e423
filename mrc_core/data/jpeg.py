"""What JPEG does to a picture: blocks of 8 x 8 cosines, rounded with the standard's tables. Batched, on any device.

As libjpeg does it by default: YCbCr, colour at half the resolution. The lossless part (Huffman) changes nothing and is
left out.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

# Annex K of the standard, row by row.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)  # fmt: skip
_YCC_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
_RGB_FROM_YCC = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def jpeg(image: Tensor, quality: Tensor, shift: tuple[int, int] = (0, 0)) -> Tensor:
    """Images (B, 3, H, W), 0..1, as they come back from JPEG files.

    Args:
        image: RGB.
        quality: (B,), 1..100, as in libjpeg.
        shift: rows and columns, 0..15, by which the grid of blocks is moved up and left of the image's corner.
    """
    height, width = image.shape[-2:]
    top, left = shift
    padding = (left, -(width + left) % 16, top, -(height + top) % 16)
    padded = F.pad(image, padding, mode="replicate") if any(padding) else image
    ycc = _mixed(padded * 255, _YCC_FROM_RGB)
    y = _coded(ycc[:, :1] - 128, _table(_LUMA, quality)) + 128
    colour = _coded(F.avg_pool2d(ycc[:, 1:], 2), _table(_CHROMA, quality))
    colour = F.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
    rgb = _mixed(torch.cat([y, colour], dim=1), _RGB_FROM_YCC) / 255
    return rgb[..., top : top + height, left : left + width].clamp(0, 1)


def _coded(plane: Tensor, table: Tensor) -> Tensor:
    """Planes (B, C, H, W), about 0 and in 0..255 wide, through the rounding of tables (B, 64)."""
    basis = _basis(plane.device)
    rows, columns = plane.shape[2] // 8, plane.shape[3] // 8
    blocks = plane.unflatten(3, (columns, 8)).unflatten(2, (rows, 8)).transpose(3, 4)  # (B, C, rows, columns, 8, 8)
    step = table[:, None, None, None]
    rounded = (blocks.flatten(4) @ basis.T / step).round() * step
    return (rounded @ basis).unflatten(4, (8, 8)).transpose(3, 4).reshape(plane.shape)


@lru_cache(maxsize=8)
def _basis(device: torch.device) -> Tensor:
    """The cosines of a block as rows (64, 64), orthonormal."""
    k = torch.arange(8, dtype=torch.float64)
    cosines = torch.cos((2 * k[None, :] + 1) * k[:, None] * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    return torch.kron(cosines, cosines).float().to(device)


def _table(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """Steps (B, 64) at qualities (B,), as libjpeg scales them."""
    quality = quality.clamp(1, 100)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None]
    return ((quality.new_tensor(base) * percent + 50) / 100).floor().clamp(1, 255)


def _mixed(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("oc,bchw->bohw", image.new_tensor(matrix), image)
