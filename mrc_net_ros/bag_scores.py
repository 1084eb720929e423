"""How right the poses of a played bag are, by object, against its ground truth.

Association: entry i of a frame's ground truth belongs to its detection i; a pose belongs to the detection whose
class and box it carries. A detection without a pose counts as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from vision_msgs.msg import Detection2D, Detection3D

from mrc_core.evaluation.pose_deviation import pose_deviation, region_limit, squared_distances
from mrc_core.evaluation.pose_errors import add_or_add_s
from mrc_core.evaluation.reliability import probability_figures
from mrc_core.geometry import Mesh, SymmetrySet, rotation_angle
from mrc_core.geometry.symmetries import second_moment
from mrc_core.inference.pose_covariance import degrees_of_freedom
from mrc_net_ros.bag_player import PlayedFrame
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.msg import ObjectPose

VISIBLE_BANDS = ((0.3, 0.5), (0.5, 0.8), (0.8, 1.01))
"""Shares of the visible silhouette, from and below, that recall is told for."""
MIN_VISIBLE = 0.3
"""Detections of which less of the silhouette is visible are not judged."""
WITHIN_DIAMETERS = 0.1
"""A pose is right where ADD(-S) is below this part of the diameter."""
REGION = 0.9
"""The region of a covariance that is looked at: it should hold this share of the true poses."""
POINTS = 2048
BOX_TOLERANCE_PX = 0.01


@dataclass(frozen=True)
class PoseErrors:
    """Rotation and translation to the nearest symmetric pose, and ADD (ADD-S for symmetric objects)."""

    rotation_rad: float
    translation_m: float
    add_m: float


class PoseJudge:
    """Judges poses of one class.

    Args:
        mesh: in the frame that the ground truth's poses are given for.
        symmetries: in the same frame.
    """

    def __init__(self, mesh: Mesh, symmetries: SymmetrySet) -> None:
        self._symmetries = symmetries
        self.diameter_m = float(mesh.diameter)
        self._points = torch.as_tensor(mesh.sample_points(POINTS, seed=0), dtype=torch.float64)
        self._moment = second_moment(self._points)

    def errors(self, estimated: NDArray[np.float64], true: NDArray[np.float64]) -> PoseErrors:
        """Errors of one pose (4, 4) against the true one."""
        est, gt = torch.as_tensor(estimated)[None], torch.as_tensor(true)[None]
        nearest = self._symmetries.nearest_pose(gt, est, self._moment)
        # ADD-S cannot tell equivalent poses apart, but its samples can: from the nearest one a right pose has no error
        symmetric = not self._symmetries.is_trivial
        distance = add_or_add_s(est.float(), nearest.float(), self._points.float(), symmetric)
        return PoseErrors(
            rotation_rad=float(rotation_angle(est[:, :3, :3], nearest[:, :3, :3])),
            translation_m=float((est[:, :3, 3] - nearest[:, :3, 3]).norm()),
            add_m=float(distance),
        )


    def is_inside(
        self, estimated: NDArray[np.float64], true: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> bool:
        """Whether the true pose (4, 4) lies within the region that the pose's covariance (6, 6) states."""
        est, gt = torch.as_tensor(estimated)[None], torch.as_tensor(true)[None]
        deviation = pose_deviation(est, gt, self._symmetries, self._moment).numpy()
        distance = squared_distances(deviation, covariance[None])[0]
        return bool(distance < region_limit(REGION, degrees_of_freedom(self._symmetries)))


@dataclass(frozen=True)
class Judged:
    """One detection of a played frame. ``instance_id``, ``errors`` and ``score`` are None where no pose came.

    ``is_inside``: whether the true pose lies within the stated region; None where no covariance is stated.
    """

    stamp_ns: int
    class_id: str
    visible: float
    instance_id: str | None
    errors: PoseErrors | None
    is_right: bool
    score: float | None = None
    is_inside: bool | None = None

    @property
    def counts(self) -> bool:
        """Whether enough of the object is visible for the detection to be judged."""
        return self.visible >= MIN_VISIBLE


