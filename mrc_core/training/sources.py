"""Where training samples come from: one source, or several that are mixed by weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mrc_core.data.scenes import SceneBatch


class SampleSource(Protocol):
    """Makes batches of training samples. The same index gives the same batch, whenever and by whichever thread it is
    asked for: that is what makes a run repeatable. Calls may come from several threads at once."""

    def batch(self, index: int, size: int, weights: Tensor | None = None) -> SceneBatch:
        """The batch number `index` with `size` samples; `weights` (N,): how often each object is drawn, else alike."""
        ...

    def depths(self, index: int, size: int) -> tuple[Tensor, Tensor]:
        """Objects (size,) and tau_z (size,) of a batch, without its pictures: what depth limits are measured on."""
        ...


class SyntheticSourceConfig(BaseModel):
    """Scenes that are rendered on the fly; the section `scenes` says what they look like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["synthetic"] = "synthetic"
    weight: float = Field(default=1.0, gt=0, description="share of the samples, over the sum of all sources' weights")


class MixedSource:
    """Several sources as one: each batch has samples of every source, in shares that are exact on average.

    Args:
        sources: what is mixed.
        weights: positive, of each source.
        seed: of the numbers of samples; which samples they are is each source's own affair.
    """

    def __init__(self, sources: Sequence[SampleSource], weights: Sequence[float], seed: int) -> None:
        if not sources or len(sources) != len(weights) or min(weights) <= 0:
            raise ValueError(f"{len(sources)} sources need as many positive weights, not {list(weights)}")
        self.sources, self.seed = list(sources), seed
        self.shares = np.asarray(weights, dtype=np.float64) / sum(weights)

    def batch(self, index: int, size: int, weights: Tensor | None = None) -> SceneBatch:
        """See `SampleSource.batch`; the samples of the first source come first."""
        counts = self.counts(index, size)
        return join_batches([s.batch(index, n, weights) for s, n in zip(self.sources, counts) if n])

    def depths(self, index: int, size: int) -> tuple[Tensor, Tensor]:
        """See `SampleSource.depths`."""
        parts = [s.depths(index, n) for s, n in zip(self.sources, self.counts(index, size)) if n]
        return torch.cat([objects for objects, _ in parts]), torch.cat([tau_z for _, tau_z in parts])

    def counts(self, index: int, size: int) -> list[int]:
        """Samples of each source in the batch number `index`: its share of `size`, rounded up or down by chance."""
        # One random offset under the cumulated shares: each count is off by less than 1, and right on average.
        offset = np.random.default_rng([self.seed, index]).random()
        edges = np.floor(np.cumsum(self.shares) * size + offset)
        edges[-1] = size  # the rounded end of the sum
        return np.diff(edges, prepend=0.0).astype(int).tolist()


def join_batches(parts: Sequence[SceneBatch]) -> SceneBatch:
    """One batch of all samples, in their order, on the device of the first."""
    if len(parts) == 1:
        return parts[0]
    here = [part.to(parts[0].image.device) for part in parts]
    return SceneBatch(**{name: torch.cat([getattr(part, name) for part in here]) for name in vars(parts[0])})
