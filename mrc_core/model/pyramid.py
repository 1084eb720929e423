"""Three scales of features of one crop, real or rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mrc_core.model.config import MRCNetConfig
from mrc_core.model.normalization import ConvNormSiLU


@dataclass(frozen=True)
class Pyramid:
    """What the encoder says about a batch of crops of side S; C and P are feature_channels and pyramid_channels."""

    f4: Tensor  # (B, C + 1, S/4, S/4): features and the visible mask's probability, which carries no gradient
    f8: Tensor  # (B, P, S/8, S/8)
    f16: Tensor  # (B, P, S/16, S/16)
    mask_logit: Tensor  # (B, 1, S/4, S/4)
    features: Tensor  # (B, C, S/4, S/4), the first C channels of f4

    @property
    def scales(self) -> tuple[Tensor, Tensor, Tensor]:
        """From fine to coarse."""
        return self.f4, self.f8, self.f16

    def detached(self) -> Pyramid:
        """The same features, through which no gradient flows back."""
        return Pyramid(**{name: value.detach() for name, value in vars(self).items()})

    def take(self, rows: Tensor) -> Pyramid:
        """Some rows (N,) of the batch."""
        return Pyramid(**{name: value[rows] for name, value in vars(self).items()})

    def row(self, number: int) -> Pyramid:
        """One row as a batch of one, a view into this batch."""
        return Pyramid(**{name: value[number : number + 1] for name, value in vars(self).items()})

    def copied(self) -> Pyramid:
        """The same features in memory of their own."""
        return Pyramid(**{name: value.clone() for name, value in vars(self).items()})

    @classmethod
    def join(cls, parts: Sequence[Pyramid]) -> Pyramid:
        """All rows of all parts, in their order."""
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})


class FeaturePyramid(nn.Module):
    """features (B, C, S/4, S/4), mask logit (B, 1, S/4, S/4) -> Pyramid."""

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.down8 = ConvNormSiLU(config.feature_channels + 1, channels, config, stride=2)
        self.down16 = ConvNormSiLU(channels, channels, config, stride=2)

    def forward(self, features: Tensor, mask_logit: Tensor) -> Pyramid:
        # The mask learns from its own loss alone: the pose may look at it, not bend it.
        f4 = torch.cat([features, mask_logit.sigmoid().detach()], dim=1)
        f8 = self.down8(f4)
        return Pyramid(f4, f8, self.down16(f8), mask_logit, features)
