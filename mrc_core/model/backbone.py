"""The encoder's trunk: a ResNet with stride 16 (no max-pool) that reads RGB and a box map."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from mrc_core.model.config import MRCNetConfig
from mrc_core.model.normalization import make_norm

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
INPUT_CHANNELS = 4  # red, green, blue, box map


class BackboneMaps(NamedTuple):
    """What the decoder reads: layer2 (B, C2, S/4, S/4), layer3 (B, C3, S/8, S/8), layer4 (B, C4, S/16, S/16)."""

    layer2: Tensor
    layer3: Tensor
    layer4: Tensor


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, config: MRCNetConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = make_norm(channels, config)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = make_norm(channels, config)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
                make_norm(channels, config),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return self.relu(y.add_(self.shortcut(x)))


class ResNet(nn.Module):
    """ResNet-18 or -34 without pooling and classifier; the first activation is SiLU, the layers keep ReLU."""

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(INPUT_CHANNELS, config.stem_channels, 7, stride=2, padding=3, bias=False),
            make_norm(config.stem_channels, config),
            nn.SiLU(),
        )
        layers = []
        in_channels = config.stem_channels
        for index, (channels, blocks) in enumerate(zip(config.layer_channels, BLOCKS[config.backbone])):
            stride = 1 if index == 0 else 2
            layers.append(
                nn.Sequential(
                    BasicBlock(in_channels, channels, stride, config),
                    *(BasicBlock(channels, channels, 1, config) for _ in range(blocks - 1)),
                )
            )
            in_channels = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, crop: Tensor) -> BackboneMaps:
        """crop (B, 4, S, S) -> maps at 1/4, 1/8 and 1/16."""
        layer1 = self.layer1(self.stem(crop))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return BackboneMaps(layer2, layer3, self.layer4(layer3))
