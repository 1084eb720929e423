"""Files of weights that others published, read without running what is in them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mrc_core.model.adapters.state_dict import WeightsError


def read_tensors(path: str | Path, section: str | None = None) -> dict[str, Tensor]:
    """The state dict in a .safetensors file, or in a file of `torch.save` through PyTorch's restricted unpickler.

    The unpickler (`torch.load(weights_only=True)`) builds tensors, numbers, strings and containers of them and refuses
    everything else, so that a file cannot run code. safetensors is the safer choice: it holds nothing but tensors.

    Args:
        path: the file.
        section: a checkpoint's key that the state dict is under; a file that is the state dict itself is taken too.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: the file is damaged, or holds what is not allowed, or no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    content = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pickled(path)
    if section is not None and isinstance(content, Mapping) and isinstance(content.get(section), Mapping):
        content = content[section]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a state dict: tensors by name")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        wanted = f"'{section}' with tensors by name, or the tensors alone" if section else "tensors by name"
        raise WeightsError(
            f"{path} is no state dict: needed is {wanted}; it has {', '.join(others[:4]) or 'nothing'}"
        )
    return {str(name): value for name, value in content.items()}


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises a type of its own
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from error


def _load_pickled(path: Path) -> Any:
    try:
        # Mapped, a checkpoint's optimiser state (twice the weights) is never read. Old files cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # whatever a damaged or hostile pickle leads to
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"{path} cannot be read by the restricted unpickler: it is damaged, or holds more than tensors ({first}). "
            "Where you trust it, save its state dict alone as .safetensors"
        ) from error
