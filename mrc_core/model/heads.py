"""Heads: from a feature map and where the crop looks to pose classes or a pose residual."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mrc_core.model.aspp import ASPP
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.normalization import ConvNormSiLU

LOOK_CHANNELS = 3


@dataclass(frozen=True)
class PoseLogits:
    """Stage 1, unnormalised scores, float32."""

    rotation: Tensor  # (B, num_rotations)
    xy: Tensor  # (B, xy_cells * xy_cells), row by row
    depth: Tensor  # (B, depth_bins)


@dataclass(frozen=True)
class PoseResidual:
    """Stage 2, raw and float32: zero is "the coarse pose is right"."""

    rotation6d: Tensor  # (B, 6)
    xy: Tensor  # (B, 2)
    depth: Tensor  # (B, 1)


class Head(nn.Module):
    """Strided convolution, flatten, join the look, two-layer perceptron: (B, C, M, M), (B, 3) -> (B, outputs)."""

    def __init__(
        self, in_channels: int, map_size: int, outputs: int, output_std: float, config: MRCNetConfig
    ) -> None:
        super().__init__()
        channels = in_channels // config.head_reduction
        self.squeeze = ConvNormSiLU(in_channels, channels, config, stride=2)
        flat = channels * ((map_size + 1) // 2) ** 2
        self.hidden = nn.Linear(flat + LOOK_CHANNELS, config.head_hidden)
        self.activation = nn.SiLU()
        self.output = nn.Linear(config.head_hidden, outputs)
        nn.init.normal_(self.output.weight, std=output_std)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, look: Tensor) -> Tensor:
        flat = self.squeeze(x).flatten(1)
        # bf16 keeps three digits, too few for a pose; the perceptron is cheap enough to leave it.
        with torch.autocast(x.device.type, enabled=False):
            dtype = self.hidden.weight.dtype
            joined = torch.cat([flat.to(dtype), look.to(dtype)], dim=1)
            return self.output(self.activation(self.hidden(joined))).float()


class ClassificationHeads(nn.Module):
    """Stage 1: real features (B, P, S/16, S/16), look (B, 3) -> PoseLogits."""

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        self.aspp = ASPP(config.pyramid_channels, config)
        size, std = config.crop_size // 16, 0.01
        channels = self.aspp.out_channels
        self.rotation = Head(channels, size, config.num_rotations, std, config)
        self.xy = Head(channels, size, config.xy_cells**2, std, config)
        self.depth = Head(channels, size, config.depth_bins, std, config)

    def forward(self, x: Tensor, look: Tensor) -> PoseLogits:
        x = self.aspp(x)
        return PoseLogits(self.rotation(x, look), self.xy(x, look), self.depth(x, look))


class RegressionHeads(nn.Module):
    """Stage 2: fused correlation (B, fusion, S/16, S/16), look (B, 3) -> PoseResidual."""

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        self.aspp = ASPP(config.fusion_channels[-1], config)
        # Near zero: training starts from "the coarse pose is right". Exactly zero would pass no gradient on.
        size, std = config.crop_size // 16, 1e-3
        channels = self.aspp.out_channels
        self.rotation6d = Head(channels, size, 6, std, config)
        self.xy = Head(channels, size, 2, std, config)
        self.depth = Head(channels, size, 1, std, config)

    def forward(self, x: Tensor, look: Tensor) -> PoseResidual:
        x = self.aspp(x)
        return PoseResidual(self.rotation6d(x, look), self.xy(x, look), self.depth(x, look))
