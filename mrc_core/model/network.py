"""MRC-Net: coarse pose by classification, residual pose by correlating the crop with a render of the coarse pose."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrc_core.model.aspp import ASPP
from mrc_core.model.backbone import INPUT_CHANNELS, ResNet
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.decoder import Decoder
from mrc_core.model.fusion import MRCFusion
from mrc_core.model.heads import LOOK_CHANNELS, ClassificationHeads, PoseLogits, PoseResidual, RegressionHeads
from mrc_core.model.normalization import ConvNormSiLU, ImageNetScaling
from mrc_core.model.pyramid import FeaturePyramid, Pyramid


class MRCNet(nn.Module):
    """The whole network. It renders nothing and knows no pose: between its two stages the caller does both.

        real = network.encode(crop, object_index)
        logits = network.classify(real, look)                  # stage 1: which of the pose classes
        ...                                                    # render the best class
        rendered = network.encode(rendered_crop, object_index) # the same weights: Siamese
        residual = network.regress(real, rendered, look)       # stage 2: what is left

    `look` (B, 3) says where the crop looks: ((u - cx) / fx, (v - cy) / fy, s / fx) with (u, v) the crop's centre and
    s its side in px for stage 1, (tx / tz, ty / tz) of the coarse pose and the same third for stage 2.
    """

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        self.config = config

        # Shared by the real and the rendered branch.
        self.scaling = ImageNetScaling() if config.input_scaling == "imagenet" else nn.Identity()
        self.backbone = ResNet(config)
        self.aspp = ASPP(config.layer_channels[-1], config)
        self.bottleneck = ConvNormSiLU(
            self.aspp.out_channels, config.bottleneck_channels, config, kernel=1, bias=config.bottleneck_bias
        )
        self.decoder = Decoder(config)
        self.pyramid = FeaturePyramid(config)

        # Each stage's own.
        self.classification = ClassificationHeads(config)
        self.fusion = MRCFusion(config)
        self.regression = RegressionHeads(config)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode(self, crop: Tensor, object_index: Tensor) -> Pyramid:
        """Features of a batch of crops, real or rendered.

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

    def classify(self, real: Pyramid, look: Tensor) -> PoseLogits:
        """Stage 1: scores of the pose classes of each crop; look (B, 3)."""
        _check_look(look, real)
        return self.classification(real.f16, look)

    def regress(self, real: Pyramid, rendered: Pyramid, look: Tensor) -> PoseResidual:
        """Stage 2: the residual from the rendered pose to the real one; look (B, 3)."""
        _check_look(look, real)
        if rendered.f4.shape != real.f4.shape:
            raise ValueError(
                f"{len(rendered.f4)} rendered crops cannot be compared with {len(real.f4)} real ones"
            )
        return self.regression(self.fusion(real, rendered), look)


def _check_look(look: Tensor, real: Pyramid) -> None:
    if look.shape != (len(real.f16), LOOK_CHANNELS):
        raise ValueError(f"look must be ({len(real.f16)}, {LOOK_CHANNELS}), not {tuple(look.shape)}")
