"""Random numbers for batches: drawn on the CPU, so that a seed means the same on every device, then moved."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Range = tuple[float, float]


def uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> Tensor:
    """Uniform draws in low..high."""
    return torch.rand(shape, generator=rng) * (high - low) + low


def log_uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> Tensor:
    """Draws in low..high whose logarithm is uniform."""
    return uniform(shape, math.log(low), math.log(high), rng).exp()


class Draws:
    """Draws for `count` samples; every result has the shape (count, *shape) and lies on `device`."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device | str = "cpu") -> None:
        self.count, self.rng, self.device = count, rng, torch.device(device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform in low..high."""
        return uniform((self.count, *shape), low, high, self.rng).to(self.device)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """The logarithm uniform."""
        return log_uniform((self.count, *shape), low, high, self.rng).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Of mean 0 and standard deviation 1."""
        return torch.randn((self.count, *shape), generator=self.rng).to(self.device)

    def whole(self, limit: int, *shape: int) -> Tensor:
        """Whole numbers 0..limit - 1, int64."""
        return torch.randint(limit, (self.count, *shape), generator=self.rng).to(self.device)

    def chance(self, share: float, *shape: int) -> Tensor:
        """True for this share of the draws."""
        return (torch.rand((self.count, *shape), generator=self.rng) < share).to(self.device)
