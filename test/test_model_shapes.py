"""Sizes: the shape of every step of the published network, its parameters, and the small flavour's."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from mrc_core.model import MRCNet, MRCNetConfig

PAPER_SHAPES = {
    "backbone.stem": (64, 128, 128),
    "backbone.layer1": (64, 128, 128),
    "backbone.layer2": (128, 64, 64),
    "backbone.layer3": (256, 32, 32),
    "backbone.layer4": (512, 16, 16),
    "aspp": (4096, 16, 16),
    "bottleneck": (512, 16, 16),
    "decoder.objects.0.lateral_bottleneck": (512, 16, 16),
    "decoder.objects.0.lateral3": (256, 32, 32),
    "decoder.objects.0.merge3": (512, 32, 32),
    "decoder.objects.0.lateral2": (128, 64, 64),
    "decoder.objects.0.merge2": (256, 64, 64),
    "decoder.objects.0.output": (65, 64, 64),
    "pyramid.down8": (128, 32, 32),
    "pyramid.down16": (128, 16, 16),
    "classification.aspp": (1024, 16, 16),
    "classification.rotation.squeeze": (128, 8, 8),
    "classification.xy.squeeze": (128, 8, 8),
    "classification.depth.squeeze": (128, 8, 8),
    "classification.rotation.hidden": (256,),
    "classification.rotation": (4608,),
    "classification.xy": (4096,),
    "classification.depth": (1000,),
    "fusion.correlate4.project": (64, 64, 64),
    "fusion.correlate8.project": (128, 32, 32),
    "fusion.correlate16.project": (128, 16, 16),
    "fusion.correlate4": (121, 64, 64),
    "fusion.correlate8": (121, 32, 32),
    "fusion.correlate16": (121, 16, 16),
    "fusion.fuse4": (128, 32, 32),
    "fusion.fuse8": (256, 16, 16),
    "fusion.fuse16": (256, 16, 16),
    "regression.aspp": (2048, 16, 16),
    "regression.rotation6d.squeeze": (256, 8, 8),
    "regression.xy.squeeze": (256, 8, 8),
    "regression.depth.squeeze": (256, 8, 8),
    "regression.rotation6d": (6,),
    "regression.xy": (2,),
    "regression.depth": (1,),
}
PAPER_INPUT_CHANNELS = {
    "decoder.objects.0.merge3": 768,
    "decoder.objects.0.merge2": 640,
    "fusion.fuse4.conv": 186,
    "fusion.fuse8.conv": 377,
    "fusion.fuse16.conv": 505,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small loses more time to waiting threads than it gains, on a busy machine most of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def count_parameters(config: MRCNetConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MRCNet(config).parameters())


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Random weights for 89 million parameters take seconds; shapes do not ask for them."""
    names = ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "zeros_")
    saved = {name: getattr(nn.init, name) for name in names}
    for name in names:
        setattr(nn.init, name, lambda tensor, *_, **__: tensor.detach().fill_(1e-3))
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(nn.init, name, function)


def test_the_papers_shape_at_every_step() -> None:
    with without_initialisation():
        network = MRCNet(MRCNetConfig.paper(num_objects=1))
    modules = dict(network.named_modules())
    seen: dict[str, tuple[int, ...]] = {}
    for name in PAPER_SHAPES:
        modules[name].register_forward_hook(
            lambda _, __, out, name=name: seen.__setitem__(name, tuple(out.shape[1:]))
        )
    with torch.no_grad():
        index = torch.zeros(1, dtype=torch.int64)
        real = network.encode(torch.rand(1, 4, 256, 256), index)
        network.classify(real, torch.zeros(1, 3))
        network.regress(real, real, torch.zeros(1, 3))
    assert seen == PAPER_SHAPES
    assert {name: modules[name].in_channels for name in PAPER_INPUT_CHANNELS} == PAPER_INPUT_CHANNELS
    shapes = {
        name: tuple(getattr(real, name).shape[1:]) for name in ("f4", "f8", "f16", "features", "mask_logit")
    }
    assert shapes == {
        "f4": (65, 64, 64),
        "f8": (128, 32, 32),
        "f16": (128, 16, 16),
        "features": (64, 64, 64),
        "mask_logit": (1, 64, 64),
    }


def test_the_papers_dilations_and_groups() -> None:
    with torch.device("meta"):
        network = MRCNet(MRCNetConfig.paper(num_objects=1))
    for aspp in (network.aspp, network.classification.aspp, network.regression.aspp):
        assert [branch.conv.dilation[0] for branch in aspp.branches] == [2, 3, 4, 6, 8, 12]
    assert {m.num_groups for m in network.modules() if isinstance(m, nn.GroupNorm)} == {32}


@pytest.mark.parametrize(("num_objects", "millions"), [(1, 88.9), (8, 126.6), (30, 244.8)])
def test_the_papers_parameters(num_objects: int, millions: float) -> None:
    assert round(count_parameters(MRCNetConfig.paper(num_objects)) / 1e6, 1) == millions


def test_a_further_object_costs_one_decoder() -> None:
    one, two = (count_parameters(MRCNetConfig.paper(count)) for count in (1, 2))
    assert round((two - one) / 1e6, 1) == 5.4


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_small_flavour(norm: str) -> None:
    config = MRCNetConfig.small(num_objects=4, norm=norm)
    assert count_parameters(config) < 6e6
    network = MRCNet(config)
    index = torch.tensor([3, 0])
    with torch.no_grad():
        real = network.encode(torch.rand(2, 4, 128, 128), index)
        logits = network.classify(real, torch.zeros(2, 3))
        residual = network.regress(real, real, torch.zeros(2, 3))
    assert real.f4.shape == (2, config.feature_channels + 1, 32, 32)
    assert [scale.shape[-1] for scale in real.scales] == [32, 16, 8]
    assert logits.rotation.shape == (2, 576)
    assert logits.xy.shape == (2, 32 * 32)
    assert logits.depth.shape == (2, 64)
    assert residual.rotation6d.shape == (2, 6)
    assert residual.xy.shape == (2, 2)
    assert residual.depth.shape == (2, 1)


def test_half_precision_ends_in_float32() -> None:
    network = MRCNet(MRCNetConfig.small(num_objects=2))
    crop, index, look = torch.rand(2, 4, 128, 128), torch.tensor([1, 0]), torch.zeros(2, 3)
    with torch.no_grad():
        full = network.classify(network.encode(crop, index), look)
        with torch.autocast("cpu", torch.bfloat16):
            real = network.encode(crop, index)
            half, residual = network.classify(real, look), network.regress(real, real, look)
    assert real.f16.dtype == torch.bfloat16
    assert {half.rotation.dtype, half.xy.dtype, residual.rotation6d.dtype} == {torch.float32}
    assert (half.rotation - full.rotation).abs().max() < 0.05 * full.rotation.abs().max()


def test_wrong_inputs_are_refused_with_a_reason() -> None:
    network = MRCNet(MRCNetConfig.small(num_objects=2))
    crop, index = torch.rand(1, 4, 128, 128), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"crop must be \(B, 4, 128, 128\), not \(1, 3, 128, 128\)"):
        network.encode(crop[:, :3], index)
    with pytest.raises(ValueError, match="object_index must be"):
        network.encode(crop, torch.zeros(2, dtype=torch.int64))
    for bad in (2, -1):
        with pytest.raises(ValueError, match=r"decoders for 0\.\.1"):
            network.encode(crop, index + bad)
    real = network.encode(crop, index)
    with pytest.raises(ValueError, match="look must be"):
        network.classify(real, torch.zeros(1, 2))
