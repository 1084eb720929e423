"""The network: its parts, their sizes and what goes in and comes out."""

from mrc_core.model.config import MRCNetConfig
from mrc_core.model.heads import PoseLogits, PoseResidual
from mrc_core.model.network import MRCNet
from mrc_core.model.pyramid import Pyramid

__all__ = ["MRCNet", "MRCNetConfig", "PoseLogits", "PoseResidual", "Pyramid"]
