"""Answers frames in this process, along the node's own path from messages to poses, without DDS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.inference import Detection, PoseEstimate, PoseEstimator
from mrc_net_ros.bags.answers import Answer
from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.frame_estimation import Estimator, PoseStep, estimate_frame
from mrc_net_ros.naming import topic_tokens
from mrc_net_ros.parameters import NodeSettings, ParameterError, check_class_map
from mrc_net_ros.pose_messages import pose_array_message
from mrc_net_ros.rectification import CameraModels
from mrc_net_ros.stable_symmetry import StableSymmetry
from mrc_net_ros.unusable_input import UnusableInput

WARM_UP_PASSES = 2


class OfflineEstimator:
    """The node without its topics: the same checks, the same estimate, the same message.

    Args:
        estimator: of the bundle.
        settings: the node's parameters.
        steps: what the node does with poses before it publishes them.

    Raises:
        ParameterError: the class map does not fit the bundle.
    """

    def __init__(
        self, estimator: Estimator, settings: NodeSettings, steps: Sequence[PoseStep] = ()
    ) -> None:
        check_class_map(settings.class_map, estimator.class_ids)
        topic_tokens(
            estimator.class_ids
        )  # the node refuses classes that it cannot tell apart, so this does too
        self._estimator = _Timed(estimator)
        self._settings, self._steps = settings, steps
        self._models = CameraModels()

    @classmethod
    def from_settings(cls, settings: NodeSettings) -> OfflineEstimator:
        """Loads the bundle and warms the network up.

        Raises:
            ParameterError: no CUDA device where one is asked for.
            BundleError: the bundle cannot be used.
        """
        has_cuda = torch.cuda.is_available()
        if settings.device == "cuda" and not has_cuda:
            raise ParameterError("'device' is 'cuda', but torch sees no CUDA device: use 'auto' or 'cpu'")
        device = ("cuda" if has_cuda else "cpu") if settings.device == "auto" else settings.device
        estimator = PoseEstimator.from_bundle(settings.bundle, device=device)
        _warm_up(estimator, settings.max_detections)
        stable = StableSymmetry({item.class_id: item for item in estimator.bundle.objects})
        return cls(estimator, settings, [stable])

    def answer(self, replayed: ReplayedFrame) -> Answer:
        """Estimates the poses of one frame. Stages: ``estimate`` (network), ``decode`` (the rest)."""
        started_s = time.perf_counter()
        self._estimator.seconds = 0.0
        try:
            result = estimate_frame(
                replayed.frame, self._estimator, self._settings, self._models, self._steps
            )
        except UnusableInput as error:
            return Answer(None, reason=str(error))
        message = pose_array_message(result)
        total_s = time.perf_counter() - started_s
        network_s = self._estimator.seconds
        seconds = {"estimate": network_s, "decode": total_s - network_s, "frame": total_s}
        return Answer(message, problems=result.problems, seconds=seconds)


class _Timed:
    """An estimator that notes how long it took."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self.seconds = 0.0

    @property
    def class_ids(self) -> list[str]:
        return self._estimator.class_ids

    def estimate_batch(
        self, frames: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64], Sequence[Detection]]]
    ) -> list[list[PoseEstimate]]:
        started_s = time.perf_counter()
        estimates = self._estimator.estimate_batch(frames)
        self.seconds += time.perf_counter() - started_s
        return estimates

    def __getattr__(self, name: str) -> Any:
        return getattr(self._estimator, name)


def _warm_up(estimator: PoseEstimator, most: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    matrix = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
    detections = [Detection(name, (260.0, 180.0, 380.0, 300.0), 1.0) for name in estimator.class_ids]
    for _ in range(WARM_UP_PASSES):
        estimator.estimate(picture, matrix, detections[:most])
