"""Pose errors and scores."""

from mrc_core.evaluation.pose_errors import add, add_or_add_s, add_s

__all__ = ["add", "add_or_add_s", "add_s"]
