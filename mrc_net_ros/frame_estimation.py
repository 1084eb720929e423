"""From one complete frame to its poses: what is wrong is named, and the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from mrc_core.inference import Detection, PoseEstimate
from mrc_net_ros.conversions import (
    UnusableInput,
    detection_from_message,
    intrinsics,
    rgb_from_compressed,
    rgb_from_image,
)
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.synchroniser import Frame


class Estimator(Protocol):
    """What is needed of mrc_core's PoseEstimator."""

    @property
    def class_ids(self) -> list[str]: ...

    def estimate(
        self, image_rgb_uint8: NDArray[np.uint8], K: NDArray[np.float64], detections: list[Detection]
    ) -> list[PoseEstimate]: ...


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why. ``kind`` groups problems for throttling."""

    kind: str
    text: str


@dataclass(frozen=True)
class Instance:
    """An estimate and its rank by score within its class in this frame; 0 is the best."""

    estimate: PoseEstimate
    rank: int


@dataclass(frozen=True)
class FrameResult:
    """The poses of a frame in the order of its detections, the image's header, and what was left out."""

    header: Header
    instances: list[Instance]
    problems: list[Problem]
    dropped: int


def estimate_frame(frame: Frame, estimator: Estimator, settings: NodeSettings) -> FrameResult:
    """Estimates the poses of all usable detections of a frame in one pass.

    Raises:
        UnusableInput: nothing of the frame can be used (its image or its camera info).
    """
    is_compressed = isinstance(frame.image, CompressedImage)
    rgb = rgb_from_compressed(frame.image) if is_compressed else rgb_from_image(frame.image)
    size = (int(rgb.shape[0]), int(rgb.shape[1]))
    matrix = intrinsics(frame.camera_info, size, settings.rectified)

    problems: list[Problem] = []
    detections = _usable_detections(frame, size, estimator.class_ids, settings, problems)
    detections, dropped = best_scored(detections, settings.max_detections)
    if dropped:
        problems.append(
            Problem(
                "dropped",
                f"{dropped} of {dropped + len(detections)} detections were dropped, those with the lowest "
                "scores: "
                "'max_detections' limits the time a frame takes",
            )
        )
    estimates = estimator.estimate(rgb, matrix, detections) if detections else []
    finite = [e for e in estimates if np.isfinite(e.cam_from_obj).all() and np.isfinite(e.score)]
    if len(finite) < len(estimates):
        problems.append(
            Problem("pose", f"{len(estimates) - len(finite)} poses are not finite and were left out")
        )
    return FrameResult(frame.image.header, rank_instances(finite), problems, dropped)


def best_scored(detections: list[Detection], limit: int) -> tuple[list[Detection], int]:
    """The ``limit`` detections with the best scores, in their own order; and how many were dropped."""
    if len(detections) <= limit:
        return detections, 0
    best = sorted(range(len(detections)), key=lambda i: -detections[i].score)[:limit]
    return [detections[i] for i in sorted(best)], len(detections) - limit


def rank_instances(estimates: Sequence[PoseEstimate]) -> list[Instance]:
    """Each estimate, in the given order, with its rank by its own score among those of its class."""
    order = sorted(range(len(estimates)), key=lambda i: -estimates[i].score)
    seen: dict[str, int] = {}
    ranks = [0] * len(estimates)
    for i in order:
        class_id = estimates[i].class_id
        ranks[i] = seen.get(class_id, 0)
        seen[class_id] = ranks[i] + 1
    return [Instance(estimate, rank) for estimate, rank in zip(estimates, ranks)]


def _usable_detections(
    frame: Frame, size: tuple[int, int], class_ids: list[str], settings: NodeSettings, problems: list[Problem]
) -> list[Detection]:
    classes = frozenset(class_ids)
    usable: list[Detection] = []
    for message in frame.detections.detections:
        try:
            detection = detection_from_message(message, size, classes, settings.class_map)
        except UnusableInput as error:
            problems.append(Problem(error.kind, str(error)))
            continue
        if detection.score >= settings.min_detection_score:
            usable.append(detection)
    return usable
