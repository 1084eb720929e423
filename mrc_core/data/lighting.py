"""Random lights: ambient light and one to four lamps of many directions, colours and strengths."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.draws import uniform
from mrc_core.data.scene_config import SceneConfig
from mrc_core.rendering.interface import Lights

LOWEST = 0.2  # sine of the first light's elevation above the table, at least
COLOURED = 0.06  # of the lamps, that have a strong colour


def sample_lights(up: Tensor, config: SceneConfig, rng: torch.Generator) -> Lights:
    """Lights of B images, all as bright as a camera with automatic exposure would see them, more or less.

    The first light is the strongest and comes more or less from above; its shadows are the ones that count. Absent
    lights have no colour. Gloss is a matter of materials: the lights' own is zero.

    Args:
        up: which way is up (B, 3), camera frame.
    """
    count, most = len(up), config.max_lights
    number = torch.randint(1, most + 1, (count, 1), generator=rng)
    directions = torch.randn(count, most, 3, generator=rng)
    first = F.normalize(0.75 * directions[:, 0] + up, dim=-1)
    too_low = (LOWEST - (first * up).sum(dim=1, keepdim=True)).clamp(min=0)
    directions[:, 0] = first + too_low * up
    ambient = uniform((count, 1), 0.3, 0.8, rng)
    first_share = uniform((count, 1), 0.45, 1.0, rng)
    others = torch.rand(count, most, generator=rng) * (torch.arange(most) < number)
    others[:, 0] = 0
    others = others / others.sum(dim=1, keepdim=True).clamp(min=1e-6)
    share = others * (1 - first_share)
    share[:, :1] = torch.where(number > 1, first_share, 1.0)
    # a lamp lights a surface by the cosine, on average about half: what it gives counts accordingly
    lamps = 1.5 * (1 - ambient) * share
    level = torch.exp(0.15 * torch.randn(count, 1, generator=rng))
    return Lights(
        ambient=level * ambient * temperature(0.35 * torch.randn(count, generator=rng)),
        directions=F.normalize(directions, dim=-1),
        colors=(level * lamps)[..., None] * _lamp_colours((count, most), rng),
        specular=torch.zeros(count),
        shininess=torch.ones(count),
    )


def temperature(warmth: Tensor) -> Tensor:
    """Colours (..., 3) of light: 1 is as warm as a bulb, 0 white, -1 as blue as the sky; the luma is about 1."""
    warmth = warmth.clamp(-1.5, 1.5)
    return torch.stack([1 + 0.22 * warmth, torch.ones_like(warmth), 1 - 0.28 * warmth], dim=-1)


def _lamp_colours(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    white = temperature(0.5 * torch.randn(shape, generator=rng))
    strong = uniform((*shape, 3), 0.3, 1.3, rng)
    return torch.where(torch.rand((*shape, 1), generator=rng) < COLOURED, strong, white)
