"""Names, shapes and sizes of the authors' checkpoints, for the adapter's tests: the facts, written down once more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCKS = (3, 4, 6, 3)
DILATIONS = (2, 3, 4, 6, 8, 12)
REACH = 5  # of the correlation
SHIFTS = (2 * REACH + 1) ** 2


@dataclass(frozen=True)
class Sizes:
    """Widths of the network, which theirs has as numbers in its code."""

    image: int = 256
    n_side: int = 4
    buckets: int = 4608
    cells: int = 64
    depths: int = 1000
    layers: tuple[int, int, int, int] = (64, 128, 256, 512)
    pooled: int = 512
    up: tuple[int, int] = (512, 256)  # conv_up3, conv_up2
    features: int = 64
    pyramid: int = 128
    fused: tuple[int, int, int] = (128, 256, 256)
    reduction: int = 8
    hidden: int = 256
    groups: int = 32

    @property
    def heads(self) -> dict[str, tuple[int, int]]:
        """Channels that each head reads, and its numbers."""
        at_first, at_last = 8 * self.pyramid, 8 * self.fused[2]
        return {
            "classifier.pose_clf": (at_first, self.buckets),
            "classifier.depth_clf": (at_first, self.depths),
            "classifier.trans_clf": (at_first, self.cells**2),
            "regressor.pose_reg": (at_last, 6),
            "regressor.depth_reg": (at_last, 1),
            "regressor.trans_reg": (at_last, 2),
        }


def layout(sizes: Sizes, objects: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint's `network`, without the second names of the ResNet's layers."""
    out: dict[str, tuple[int, ...]] = {}

    def affine(name: str, *shape: int) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

    def conv_norm(name: str, to: int, of: int) -> None:
        out[f"{name}.conv.weight"] = (to, of, 3, 3)
        affine(f"{name}.norm", to)

    def aspp(name: str, width: int) -> None:
        for k in range(len(DILATIONS)):
            conv_norm(f"{name}.convs.{k}", width, width)

    stem, (_, c2, c3, c4), (up3, up2) = sizes.layers[0], sizes.layers, sizes.up
    out["backbone.base_model.0.weight"] = (stem, 3, 7, 7)
    affine("backbone.base_model.1", stem)
    out["backbone.layer0.0.weight"] = (stem, 4, 7, 7)
    affine("backbone.layer0.1", stem)
    of = stem
    for layer, (width, count) in enumerate(zip(sizes.layers, BLOCKS), start=1):
        for block in range(count):
            name = f"backbone.layer{layer}.0.{block}"
            out[f"{name}.conv1.weight"] = (width, of, 3, 3)
            affine(f"{name}.bn1", width)
            out[f"{name}.conv2.weight"] = (width, width, 3, 3)
            affine(f"{name}.bn2", width)
            if layer > 1 and block == 0:
                out[f"{name}.downsample.0.weight"] = (width, of, 1, 1)
                affine(f"{name}.downsample.1", width)
            of = width
    aspp("backbone.pool.0", c4)
    affine("backbone.pool.1", sizes.pooled, 8 * c4, 1, 1)
    affine("backbone.pool.2", sizes.pooled)
    bank = {
        "layer2_1x1": (c2, c2, 1),
        "layer3_1x1": (c3, c3, 1),
        "layer4_1x1": (sizes.pooled, sizes.pooled, 1),
        "conv_up3": (up3, c3 + sizes.pooled, 3),
        "conv_up2": (up2, c2 + up3, 3),
        "conv_last": (sizes.features + 1, up2, 1),
    }
    for name, (to, of, kernel) in bank.items():
        out[f"backbone.decoder.{name}.weights"] = (objects, to, of, kernel, kernel)
        out[f"backbone.decoder.{name}.bias"] = (objects, to, 1, 1)
    seen, pyramid, (f8, f16, f_last) = sizes.features + 1, sizes.pyramid, sizes.fused
    conv_norm("decoder.conv_down_x8", pyramid, seen)
    conv_norm("decoder.conv_down_x16", pyramid, pyramid)
    aspp("decoder.clf_pool", pyramid)
    affine("decoder.corr_x4.proj_in", sizes.features, seen, 1, 1)
    affine("decoder.corr_x8.proj_in", pyramid, pyramid, 1, 1)
    affine("decoder.corr_x16.proj_in", pyramid, pyramid, 1, 1)
    conv_norm("decoder.reg_conv_x8", f8, seen + SHIFTS)
    conv_norm("decoder.reg_conv_x16", f16, pyramid + SHIFTS + f8)
    conv_norm("decoder.reg_conv_add", f_last, pyramid + SHIFTS + f16)
    aspp("decoder.reg_pool", f_last)
    for name, (width, numbers) in sizes.heads.items():
        squeezed = width // sizes.reduction
        conv_norm(f"{name}.conv_in", squeezed, width)
        affine(f"{name}.linear1", sizes.hidden, squeezed * (sizes.image // 32) ** 2 + 3)
        affine(f"{name}.linear2", numbers, sizes.hidden)
    return out


def with_second_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As their modules are registered: the ResNet's layers once more in `base_model`."""
    prefix = {f"backbone.layer{k}.0.": f"backbone.base_model.{k + 3}." for k in range(1, 5)}
    again = {to + n[len(of) :]: t for of, to in prefix.items() for n, t in state.items() if n.startswith(of)}
    return {**state, **again}


def random_state(sizes: Sizes, objects: int, seed: int = 0) -> dict[str, Tensor]:
    """A checkpoint's `network` with random numbers that keep every part of the network busy."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in layout(sizes, objects).items():
        value = torch.randn(shape, generator=rng)
        if len(shape) == 1 and name.endswith("weight"):
            value = 1 + 0.2 * value
        elif len(shape) == 1 or name.endswith(".bias"):
            value = 0.3 * value
        else:
            value = value / math.sqrt(math.prod(shape[-3:] if len(shape) >= 4 else shape[1:]))
        if name.endswith("linear1.weight"):
            value[:, -3:] *= 8  # three numbers beside hundreds: made loud enough to be missed
        state[name] = value
    state["regressor.pose_reg.linear2.weight"] *= 0.4
    state["regressor.pose_reg.linear2.bias"] += torch.tensor([1.0, 0, 0, 0, 1, 0])
    state["regressor.depth_reg.linear2.bias"] *= 0.3
    return with_second_names(state)
