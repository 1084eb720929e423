"""The camera's sensor: its pixels, which are not the crop's, and its noise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.blurs import convolve, gaussian
from mrc_core.data.draws import Draws

TILE = 320  # px, side of the stock of noise
FEWEST = 1.1  # crop px for a sensor px, from which on it is worth going there and back


class NoiseTiles:
    """Stocks of noise (4, TILE, TILE) of mean 0 and deviation 1, white and soft, of which every sample gets a window.

    Drawn once: a million normal numbers a batch would take longer than all other noise.
    """

    def __init__(self, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(1)
        white = torch.randn(4, TILE, TILE, generator=rng)
        # what is left of a sensor's noise after its colours were interpolated from neighbours
        soft = convolve(white[None], gaussian(torch.tensor([0.9]), 7))[0]
        self._tiles = torch.stack([white, soft / soft.std()]).to(device)

    def windows(self, draws: Draws, size: int) -> Tensor:
        """Noise (B, 3, size, size); its channels have much in common, as those of cameras."""
        kind = draws.chance(0.5).long()[:, None, None]
        axis = torch.arange(size, device=draws.device)
        row = draws.whole(TILE)[:, None, None] + axis[:, None]
        column = draws.whole(TILE)[:, None, None] + axis
        noise = self._tiles[kind, :, row % TILE, column % TILE].permute(0, 3, 1, 2)
        grey = draws.uniform(0.2, 0.9, 1, 1, 1)
        return noise[:, :1] * grey + noise[:, 1:] * (1 - grey**2).sqrt()


def to_sensor(image: Tensor, crop_per_sensor: Tensor) -> Tensor:
    """Crops (B, C, S, S) in sensor pixels: pixel i of the result lies at (i + 1/2) s - 1/2 of the crop; the border is
    continued. Crops must be blurred so far that nothing is lost between the pixels.

    Args:
        crop_per_sensor: s (B,), at least 1.
    """
    return _resampled(image, crop_per_sensor)


def from_sensor(image: Tensor, crop_per_sensor: Tensor) -> Tensor:
    """The way back, bilinear as a crop from a picture is."""
    return _resampled(image, 1 / crop_per_sensor)


def _resampled(image: Tensor, step: Tensor) -> Tensor:
    size = image.shape[-1]
    at = (torch.arange(size, device=image.device) + 0.5) * step[:, None]  # (B, S), from the border
    line = 2 * at / size - 1
    grid = torch.stack(
        [line[:, None, :].expand(-1, size, -1), line[:, :, None].expand(-1, -1, size)], dim=-1
    )
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)
