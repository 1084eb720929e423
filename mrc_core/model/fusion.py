"""Multiscale residual correlation: compares a rendered with a real pyramid, from fine to coarse."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrc_core.model.config import MRCNetConfig
from mrc_core.model.correlation import Correlation
from mrc_core.model.normalization import ConvNormSiLU
from mrc_core.model.pyramid import Pyramid


class MRCFusion(nn.Module):
    """Two pyramids -> (B, fusion_channels[-1], S/16, S/16).

    At each scale the real features, the correlation and what the finer scale found are concatenated and convolved.
    Rendered features enter through the correlation alone: the stage must compare, it cannot memorise renders. With
    `rendered_mask` the render's silhouette stands beside the real features, as the real mask does: no appearance, but
    the size that the object has in the coarse pose.
    """

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        features, pyramid, radius = (
            config.feature_channels,
            config.pyramid_channels,
            config.correlation_radius,
        )
        shifts = config.correlation_channels
        fine, middle, coarse = config.fusion_channels
        self.correlate4 = Correlation(features + 1, features, radius)
        self.correlate8 = Correlation(pyramid, pyramid, radius)
        self.correlate16 = Correlation(pyramid, pyramid, radius)
        self.silhouette = config.rendered_mask
        self.fuse4 = ConvNormSiLU(features + 1 + shifts + self.silhouette, fine, config, stride=2)
        self.fuse8 = ConvNormSiLU(pyramid + shifts + fine, middle, config, stride=2)
        self.fuse16 = ConvNormSiLU(pyramid + shifts + middle, coarse, config)

    def forward(self, real: Pyramid, rendered: Pyramid, rendered_mask: Tensor | None = None) -> Tensor:
        """rendered_mask (B, S, S) bool: the render's pixels; needed where the configuration says so."""
        finest = [real.f4, self.correlate4(rendered.f4, real.f4)]
        if self.silhouette:
            if rendered_mask is None:
                raise ValueError("this network compares silhouettes: it needs the rendered mask")
            # the last channel, so that weights of a network without it keep their places (warm_start.py)
            finest.append(F.avg_pool2d(rendered_mask.to(real.f4.dtype)[:, None], 4))
        x = self.fuse4(torch.cat(finest, dim=1))
        x = self.fuse8(torch.cat([real.f8, self.correlate8(rendered.f8, real.f8), x], dim=1))
        return self.fuse16(torch.cat([real.f16, self.correlate16(rendered.f16, real.f16), x], dim=1))
