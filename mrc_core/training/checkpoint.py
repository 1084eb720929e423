"""Checkpoints: one safetensors file with all tensors and a JSON header, replaced atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_checkpoint(path: Path, groups: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
    """Writes tensors by group and a JSON-able state. An interruption leaves the old file or the new one, whole."""
    tensors = {
        f"{group}/{name}": t.detach().contiguous()
        for group, part in groups.items()
        for name, t in part.items()
    }
    temporary = path.with_suffix(".partial")
    save_file(tensors, temporary, metadata={"state": json.dumps(state)})
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, outlives a power cut
    finally:
        os.close(folder)


def load_checkpoint(path: Path, device: str = "cpu") -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Reads what `save_checkpoint` wrote.

    Raises:
        ValueError: the file is not a checkpoint, or is cut short.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt", device=device) as file:
            state = json.loads((file.metadata() or {})["state"])
            for key in file.keys():  # noqa: SIM118 (not a dict)
                group, name = key.split("/", 1)
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        raise ValueError(f"{path} is not a readable checkpoint ({error}); delete it to start anew") from error
    except Exception as error:  # safetensors raises a type of its own
        raise ValueError(f"{path} is not a readable checkpoint ({error}); delete it to start anew") from error
    return groups, state


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """AdamW's moments and steps by parameter name."""
    out = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, parameter in zip(names, parameters):
        for key, value in optimizer.state.get(parameter, {}).items():
            out[f"{name}/{key}"] = torch.as_tensor(value)
    return out


def restore_optimizer(optimizer: torch.optim.Optimizer, names: list[str], tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`; what belongs to a parameter that is no longer trained is left out."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    by_name = dict(zip(names, parameters))
    for key, value in tensors.items():
        name, field = key.rsplit("/", 1)
        if name not in by_name:
            continue
        parameter = by_name[name]
        moved = value if field == "step" else value.to(parameter)
        if moved.dim() == 4:
            moved = moved.to(memory_format=torch.channels_last)
        optimizer.state[parameter][field] = moved
