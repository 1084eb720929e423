"""torchvision's ResNet-34 as it is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from reference_layout import BLOCKS
from torch import Tensor

WIDTHS = (64, 128, 256, 512)


def torchvision_state(blocks: Sequence[int] = BLOCKS) -> dict[str, Tensor]:
    """Names and shapes of torchvision.models.resnet34, or of another with these blocks, with random numbers."""
    rng = torch.Generator().manual_seed(0)
    out: dict[str, Tensor] = {}

    def conv(name: str, *shape: int) -> None:
        out[f"{name}.weight"] = torch.randn(shape, generator=rng) / math.sqrt(math.prod(shape[1:]))

    def norm(name: str, width: int) -> None:
        out[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=rng)
        out[f"{name}.bias"] = 0.2 * torch.randn(width, generator=rng)
        out[f"{name}.running_mean"], out[f"{name}.running_var"] = torch.ones(width), torch.ones(width)
        out[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", 64, 3, 7, 7)
    norm("bn1", 64)
    of = 64
    for layer, (width, count) in enumerate(zip(WIDTHS, blocks), start=1):
        for k in range(count):
            conv(f"layer{layer}.{k}.conv1", width, of, 3, 3)
            norm(f"layer{layer}.{k}.bn1", width)
            conv(f"layer{layer}.{k}.conv2", width, width, 3, 3)
            norm(f"layer{layer}.{k}.bn2", width)
            if layer > 1 and k == 0:
                conv(f"layer{layer}.{k}.downsample.0", width, of, 1, 1)
                norm(f"layer{layer}.{k}.downsample.1", width)
            of = width
    conv("fc", 1000, 512)
    out["fc.bias"] = torch.zeros(1000)
    return out
