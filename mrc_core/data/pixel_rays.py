"""The rays of a crop's pixels, as a row and a column: most sums over them split into one for each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PixelRays:
    """Rays (x, y, 1) of the pixels of B crops, camera frame: x (B, 1, S) of the columns, y (B, S, 1) of the rows, and
    step (B,), how far apart two neighbouring rays are at a distance of 1."""

    x: Tensor
    y: Tensor
    step: Tensor

    @staticmethod
    def of(K: Tensor, size: int) -> PixelRays:
        """Of intrinsics (B, 3, 3) without skew."""
        axis = torch.arange(size, device=K.device)
        x = (axis - K[:, 0, 2, None]) / K[:, 0, 0, None]
        y = (axis - K[:, 1, 2, None]) / K[:, 1, 1, None]
        return PixelRays(x[:, None, :], y[:, :, None], 1 / K[:, 0, 0])

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> PixelRays:
        """The rays of some crops."""
        return PixelRays(self.x[rows], self.y[rows], self.step[rows])

    def dot(self, vector: Tensor) -> Tensor:
        """The product (B, S, S) of every ray with a vector (B, 3) of its sample."""
        a, b, c = vector[:, :, None, None].unbind(dim=1)
        return self.x * a + (self.y * b + c)

    def length(self) -> Tensor:
        """The rays' lengths (B, S, S)."""
        return (self.x**2 + (self.y**2 + 1)).sqrt()
