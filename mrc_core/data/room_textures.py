"""Textures of a synthetic data set's rooms: noise of many scales, stripes and edges, without any image file.

Training scenes have richer ones (`procedural_textures`). These stay as they are, so that a data set's options give the
same pictures as ever.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.draws import uniform


def value_noise(count: int, channels: int, size: int, cells: int, rng: torch.Generator, mode: str) -> Tensor:
    """Noise (count, channels, size, size) in 0..1 with about `cells` cells across; mode nearest or bilinear."""
    coarse = torch.rand(count, channels, cells, cells, generator=rng)
    if mode == "nearest":
        return F.interpolate(coarse, size=(size, size), mode="nearest")
    return F.interpolate(coarse, size=(size, size), mode=mode, align_corners=False)


def room_textures(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Backgrounds (count, 3, size, size), RGB in 0..1.

    A base colour, smooth and blocky noise of several scales, stripes, and a straight edge (the rim of a table, a
    wall) that parts the picture in two materials.
    """
    sides = [_material(count, size // 2, rng) for _ in range(2)]
    axis = torch.linspace(-1, 1, size // 2)
    angle = uniform((count, 1, 1, 1), 0, 2 * math.pi, rng)
    along = axis[None, None, None, :] * angle.cos() + axis[None, None, :, None] * angle.sin()
    edge = along > uniform((count, 1, 1, 1), -1.4, 1.0, rng)
    small = torch.where(edge, sides[0], sides[1]).clamp(0, 1)
    return F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)


def _material(count: int, size: int, rng: torch.Generator) -> Tensor:
    grey = uniform((count, 1, 1, 1), 0.05, 0.95, rng)
    image = grey + uniform((count, 3, 1, 1), -0.3, 0.3, rng)
    for cells in (2, 5, 12, 32):
        strength = uniform((count, 1, 1, 1), -0.3, 0.45, rng).clamp(min=0)
        coloured = torch.rand(count, 1, 1, 1, generator=rng) < 0.5
        mode = "nearest" if torch.rand((), generator=rng) < 0.3 else "bilinear"
        noise = value_noise(count, 3, size, cells, rng, mode) - 0.5
        image = image + strength * torch.where(coloured, noise, noise[:, :1])
    axis = torch.arange(size, dtype=torch.float32)
    angle = uniform((count, 1, 1, 1), 0, math.pi, rng)
    period = uniform((count, 1, 1, 1), 3, 20, rng)
    along = axis[None, None, None, :] * angle.cos() + axis[None, None, :, None] * angle.sin()
    strength = uniform((count, 1, 1, 1), -0.3, 0.15, rng).clamp(min=0)
    return image + strength * torch.sin(2 * math.pi * along / period)
