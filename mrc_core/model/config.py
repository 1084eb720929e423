"""Sizes of MRC-Net: every width, resolution and count of the network in one typed, validated place."""

from __future__ import annotations

import difflib
import math
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

# Left out of what is written where they are at their defaults: networks without foreign weights are described as ever,
# and programs from before these keys read them.
FOREIGN_FLAGS = ("bottleneck_bias", "input_scaling")
LEFT_OUT_AT_DEFAULT = (*FOREIGN_FLAGS, "siamese", "rendered_mask", "depth_residual", "rounds")

MOST_ROUNDS = 8


class MRCNetConfig(BaseModel):
    """Everything that decides the shapes inside `MRCNet`.

    The defaults are the paper's. Use `MRCNetConfig.paper(num_objects)` for the published network and
    `MRCNetConfig.small(num_objects)` for a flavour that trains on a CPU. S is `crop_size`; "1/4" is a map of
    S/4 x S/4 positions. An instance is immutable; `config.model_copy(update=...)` does not validate, so build a
    changed one with `MRCNetConfig(**{**config.model_dump(), "depth_bins": 32})`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_objects: PositiveInt = Field(description="object classes; each has a decoder of its own")
    crop_size: PositiveInt = Field(256, description="side of the square crop, px; a multiple of 16")

    backbone: Literal[18, 34] = Field(34, description="depth of the ResNet")
    stem_channels: PositiveInt = Field(64, description="channels of the first convolution, at 1/2")
    layer_channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        (64, 128, 256, 512), description="channels of layer1 (1/2), layer2 (1/4), layer3 (1/8), layer4 (1/16)"
    )
    bottleneck_channels: PositiveInt = Field(512, description="channels after the ASPP on layer4 is fused")

    aspp_dilations: tuple[PositiveInt, ...] = Field(
        (2, 3, 4, 6, 8, 12), min_length=1, description="dilations of the ASPP's 3x3 convolutions"
    )
    aspp_branch_channels: PositiveInt | None = Field(
        None, description="channels of each dilated convolution; null: as many as the ASPP's input has"
    )

    decoder_lateral_channels: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (512, 256, 128), description="channels of the 1x1 convolutions on the bottleneck, layer3 and layer2"
    )
    decoder_channels: tuple[PositiveInt, PositiveInt] = Field(
        (512, 256), description="channels of the decoder's 3x3 convolutions, at 1/8 and 1/4"
    )
    feature_channels: PositiveInt = Field(64, description="feature channels at 1/4, without the mask")
    pyramid_channels: PositiveInt = Field(128, description="feature channels at 1/8 and 1/16")

    correlation_radius: PositiveInt = Field(5, description="largest shift of the correlation, in positions")
    fusion_channels: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (128, 256, 256), description="output channels of the fusion's 3x3 convolutions, from fine to coarse"
    )

    n_side: Literal[2, 3, 4] = Field(4, description="rotation grid: 2, 3, 4 give 576, 1944, 4608 buckets")
    xy_cells: PositiveInt = Field(64, description="cells along each side of the crop for the object's centre")
    depth_bins: PositiveInt = Field(1000, description="bins of the object's depth")
    head_reduction: PositiveInt = Field(8, description="a head's convolution divides its channels by this")
    head_hidden: PositiveInt = Field(256, description="hidden units of a head's two-layer perceptron")

    norm: Literal["group", "batch", "crop"] = Field(
        "group",
        description="normalisation of the encoder: group (a crop's pose does not depend on the rest of the batch), "
        "batch (the paper's: the statistics of the batch at hand, in training and in use) or crop (batch with each "
        "crop as a batch of its own)",
    )
    norm_groups: PositiveInt = Field(32, description="groups of a group normalisation, at every width")
    norm_group_channels: PositiveInt | None = Field(
        None, description="channels of a group, at every width; overrides norm_groups where given"
    )

    siamese: bool = Field(
        True,
        description="real and rendered crops go through the same weights; false: renders have an encoder, decoders "
        "and a pyramid of their own (the paper's ablation)",
    )

    # Ours, not in the paper: docs/training.md has what they bring.
    rendered_mask: bool = Field(
        False,
        description="stage 2 also reads which pixels the render covers, one channel at 1/4, beside the real features",
    )
    depth_residual: Literal["object", "coarse"] = Field(
        "object",
        description="what stage 2's depth counts in parts of: the object's middle tau_z, or the coarse pose's, so that "
        "one number means one change of scale at every distance",
    )

    rounds: int = Field(
        1,
        ge=1,
        le=MOST_ROUNDS,
        description="how often stage 2 runs in use, each time from what it said last; in training it runs once",
    )

    # What weights from elsewhere need: see FOREIGN_FLAGS.
    bottleneck_bias: bool = Field(
        False,
        description="a bias in the convolution that fuses the bottleneck's ASPP, as the reference has [R]",
    )
    input_scaling: Literal["none", "imagenet"] = Field(
        "none",
        description="imagenet: mean and deviation that torchvision's weights expect; none: 0..1 as it is",
    )

    @classmethod
    def paper(cls, num_objects: int, **changes: Any) -> MRCNetConfig:
        """The published network: ResNet-34 on 256 px crops, 4608 rotations, 64 x 64 cells, 1000 depths."""
        return cls(num_objects=num_objects, **changes)

    @classmethod
    def small(cls, num_objects: int, **changes: Any) -> MRCNetConfig:
        """A narrow flavour on 128 px crops with 576 rotations that trains on two CPU cores."""
        small: dict[str, Any] = {
            "crop_size": 128,
            "backbone": 18,
            "stem_channels": 32,
            "layer_channels": (32, 64, 96, 160),
            "bottleneck_channels": 128,
            "aspp_dilations": (1, 2, 3, 5),
            "aspp_branch_channels": 32,
            "decoder_lateral_channels": (80, 48, 32),
            "decoder_channels": (80, 64),
            "feature_channels": 48,
            "pyramid_channels": 128,
            "fusion_channels": (64, 96, 128),
            "n_side": 2,
            "xy_cells": 32,
            "depth_bins": 64,
            "head_hidden": 192,
            # Groups of 16 fill a CPU's vectors: smaller ones cost ten times as much in the backward pass.
            "norm_group_channels": 16,
        }
        return cls(num_objects=num_objects, **{**small, **changes})

    @property
    def num_rotations(self) -> int:
        """Rotation buckets: 12 n^2 directions times floor(sqrt(pi 12 n^2)) in-plane angles."""
        directions = 12 * self.n_side**2
        return directions * math.isqrt(int(math.pi * directions))

    @property
    def feature_size(self) -> int:
        """Side of the finest feature map (and of the mask), S/4."""
        return self.crop_size // 4

    @property
    def correlation_channels(self) -> int:
        """Shifts of one correlation, (2 radius + 1)^2."""
        return (2 * self.correlation_radius + 1) ** 2

    def groups(self, channels: int) -> int:
        """Groups of the group normalisation of a map with so many channels."""
        return self.norm_groups if self.norm_group_channels is None else channels // self.norm_group_channels

    def aspp_output_channels(self, in_channels: int) -> int:
        """Channels that an ASPP on `in_channels` returns: the input, its mean and every dilated branch."""
        branch = in_channels if self.aspp_branch_channels is None else self.aspp_branch_channels
        return 2 * in_channels + branch * len(self.aspp_dilations)

    @model_serializer(mode="wrap")
    def _without_idle_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        defaults = type(self).model_fields
        return {
            key: value
            for key, value in dump(self).items()
            if key not in LEFT_OUT_AT_DEFAULT or value != defaults[key].default
        }

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    close = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                    known = ", ".join(cls.model_fields)
                    hint = f"did you mean '{close[0]}'?" if close else f"known keys: {known}"
                    raise ValueError(f"unknown key '{key}' in the network's configuration; {hint}")
        return values

    @model_validator(mode="after")
    def _check_sizes(self) -> MRCNetConfig:
        if self.crop_size % 16:
            raise ValueError(
                f"crop_size must be a multiple of 16, the encoder's stride, not {self.crop_size}"
            )
        for name, channels in self._normalised_channels():
            key = "norm_groups" if self.norm_group_channels is None else "norm_group_channels"
            divisor = getattr(self, key)
            if channels % divisor:
                raise ValueError(
                    f"{name}: {channels} channels cannot be divided by {key} = {divisor}; "
                    f"change {name.split(' ')[0]} or {key}"
                )
        return self

    def _normalised_channels(self) -> list[tuple[str, int]]:
        """Every channel count that a group normalisation sees, with the key that decides it."""
        counts = [
            ("bottleneck_channels", self.bottleneck_channels),
            ("pyramid_channels", self.pyramid_channels),
            *(("fusion_channels", channels) for channels in self.fusion_channels),
        ]
        if self.norm == "group":
            counts.append(("stem_channels", self.stem_channels))
            counts.extend(("layer_channels", channels) for channels in self.layer_channels)
        aspp_inputs = (self.layer_channels[-1], self.pyramid_channels, self.fusion_channels[-1])
        counts.extend(
            ("aspp_branch_channels", self.aspp_branch_channels or channels) for channels in aspp_inputs
        )
        for channels in aspp_inputs[1:]:
            squeezed = self.aspp_output_channels(channels) // self.head_reduction
            counts.append(("head_reduction (the heads' convolutions)", squeezed))
        return counts
