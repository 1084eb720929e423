"""No dead branch: every module learns from the pose and moves it; both branches share what they should."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from mrc_core.model import MRCNet, MRCNetConfig, Pyramid

NUM_OBJECTS = 3
OBJECT_INDEX = torch.tensor([0, 2, 1, 0])
LOOK = torch.linspace(-0.3, 0.3, 3 * len(OBJECT_INDEX)).view(-1, 3)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small loses more time to waiting threads than it gains, on a busy machine most of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_config() -> MRCNetConfig:
    """The small flavour's structure at a size that can be run hundreds of times."""
    return MRCNetConfig.small(
        NUM_OBJECTS,
        crop_size=64,
        stem_channels=8,
        layer_channels=(8, 16, 16, 24),
        bottleneck_channels=16,
        aspp_branch_channels=8,
        decoder_lateral_channels=(16, 16, 8),
        decoder_channels=(16, 8),
        feature_channels=8,
        pyramid_channels=16,
        fusion_channels=(16, 16, 16),
        head_reduction=2,
        head_hidden=16,
        norm_group_channels=4,
    )


@pytest.fixture
def network() -> MRCNet:
    torch.manual_seed(0)
    network = MRCNet(tiny_config())
    for head in (network.regression.rotation6d, network.regression.xy, network.regression.depth):
        nn.init.normal_(head.output.weight, std=0.3)  # near zero at first: its effect would drown in rounding
    return network


@pytest.fixture
def crops() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    real, rendered = torch.rand(2, len(OBJECT_INDEX), 4, 64, 64, generator=generator)
    return real, rendered


def encode(network: MRCNet, crops: tuple[Tensor, Tensor]) -> tuple[Pyramid, Pyramid]:
    real, rendered = (network.encode(crop, OBJECT_INDEX) for crop in crops)
    return real, rendered


def run(network: MRCNet, real: Pyramid, rendered: Pyramid) -> dict[str, Tensor]:
    """Everything that a pose is made of, by stage."""
    logits, residual = network.classify(real, LOOK), network.regress(real, rendered, LOOK)
    return {
        "logits": torch.cat([logits.rotation, logits.xy, logits.depth], dim=1),
        "residual": torch.cat([residual.rotation6d, residual.xy, residual.depth], dim=1),
    }


def parametrised_modules(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (name, m)
        for name, m in network.named_modules()
        if next(m.parameters(recurse=False), None) is not None
    ]


