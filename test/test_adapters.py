"""The authors' checkpoints in our network: the same numbers come out, and no mistake of order passes unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from reference_comparison import LIMITS_MM, SIZES, difference, our_config, our_outputs, reference_outputs
from reference_layout import SHIFTS, Sizes, layout, random_state, with_second_names
from torch import Tensor

from mrc_core.model import MRCNet, MRCNetConfig
from mrc_core.model.adapters import WeightsError, adapt_reference, count_decoders, reference_config

Weights = dict[str, Tensor]
FUSED = {  # in the order of the concatenation: channels of the real features, the correlation and the finer scale
    "fusion.fuse4.conv.weight": (SIZES.features + 1, SHIFTS),
    "fusion.fuse8.conv.weight": (SIZES.pyramid, SHIFTS, SIZES.fused[0]),
    "fusion.fuse16.conv.weight": (SIZES.pyramid, SHIFTS, SIZES.fused[1]),
}
MAP_SIDE = SIZES.image // 32  # of what a head flattens


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small loses more time to waiting threads than it gains, on a busy machine most of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def state() -> Weights:
    return random_state(SIZES, objects=2)


@pytest.fixture(scope="module")
def weights(state: Weights) -> Weights:
    return adapt_reference(state, our_config(), LIMITS_MM).tensors


@pytest.fixture(scope="module")
def theirs(state: Weights) -> Weights:
    return reference_outputs(state)


# ---- the same numbers ------------------------------------------------------------------------------------------------
def test_every_output_is_the_references(weights: Weights, theirs: Weights) -> None:
    errors = difference(our_outputs(weights), theirs)
    assert max(errors.values()) < 1e-4, errors


def test_the_comparison_can_tell(theirs: Weights) -> None:
    """Residuals that turn and move, classes that are not all the same, poses before the camera."""
    assert ((theirs["translation"] - theirs["coarse translation"]).norm(dim=1) > 1).all()
    assert (theirs["translation"][:, 2] > 20).all()
    assert ((theirs["rotation"] - theirs["coarse rotation"]).flatten(1).norm(dim=1) > 0.1).all()
    for name in ("bucket logits", "cell logits", "depth logits"):
        assert theirs[name].std() > 0.1
        assert (theirs[name][0] - theirs[name][2]).abs().max() > 0.1


def test_norm_crop_is_a_batch_of_one(state: Weights, theirs: Weights) -> None:
    config = our_config(norm="crop")
    ours = our_outputs(adapt_reference(state, config, LIMITS_MM).tensors, config)
    for i in range(3):
        alone = reference_outputs(state, slice(i, i + 1))
        row = {
            name: value if name == "bucket rotations" else value[i : i + 1] for name, value in ours.items()
        }
        assert max(difference(row, alone).values()) < 1e-4
    assert difference(ours, theirs)["bucket logits"] > 1e-2


# ---- mistakes --------------------------------------------------------------------------------------------------------
def rows(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Weights], Weights]:
    """A change of the order of a layer's outputs: weights and bias."""
    return lambda w: {f"{name}.{part}": change(w[f"{name}.{part}"]) for part in ("weight", "bias")}


def columns(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Weights], Weights]:
    """A change of the order of a layer's inputs."""
    return lambda w: {name: change(w[name].transpose(0, 1)).transpose(0, 1)}


def in_blocks(sizes: tuple[int, ...], order: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.cat([x.split(sizes)[i] for i in order])


def swapped(i: int, j: int) -> Callable[[Tensor], Tensor]:
    def change(x: Tensor) -> Tensor:
        order = list(range(len(x)))
        order[i], order[j] = order[j], order[i]
        return x[order]

    return change


def transposed_cells(x: Tensor) -> Tensor:
    return x.unflatten(0, (SIZES.cells, SIZES.cells)).transpose(0, 1).flatten(0, 1)


def buckets_by_pixel(x: Tensor) -> Tensor:
    return x.unflatten(0, (12, 48)).transpose(0, 1).flatten(0, 1)


def shifts(change: Callable[[Tensor], Tensor]) -> Callable[[Weights], Weights]:
    """A change of the order of the correlation's channels, at every scale."""

    def all_scales(w: Weights) -> Weights:
        out = {}
        for name, sizes in FUSED.items():
            parts = list(w[name].transpose(0, 1).split(sizes))
            parts[1] = change(parts[1].unflatten(0, (11, 11))).flatten(0, 1)
            out[name] = torch.cat(parts).transpose(0, 1)
        return out

    return all_scales


def flattened_by_place(x: Tensor) -> Tensor:
    flat, scalars = x[:-3], x[-3:]
    return torch.cat([flat.unflatten(0, (-1, MAP_SIDE**2)).transpose(0, 1).flatten(0, 1), scalars])


def exchanged(a: str, b: str) -> Callable[[Weights], Weights]:
    """Two modules of the same shapes in each other's place."""

    def change(w: Weights) -> Weights:
        found = {
            n: n.replace(a, b, 1) if n.startswith(a) else n.replace(b, a, 1)
            for n in w
            if n.startswith((a, b))
        }
        assert len(found) >= 2
        return {to: w[of] for of, to in found.items()}

    return change


def aspp_blocks(*order: int) -> Callable[[Tensor], Tensor]:
    """Another order of an ASPP's input, mean and dilations in what reads them."""
    return lambda x: torch.cat([x.chunk(8)[i] for i in order])


def on(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Weights], Weights]:
    return lambda w: {name: change(w[name])}


