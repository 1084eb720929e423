"""torchvision's ResNet-34 in our backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from reference_layout import BLOCKS, Sizes
from reference_twin import Twin
from torch import Tensor
from torchvision_layout import WIDTHS, torchvision_state

from mrc_core.model import MRCNet, MRCNetConfig
from mrc_core.model.adapters import WeightsError, load_imagenet_resnet

MEAN, DEVIATION = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


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
    ignored = load_imagenet_resnet(ours, state)
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
def test_a_resnet_18_is_taken_too() -> None:
    ours, state = network(backbone=18), torchvision_state((2, 2, 2, 2))
    load_imagenet_resnet(ours, state)
    assert torch.equal(ours.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


@torch.no_grad()
def test_the_box_map_is_not_seen_at_first_but_can_be_learnt(state: dict[str, Tensor]) -> None:
    ours = network()
    load_imagenet_resnet(ours, state)
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
    ignored = load_imagenet_resnet(after, state)
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
        ({"layer_channels": (32, 64, 96, 160)}, lambda s: None, r"layer_channels: \(64, 128.*flavour: paper"),
        ({}, lambda s: s.update({"layer1.0.conv3.weight": torch.zeros(1)}), "ResNet-50 or deeper"),
        ({}, lambda s: s.pop("conv1.weight"), "not torchvision's"),
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
        load_imagenet_resnet(network(**changes), damaged)
