"""Lens distortion as a map, so that crops are taken straight out of the image that the lens has made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

FAR_PX = 1e6
"""Where a lens model says nothing (a pole of its formula): beyond any image, so that it is black."""
STEP_PX = 4
"""Between the map's nodes. Lenses bend little over so short a way: in between, the line is off by 0.01 px or less."""


@dataclass(frozen=True, eq=False)
class LensMap:
    """How far the lens has moved what a camera without distortion would have at a pixel.

    displacement_px: (2, h, w) float32, x and y, from the pixel of the image without distortion to that of the image as
        it was taken; at nodes `STEP_PX` apart, the first at pixel (0, 0), the last at or beyond the image's last one.
    """

    displacement_px: Tensor

    @classmethod
    def measured(
        cls,
        distorted_points: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        image_size: tuple[int, int],
    ) -> LensMap:
        """The map of a lens model.

        Args:
            distorted_points: pixels (N, 2) of the image without distortion -> those of the image as it was taken.
            image_size: (height, width).
        """
        along_y, along_x = (STEP_PX * np.arange(math.ceil((side - 1) / STEP_PX) + 1.0) for side in image_size)
        columns, rows = np.meshgrid(along_x, along_y)
        nodes = np.stack([columns, rows], axis=-1)
        moved = distorted_points(nodes.reshape(-1, 2)).reshape(nodes.shape) - nodes
        moved = np.nan_to_num(moved, nan=FAR_PX, posinf=FAR_PX, neginf=-FAR_PX).clip(-FAR_PX, FAR_PX)
        return cls(torch.from_numpy(moved.transpose(2, 0, 1).astype(np.float32).copy()))

    def displacement_at(self, x_px: Tensor, y_px: Tensor) -> Tensor:
        """(B, 2, m, n) at columns (B, n) and rows (B, m) of the image without distortion; beyond it that of its rim."""
        field = self.displacement_px.to(x_px)
        rows, columns = field.shape[-2:]
        x, y = (2 * side / (STEP_PX * max(count - 1, 1)) - 1 for side, count in ((x_px, columns), (y_px, rows)))
        grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
        batch = field.expand(len(grid), *field.shape)
        return F.grid_sample(batch, grid, mode="bilinear", padding_mode="border", align_corners=True)


@dataclass(frozen=True, eq=False)
class DistortedImage:
    """An image (H, W, 3) uint8 RGB as the lens has made it; intrinsics and boxes are those without distortion."""

    rgb: NDArray[np.uint8]
    lens: LensMap

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3)."""
        return self.rgb.shape