def last(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([x[:-3], change(x[-3:])])


ROTATION, CELL, DEPTH = (f"classification.{name}.output" for name in ("rotation", "xy", "depth"))
FIRST_AND_LAST = (SIZES.features, 1)
MISTAKES: dict[str, Callable[[Weights], Weights]] = {
    "two buckets swapped": rows(ROTATION, swapped(100, 311)),
    "neighbours swapped": rows(ROTATION, swapped(574, 575)),
    "buckets pixel by pixel": rows(ROTATION, buckets_by_pixel),
    "cells transposed": rows(CELL, transposed_cells),
    "depths from far to near": rows(DEPTH, lambda x: x.flip(0)),
    "correlation dx outer": shifts(lambda x: x.transpose(0, 1)),
    "correlation of real with rendered": shifts(lambda x: x.flip(0, 1)),
    "correlation before features": columns("fusion.fuse4.conv.weight", in_blocks((121, 9), (1, 0))),
    "finer scale before correlation": columns(
        "fusion.fuse8.conv.weight", in_blocks((16, 16, 121), (0, 2, 1))
    ),
    "finer scale first": columns("fusion.fuse16.conv.weight", in_blocks((24, 16, 121), (1, 2, 0))),
    "layer3 before the bottleneck": columns("decoder.objects.0.merge3.weight", in_blocks((16, 16), (1, 0))),
    "layer2 before what is above": columns("decoder.objects.1.merge2.weight", in_blocks((8, 16), (1, 0))),
    "mean before the input": columns("bottleneck.conv.weight", aspp_blocks(1, 0, 2, 3, 4, 5, 6, 7)),
    "dilations in another order": columns(
        "classification.depth.squeeze.conv.weight", aspp_blocks(0, 1, 3, 2, 4, 5, 6, 7)
    ),
    "branches of the regression's ASPP": exchanged(
        "regression.aspp.branches.0.", "regression.aspp.branches.5."
    ),
    "colours reversed": columns("backbone.stem.0.weight", lambda x: x[[2, 1, 0, 3]]),
    "box map first": columns("backbone.stem.0.weight", lambda x: x[[3, 0, 1, 2]]),
    "mask before features": rows("decoder.objects.1.output", in_blocks(FIRST_AND_LAST, (1, 0))),
    "mask before features in the pyramid": columns(
        "pyramid.down8.conv.weight", in_blocks(FIRST_AND_LAST, (1, 0))
    ),
    "flattened place by place": columns("classification.xy.hidden.weight", flattened_by_place),
    "look in another order": columns("classification.xy.hidden.weight", lambda x: last(x, swapped(0, 1))),
    "look of stage 2 in another order": columns(
        "regression.xy.hidden.weight", lambda x: last(x, swapped(1, 2))
    ),
    "six numbers as rows": rows("regression.rotation6d.output", lambda x: x[[0, 3, 1, 4, 2, 5]]),
    "second column first": rows("regression.rotation6d.output", lambda x: x.roll(3, 0)),
    "no identity": on("regression.rotation6d.output.bias", lambda x: x + torch.tensor([1.0, 0, 0, 0, 1, 0])),
    "y before x": rows("regression.xy.output", lambda x: x.flip(0)),
    "depth residual in metres": rows("regression.depth.output", lambda x: x * (sum(LIMITS_MM) / 2) / 1000),
    "depth residual in bins": rows("regression.depth.output", lambda x: x * 0.26),
    "heads exchanged": exchanged("classification.rotation.hidden", "classification.depth.hidden"),
    "objects exchanged": exchanged("decoder.objects.0.", "decoder.objects.1."),
    "scales exchanged": exchanged("fusion.correlate8", "fusion.correlate16"),
    "no bias at the bottleneck": on("bottleneck.conv.bias", torch.zeros_like),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_order_or_unit_fails(name: str, weights: Weights, theirs: Weights) -> None:
    wrong = MISTAKES[name](weights)
    assert wrong
    assert all(wrong[key].shape == weights[key].shape for key in wrong)
    assert max(difference(our_outputs({**weights, **wrong}), theirs).values()) > 0.02


@pytest.mark.parametrize(
    "change", [{"depth_focal": "mean"}, {"rendered_box_growth": 0.0}, {"box_map": "inside"}], ids=str
)
def test_another_convention_fails(change: dict[str, object], weights: Weights, theirs: Weights) -> None:
    assert max(difference(our_outputs(weights, **change), theirs).values()) > 0.02


def test_another_norm_fails(weights: Weights, theirs: Weights) -> None:
    assert max(difference(our_outputs(weights, our_config(norm="group")), theirs).values()) > 0.02


# ---- the published sizes ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("objects", "millions"), [(1, 88.9), (8, 126.6), (30, 244.8)])
def test_the_published_layout_fills_the_papers_network(objects: int, millions: float) -> None:
    """By shape alone, at full size."""
    state = {name: torch.empty(shape, device="meta") for name, shape in layout(Sizes(), objects).items()}
    config = reference_config(objects)
    adapted = adapt_reference(with_second_names(state), config, (0.05, 1.7))
    with torch.device("meta"):
        network = MRCNet(config)
    assert {n: t.shape for n, t in adapted.tensors.items()} == {
        n: t.shape for n, t in network.state_dict().items()
    }
    assert round(sum(t.numel() for t in adapted.tensors.values()) / 1e6, 1) == millions
    assert set(adapted.ignored) == {f"backbone.base_model.{n}" for n in ("0.weight", "1.weight", "1.bias")}
    used = sum(t.numel() for n, t in state.items() if n not in adapted.ignored)
    assert used == sum(t.numel() for t in adapted.tensors.values())


def test_the_networks_of_the_reference_differ_from_the_papers_by_flags_alone() -> None:
    paper, theirs = MRCNetConfig.paper(3).model_dump(), reference_config(3).model_dump()
    changed = {key: value for key, value in theirs.items() if paper.get(key) != value}
    assert changed == {"norm": "crop", "bottleneck_bias": True}


def test_some_objects_of_many_keep_their_decoders(state: Weights, weights: Weights) -> None:
    one = adapt_reference(state, our_config(num_objects=1), LIMITS_MM, decoders=[1]).tensors
    assert torch.equal(one["decoder.objects.0.merge3.weight"], weights["decoder.objects.1.merge3.weight"])
    assert torch.equal(one["decoder.objects.0.output.bias"], weights["decoder.objects.1.output.bias"])


def test_either_name_of_the_layers_is_enough(state: Weights, weights: Weights) -> None:
    for dropped in ("backbone.layer2.0.", "backbone.base_model.5."):
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(dropped)}
        again = adapt_reference(kept, our_config(), LIMITS_MM).tensors
        assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())


