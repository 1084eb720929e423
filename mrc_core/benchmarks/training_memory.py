"""Memory of one training step: computed from what the backward pass keeps, and measured where there is a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.benchmarks.rendering import lumpy_sphere
from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import make_transform, random_rotations
from mrc_core.geometry.symmetries import SymmetrySet
from mrc_core.model.network import MRCNet
from mrc_core.rendering import create_renderer
from mrc_core.training.config import LossWeights, TrainConfig
from mrc_core.training.learner import Learner
from mrc_core.training.workers import Workers

GIB = 2**30
COPIES = 5  # of the parameters in float32: weights, gradients, two moments of AdamW, averaged weights
# What is not counted: convolutions' workspace, gradients of the activations at hand, the allocator's fragments, the
# renderers' buffers, batches that wait, and CUDA's own 0.5 GiB.
ALLOWANCE_GIB = 3.0
OBJECTS = (1, 8, 30)


def measure_training_memory(flavour: str, batch_size: int, device: str) -> list[dict[str, Any]]:
    """Rows of objects, parameters and GiB of a step's parts in bf16, with all losses; on CUDA the measured peak, too.

    Activations are counted on the CPU with one and two samples and extended to the batch, in the precisions that CUDA's
    autocast chooses.
    """
    one, two = (_saved_bytes(flavour, size) for size in (1, 2))
    activations = one + (two - one) * (batch_size - 1)
    rows = []
    for count in OBJECTS:
        parameters = _parameters(flavour, count)
        row: dict[str, Any] = {
            "objects": count,
            "parameters, M": parameters / 1e6,
            "parameters x 5, GiB": COPIES * 4 * parameters / GIB,
            "activations, GiB": activations / GIB,
            "allowance, GiB": ALLOWANCE_GIB,
        }
        row["sum, GiB"] = sum(row[key] for key in list(row)[2:])
        if device == "cuda":
            row["measured, GiB"] = _measured_bytes(flavour, count, batch_size) / GIB
        rows.append(row)
    return rows


def _parameters(flavour: str, num_objects: int) -> int:
    with torch.device("meta"):
        network = MRCNet(_config(flavour, 1).network_config(num_objects))
    return sum(p.numel() for p in network.parameters())


def _config(flavour: str, batch_size: int) -> TrainConfig:
    return TrainConfig.model_validate(
        {"flavour": flavour, "batch_size": batch_size, "losses": LossWeights(surface=1.0).model_dump()}
    )


def _learner(flavour: str, num_objects: int, batch_size: int, device: str) -> Learner:
    mesh = lumpy_sphere()
    objects = [ObjectModel(f"sphere_{i}", mesh, SymmetrySet()) for i in range(num_objects)]
    renderer = create_renderer("warp", [mesh] * num_objects, device=device)
    limits = torch.tensor([[0.001, 0.003]]).expand(num_objects, 2)
    return Learner(_config(flavour, batch_size), objects, renderer, limits, torch.device(device), Workers())


def _batch(learner: Learner, size: int) -> SceneBatch:
    """Random pictures with a pose each; memory does not depend on what they show."""
    rng = torch.Generator().manual_seed(0)
    side = learner.network.config.crop_size
    count = learner.network.config.num_objects
    K = torch.tensor([[600.0, 0, (side - 1) / 2], [0, 600.0, (side - 1) / 2], [0, 0, 1]]).repeat(size, 1, 1)
    return SceneBatch(
        image=torch.rand(size, 4, side, side, generator=rng),
        K=K,
        object_index=torch.randint(count, (size,), generator=rng),
        cam_from_obj=make_transform(random_rotations(size, rng), torch.tensor([0.0, 0, 0.6])),
        visible=torch.rand(size, side // 4, side // 4, generator=rng),
        depth_m=torch.full((size, side, side), 0.6),
        visible_fraction=torch.ones(size),
    ).to(learner.device)


def _saved_bytes(flavour: str, size: int) -> int:
    """Bytes of all tensors that the backward pass of a batch keeps, parameters left out, each memory once."""
    learner = _learner(flavour, 1, size, "cpu")
    own = {p.untyped_storage().data_ptr() for p in learner.trained.values()}
    kept: dict[int, Tensor] = {}  # holding the tensors keeps their addresses from being used again

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), _precisions_of_cuda():
        batch = _batch(learner, size)
        terms = learner.objective(learner.forward(batch, 0, 0), batch)
    total = sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in own)
    del terms
    return total


@contextmanager
def _precisions_of_cuda() -> Iterator[None]:
    """CUDA's autocast runs group normalisation in float32, the CPU's in bf16: what is kept is twice as large."""
    genuine = F.group_norm

    def in_float32(input: Tensor, *arguments: Any, **more: Any) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return genuine(input.float(), *arguments, **more)

    F.group_norm = in_float32  # type: ignore[assignment]
    try:
        yield
    finally:
        F.group_norm = genuine  # type: ignore[assignment]


def _measured_bytes(flavour: str, num_objects: int, batch_size: int) -> int:
    """The allocator's peak over three real steps on the GPU."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    learner = _learner(flavour, num_objects, batch_size, "cuda")
    batch = _batch(learner, batch_size)
    for number in range(3):
        learner.step([batch], number)
    return torch.cuda.max_memory_allocated()
