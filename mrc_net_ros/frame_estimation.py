"""From complete frames to poses, without a node: what is wrong is named, and the rest goes on.

``prepare`` makes pictures and detections of messages, ``estimate_together`` runs the network once over the frames of
all cameras, ``finish`` sends the poses through the camera's steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from geometry_msgs.msg import Pose
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from mrc_core.inference import Detection, PoseEstimate
from mrc_net_ros.conversions import detection_from_message, pose_from_matrix
from mrc_net_ros.images import rgb_from_compressed, rgb_from_image
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.rectification import Box, CameraModels
from mrc_net_ros.synchroniser import Frame
from mrc_net_ros.unusable_input import UnusableInput

# What a detection that is left out is counted as, by the first word of the refusal's kind
DROP_REASONS = {
    "class": "unknown class",
    "hypothesis": "no hypothesis",
    "score": "score not finite",
    "box": "unusable box",
    "box_distortion": "unusable box",
}


class Estimator(Protocol):
    """What is needed of mrc_core's PoseEstimator."""

    @property
    def class_ids(self) -> list[str]: ...

    def estimate_batch(
        self, frames: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64], Sequence[Detection]]]
    ) -> list[list[PoseEstimate]]: ...


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why. ``kind`` groups problems for throttling; ``once``: say it only once."""

    kind: str
    text: str
    once: bool = False


@dataclass(frozen=True)
class Instance:
    """An estimate, its rank by score within its class in this frame (0 is the best), and the box as it was received.

    The estimate's own detection has the box in the undistorted image [px].
    """

    estimate: PoseEstimate
    rank: int
    box_px: Box

    @cached_property
    def pose(self) -> Pose:
        """The estimate's pose, made once for all messages that carry it: do not change it."""
        return pose_from_matrix(self.estimate.cam_from_obj)


@dataclass(frozen=True)
class PreparedFrame:
    """A frame as the network takes it, and what was left out of it.

    Args:
        header: the image's.
        rgb: (H, W, 3), uint8, without lens distortion.
        K: (3, 3), of ``rgb``.
        detections: with boxes in ``rgb``'s pixels.
        boxes_px: the same boxes in the pixels of the image as it was received.
        dropped: detections that were left out, counted by reason.
    """

    header: Header
    rgb: NDArray[np.uint8]
    K: NDArray[np.float64]
    detections: list[Detection]
    boxes_px: list[Box]
    problems: list[Problem] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def keeping(self, places: Sequence[int], reason: str, remedy: str) -> PreparedFrame:
        """Only the detections at these places; the others are counted under ``reason`` and reported."""
        count = len(self.detections) - len(places)
        if not count:
            return self
        text = f"{count} of {len(self.detections)} detections were dropped, those with the lowest scores: {remedy}"
        return replace(
            self,
            detections=[self.detections[i] for i in places],
            boxes_px=[self.boxes_px[i] for i in places],
            problems=[*self.problems, Problem(f"dropped {reason}", text)],
            dropped=self.dropped + Counter({reason: count}),
        )


@dataclass(frozen=True)
class FrameResult:
    """The poses of a frame in the order of its detections; and of ``PreparedFrame`` what outlives it."""

    frame: PreparedFrame
    instances: list[Instance]
    problems: list[Problem]
    dropped: Counter[str]

    @property
    def header(self) -> Header:
        """The image's."""
        return self.frame.header


# Poses in, poses out, with the image's header: between estimation and publication every camera has a list of these.
# What carries poses from frame to frame (a symmetry's choice, tracking) is one of them, with a memory of its own.
PoseStep = Callable[[Header, list[Instance]], list[Instance]]


