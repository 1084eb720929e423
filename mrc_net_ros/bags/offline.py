"""Answers frames in this process, along the node's own path from messages to poses, without DDS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.inference import Detection, Followed, Picture, PoseEstimate, PoseEstimator, PoseFollower
from mrc_net_ros.bags.answers import Answer
from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.frame_estimation import Estimator, Follower, FrameTracker, PoseStep, estimate_frame
from mrc_net_ros.naming import topic_tokens
from mrc_net_ros.parameters import NodeSettings, ParameterError, check_class_map
from mrc_net_ros.pose_messages import pose_array_message
from mrc_net_ros.rectification import CameraModels
from mrc_net_ros.stable_symmetry import StableSymmetry
from mrc_net_ros.tracker import Tracker
from mrc_net_ros.unusable_input import UnusableInput

WARM_UP_PASSES = 2
NOTHING_TO_FOLLOW = "the image has no detections, and no object is followed"


class OfflineEstimator:
    """The node without its topics: the same checks, the same estimate, the same message.

    Args:
        estimator: of the bundle.
        settings: the node's parameters.
        steps: what the node does with poses before it publishes them.
        tracker, follower: with tracking, the camera's tracks and what follows them.

    Raises:
        ParameterError: the class map does not fit the bundle.
    """

    def __init__(
        self,
        estimator: Estimator,
        settings: NodeSettings,
        steps: Sequence[PoseStep] = (),
        tracker: FrameTracker | None = None,
        follower: Follower | None = None,
    ) -> None:
        check_class_map(settings.class_map, estimator.class_ids)
        topic_tokens(
            estimator.class_ids
        )  # the node refuses classes that it cannot tell apart, so this does too
        self._estimator = _Timed(estimator)
        self._follower = None if follower is None else _TimedFollower(follower)
        self._settings, self._steps, self._tracker = settings, steps, tracker
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
        models = {item.class_id: item for item in estimator.bundle.objects}
        follower = PoseFollower(estimator)
        tracker = None
        if settings.tracking != "off":
            tracker = Tracker(models, follower, settings.tracking == "every_frame")
        return cls(estimator, settings, [StableSymmetry(models)], tracker, follower)

    def answer(self, replayed: ReplayedFrame) -> Answer:
        """Estimates the poses of one frame. Stages: ``estimate`` (network), ``decode`` (the rest)."""
        started_s = time.perf_counter()
        if self._tracker is not None and not self._tracker.takes(replayed.frame):
            return Answer(None, reason=NOTHING_TO_FOLLOW)
        networks = [one for one in (self._estimator, self._follower) if one is not None]
        for one in networks:
            one.seconds = 0.0
        try:
            result = estimate_frame(
                replayed.frame,
                self._estimator,
                self._settings,
                self._models,
                self._steps,
                self._tracker,
                self._follower,
            )
        except UnusableInput as error:
            return Answer(None, reason=str(error))
        if result.frame.plan.serves_tracks_alone:
            return Answer(None, reason="its image was answered before its detections came")
        message = pose_array_message(result)
        total_s = time.perf_counter() - started_s
        network_s = sum(one.seconds for one in networks)
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
        self, frames: Sequence[tuple[Picture, NDArray[np.float64], Sequence[Detection]]]
    ) -> list[list[PoseEstimate]]:
        started_s = time.perf_counter()
        estimates = self._estimator.estimate_batch(frames)
        self.seconds += time.perf_counter() - started_s
        return estimates

    def __getattr__(self, name: str) -> Any:
        return getattr(self._estimator, name)


class _TimedFollower:
    """A follower that notes how long it took."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.seconds = 0.0
        self.box = follower.box

    def follow_batch(
        self,
        frames: Sequence[tuple[Picture, NDArray[np.float64], Sequence[Followed]]],
        rounds: int | None = None,
    ) -> list[list[Followed | None]]:
        started_s = time.perf_counter()
        followed = self._follower.follow_batch(frames, rounds)
        self.seconds += time.perf_counter() - started_s
        return followed


def _warm_up(estimator: PoseEstimator, most: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    matrix = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
    detections = [Detection(name, (260.0, 180.0, 380.0, 300.0), 1.0) for name in estimator.class_ids]
    for _ in range(WARM_UP_PASSES):
        estimator.estimate(picture, matrix, detections[:most])
