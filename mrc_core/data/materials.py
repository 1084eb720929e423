"""Random surfaces: how an object's colours and gloss differ from its mesh's, as prints, lamps and years change them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mrc_core.data.draws import Draws, log_uniform, uniform
from mrc_core.data.scene_config import SceneConfig
from mrc_core.rendering.interface import Materials

LUMA = (0.299, 0.587, 0.114)
PIVOT = 0.45  # the albedo that a change of contrast leaves alone
NATURAL = 0.4  # of the trained objects around a target, that keep their own colours
REPAINTED = 0.3  # of the other things around a target, that have any colours


def scene_materials(targets: int, known: Tensor, config: SceneConfig, rng: torch.Generator) -> Materials:
    """Materials of the targets, then of their neighbours: tinted anew, so that a class is not learnt by its company.

    Args:
        targets: how many.
        known: (N,) bool, which neighbours are trained objects.
    """
    draws = Draws(len(known), rng)
    natural = known & draws.chance(NATURAL)
    around = torch.where(natural, config.target_tint, draws.uniform(0.5, 1) * config.neighbour_tint)
    strength = torch.cat([torch.full((targets,), config.target_tint), around])
    repainted = torch.rand(targets, generator=rng) < config.repaint_fraction
    return sample_materials(strength, torch.cat([repainted, ~natural & draws.chance(REPAINTED)]), rng)


def sample_materials(strength: Tensor, repainted: Tensor, rng: torch.Generator) -> Materials:
    """Materials of N instances.

    Args:
        strength: (N,), 1 for ordinary changes of hue (5 degrees), saturation, brightness and contrast (about 15 %).
        repainted: (N,) bool, which ones have any colours instead.
    """
    count = len(strength)

    def spread(sigma: float, *shape: int) -> Tensor:
        wide = strength.view(-1, *[1] * len(shape))
        return sigma * wide * torch.randn(count, *shape, generator=rng).clamp(-2.5, 2.5)

    hue = spread(math.radians(5))
    saturation = torch.exp(spread(0.15))
    gain = torch.exp(spread(0.14, 1) + spread(0.04, 3))
    contrast = torch.exp(spread(0.1, 1))
    offset = spread(0.015, 1)
    hue = torch.where(repainted, uniform((count,), -math.pi, math.pi, rng), hue)
    saturation = torch.where(repainted, uniform((count,), 0.2, 1.3, rng), saturation)
    gain = torch.where(repainted[:, None], uniform((count, 3), 0.35, 1.3, rng), gain)
    mix = (gain * contrast)[:, :, None] * (_saturation(saturation) @ _hue(hue))
    shift = gain * PIVOT * (1 - contrast) + offset
    negative = (repainted & (torch.rand(count, generator=rng) < 0.25))[:, None]
    mix = torch.where(negative[:, :, None], -mix, mix)
    shift = torch.where(negative, gain - shift, shift)
    return Materials(
        mix=mix,
        shift=shift,
        specular=uniform((count,), -0.2, 0.5, rng).clamp(min=0),
        shininess=log_uniform((count,), 4, 100, rng),
    )


def _saturation(factor: Tensor) -> Tensor:
    """Matrices (N, 3, 3) that multiply what a colour has beyond its luma; grey stays."""
    grey = torch.tensor(LUMA).expand(3, 3)
    return grey + factor[:, None, None] * (torch.eye(3) - grey)


def _hue(angle: Tensor) -> Tensor:
    """Matrices (N, 3, 3) that turn colours about the grey axis."""
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    along = torch.full((3, 3), 1 / 3)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return along + cosine * (torch.eye(3) - along) + sine * cross
