"""From complete frames to poses, without a node: what is wrong is named, and the rest goes on.

``prepare`` makes pictures and detections of messages, ``estimate_together`` runs the network once over the frames of
all cameras, ``finish`` gives the poses their names and sends them through the camera's steps. With tracking, a
``FrameTracker`` says before the network which detections need an estimate and what is followed, and names the poses
afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from mrc_core.inference import Detection, Followed, Picture, PoseEstimate
from mrc_net_ros.conversions import detection_from_message
from mrc_net_ros.images import rgb_from_compressed, rgb_from_image
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.prepared_frame import FrameResult, Instance, PreparedFrame, Problem
from mrc_net_ros.rectification import Box, CameraModels
from mrc_net_ros.synchroniser import Frame, stamp_ns
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
        self, frames: Sequence[tuple[Picture, NDArray[np.float64], Sequence[Detection]]]
    ) -> list[list[PoseEstimate]]: ...


class Follower(Protocol):
    """What is needed of mrc_core's PoseFollower."""

    def follow_batch(
        self,
        frames: Sequence[tuple[Picture, NDArray[np.float64], Sequence[Followed]]],
        rounds: int | None = None,
    ) -> list[list[Followed | None]]: ...

    def box(
        self, class_id: str, cam_from_obj: NDArray[np.float64], K: NDArray[np.float64]
    ) -> Box | None: ...


@dataclass(frozen=True)
class Estimates:
    """What the network says about a frame: of each detection a pose, of each track where it is, None where it left."""

    detected: Sequence[PoseEstimate] = ()
    followed: Sequence[Followed | None] = ()


class FrameTracker(Protocol):
    """One camera's tracks, as a frame on its way meets them."""

    def takes(self, frame: Frame) -> bool:
        """Whether there is anything to do about this frame."""
        ...

    def plan(self, prepared: PreparedFrame, settings: NodeSettings) -> PreparedFrame:
        """The frame with what tracks do in it, and only those detections that need an estimate."""
        ...

    def update(
        self,
        prepared: PreparedFrame,
        detected: Sequence[tuple[PoseEstimate, Box]],
        followed: Sequence[Followed | None],
        settings: NodeSettings,
    ) -> list[Instance]:
        """Takes in what the network said; the named poses to publish, ranks left open."""
        ...


# Poses in, poses out, with the image's header: between estimation and publication every camera has a list of these.
# What carries poses from frame to frame without being asked before the network is one of them, with its own memory.
PoseStep = Callable[[Header, list[Instance]], list[Instance]]


