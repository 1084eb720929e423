"""Data-parallel training over processes: each makes its own batches, gradients are averaged.

Start with torchrun, which sets the environment that is read here:

    torchrun --nproc-per-node 2 -m mrc_core.cli train ...

Two single-threaded processes use two CPU cores better than one process with two threads: they meet once a step
instead of at every convolution.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

BUCKET = 2**23  # numbers that are averaged at a time, so that gradients are not held twice


class Workers:
    """The group of processes that train together; a group of one costs nothing."""

    def __init__(self, backend: str = "gloo") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        # NCCL speaks of tensors on the GPU alone, gloo of tensors on the CPU
        self.device = torch.device("cuda", self.local_rank) if backend == "nccl" else torch.device("cpu")
        if self.count > 1 and not dist.is_initialized():
            if backend == "nccl":
                torch.cuda.set_device(self.device)
            dist.init_process_group(backend)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter], figures: Tensor) -> Tensor:
        """Replaces every gradient by its mean over the group, and returns the mean of `figures` (n,), float32.

        A parameter without a gradient counts as zero; one that no process has a gradient of stays without: the decoder
        of an object that no batch shows is not touched, whether one process trains or many.
        """
        if self.count == 1:
            return figures
        wanted = list(parameters)
        used = figures.new_tensor([float(p.grad is not None) for p in wanted])
        told = torch.cat([figures, used]).to(self.device)
        dist.all_reduce(told)
        told = told.to(figures.device)
        present = [p for p, users in zip(wanted, told[len(figures) :].tolist()) if users]
        for bucket in _buckets(present):
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in bucket]
            flat = torch.cat([g.reshape(-1) for g in gradients])
            dist.all_reduce(flat)
            flat /= self.count
            for parameter, part in zip(bucket, flat.split([p.numel() for p in bucket])):
                # .view_as would lose the memory format, which the convolutions' backward pass relies on
                parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))
        return told[: len(figures)] / self.count

    def any(self, flag: bool) -> bool:
        """Whether any process of the group says so."""
        if self.count == 1:
            return flag
        told = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(told)
        return bool(told.item() > 0)

    def in_turns(self, make: Callable[[], T]) -> T:
        """Calls `make` in every process: first in the first, then in one of each machine, then in the others.

        What the first leaves in a file the next find there, on one disk or on several.
        """
        turn = 0 if self.is_first else 1 if self.local_rank == 0 else 2
        made: list[T] = []
        for now in range(3):
            if now == turn:
                made.append(make())
            self.any(False)  # wait for all
        return made[0]

    def share(
        self, groups: dict[str, dict[str, Tensor]], state: dict[str, Any]
    ) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """The first process's tensors by group and JSON-able state, for all; what the others pass is not looked at.

        So only the first needs the run's folder: the machines of a group share no disk.
        """
        if self.count == 1:
            return groups, state
        named = {f"{group}/{name}": t for group, part in groups.items() for name, t in part.items()}
        described = {name: [str(t.dtype).split(".")[1], list(t.shape)] for name, t in named.items()}
        header = self._broadcast_bytes(json.dumps({"state": state, "tensors": described}).encode())
        told = json.loads(header)
        out: dict[str, dict[str, Tensor]] = {}
        for key, (kind, shape) in told["tensors"].items():
            if self.is_first:
                tensor = named[key].contiguous().to(self.device)
            else:
                tensor = torch.empty(shape, dtype=getattr(torch, kind), device=self.device)
            dist.broadcast(tensor, src=0)
            group, name = key.split("/", 1)
            out.setdefault(group, {})[name] = tensor.cpu()
        return out, told["state"]

    def _broadcast_bytes(self, content: bytes) -> bytes:
        length = torch.tensor([len(content)], device=self.device)
        dist.broadcast(length, src=0)
        sent = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(self.device)
        tensor = sent if self.is_first else torch.empty(int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(tensor, src=0)
        return bytes(tensor.cpu().numpy())

    def close(self) -> None:
        """Leaves the group."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()


def _buckets(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters in their order, in lists of about BUCKET numbers."""
    buckets: list[list[nn.Parameter]] = [[]]
    filled = 0
    for parameter in parameters:
        if filled and filled + parameter.numel() > BUCKET:
            buckets.append([])
            filled = 0
        buckets[-1].append(parameter)
        filled += parameter.numel()
    return buckets if buckets[0] else []
