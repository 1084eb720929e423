"""A stock of textures on the renderer's device, renewed bit by bit while training goes on.

All textures lie side by side in one large picture, so that one call samples any of them for any sample of a batch.
Which textures a batch finds depends on its number alone: batch i sees the numbers i // BATCHES .. + WINDOW - 1 of an
endless row of textures. A run in the usual order makes one new texture every BATCHES batches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

SIDE = 256  # px of a texture
WINDOW = 48  # textures that a batch can choose from
COLUMNS = 8
SLACK = 8  # textures kept beyond the window, so that threads at neighbouring batches do not drive out each other's


class TexturePool:
    """Textures of one kind.

    Args:
        make: makes a texture (SIDE, SIDE, 3), uint8, from a random generator.
        seed: of all textures.
        batches: after so many batches one texture is replaced.
        device: where they lie.
    """

    def __init__(
        self,
        make: Callable[[np.random.Generator, int], NDArray[np.uint8]],
        seed: int,
        batches: int,
        device: torch.device,
    ) -> None:
        self._make, self._seed, self._batches = make, seed, batches
        self._slots = WINDOW + SLACK
        self._holds = [-1] * self._slots  # number of the texture in each slot
        rows = -(-self._slots // COLUMNS)
        self._atlas = torch.zeros(1, 3, rows * SIDE, COLUMNS * SIDE, device=device)
        self._lock = threading.Lock()

    def sample(self, batch: int, which: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Colours (B, 3, H, W) of textures at coordinates in texels, mirrored beyond their borders.

        Args:
            batch: the batch's number.
            which: of the batch's textures (B,), 0..WINDOW - 1, on the CPU.
            x, y: (B, H, W), on the atlas's device.
        """
        first = batch // self._batches
        numbers = [first + i for i in which.tolist()]
        slots = torch.tensor([number % self._slots for number in numbers], device=x.device)
        with self._lock:
            for number in set(numbers):
                self._provide(number)
            height, width = self._atlas.shape[-2:]
            x = _mirrored(x) + (slots % COLUMNS * SIDE)[:, None, None]
            y = _mirrored(y) + (slots // COLUMNS * SIDE)[:, None, None]
            grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)  # (B, H, W, 2)
            rows = grid.flatten(0, 1)[None]
            sampled = F.grid_sample(self._atlas, rows, align_corners=False)
        return sampled[0].unflatten(1, x.shape[:2]).transpose(0, 1)

    def _provide(self, number: int) -> None:
        slot = number % self._slots
        if self._holds[slot] == number:
            return
        rng = np.random.default_rng([abs(self._seed) % 2**32, number % 2**32, number // 2**32])
        texture = torch.from_numpy(self._make(rng, SIDE)).to(self._atlas.device)
        top, left = slot // COLUMNS * SIDE, slot % COLUMNS * SIDE
        self._atlas[0, :, top : top + SIDE, left : left + SIDE] = texture.permute(2, 0, 1).float() / 255
        self._holds[slot] = number


def _mirrored(at: Tensor) -> Tensor:
    """Coordinates within a texture, a little more than half a texel from its borders, so that no neighbour shows.

    At half a texel, rounding lets the neighbour in with a weight of 1e-6, and which texture that is depends on the
    batches before: a resumed run would differ in its last digits.
    """
    turned = torch.remainder(at, 2 * SIDE)
    return (SIDE - (turned - SIDE).abs()).clamp(0.51, SIDE - 0.51)
