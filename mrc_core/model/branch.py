"""A branch of the network: from crops to features at three scales, the part that real and rendered crops share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrc_core.model.aspp import ASPP
from mrc_core.model.backbone import INPUT_CHANNELS, ResNet
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.decoder import Decoder
from mrc_core.model.normalization import ConvNormSiLU, ImageNetScaling
from mrc_core.model.pyramid import FeaturePyramid, Pyramid


class Branch(nn.Module):
    """Encoder, bottleneck ASPP, decoders and pyramid: crops (B, 4, S, S) -> Pyramid."""

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        self.config = config
        self.scaling = ImageNetScaling() if config.input_scaling == "imagenet" else nn.Identity()
        self.backbone = ResNet(config)
        self.aspp = ASPP(config.layer_channels[-1], config)
        self.bottleneck = ConvNormSiLU(
            self.aspp.out_channels, config.bottleneck_channels, config, kernel=1, bias=config.bottleneck_bias
        )
        self.decoder = Decoder(config)
        self.pyramid = FeaturePyramid(config)

    def encode(self, crop: Tensor, object_index: Tensor) -> Pyramid:
        """Features of a batch of crops.

        Args:
            crop: (B, 4, S, S), RGB in 0..1 and the box map (1 inside the box, 0 outside).
            object_index: (B,) int64, which object each crop shows, 0..num_objects-1.
        """
        size = self.config.crop_size
        if crop.dim() != 4 or crop.shape[1:] != (INPUT_CHANNELS, size, size):
            raise ValueError(f"crop must be (B, {INPUT_CHANNELS}, {size}, {size}), not {tuple(crop.shape)}")
        if object_index.shape != crop.shape[:1]:
            raise ValueError(f"object_index must be ({len(crop)},), not {tuple(object_index.shape)}")

        maps = self.backbone(self.scaling(crop).contiguous(memory_format=torch.channels_last))
        bottleneck = self.bottleneck(self.aspp(maps.layer4))
        features, mask_logit = self.decoder(bottleneck, maps, object_index)
        return self.pyramid(features, mask_logit)
