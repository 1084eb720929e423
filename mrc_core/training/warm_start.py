"""Starting a run from the weights of an existing bundle: more objects, or more training, for a fraction of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mrc_core.geometry.mesh_hash import mesh_hash
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.so3_grid import so3_grid
from mrc_core.inference.bundle import Bundle
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.conventions import OURS, Conventions
from mrc_core.training.config import RENDER_LOOKS, conventions_of
from mrc_core.training.depth_limits import DepthSamples, shares_outside
from mrc_core.training.learner import Learner

DECODERS = "decoder.objects."
BUCKETS = "classification.rotation.output."  # weight and bias have a row for each rotation bucket
SILHOUETTE = "fusion.fuse4.conv.weight"  # has one more input channel, the last one, in a network with rendered_mask
# What may differ between the bundle's network and the run's:
FREE = {"num_objects", "n_side", "rendered_mask", "depth_residual", "rounds"}
FEW = 0.01  # of an object's samples


@dataclass(frozen=True)
class WarmStart:
    """A bundle and which of its objects each object of the run is.

    Attributes:
        bundle: where the weights come from.
        class_ids: of the run's objects.
        known: place in the bundle of each of them, None for a new one.
        renewed: classes that the bundle has, but with another mesh; they count as new.
        n_side: of the run's rotation grid.
    """

    bundle: Bundle
    class_ids: tuple[str, ...]
    known: tuple[int | None, ...]
    renewed: tuple[str, ...]
    n_side: int

    def depth_limits(self, samples: DepthSamples, measured: Tensor) -> Tensor:
        """Limits (N, 2): the bundle's for known objects, whose depth bins mean these; `measured` (N, 2) for new ones.

        A range grows on a side where more than a few of the new samples lie outside of it. A few are labelled with the
        last bin, as in any training; a range that grows gives every bin another meaning, which is then learnt again.
        """
        kept = measured.clone()
        for i, place in enumerate(self.known):
            if place is not None:
                kept[i] = self.bundle.depth_limits[place]
        wider = torch.stack(
            [torch.minimum(kept[:, 0], measured[:, 0]), torch.maximum(kept[:, 1], measured[:, 1])], dim=-1
        )
        return torch.where(shares_outside(samples, kept) > FEW, wider, kept)

    @torch.no_grad()
    def load_into(self, learner: Learner) -> None:
        """Copies the bundle's weights into network and averages; the optimiser stays fresh.

        A new object keeps the random decoder that the network was built with. One that speaks for another object, or
        for the mean of all, is sure of what is wrong and learns more slowly: docs/training.md has the measurement.
        On another rotation grid each bucket starts with the score of the bundle's bucket that is nearest to it, and a
        rendered mask that the bundle's stage 2 did not read starts with no weight.
        """
        nearest = nearest_buckets(self.bundle.config.n_side, self.n_side)
        for name, value in learner.network.state_dict().items():  # shares memory with the network
            there = self._name_there(name)
            if there is not None:
                theirs = self.bundle.weights[there]
                if name.startswith(BUCKETS):
                    theirs = theirs[nearest]
                if name == SILHOUETTE:
                    theirs = _with_channels(theirs, value.shape[1])
                value.copy_(theirs)
            learner.average[name].copy_(value)

    def _name_there(self, name: str) -> str | None:
        """What the bundle calls a weight of the network; None for those of a new object's decoder."""
        branch, decoders, rest = name.partition(DECODERS)  # a branch of renders has decoders of its own
        if not decoders:
            return name
        number, rest = rest.split(".", 1)
        place = self.known[int(number)]
        return None if place is None else f"{branch}{DECODERS}{place}.{rest}"

    def describe(self) -> str:
        """One line for the log: what was matched."""
        kept = [name for name, place in zip(self.class_ids, self.known) if place is not None]
        new = [
            f"{name} (the bundle's has another mesh)" if name in self.renewed else name
            for name, place in zip(self.class_ids, self.known)
            if place is None
        ]
        grids = (self.bundle.config.num_rotations, len(so3_grid(self.n_side)))
        buckets = "" if grids[0] == grids[1] else f"; {grids[0]} rotation buckets became {grids[1]}"
        names = f"known objects: {', '.join(kept) or 'none'}; new: {', '.join(new) or 'none'}"
        return f"weights of the bundle{buckets}; {names}"

    def provenance(self) -> dict[str, Any]:
        """What the new bundle says about the old one."""
        before = self.bundle.provenance
        named = list(zip(self.class_ids, self.known))
        return {
            "classes": self.bundle.class_ids,
            "known": [name for name, place in named if place is not None],
            "new": [name for name, place in named if place is None],
            **{key: before[key] for key in ("commit", "step", "samples_seen", "init") if key in before},
        }


def _with_channels(weight: Tensor, channels: int) -> Tensor:
    """A convolution's weight (out, in, k, k) for so many input channels: the last ones are cut, or weigh nothing."""
    missing = weight.new_zeros(len(weight), max(0, channels - weight.shape[1]), *weight.shape[2:])
    return torch.cat([weight, missing], dim=1)[:, :channels]


def match_bundle(
    bundle: Bundle, objects: Sequence[ObjectModel], config: MRCNetConfig, conventions: Conventions = OURS
) -> WarmStart:
    """Finds the run's objects in a bundle: an object is known where both its class and its mesh are the bundle's.

    Args:
        config: of the run's network.
        conventions: that the run trains under.

    Raises:
        ValueError: the bundle's network has other sizes than `config`, or its weights follow other conventions.
    """
    if not bundle.conventions.can_be_trained:
        raise ValueError(
            "--init: the bundle's weights were trained by another program and follow its conventions: they can be run, "
            "but not trained further"
        )
    if bundle.conventions.render != conventions.render:
        looks = {conventions_of(look).render: look for look in RENDER_LOOKS}
        there, here = looks[bundle.conventions.render], looks[conventions.render]
        raise ValueError(
            f"--init: the bundle's network has learnt to compare with {there} renders, this run makes {here} ones: set "
            f"render_look: {there} in the configuration, or leave --init out"
        )
    keys = sorted({*MRCNetConfig.model_fields} - FREE)
    pairs = {key: (getattr(bundle.config, key), getattr(config, key)) for key in keys}
    differs = [f"{key} {there} (here {here})" for key, (there, here) in pairs.items() if there != here]
    if differs:
        raise ValueError(
            f"--init: the bundle's network has other sizes: {', '.join(differs)}; set flavour and model in the "
            "configuration to the bundle's, or leave --init out"
        )
    places = {item.class_id: i for i, item in enumerate(bundle.objects)}
    known: list[int | None] = []
    renewed = []
    for item in objects:
        place = places.get(item.class_id)
        if place is not None and mesh_hash(item.mesh) != mesh_hash(bundle.objects[place].mesh):
            place = None
            renewed.append(item.class_id)
        known.append(place)
    return WarmStart(bundle, tuple(item.class_id for item in objects), tuple(known), tuple(renewed), config.n_side)


def nearest_buckets(theirs: int, ours: int) -> Tensor:
    """For each bucket of the grid of n_side `ours` (K,) the number of the nearest one of the grid of `theirs`."""
    # The angle between two rotations falls with the absolute value of their quaternions' dot product.
    return (so3_grid(ours) @ so3_grid(theirs).T).abs().argmax(dim=1)