def test_every_parameter_gets_a_gradient_from_the_pose(network: MRCNet, crops: tuple[Tensor, Tensor]) -> None:
    out = run(network, *encode(network, crops))
    (out["logits"].square().mean() + out["residual"].square().mean()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@torch.no_grad()
def test_disturbing_any_module_changes_the_pose(network: MRCNet, crops: tuple[Tensor, Tensor]) -> None:
    pyramids = encode(network, crops)
    before = run(network, *pyramids)
    assert torch.equal(before["residual"], run(network, *encode(network, crops))["residual"])
    modules = parametrised_modules(network)
    assert len(modules) > 100
    dead = []
    for name, module in modules:
        saved = [p.clone() for p in module.parameters(recurse=False)]
        for p in module.parameters(recurse=False):
            p += torch.randn_like(p) * (p.std(correction=0) + 0.1)
        if not name.startswith(("classification", "fusion", "regression")):
            after = run(network, *encode(network, crops))
        else:
            after = run(network, *pyramids)
        for p, old in zip(module.parameters(recurse=False), saved):
            p.copy_(old)
        changed = {
            key for key in before if (after[key] - before[key]).abs().max() > 1e-3 * before[key].abs().max()
        }
        if name.startswith("classification"):
            expected = {"logits"}
        elif name.startswith(("fusion", "regression")):
            expected = {"residual"}
        else:
            expected = {"logits", "residual"}
        if changed != expected:
            dead.append((name, changed, expected))
    assert dead == []


@torch.no_grad()
def test_the_look_and_both_crops_matter(network: MRCNet, crops: tuple[Tensor, Tensor]) -> None:
    real, rendered = (network.encode(crop, OBJECT_INDEX) for crop in crops)
    look = LOOK
    assert not torch.allclose(network.classify(real, look).depth, network.classify(real, look + 1).depth)
    residual = network.regress(real, rendered, look).xy
    assert not torch.allclose(residual, network.regress(real, rendered, look + 1).xy)
    assert not torch.allclose(residual, network.regress(real, real, look).xy)
    assert not torch.allclose(residual, network.regress(rendered, rendered, look).xy)


@pytest.mark.parametrize("live", ["real", "rendered"])
def test_shared_weights_learn_through_either_branch(
    network: MRCNet, crops: tuple[Tensor, Tensor], live: str
) -> None:
    pyramids = {}
    for branch, crop in zip(("real", "rendered"), crops):
        with torch.set_grad_enabled(branch == live):
            pyramids[branch] = network.encode(crop, OBJECT_INDEX)
    network.regress(pyramids["real"], pyramids["rendered"], LOOK).rotation6d.square().mean().backward()
    for shared in (network.backbone, network.aspp, network.bottleneck, network.decoder, network.pyramid):
        assert all(p.grad is not None and p.grad.any() for p in shared.parameters())


def test_each_scale_projects_both_branches_once(network: MRCNet, crops: tuple[Tensor, Tensor]) -> None:
    calls = []
    for module in (network.fusion.correlate4, network.fusion.correlate8, network.fusion.correlate16):
        module.project.register_forward_hook(lambda module, *_: calls.append(module))
    run(network, *encode(network, crops))
    assert [calls.count(module) for module in dict.fromkeys(calls)] == [2, 2, 2]


def test_the_pose_reads_the_mask_but_does_not_train_it(network: MRCNet, crops: tuple[Tensor, Tensor]) -> None:
    out = run(network, *encode(network, crops))
    (out["logits"].square().mean() + out["residual"].square().mean()).backward()
    output = network.decoder.objects[0].output
    assert not output.weight.grad[-1].any()
    assert output.weight.grad[:-1].any()
    with torch.no_grad():
        output.bias[-1] += 3
        assert not torch.allclose(out["logits"], run(network, *encode(network, crops))["logits"], atol=1e-4)


def test_each_object_has_a_decoder_of_its_own(network: MRCNet, crops: tuple[Tensor, Tensor]) -> None:
    pyramid = network.encode(crops[0], OBJECT_INDEX)
    pyramid.features[OBJECT_INDEX == 0].square().mean().backward()
    used = [any(p.grad is not None and p.grad.any() for p in d.parameters()) for d in network.decoder.objects]
    assert used == [True, False, False]


def test_regression_starts_near_the_coarse_pose() -> None:
    torch.manual_seed(0)
    network = MRCNet(tiny_config())
    real, rendered = (network.encode(torch.rand(2, 4, 64, 64), torch.tensor([0, 1])) for _ in range(2))
    residual = network.regress(real, rendered, torch.zeros(2, 3))
    for part in (residual.rotation6d, residual.xy, residual.depth):
        assert part.abs().max() < 0.02
        assert part.any()


def everything(network: MRCNet, crops: Tensor, index: Tensor) -> dict[str, Tensor]:
    look = torch.full((len(index), 3), 0.1)
    real = network.encode(crops, index)
    # Compared with itself: one encoding serves, and a rendered crop is encoded no differently.
    logits, residual = network.classify(real, look), network.regress(real, real, look)
    return {
        **{f"real.{key}": value for key, value in vars(real).items()},
        **{f"logits.{key}": value for key, value in vars(logits).items()},
        **{f"residual.{key}": value for key, value in vars(residual).items()},
    }


@pytest.fixture(scope="module")
def mixed_batch() -> tuple[Callable[[int], tuple[Tensor, Tensor]], MRCNet]:
    torch.manual_seed(0)
    network = MRCNet(MRCNetConfig.small(num_objects=4)).eval()
    crops, index = torch.rand(64, 4, 128, 128), torch.randint(4, (64,))
    return lambda count: (crops[:count], index[:count]), network


@pytest.mark.parametrize("count", [7, 64])
@torch.no_grad()
def test_a_crop_says_the_same_alone_and_in_company(mixed_batch, count: int) -> None:
    take, network = mixed_batch
    together = everything(network, *take(count))
    for place in (0, count // 2, count - 1):
        crops, index = take(count)
        alone = everything(network, crops[place : place + 1], index[place : place + 1])
        for key, value in alone.items():
            torch.testing.assert_close(
                together[key][place : place + 1],
                value,
                rtol=0,
                atol=1e-4,
                msg=lambda m, key=key: f"{key}: {m}",
            )


@torch.no_grad()
def test_batch_statistics_are_never_remembered() -> None:
    """The paper's norm: nothing is stored, training and use agree, and the price is that the company matters."""
    torch.manual_seed(0)
    config = MRCNetConfig(**{**tiny_config().model_dump(), "norm": "batch"})
    network = MRCNet(config)
    assert not list(network.buffers())
    crops = torch.rand(4, 4, 64, 64)
    training = network.train().encode(crops, OBJECT_INDEX).f16
    assert torch.equal(training, network.eval().encode(crops, OBJECT_INDEX).f16)
    assert not torch.allclose(training[:2], network.encode(crops[:2], OBJECT_INDEX[:2]).f16, atol=1e-3)


def test_the_rendered_mask_moves_the_residual_where_the_network_reads_it(crops: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    network = MRCNet(MRCNetConfig(**{**tiny_config().model_dump(), "rendered_mask": True}))
    nn.init.normal_(network.regression.depth.output.weight, std=0.3)
    real, rendered = encode(network, crops)
    small, large = torch.zeros(2, len(OBJECT_INDEX), 64, 64, dtype=torch.bool)
    small[:, 24:40, 24:40] = True
    large[:, 16:48, 16:48] = True
    depths = [network.regress(real, rendered, LOOK, mask).depth for mask in (small, large)]
    assert not torch.allclose(*depths, atol=1e-4)
    with pytest.raises(ValueError, match="needs the rendered mask"):
        network.regress(real, rendered, LOOK)
