"""Photometric augmentation of crops: what lights, lenses, sensors and encoders do to a picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.backgrounds import uniform, value_noise

LUMA = (0.299, 0.587, 0.114)


def photometric(image: Tensor, rng: torch.Generator) -> Tensor:
    """Soft shade, colour, blur and noise on crops (B, 3, H, W) in 0..1; every sample draws its own."""
    image = soft_shade(image, rng)
    image = colour(image, rng)
    image = blur(image, rng)
    return noise(image, rng).clamp(0, 1)


def soft_shade(image: Tensor, rng: torch.Generator) -> Tensor:
    """Multiplies by a smooth field: a stand-in for cast shadows and uneven light."""
    count, size = len(image), image.shape[-1]
    strength = uniform((count, 1, 1, 1), -0.2, 0.6, rng).clamp(min=0)
    return image * (1 - strength * value_noise(count, 1, size, 4, rng, "bilinear"))


def colour(image: Tensor, rng: torch.Generator) -> Tensor:
    """White balance, exposure, contrast, saturation and gamma."""
    shape = (len(image), 1, 1, 1)
    image = image * uniform((len(image), 3, 1, 1), 0.85, 1.15, rng) * uniform(shape, 0.7, 1.3, rng)
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = mean + (image - mean) * uniform(shape, 0.7, 1.25, rng)
    grey = (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    image = grey + (image - grey) * uniform(shape, 0.6, 1.25, rng)
    return image.clamp(1e-4, 1) ** uniform(shape, 0.75, 1.35, rng)


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
