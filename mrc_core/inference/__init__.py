"""Run trained models: bundles and the estimator."""

from mrc_core.inference.bundle import Bundle, BundleError
from mrc_core.inference.estimator import Detection, PoseEstimate, PoseEstimator

__all__ = ["Bundle", "BundleError", "Detection", "PoseEstimate", "PoseEstimator"]
