"""MRC-Net: coarse pose by classification, residual pose by correlating the crop with a render of the coarse pose."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrc_core.model.branch import Branch
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.fusion import MRCFusion
from mrc_core.model.heads import LOOK_CHANNELS, ClassificationHeads, PoseLogits, PoseResidual, RegressionHeads
from mrc_core.model.pyramid import Pyramid


class MRCNet(Branch):
    """The whole network. It renders nothing and knows no pose: between its two stages the caller does both.

        real = network.encode(crop, object_index)
        logits = network.classify(real, look)                  # stage 1: which of the pose classes
        ...                                                    # render the best class
        rendered = network.encode_render(rendered_crop, object_index)
        residual = network.regress(real, rendered, look)       # stage 2: what is left

    It is a branch itself, the one that real crops go through, and rendered ones too: Siamese. Only with `siamese`
    false in its configuration do renders have a `render_branch` with weights of its own.

    `look` (B, 3) says where the crop looks: ((u - cx) / fx, (v - cy) / fy, s / fx) with (u, v) the crop's centre and
    s its side in px for stage 1, (tx / tz, ty / tz) of the coarse pose and the same third for stage 2.
    """

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__(config)

        # Each stage's own.
        self.classification = ClassificationHeads(config)
        self.fusion = MRCFusion(config)
        self.regression = RegressionHeads(config)

        self.render_branch = None if config.siamese else Branch(config)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode_render(self, crop: Tensor, object_index: Tensor) -> Pyramid:
        """Features of rendered crops; as `encode`, which has the same weights where the network is Siamese."""
        branch = self if self.render_branch is None else self.render_branch
        return branch.encode(crop, object_index)

    def classify(self, real: Pyramid, look: Tensor) -> PoseLogits:
        """Stage 1: scores of the pose classes of each crop; look (B, 3)."""
        _check_look(look, real)
        return self.classification(real.f16, look)

    def regress(
        self, real: Pyramid, rendered: Pyramid, look: Tensor, rendered_mask: Tensor | None = None
    ) -> PoseResidual:
        """Stage 2: the residual from the rendered pose to the real one.

        Args:
            look: (B, 3).
            rendered_mask: (B, S, S) bool, the render's pixels; only networks with `rendered_mask` need it.
        """
        _check_look(look, real)
        if rendered.f4.shape != real.f4.shape:
            raise ValueError(
                f"{len(rendered.f4)} rendered crops cannot be compared with {len(real.f4)} real ones"
            )
        return self.regression(self.fusion(real, rendered, rendered_mask), look)


def _check_look(look: Tensor, real: Pyramid) -> None:
    if look.shape != (len(real.f16), LOOK_CHANNELS):
        raise ValueError(f"look must be ({len(real.f16)}, {LOOK_CHANNELS}), not {tuple(look.shape)}")
