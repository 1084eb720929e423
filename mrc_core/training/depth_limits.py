"""The range of tau_z that an object's depth bins must cover, measured on samples as training draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneGenerator
from mrc_core.training.sources import SampleSource

FIRST_BATCH = 2 * 10**9  # batch numbers apart from training's and validation's
MARGIN = 0.05  # of the range, on both sides
BATCH = 128


class DepthSamples(NamedTuple):
    """object_index (n,) and tau_z (n,), metres per crop pixel, of samples."""

    object_index: Tensor
    tau_z: Tensor


def measure_depth_limits(generator: SceneGenerator, samples_per_object: int = 300) -> Tensor:
    """tau_z limits (N, 2), m per crop pixel, of every object: the extremes of a sample, with a margin."""
    count = len(generator.diameters)
    return limits_of(sample_depths([generator], count, samples_per_object), count)


def sample_depths(
    sources: Sequence[SampleSource], num_objects: int, samples_per_object: int = 300
) -> DepthSamples:
    """As many samples of every source, however seldom training draws from it."""
    parts = [
        source.depths(FIRST_BATCH + i, BATCH)
        for source in sources
        for i in range(-(-samples_per_object * num_objects // BATCH))
    ]
    return DepthSamples(*(torch.cat(column) for column in zip(*parts)))


def limits_of(samples: DepthSamples, num_objects: int) -> Tensor:
    """The extremes (N, 2) of samples, and a margin for all others; (inf, -inf) for an object without samples."""
    low = torch.full((num_objects,), torch.inf).scatter_reduce(0, *samples, "amin")
    high = torch.full((num_objects,), -torch.inf).scatter_reduce(0, *samples, "amax")
    margin = (MARGIN * (high - low)).nan_to_num(0, 0, 0)
    return torch.stack([low - margin, high + margin], dim=-1)


def shares_outside(samples: DepthSamples, limits: Tensor) -> Tensor:
    """Shares (N, 2) of each object's samples that lie below its lower and above its upper limit (N, 2)."""
    low, high = limits[samples.object_index].unbind(-1)
    outside = torch.stack([samples.tau_z < low, samples.tau_z > high], dim=-1).float()
    index = samples.object_index[:, None].expand(-1, 2)
    return torch.zeros(len(limits), 2).scatter_reduce(0, index, outside, "mean", include_self=False)
