"""Data-parallel training over processes: each makes its own batches, gradients are averaged.

Start with torchrun, which sets the environment that is read here:

    torchrun --nproc-per-node 2 -m mrc_core.cli train ...

Two single-threaded processes use two CPU cores better than one process with two threads: they meet once a step
instead of at every convolution.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn


class Workers:
    """The group of processes that train together; a group of one costs nothing."""

    def __init__(self, backend: str = "gloo") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        # NCCL speaks of tensors on the GPU alone, gloo of tensors on the CPU
        self.device = torch.device("cuda", self.local_rank) if backend == "nccl" else torch.device("cpu")
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group(backend)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces every gradient by its mean over the group; a parameter without one counts as zero."""
        if self.count == 1:
            return
        wanted = list(parameters)
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in wanted]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for parameter, part in zip(wanted, flat.split([p.numel() for p in wanted])):
            # .view_as would lose the memory format, which the convolutions' backward pass relies on
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))

    def any(self, flag: bool) -> bool:
        """Whether any process of the group says so."""
        if self.count == 1:
            return flag
        told = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(told)
        return bool(told.item() > 0)

    def close(self) -> None:
        """Leaves the group."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()
