"""The range of tau_z that an object's depth bins must cover, measured on scenes as training draws them."""

from __future__ import annotations

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneGenerator

FIRST_BATCH = 2 * 10**9  # batch numbers apart from training's and validation's
MARGIN = 0.05  # of the range, on both sides


def measure_depth_limits(generator: SceneGenerator, samples_per_object: int = 300) -> Tensor:
    """tau_z limits (N, 2), m per crop pixel, of every object: the extremes of a sample, with a margin."""
    count = len(generator.diameters)
    low, high = torch.full((count,), float("inf")), torch.full((count,), -float("inf"))
    for i in range(-(-samples_per_object * count // 128)):
        object_index, tau_z = generator.depths(FIRST_BATCH + i, 128)
        low = low.scatter_reduce(0, object_index, tau_z, "amin")
        high = high.scatter_reduce(0, object_index, tau_z, "amax")
    margin = MARGIN * (high - low)
    return torch.stack([low - margin, high + margin], dim=-1)
