"""Normalisation layers and the convolution block that the whole network is made of."""

from __future__ import annotations

from torch import Tensor, nn

from mrc_core.model.config import MRCNetConfig


def make_norm(channels: int, config: MRCNetConfig) -> nn.Module:
    """The encoder's normalisation over (B, channels, H, W), as `config.norm` says.

    "group" looks at one crop at a time. "batch" uses the statistics of the batch at hand in training and in
    evaluation alike and keeps no running ones: real and rendered crops go through the same weights but have
    different statistics, so one running mean would fit neither.
    """
    if config.norm == "group":
        return nn.GroupNorm(config.groups(channels), channels)
    return nn.BatchNorm2d(channels, track_running_stats=False)


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
    ) -> None:
        super().__init__()
        # No bias: the normalisation that follows takes any constant away again.
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=False,
        )
        self.norm = nn.GroupNorm(config.groups(out_channels), out_channels)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))
