"""The decoder: from the encoder's maps to features and a visible-mask logit at a quarter of the crop's size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrc_core.model.backbone import BackboneMaps
from mrc_core.model.config import MRCNetConfig


class ObjectDecoder(nn.Module):
    """The decoder of one object: bottleneck, layer3 and layer2 -> (B, feature_channels + 1, S/4, S/4)."""

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        _, channels2, channels3, _ = config.layer_channels
        lateral_bottleneck, lateral3, lateral2 = config.decoder_lateral_channels
        wide, narrow = config.decoder_channels
        self.lateral_bottleneck = nn.Conv2d(config.bottleneck_channels, lateral_bottleneck, 1)
        self.lateral3 = nn.Conv2d(channels3, lateral3, 1)
        self.lateral2 = nn.Conv2d(channels2, lateral2, 1)
        self.merge3 = nn.Conv2d(lateral_bottleneck + lateral3, wide, 3, padding=1)
        self.merge2 = nn.Conv2d(wide + lateral2, narrow, 3, padding=1)
        self.output = nn.Conv2d(narrow, config.feature_channels + 1, 1)

    def forward(self, bottleneck: Tensor, layer3: Tensor, layer2: Tensor) -> Tensor:
        x = upsample(F.silu(self.lateral_bottleneck(bottleneck)))
        x = F.silu(self.merge3(torch.cat([x, F.silu(self.lateral3(layer3))], dim=1)))
        x = upsample(x)
        x = F.silu(self.merge2(torch.cat([x, F.silu(self.lateral2(layer2))], dim=1)))
        return self.output(x)


class Decoder(nn.Module):
    """A bank of object decoders: each crop of the batch goes through the one of its object.

    The batch is sorted by object, so that each object present costs one pass over its crops, and put back in its
    order afterwards: no crop sees another, and an object that is absent costs nothing and gets no gradient.
    """

    def __init__(self, config: MRCNetConfig) -> None:
        super().__init__()
        self.objects = nn.ModuleList(ObjectDecoder(config) for _ in range(config.num_objects))

    def forward(self, bottleneck: Tensor, maps: BackboneMaps, object_index: Tensor) -> tuple[Tensor, Tensor]:
        """object_index (B,) -> features (B, feature_channels, S/4, S/4), mask logit (B, 1, S/4, S/4)."""
        inputs = (bottleneck, maps.layer3, maps.layer2)
        indices = object_index.tolist()
        present = sorted(set(indices))
        if present and not 0 <= present[0] <= present[-1] < len(self.objects):
            raise ValueError(
                f"object_index holds {present}, but the network has decoders for 0..{len(self.objects) - 1}; "
                "build it with a larger num_objects or correct the index"
            )
        if len(present) == 1:
            decoded = self.objects[present[0]](*inputs)
        else:
            order = sorted(range(len(indices)), key=indices.__getitem__)
            inverse = sorted(range(len(indices)), key=order.__getitem__)
            counts = [indices.count(index) for index in present]
            parts = zip(*(reorder(x, order).split(counts) for x in inputs))
            decoded = torch.cat([self.objects[index](*part) for index, part in zip(present, parts)])
            decoded = reorder(decoded, inverse)
        return decoded[:, :-1], decoded[:, -1:]


def upsample(x: Tensor) -> Tensor:
    """Bilinear, (B, C, H, W) -> (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def reorder(x: Tensor, order: list[int]) -> Tensor:
    """Rows of the batch in another order, kept in channels-last memory."""
    # index_select would hand back plain NCHW memory, and every convolution after it would convert.
    rows = x.permute(0, 2, 3, 1)
    return rows.index_select(0, torch.tensor(order, device=x.device)).permute(0, 3, 1, 2)
