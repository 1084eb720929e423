"""torchvision's ResNet-34 in our backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from reference_layout import BLOCKS, Sizes
from reference_twin import Twin
from torch import Tensor

from mrc_core.model import MRCNet, MRCNetConfig
from mrc_core.model.adapters import WeightsError, load_imagenet_resnet34

WIDTHS = (64, 128, 256, 512)
MEAN, DEVIATION = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def torchvision_state() -> dict[str, Tensor]:
    """Names and shapes of torchvision.models.resnet34, with random numbers."""
    rng = torch.Generator().manual_seed(0)
    out: dict[str, Tensor] = {}

    def conv(name: str, *shape: int) -> None:
        out[f"{name}.weight"] = torch.randn(shape, generator=rng) / math.sqrt(math.prod(shape[1:]))

    def norm(name: str, width: int) -> None:
        out[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=rng)
        out[f"{name}.bias"] = 0.2 * torch.randn(width, generator=rng)
        out[f"{name}.running_mean"], out[f"{name}.running_var"] = torch.ones(width), torch.ones(width)
        out[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", 64, 3, 7, 7)
    norm("bn1", 64)
    of = 64
    for layer, (width, count) in enumerate(zip(WIDTHS, BLOCKS), start=1):
        for k in range(count):
            conv(f"layer{layer}.{k}.conv1", width, of, 3, 3)
            norm(f"layer{layer}.{k}.bn1", width)
            conv(f"layer{layer}.{k}.conv2", width, width, 3, 3)
            norm(f"layer{layer}.{k}.bn2", width)
            if layer > 1 and k == 0:
                conv(f"layer{layer}.{k}.downsample.0", width, of, 1, 1)
                norm(f"layer{layer}.{k}.downsample.1", width)
            of = width
    conv("fc", 1000, 512)
    out["fc.bias"] = torch.zeros(1000)
    return out


def network(**changes: object) -> MRCNet:
    """The paper's backbone, and small everything else."""
    small = {
        "crop_size": 32, "layer_channels": WIDTHS, "backbone": 34, "stem_channels": 64, "input_scaling": "imagenet",
        "norm": "batch", "norm_group_channels": None, "norm_groups": 4, "aspp_dilations": (1,),
        "decoder_channels": (16, 16), "decoder_lateral_channels": (16, 16, 16),
    }  # fmt: skip
    torch.manual_seed(1)
    return MRCNet(MRCNetConfig.small(1, **{**small, **changes}))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small loses more time to waiting threads than it gains, on a busy machine most of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return torchvision_state()


@torch.no_grad()
def test_the_backbone_says_what_torchvisions_layers_say(state: dict[str, Tensor]) -> None:
    """With the statistics of the batch, without the max-pool, and with SiLU first, as this network has it."""
    ours = network()
    ignored = load_imagenet_resnet34(ours, state)
    assert {name.rsplit(".", 1)[-1] for name in ignored if not name.startswith("fc")} == {
        "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip
    crops = torch.rand(2, 4, 32, 32, generator=torch.Generator().manual_seed(2))
    twin = Twin(Sizes(), state, (0.0, 1.0))
    x = F.conv2d((crops[:, :3] - MEAN) / DEVIATION, state["conv1.weight"], stride=2, padding=3)
    x = F.silu(twin.batch_norm(x, "bn1"))
    for layer, count in enumerate(BLOCKS, start=1):
        for k in range(count):
            x = twin.block(x, f"layer{layer}.{k}", 2 if layer > 1 and k == 0 else 1)
    got = ours.backbone(ours.scaling(crops)).layer4
    torch.testing.assert_close(got, x, rtol=0, atol=1e-4)
    swapped = ours.backbone(ours.scaling(crops[:, [2, 1, 0, 3]])).layer4
    assert (swapped - x).abs().max() > 0.05
    unscaled = ours.backbone(crops).layer4
    assert (unscaled - x).abs().max() > 0.05


@torch.no_grad()
def test_the_box_map_is_not_seen_at_first_but_can_be_learnt(state: dict[str, Tensor]) -> None:
    ours = network()
    load_imagenet_resnet34(ours, state)
    stem = ours.backbone.stem[0].weight
    assert not stem[:, 3].any()
    assert torch.equal(stem[:, :3], state["conv1.weight"])
    with torch.enable_grad():
        crops = torch.rand(2, 4, 32, 32, generator=torch.Generator().manual_seed(2))
        ours.backbone(ours.scaling(crops)).layer2.square().mean().backward()
    assert stem.grad is not None
    assert stem.grad[:, 3].any()


@torch.no_grad()
def test_group_norms_start_anew_and_nothing_else_changes(state: dict[str, Tensor]) -> None:
    before, after = network(norm="group"), network(norm="group")
    for parameter in after.backbone.stem[1].parameters():
        parameter.fill_(5.0)
    ignored = load_imagenet_resnet34(after, state)
    assert "group norm" in ignored["layer3.0.downsample.1.weight"]
    for name, parameter in after.named_parameters():
        if not name.startswith("backbone"):
            assert torch.equal(parameter, before.get_parameter(name))
        elif parameter.ndim == 1:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all()
    assert torch.equal(after.backbone.layer3[0].shortcut[0].weight, state["layer3.0.downsample.0.weight"])
    assert torch.equal(after.backbone.layer4[2].conv2.weight, state["layer4.2.conv2.weight"])


@torch.no_grad()
def test_the_scaling_is_no_weight_and_off_by_default() -> None:
    plain, scaled = network(input_scaling="none"), network()
    assert plain.state_dict().keys() == scaled.state_dict().keys()
    scaled.load_state_dict(plain.state_dict())
    crops, index = torch.rand(2, 4, 32, 32), torch.zeros(2, dtype=torch.int64)
    shifted = crops.clone()
    shifted[:, :3] = (crops[:, :3] - MEAN) / DEVIATION
    assert torch.equal(plain.encode(shifted, index).f16, scaled.encode(crops, index).f16)


@pytest.mark.parametrize(
    ("changes", "damage", "says"),
    [
        ({"backbone": 18}, lambda s: None, "needs a network with backbone: 34, this one has 18"),
        ({"stem_channels": 32}, lambda s: None, "stem_channels: 64"),
        ({"input_scaling": "none"}, lambda s: None, "input_scaling: imagenet"),
        ({}, lambda s: s.pop("layer2.1.bn2.bias"), r"1 missing \(layer2.1.bn2.bias\)"),
        (
            {},
            lambda s: s.update({"layer4.3.conv1.weight": torch.zeros(1)}),
            r"1 unknown \(layer4.3.conv1.weight\)",
        ),
        ({}, lambda s: s.update({"conv1.weight": torch.zeros(64, 4, 7, 7)}), r"needed is \(64, 3, 7, 7\)"),
    ],
)
def test_what_does_not_fit_is_named(
    state: dict[str, Tensor],
    changes: dict[str, object],
    damage: Callable[[dict[str, Tensor]], object],
    says: str,
) -> None:
    damaged = dict(state)
    damage(damaged)
    with pytest.raises(WeightsError, match=says):
        load_imagenet_resnet34(network(**changes), damaged)
