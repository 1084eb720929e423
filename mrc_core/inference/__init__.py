"""Run trained models: bundles and the estimator."""

from mrc_core.inference.bundle import Bundle, BundleError
from mrc_core.inference.estimator import Detection, Picture, PoseEstimate, PoseEstimator
from mrc_core.inference.following import Followed, PoseFollower

__all__ = ["Bundle", "BundleError", "Detection", "Followed", "Picture", "PoseEstimate", "PoseEstimator", "PoseFollower"]
