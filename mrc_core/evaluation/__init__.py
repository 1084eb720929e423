"""Pose errors, and the BOP benchmark's scores."""

from mrc_core.evaluation.pose_errors import add, add_or_add_s, add_s, mspd, mssd
from mrc_core.evaluation.visible_surface import vsd

__all__ = ["add", "add_or_add_s", "add_s", "mspd", "mssd", "vsd"]
