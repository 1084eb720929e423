"""Atrous spatial pyramid pooling: the same map seen at several dilations and as a whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrc_core.model.config import MRCNetConfig
from mrc_core.model.normalization import ConvNormSiLU


class ASPP(nn.Module):
    """Concatenates the input, its mean over the map and one dilated 3x3 convolution for each dilation.

    (B, C, H, W) -> (B, config.aspp_output_channels(C), H, W); 8 C in the paper's network.
    """

    def __init__(self, in_channels: int, config: MRCNetConfig) -> None:
        super().__init__()
        channels = config.aspp_branch_channels or in_channels
        self.branches = nn.ModuleList(
            ConvNormSiLU(in_channels, channels, config, dilation=dilation)
            for dilation in config.aspp_dilations
        )
        self.out_channels = config.aspp_output_channels(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True).expand_as(x)
        return torch.cat([x, mean, *(branch(x) for branch in self.branches)], dim=1)
