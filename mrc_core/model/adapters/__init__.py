"""Weights from elsewhere: the authors' checkpoints and torchvision's ResNets, by name and shape."""

from mrc_core.model.adapters.files import read_tensors
from mrc_core.model.adapters.reference import (
    REFERENCE_CONVENTIONS,
    adapt_reference,
    count_decoders,
    reference_config,
)
from mrc_core.model.adapters.reference_datasets import REFERENCE_DATASETS, ReferenceDataset
from mrc_core.model.adapters.state_dict import Adapted, WeightsError
from mrc_core.model.adapters.torchvision_resnet import check_imagenet_fits, load_imagenet_resnet

__all__ = [
    "REFERENCE_CONVENTIONS",
    "REFERENCE_DATASETS",
    "Adapted",
    "ReferenceDataset",
    "WeightsError",
    "adapt_reference",
    "check_imagenet_fits",
    "count_decoders",
    "load_imagenet_resnet",
    "read_tensors",
    "reference_config",
]
