"""Weights from elsewhere: the authors' checkpoints and torchvision's ResNet-34, by name and shape."""

from mrc_core.model.adapters.files import read_tensors
from mrc_core.model.adapters.reference import (
    REFERENCE_CONVENTIONS,
    adapt_reference,
    count_decoders,
    reference_config,
)
from mrc_core.model.adapters.reference_datasets import REFERENCE_DATASETS, ReferenceDataset
from mrc_core.model.adapters.state_dict import Adapted, WeightsError
from mrc_core.model.adapters.torchvision_resnet import load_imagenet_resnet34

__all__ = [
    "REFERENCE_CONVENTIONS",
    "REFERENCE_DATASETS",
    "Adapted",
    "ReferenceDataset",
    "WeightsError",
    "adapt_reference",
    "count_decoders",
    "load_imagenet_resnet34",
    "read_tensors",
    "reference_config",
]