def prepare(
    frame: Frame, class_ids: Sequence[str], settings: NodeSettings, models: CameraModels
) -> PreparedFrame:
    """The picture, its intrinsics and all usable detections, ``max_detections`` at most.

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
    prepared = PreparedFrame(image.header, raw, camera, [], [])
    received = _detections(frame, size, frozenset(class_ids), settings, prepared)
    inside = camera.undistorted_boxes([detection.box_xyxy_px for detection in received])
    for detection, box in zip(received, inside):
        if isinstance(box, UnusableInput):
            _leave_out(box, prepared)
        elif detection.score < settings.min_detection_score:
            prepared.dropped["below min_detection_score"] += 1
        else:
            prepared.detections.append(replace(detection, box_xyxy_px=box))
            prepared.boxes_px.append(detection.box_xyxy_px)
    best = best_scored(prepared.detections, settings.max_detections)
    return prepared.keeping(best, "max_detections", "'max_detections' limits the time a frame takes")


def _detections(
    frame: Frame, size: tuple[int, int], classes: frozenset[str], settings: NodeSettings, prepared: PreparedFrame
) -> list[Detection]:
    """Those that can be used, with boxes in the pixels of the image as it was received."""
    found = []
    for message in frame.detections.detections if frame.detections is not None else ():
        try:
            found.append(detection_from_message(message, size, classes, settings.class_map))
        except UnusableInput as error:
            _leave_out(error, prepared)
    return found


def _leave_out(error: UnusableInput, prepared: PreparedFrame) -> None:
    """Names and counts a detection that cannot be used."""
    reason = error.kind.split()[0]
    prepared.problems.append(Problem(error.kind, str(error), once=reason == "class"))
    prepared.dropped[DROP_REASONS.get(reason, reason)] += 1


def estimate_together(
    frames: Sequence[PreparedFrame],
    estimator: Estimator,
    follower: Follower | None = None,
    rounds: int | None = None,
) -> list[Estimates | Exception]:
    """The estimates of all frames in one pass. If that fails, each by itself: one camera must not stop the others.

    Args:
        follower: needed where a frame has tracks to follow.
        rounds: of stage 2 for what is followed; None: as `PoseFollower` finds them needed.
    """
    try:
        detected = _detected(frames, estimator)
        followed = _followed(frames, follower, rounds)
        return [Estimates(*both) for both in zip(detected, followed)]
    except Exception as error:
        if len(frames) == 1:
            return [error]
    return [
        outcome for frame in frames for outcome in estimate_together([frame], estimator, follower, rounds)
    ]


def _detected(frames: Sequence[PreparedFrame], estimator: Estimator) -> Sequence[Sequence[PoseEstimate]]:
    if not any(frame.detections for frame in frames):
        return [()] * len(frames)
    return estimator.estimate_batch([(frame.picture, frame.K, frame.detections) for frame in frames])


def _followed(
    frames: Sequence[PreparedFrame], follower: Follower | None, rounds: int | None
) -> Sequence[Sequence[Followed | None]]:
    if follower is None or not any(frame.plan.following for frame in frames):
        return [()] * len(frames)
    known = [[t.predicted(stamp_ns(frame.header.stamp)) for t in frame.plan.following] for frame in frames]
    return follower.follow_batch([(f.picture, f.K, own) for f, own in zip(frames, known)], rounds)


def finish(
    frame: PreparedFrame,
    estimates: Estimates,
    steps: Sequence[PoseStep] = (),
    tracker: FrameTracker | None = None,
    settings: NodeSettings | None = None,
) -> FrameResult:
    """Leaves out what is not finite, names and ranks the instances of each class, and takes the steps in turn.

    Args:
        tracker: that made the frame's plan; without one the rank is the name.
        settings: that it was made with.
    """
    pairs = [pair for pair in zip(estimates.detected, frame.boxes_px) if _is_finite(pair[0])]
    followed = [one if one is not None and _is_finite(one.estimate) else None for one in estimates.followed]
    problems, dropped = list(frame.problems), Counter(frame.dropped)
    lost = len(estimates.detected) - len(pairs)
    if lost:
        problems.append(Problem("pose", f"{lost} poses are not finite and were left out"))
        dropped["pose not finite"] += lost
    if tracker is None:
        instances = [Instance(estimate, 0, box) for estimate, box in pairs]
    else:
        instances = tracker.update(frame, pairs, followed, settings or NodeSettings())
    instances = ranked(instances)
    for step in () if frame.plan.serves_tracks_alone else steps:
        instances = step(frame.header, instances)
    return FrameResult(frame, instances, problems, dropped)


def _is_finite(estimate: PoseEstimate) -> bool:
    return bool(np.isfinite(estimate.cam_from_obj).all() and np.isfinite(estimate.score))


def estimate_frame(
    frame: Frame,
    estimator: Estimator,
    settings: NodeSettings,
    models: CameraModels | None = None,
    steps: Sequence[PoseStep] = (),
    tracker: FrameTracker | None = None,
    follower: Follower | None = None,
) -> FrameResult:
    """All of it for one frame, without a time budget: for replay without a node.

    Args:
        models: of this camera; keep them over its frames, so that undistortion maps are made once.
        steps: with what they remember of former frames.
        tracker: likewise; ask it before whether it ``takes`` the frame.
        follower: what tracks are followed with.

    Raises:
        UnusableInput: nothing of the frame can be used.
    """
    prepared = prepare(frame, estimator.class_ids, settings, models or CameraModels())
    if tracker is not None:
        prepared = tracker.plan(prepared, settings)
    (outcome,) = estimate_together([prepared], estimator, follower, settings.rounds_of_tracks)
    if isinstance(outcome, Exception):
        raise outcome
    return finish(prepared, outcome, steps, tracker, settings)


def best_scored(detections: Sequence[Detection], limit: int) -> list[int]:
    """The places of the ``limit`` detections with the best scores, in ascending order."""
    return sorted(sorted(range(len(detections)), key=lambda i: -detections[i].score)[:limit])


def ranked(instances: Sequence[Instance]) -> list[Instance]:
    """The instances, in the given order, each with its rank by its own score among those of its class."""
    order = sorted(range(len(instances)), key=lambda i: -instances[i].estimate.score)
    seen: Counter[str] = Counter()
    result = list(instances)
    for i in order:
        class_id = instances[i].estimate.class_id
        result[i] = replace(instances[i], rank=seen[class_id])
        seen[class_id] += 1
    return result
