"""The authors' published checkpoints into our network.

What is the same on both sides, by their public implementation [R], and needs no change: the order of the rotation
buckets (in-plane angle outer, HEALPix pixel inner), of the cells (row by row), of the depth bins (near to far), of the
correlation's shifts (dy outer), of every concatenation (features, mask; real, correlation, finer scale; input, mean,
dilations), of a flattened map (channel outer) and of the three numbers behind it; ReLU in the ResNet's layers.

What differs and is folded into weights, exactly: the input is blue, green, red; the six rotation numbers of "no
residual" are (1, 0, 0, 0, 1, 0) and not zero; depth residuals are in mm per crop pixel and not in parts of the middle
tau_z. What differs and cannot be folded is in `reference_config` (the network) and REFERENCE_CONVENTIONS (around it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mrc_core.model.adapters.reference_names import DECODER_BANK, shared_pairs
from mrc_core.model.adapters.state_dict import Adapted, Move, WeightsError, adapt
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.conventions import Conventions
from mrc_core.model.network import MRCNet

# The crop's picture is sampled with the box's centre at pixel 128 of 256, while their renderer and SITE have it at the
# middle of the image, between pixels 127 and 128. Ours are at 127.5 throughout, so the picture alone is shifted.
REFERENCE_CONVENTIONS = Conventions(
    crop_shift_px=0.5,
    antialias=False,
    box_map="rounded",
    rendered_box_growth=0.125,
    depth_focal="x",
    object_origin="mesh",
    render="grey",
)

_IGNORABLE = (
    (
        r"backbone\.base_model\.[01]\..*",
        "the 3-channel stem of the ResNet that the layers were taken from: never called",
    ),
)
_RUNNING = ("running_mean", "running_var", "num_batches_tracked")
_BANK = "backbone.decoder."


def reference_config(num_objects: int, **changes: Any) -> MRCNetConfig:
    """The network of the published checkpoints.

    The encoder normalises with the statistics of a batch. Theirs is evaluated on batches of four in-plane turns of one
    crop, ours on all crops of a frame, so `crop` comes nearer to it than `batch`, and lets a pose depend on its own
    crop alone; `norm="batch"` is what it trains with.
    """
    return MRCNetConfig.paper(num_objects, **{"norm": "crop", "bottleneck_bias": True, **changes})


def count_decoders(state_dict: Mapping[str, Tensor]) -> int:
    """How many objects a reference checkpoint has a decoder for.

    Raises:
        WeightsError: it is no such checkpoint.
    """
    name = f"{_BANK}layer4_1x1.weights"
    if name not in state_dict or state_dict[name].ndim != 5:
        raise WeightsError(
            f"these are no weights of the reference implementation: '{name}' (objects, out, in, 1, 1) is not among them"
        )
    return state_dict[name].shape[0]


def adapt_reference(
    state_dict: Mapping[str, Tensor],
    config: MRCNetConfig,
    tau_z_limits_mm: tuple[float, float],
    decoders: Sequence[int] | None = None,
) -> Adapted:
    """Our state dict from a reference checkpoint's.

    Args:
        state_dict: its `network` section.
        config: see `reference_config`.
        tau_z_limits_mm: the depth limits that it was trained with, mm per crop pixel, for all objects. The codec's
            depth_limits must be these in metres, for every object: the depth residual's unit hangs on them.
        decoders: which of its decoders each of our objects gets; None: all, in their order.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; another number of objects.
    """
    low, high = tau_z_limits_mm
    if not 0 <= low < high:
        raise WeightsError(
            f"the limits of tau_z must be 0 <= low < high in mm per pixel, not {low} and {high}"
        )
    there = count_decoders(state_dict)
    chosen = list(range(there)) if decoders is None else list(decoders)
    if len(chosen) != config.num_objects or not set(chosen) <= set(range(there)):
        raise WeightsError(
            f"the checkpoint was trained on {there} objects; the network has {config.num_objects}"
            + ("" if decoders is None else f" and asks for numbers {chosen} of 0..{there - 1}")
        )
    with torch.device("meta"):  # shapes alone
        ours = {name: tensor.shape for name, tensor in MRCNet(config).state_dict().items()}
    changes = _changes((low + high) / 2)
    moves = [Move(a, b, change=changes.get(a, _same)) for a, b in shared_pairs(config)]
    moves += [move for i, k in enumerate(chosen) for move in _decoder_moves(i, k, there, ours)]
    return adapt(_without_second_names(state_dict), moves, ours, _IGNORABLE)


def _changes(middle_tau_z_mm: float) -> dict[str, Callable[[Tensor], Tensor]]:
    def in_middles(mm_per_pixel: Tensor) -> Tensor:
        return mm_per_pixel / middle_tau_z_mm

    return {
        "backbone.stem.0.weight": lambda weight: weight[:, [2, 1, 0, 3]],
        "regression.rotation6d.output.bias": lambda bias: bias - bias.new_tensor([1.0, 0, 0, 0, 1, 0]),
        "regression.depth.output.weight": in_middles,
        "regression.depth.output.bias": in_middles,
    }


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _decoder_moves(index: int, chosen: int, there: int, ours: Mapping[str, torch.Size]) -> list[Move]:
    """The decoder of our object `index` out of their banks of `there`."""
    moves = []
    for a, b in DECODER_BANK:
        name = f"decoder.objects.{index}.{a}"
        kernel = tuple(ours[f"{name}.weight"])
        moves.append(
            Move(f"{name}.weight", f"{_BANK}{b}.weights", (there, *kernel), lambda bank: bank[chosen])
        )
        moves.append(
            Move(
                f"{name}.bias",
                f"{_BANK}{b}.bias",
                (there, kernel[0], 1, 1),
                lambda bank: bank[chosen, :, 0, 0],
            )
        )
    return moves


def _without_second_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their ResNet's layers are registered twice, as `backbone.layer1.0` and as `backbone.base_model.4`, and so on.

    Either name is taken, since converters drop one of them; where both are there, they must agree.
    """
    running = [name for name in state_dict if name.rsplit(".", 1)[-1] in _RUNNING]
    if running:
        raise WeightsError(
            f"the checkpoint holds running statistics ({running[0]}), the published networks keep none: it was "
            "trained with another version, whose evaluation this network does not repeat"
        )
    out: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        first = name
        for layer in range(1, 5):
            second = f"backbone.base_model.{layer + 3}."
            if name.startswith(second):
                first = f"backbone.layer{layer}.0.{name[len(second) :]}"
        known = out.setdefault(first, tensor)
        if known is not tensor and not (known.shape == tensor.shape and torch.equal(known, tensor)):
            raise WeightsError(
                f"{name} and {first} are one tensor under two names, but differ: a damaged checkpoint"
            )
    return out