# ---- errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("decoder.corr_x8.proj_in.bias"), r"1 missing \(decoder.corr_x8.proj_in.bias\)"),
        (lambda s: s.update(surprise=torch.zeros(1)), r"1 unknown \(surprise\)"),
        (
            lambda s: s.update({"backbone.pool.2.weight": torch.ones(17)}),
            r"backbone.pool.2.weight is \(17,\), needed is \(16,\)",
        ),
        (
            lambda s: s.update({"backbone.decoder.conv_up3.bias": torch.ones(2, 16)}),
            r"conv_up3.bias is \(2, 16\), needed is \(2, 16, 1, 1\)",
        ),
        (
            lambda s: s.update({"backbone.base_model.6.2.conv1.weight": torch.zeros(16, 16, 3, 3)}),
            "one tensor under two names, but differ",
        ),
        (lambda s: s.update({"backbone.layer0.1.running_mean": torch.zeros(8)}), "running statistics"),
        (
            lambda s: s.pop("backbone.decoder.layer4_1x1.weights"),
            "no weights of the reference implementation",
        ),
    ],
)
def test_what_does_not_fit_is_named(state: Weights, change: Callable[[Weights], object], says: str) -> None:
    damaged = dict(state)
    change(damaged)
    with pytest.raises(WeightsError, match=says):
        adapt_reference(damaged, our_config(), LIMITS_MM)


def test_another_number_of_objects_and_absurd_limits_are_named(state: Weights) -> None:
    assert count_decoders(state) == 2
    with pytest.raises(WeightsError, match="trained on 2 objects; the network has 5"):
        adapt_reference(state, our_config(num_objects=5), LIMITS_MM)
    with pytest.raises(WeightsError, match=r"asks for numbers \[2\] of 0..1"):
        adapt_reference(state, our_config(num_objects=1), LIMITS_MM, decoders=[2])
    with pytest.raises(WeightsError, match="0 <= low < high"):
        adapt_reference(state, our_config(), (1.7, 0.05))
