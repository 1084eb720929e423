"""Names of the authors' checkpoints beside ours.

The facts are those of their public implementation [R]; where it matters, the module that a name belongs to is given.
"""

from __future__ import annotations

from collections.abc import Iterator

from mrc_core.model.backbone import BLOCKS
from mrc_core.model.config import MRCNetConfig

Pair = tuple[str, str]  # ours, theirs

# Of the decoder bank: ours, theirs. Each of theirs holds all objects' tensors in one, with the object as first axis.
DECODER_BANK: tuple[Pair, ...] = (
    ("lateral_bottleneck", "layer4_1x1"),
    ("lateral3", "layer3_1x1"),
    ("lateral2", "layer2_1x1"),
    ("merge3", "conv_up3"),
    ("merge2", "conv_up2"),
    ("output", "conv_last"),
)
_HEADS: tuple[Pair, ...] = (
    ("classification.rotation", "classifier.pose_clf"),
    ("classification.xy", "classifier.trans_clf"),
    ("classification.depth", "classifier.depth_clf"),
    ("regression.rotation6d", "regressor.pose_reg"),
    ("regression.xy", "regressor.trans_reg"),
    ("regression.depth", "regressor.depth_reg"),
)
_CONV_NORMS: tuple[Pair, ...] = (
    ("pyramid.down8", "decoder.conv_down_x8"),
    ("pyramid.down16", "decoder.conv_down_x16"),
    ("fusion.fuse4", "decoder.reg_conv_x8"),
    ("fusion.fuse8", "decoder.reg_conv_x16"),
    ("fusion.fuse16", "decoder.reg_conv_add"),
)
_ASPPS: tuple[Pair, ...] = (
    ("aspp", "backbone.pool.0"),
    ("classification.aspp", "decoder.clf_pool"),
    ("regression.aspp", "decoder.reg_pool"),
)
# torchvision's names, which theirs are within a layer.
RESNET_BLOCK: tuple[Pair, ...] = (
    ("conv1.weight", "conv1.weight"),
    ("norm1.weight", "bn1.weight"),
    ("norm1.bias", "bn1.bias"),
    ("conv2.weight", "conv2.weight"),
    ("norm2.weight", "bn2.weight"),
    ("norm2.bias", "bn2.bias"),
)
RESNET_SHORTCUT: tuple[Pair, ...] = (
    ("shortcut.0.weight", "downsample.0.weight"),
    ("shortcut.1.weight", "downsample.1.weight"),
    ("shortcut.1.bias", "downsample.1.bias"),
)


def resnet_pairs(config: MRCNetConfig, ours: str, theirs: str) -> Iterator[Pair]:
    """The four layers of the ResNet; `ours` and `theirs` are formats with the layer's number."""
    in_channels = config.stem_channels
    for layer, (channels, blocks) in enumerate(zip(config.layer_channels, BLOCKS[config.backbone]), start=1):
        for block in range(blocks):
            has_shortcut = block == 0 and (layer > 1 or in_channels != channels)
            for a, b in RESNET_BLOCK + RESNET_SHORTCUT * has_shortcut:
                yield f"{ours.format(layer)}.{block}.{a}", f"{theirs.format(layer)}.{block}.{b}"
        in_channels = channels


def shared_pairs(config: MRCNetConfig) -> Iterator[Pair]:
    """All that is there once, whatever the number of objects."""
    yield "backbone.stem.0.weight", "backbone.layer0.0.weight"
    yield from _affine("backbone.stem.1", "backbone.layer0.1")
    yield from resnet_pairs(config, "backbone.layer{}", "backbone.layer{}.0")
    yield from _affine("bottleneck.conv", "backbone.pool.1")
    yield from _affine("bottleneck.norm", "backbone.pool.2")
    for ours, theirs in _CONV_NORMS:
        yield from _conv_norm(ours, theirs)
    for ours, theirs in _ASPPS:
        for branch in range(len(config.aspp_dilations)):
            yield from _conv_norm(f"{ours}.branches.{branch}", f"{theirs}.convs.{branch}")
    for scale in (4, 8, 16):
        yield from _affine(f"fusion.correlate{scale}.project", f"decoder.corr_x{scale}.proj_in")
    for ours, theirs in _HEADS:
        yield from _conv_norm(f"{ours}.squeeze", f"{theirs}.conv_in")
        yield from _affine(f"{ours}.hidden", f"{theirs}.linear1")
        yield from _affine(f"{ours}.output", f"{theirs}.linear2")


def _affine(ours: str, theirs: str) -> Iterator[Pair]:
    for part in ("weight", "bias"):
        yield f"{ours}.{part}", f"{theirs}.{part}"


def _conv_norm(ours: str, theirs: str) -> Iterator[Pair]:
    yield f"{ours}.conv.weight", f"{theirs}.conv.weight"
    yield from _affine(f"{ours}.norm", f"{theirs}.norm")
