"""Starting a run from ImageNet's weights of the encoder's trunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrc_core.geometry.mesh_source import file_sha256
from mrc_core.model.adapters import check_imagenet_fits, load_imagenet_resnet, read_tensors
from mrc_core.training.config import TrainConfig
from mrc_core.training.learner import Learner


@dataclass(frozen=True)
class ImageNetStart:
    """Weights of torchvision's ResNet-18 or 34; `name` and `sha256` are the file's."""

    name: str
    sha256: str
    weights: dict[str, Tensor]

    @classmethod
    def read(cls, path: Path, config: TrainConfig) -> ImageNetStart:
        """Reads a .safetensors or .pth file and checks that the run's network can take it.

        Raises:
            FileNotFoundError: no such file.
            WeightsError: it is damaged, or of another network than the configuration's.
        """
        weights = read_tensors(path)
        check_imagenet_fits(config.network_config(num_objects=1), weights)
        return cls(path.name, file_sha256(path), weights)

    @torch.no_grad()
    def load_into(self, learner: Learner) -> dict[str, Any]:
        """Fills the trunk, in the network and in its averages.

        Returns:
            What the run started from, for the provenance: the file, how many tensors were left out and why.

        Raises:
            WeightsError: a tensor is missing, unknown or of another shape.
        """
        ignored = load_imagenet_resnet(learner.network, self.weights)
        for name, value in learner.network.state_dict().items():
            learner.average[name].copy_(value)
        return {"imagenet": self.name, "sha256": self.sha256, "left_out": dict(Counter(ignored.values()))}


def with_imagenet_scaling(config: TrainConfig) -> TrainConfig:
    """The configuration with the input scaling that ImageNet's weights expect, where it does not name one."""
    return config.model_copy(update={"model": {"input_scaling": "imagenet", **config.model}})
