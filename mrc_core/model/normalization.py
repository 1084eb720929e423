"""Normalisation layers and the convolution block that the whole network is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrc_core.model.config import MRCNetConfig


def make_norm(channels: int, config: MRCNetConfig) -> nn.Module:
    """The encoder's normalisation over (B, channels, H, W), as `config.norm` says.

    "group" looks at one crop at a time. "batch" uses the statistics of the batch at hand in training and in
    evaluation alike and keeps no running ones: real and rendered crops go through the same weights but have
    different statistics, so one running mean would fit neither. "crop" is "batch" with each crop as a batch of its
    own: weights that were trained with batch statistics, whose poses then do not depend on the company.
    """
    if config.norm == "group":
        return nn.GroupNorm(config.groups(channels), channels)
    if config.norm == "crop":
        return nn.GroupNorm(channels, channels)
    return nn.BatchNorm2d(channels, track_running_stats=False)


class ImageNetScaling(nn.Module):
    """Takes ImageNet's mean from red, green and blue and divides by its deviation; the box map stays.

    (B, 4, S, S) -> (B, 4, S, S). Weights of torchvision expect it.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Constants, not weights: a state dict is the same with and without.
        self.register_buffer(
            "mean", torch.tensor([0.485, 0.456, 0.406, 0.0])[:, None, None], persistent=False
        )
        deviation = torch.tensor([0.229, 0.224, 0.225, 1.0])[:, None, None]
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, crop: Tensor) -> Tensor:
        return (crop - self.mean) / self.deviation


class ConvNormSiLU(nn.Module):
    """3x3 or 1x1 convolution, GroupNorm, SiLU: (B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride))."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        config: MRCNetConfig,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        # The group norm takes away the mean of a bias over each group: what is left of it would hardly be missed.
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=bias,
        )
        self.norm = nn.GroupNorm(config.groups(out_channels), out_channels)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))
