"""Blur with a kernel of its own for every sample of a batch: defocus, motion, soft lenses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def convolve(image: Tensor, kernels: Tensor) -> Tensor:
    """Images (B, C, H, W) blurred with kernels (B, k, k), k odd, that sum to 1; the border is continued."""
    count, channels, height, width = image.shape
    half = kernels.shape[-1] // 2
    flat = F.pad(image.reshape(1, count * channels, height, width), (half,) * 4, mode="replicate")
    weight = kernels[:, None].expand(-1, channels, -1, -1).reshape(count * channels, 1, *kernels.shape[1:])
    return F.conv2d(flat, weight, groups=count * channels).view_as(image)


def gaussian(sigma_px: Tensor, size: int) -> Tensor:
    """Kernels (B, size, size) of standard deviations (B,); 0.2 px and less do nothing."""
    taps = _taps(sigma_px, size)
    line = torch.exp(-0.5 * (taps / sigma_px.clamp(min=0.2)[:, None]) ** 2)
    return _normalised(line[:, :, None] * line[:, None, :])


def disc(radius_px: Tensor, size: int) -> Tensor:
    """Kernels (B, size, size) of a lens out of focus: discs of radii (B,) with a smooth rim; 0 does nothing."""
    taps = _taps(radius_px, size)
    distance = (taps[:, None, :] ** 2 + taps[:, :, None] ** 2).sqrt()
    return _normalised((radius_px[:, None, None] + 0.5 - distance).clamp(0, 1))


def line(length_px: Tensor, angle: Tensor, size: int) -> Tensor:
    """Kernels (B, size, size) of a camera that moves: lines of lengths (B,), px, and angles (B,), radians."""
    taps = _taps(length_px, size)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along = taps[:, None, :] * cosine + taps[:, :, None] * sine
    across = taps[:, :, None] * cosine - taps[:, None, :] * sine
    half = length_px[:, None, None] / 2
    return _normalised((1 - across.abs()).clamp(min=0) * (half + 0.5 - along.abs()).clamp(0, 1))


def _taps(like: Tensor, size: int) -> Tensor:
    taps = torch.arange(size, device=like.device, dtype=like.dtype) - size // 2
    return taps.expand(len(like), size)


def _normalised(kernels: Tensor) -> Tensor:
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)
