"""The correlation layer against a plain twin that shifts, multiplies and sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.model.correlation import correlate

SHAPES = {"small": ((48, 32), (96, 16), (96, 8)), "paper": ((64, 64), (128, 32), (128, 16))}
BATCH = 4
RADIUS = 5


def plain_correlation(rendered: Tensor, real: Tensor, radius: int) -> Tensor:
    """(B, (2 radius + 1)^2, H, W): one shifted product a channel, dy-major; the definition, read aloud."""
    channels, height, width = real.shape[1:]
    padded = F.pad(real, (radius,) * 4)
    return torch.stack(
        [
            (rendered * padded[:, :, dy : dy + height, dx : dx + width]).sum(dim=1) / math.sqrt(channels)
            for dy in range(2 * radius + 1)
            for dx in range(2 * radius + 1)
        ],
        dim=1,
    )


def measure_correlation(device: str, time_call: Callable[..., float], repeats: int) -> list[dict[str, Any]]:
    """Rows of map size, ms of the layer and of its twin for a batch of 4, their ratio and largest difference."""
    rows = []
    for flavour, shapes in SHAPES.items():
        for channels, size in shapes:
            rendered, real = (
                torch.randn(BATCH, channels, size, size, device=device, requires_grad=True) for _ in "ab"
            )
            difference = (
                (correlate(rendered, real, RADIUS) - plain_correlation(rendered, real, RADIUS)).abs().max()
            )
            seconds = {
                name: time_call(
                    lambda f=function, a=rendered, b=real: f(a, b, RADIUS).sum().backward(), repeats, device
                )
                for name, function in (("layer", correlate), ("twin", plain_correlation))
            }
            rows.append(
                {
                    "map": f"{flavour}: {channels} x {size} x {size}",
                    "layer, ms": seconds["layer"] * 1000,
                    "twin, ms": seconds["twin"] * 1000,
                    "ratio": seconds["twin"] / seconds["layer"],
                    "largest difference": float(difference.detach()),
                }
            )
    return rows