def judge(played: Sequence[PlayedFrame], judges: Mapping[str, PoseJudge]) -> list[Judged]:
    """Every detection that has a ground truth of a known class, in the order of the frames."""
    judged: list[Judged] = []
    for one in played:
        if one.frame.ground_truth is None:
            continue
        truths: list[Detection3D] = one.frame.ground_truth.message.detections
        detections: list[Detection2D] = one.frame.detections.message.detections
        poses = list(one.poses.poses) if one.poses is not None else []
        for detection, truth in zip(detections, truths):
            class_id = truth.results[0].hypothesis.class_id
            if class_id in judges:
                pose = _take_pose(poses, detection, class_id)
                judged.append(_judge_one(one.frame.stamp_ns, truth, pose, judges[class_id]))
    return judged


def recall(judged: Sequence[Judged]) -> float | None:
    """The part of the visible detections whose pose is right, or None where there is none."""
    counting = [one for one in judged if one.counts]
    return sum(one.is_right for one in counting) / len(counting) if counting else None


def calibration_figures(judged: Sequence[Judged]) -> dict[str, Any] | None:
    """How well scores and covariances of the visible detections' poses match their errors; None where no pose has a
    covariance: the bundle is not calibrated.

    Returns:
        {"poses", "auroc", "ece", "brier" (of the scores), "in_90_percent_region" (share of the true poses)}.
    """
    stated = [one for one in judged if one.counts and one.score is not None and one.is_inside is not None]
    if not stated:
        return None
    score, right = np.array([one.score for one in stated], dtype=np.float64), np.array([o.is_right for o in stated])
    figures = probability_figures(score, right)
    inside = float(np.mean([bool(one.is_inside) for one in stated]))
    kept = {name: figures[name] for name in ("auroc", "ece", "brier")}
    return {"poses": len(stated), **kept, "in_90_percent_region": round(inside, 4)}


def recall_by_visibility(judged: Sequence[Judged]) -> list[tuple[float, float, int, float | None]]:
    """Per band of visible shares: from, below, number of detections and recall (None where there is none)."""
    bands = [(low, high, [one for one in judged if low <= one.visible < high]) for low, high in VISIBLE_BANDS]
    return [(low, high, len(inside), recall(inside)) for low, high, inside in bands]


def scores_by_object(judged: Sequence[Judged]) -> dict[str, dict[str, float | int | None]]:
    """Per class, over its visible detections: number, recall and the median errors of the poses that came."""
    scores: dict[str, dict[str, float | int | None]] = {}
    for class_id in sorted({one.class_id for one in judged}):
        counting = [one for one in judged if one.class_id == class_id and one.counts]
        errors = [one.errors for one in counting if one.errors is not None]
        scores[class_id] = {
            "detections": len(counting),
            "recall": recall(counting),
            "median_error_deg": _median([np.degrees(e.rotation_rad) for e in errors]),
            "median_error_mm": _median([1e3 * e.translation_m for e in errors]),
        }
    return scores


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _take_pose(poses: list[ObjectPose], detection: Detection2D, class_id: str) -> ObjectPose | None:
    """Removes and returns the pose that was estimated from this detection."""
    box = detection.bbox
    wanted = np.array([box.center.position.x, box.center.position.y, box.size_x, box.size_y])
    for i, pose in enumerate(poses):
        centre = pose.bbox.center.position
        its = np.array([centre.x, centre.y, pose.bbox.size_x, pose.bbox.size_y])
        if pose.class_id == class_id and np.abs(its - wanted).max() <= BOX_TOLERANCE_PX:
            return poses.pop(i)
    return None


def _judge_one(at_ns: int, truth: Detection3D, pose: ObjectPose | None, judge_of_class: PoseJudge) -> Judged:
    hypothesis = truth.results[0]
    class_id, visible = hypothesis.hypothesis.class_id, float(hypothesis.hypothesis.score)
    if pose is None:
        return Judged(at_ns, class_id, visible, None, None, False)
    estimated, true = matrix_from_pose(pose.pose.pose), matrix_from_pose(hypothesis.pose.pose)
    errors = judge_of_class.errors(estimated, true)
    is_right = errors.add_m < WITHIN_DIAMETERS * judge_of_class.diameter_m
    covariance = np.asarray(pose.pose.covariance, dtype=np.float64).reshape(6, 6)
    is_inside = judge_of_class.is_inside(estimated, true, covariance) if covariance.any() else None
    return Judged(at_ns, class_id, visible, pose.instance_id, errors, is_right, float(pose.score), is_inside)