def prepare(
    frame: Frame, class_ids: Sequence[str], settings: NodeSettings, models: CameraModels
) -> PreparedFrame:
    """The picture without distortion, its intrinsics and all usable detections, ``max_detections`` at most.

    Args:
        models: of this frame's camera.

    Raises:
        UnusableInput: nothing of the frame can be used (its image or its camera info).
    """
    image = frame.image
    is_compressed = isinstance(image, CompressedImage)
    raw = rgb_from_compressed(image) if is_compressed else rgb_from_image(image, settings.white_16bit)
    size = (int(raw.shape[0]), int(raw.shape[1]))
    camera = models.find(frame.camera_info, size, settings.rectified)
    prepared = PreparedFrame(image.header, camera.undistorted(raw), camera.K, [], [])
    classes = frozenset(class_ids)
    for message in frame.detections.detections:
        try:
            detection = detection_from_message(message, size, classes, settings.class_map)
            inside = replace(detection, box_xyxy_px=camera.undistorted_box(detection.box_xyxy_px))
        except UnusableInput as error:
            reason = error.kind.split()[0]
            prepared.problems.append(Problem(error.kind, str(error), once=reason == "class"))
            prepared.dropped[DROP_REASONS.get(reason, reason)] += 1
            continue
        if detection.score < settings.min_detection_score:
            prepared.dropped["below min_detection_score"] += 1
            continue
        prepared.detections.append(inside)
        prepared.boxes_px.append(detection.box_xyxy_px)
    best = best_scored(prepared.detections, settings.max_detections)
    return prepared.keeping(best, "max_detections", "'max_detections' limits the time a frame takes")


def estimate_together(
    frames: Sequence[PreparedFrame], estimator: Estimator
) -> list[list[PoseEstimate] | Exception]:
    """The estimates of all frames in one pass. If that fails, each by itself: one camera must not stop the others."""
    batch = [(frame.rgb, frame.K, frame.detections) for frame in frames]
    if not any(frame.detections for frame in frames):
        return [[] for _ in frames]
    try:
        return list(estimator.estimate_batch(batch))
    except Exception as error:
        if len(frames) == 1:
            return [error]
    return [outcome for frame in frames for outcome in estimate_together([frame], estimator)]


def finish(
    frame: PreparedFrame, estimates: Sequence[PoseEstimate], steps: Sequence[PoseStep] = ()
) -> FrameResult:
    """Leaves out what is not finite, ranks the instances of each class, and takes the steps one after the other."""
    pairs = [
        (estimate, box)
        for estimate, box in zip(estimates, frame.boxes_px)
        if np.isfinite(estimate.cam_from_obj).all() and np.isfinite(estimate.score)
    ]
    problems, dropped = list(frame.problems), Counter(frame.dropped)
    lost = len(estimates) - len(pairs)
    if lost:
        problems.append(Problem("pose", f"{lost} poses are not finite and were left out"))
        dropped["pose not finite"] += lost
    instances = rank_instances([estimate for estimate, _ in pairs], [box for _, box in pairs])
    for step in steps:
        instances = step(frame.header, instances)
    return FrameResult(frame, instances, problems, dropped)


def estimate_frame(
    frame: Frame,
    estimator: Estimator,
    settings: NodeSettings,
    models: CameraModels | None = None,
    steps: Sequence[PoseStep] = (),
) -> FrameResult:
    """All of it for one frame, without a time budget: for replay without a node.

    Args:
        models: of this camera; keep them over its frames, so that undistortion maps are made once.
        steps: with what they remember of former frames.

    Raises:
        UnusableInput: nothing of the frame can be used.
    """
    prepared = prepare(frame, estimator.class_ids, settings, models or CameraModels())
    (outcome,) = estimate_together([prepared], estimator)
    if isinstance(outcome, Exception):
        raise outcome
    return finish(prepared, outcome, steps)


def best_scored(detections: Sequence[Detection], limit: int) -> list[int]:
    """The places of the ``limit`` detections with the best scores, in ascending order."""
    return sorted(sorted(range(len(detections)), key=lambda i: -detections[i].score)[:limit])


def rank_instances(estimates: Sequence[PoseEstimate], boxes_px: Sequence[Box]) -> list[Instance]:
    """Each estimate, in the given order, with its rank by its own score among those of its class."""
    order = sorted(range(len(estimates)), key=lambda i: -estimates[i].score)
    seen: Counter[str] = Counter()
    ranks = [0] * len(estimates)
    for i in order:
        class_id = estimates[i].class_id
        ranks[i] = seen[class_id]
        seen[class_id] += 1
    return [Instance(estimate, rank, box) for estimate, rank, box in zip(estimates, ranks, boxes_px)]
