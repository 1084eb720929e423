"""Light, lens and sensor of a synthetic data set's pictures.

Training scenes have more of each (`lighting`, `augmentation`). These stay as they are, so that a data set's options
give the same pictures as ever.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.draws import uniform
from mrc_core.rendering.interface import Lights


def room_lights(count: int, rng: torch.Generator) -> Lights:
    """Ambient light and two directional ones of random direction and colour, one of them often weak."""
    tint = uniform((count, 1, 3), 0.88, 1.12, rng)
    directions = torch.randn(count, 2, 3, generator=rng)
    directions[..., 2] = -directions[..., 2].abs()  # from the camera's side
    directions[:, 0, 1] = -directions[:, 0, 1].abs() - 0.3  # the key light from above
    strength = torch.stack(
        [uniform((count,), 0.15, 0.9, rng), uniform((count,), -0.4, 0.5, rng).clamp(min=0)], dim=1
    )[..., None]
    return Lights(
        ambient=uniform((count, 1), 0.35, 0.8, rng) * uniform((count, 3), 0.9, 1.1, rng),
        directions=F.normalize(directions, dim=-1),
        colors=strength * tint,
        specular=uniform((count,), -0.15, 0.35, rng).clamp(min=0),
        shininess=uniform((count,), 5, 40, rng),
    )


def blur(image: Tensor, rng: torch.Generator, largest_px: float = 1.3) -> Tensor:
    """Gaussian blur with a standard deviation of up to `largest_px`; about half the samples stay sharp."""
    count, channels, height, width = image.shape
    sigma = uniform((count, 1), -largest_px, largest_px, rng).clamp(min=0.05)
    tap = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (tap / sigma) ** 2)  # (B, 7)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = F.pad(image.reshape(1, count * channels, height, width), (3, 3, 3, 3), mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=count * channels)
    return flat.view_as(image)


def noise(image: Tensor, rng: torch.Generator, largest: float = 0.03) -> Tensor:
    """Gaussian sensor noise with a standard deviation of up to `largest`."""
    return image + torch.randn(image.shape, generator=rng) * uniform((len(image), 1, 1, 1), 0, largest, rng)
