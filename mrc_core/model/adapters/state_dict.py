"""Foreign state dicts into ours: every tensor is used or ignored for a reason, every one of ours is filled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Size, Tensor

NAMED_AT_MOST = 4  # tensors that a message lists


class WeightsError(ValueError):
    """Weights that cannot be used here; the message says why and what to do."""


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Move:
    """One of our tensors and the foreign one that it comes from.

    Attributes:
        target: our name.
        source: the foreign name; several of ours may come from one.
        shape: the foreign tensor's shape; None: as ours.
        change: from the foreign tensor to ours.
    """

    target: str
    source: str
    shape: tuple[int, ...] | None = None
    change: Callable[[Tensor], Tensor] = _as_it_is


@dataclass(frozen=True)
class Adapted:
    """Tensors under our names, and the foreign ones that were left out with the reason."""

    tensors: dict[str, Tensor]
    ignored: dict[str, str]


def adapt(
    foreign: Mapping[str, Tensor],
    moves: Sequence[Move],
    ours: Mapping[str, Size],
    ignorable: Sequence[tuple[str, str]],
) -> Adapted:
    """Carries out `moves`.

    Args:
        foreign: the foreign state dict.
        moves: one for each of our tensors.
        ours: shapes by name of all that must be filled.
        ignorable: (regular expression of whole foreign names, reason) of tensors that may be left out.

    Returns:
        float32 tensors that share no memory with the foreign ones.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape, or one of ours stays empty.
    """
    shapes = {move.source: tuple(move.shape or ours[move.target]) for move in moves if move.target in ours}
    ignored = {
        name: reason
        for name in foreign
        if name not in shapes
        for pattern, reason in ignorable
        if re.fullmatch(pattern, name)
    }
    problems = [
        _listed("missing", [name for name in shapes if name not in foreign]),
        _listed("unknown", [name for name in foreign if name not in shapes and name not in ignored]),
        _listed(
            "of another shape",
            [
                f"{name} is {tuple(foreign[name].shape)}, needed is {shape}"
                for name, shape in shapes.items()
                if name in foreign and tuple(foreign[name].shape) != shape
            ],
        ),
        _listed("not filled in our network", sorted(set(ours) - {move.target for move in moves})),
        _listed("without a place in our network", [m.target for m in moves if m.target not in ours]),
    ]
    if any(problems):
        raise WeightsError("the weights do not fit the network: " + "; ".join(filter(None, problems)))
    tensors = {}
    for move in moves:
        tensor = move.change(foreign[move.source])
        if tensor.shape != ours[move.target]:
            raise WeightsError(f"{move.target} is {tuple(ours[move.target])}, not {tuple(tensor.shape)}")
        tensors[move.target] = tensor.float().clone()
    return Adapted(tensors, ignored)


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return f"{len(names)} {what} ({', '.join(names[:NAMED_AT_MOST])}{more})"
