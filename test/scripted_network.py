"""A network that knows the truth: detections and tracks get the pose of the true object nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mrc_core.inference import Detection, Followed, PoseEstimate

SIZE_M = 0.12  # of every object, a cube around its origin
CORNERS = SIZE_M / 2 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
REACH_M = 0.1
"""Stage 2 finds an object that is no further than this from where it was last."""


def at(x: float, y: float, z: float) -> np.ndarray:
    """An upright pose (4, 4)."""
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


def box_of(pose: np.ndarray, K: np.ndarray) -> tuple[float, float, float, float]:
    """Of the object at a pose, in px."""
    seen = (CORNERS @ pose[:3, :3].T + pose[:3, 3]) @ K.T
    pixels = seen[:, :2] / seen[:, 2:]
    return (*pixels.min(axis=0).tolist(), *pixels.max(axis=0).tolist())


class ScriptedNetwork:
    """Estimator and follower at once. ``objects`` are the true ones, (class, pose (4, 4)), whatever a picture shows.

    ``calls`` has "detect" and "follow" with the number of objects, in the order of the calls, ``rounds`` what the last
    "follow" was told.
    """

    class_ids = ("wedge", "disc")

    def __init__(self) -> None:
        self.objects: list[tuple[str, np.ndarray]] = []
        self.calls: list[tuple[str, int]] = []
        self.detected_score = 0.9
        self.rounds: int | None = -1

    def estimate_batch(self, frames: Sequence[Any]) -> list[list[PoseEstimate]]:
        self.calls.append(("detect", sum(len(detections) for _, _, detections in frames)))
        return [[self._detected(d, K) for d in detections] for _, K, detections in frames]

    def follow_batch(self, frames: Sequence[Any], rounds: int | None = None) -> list[list[Followed | None]]:
        self.calls.append(("follow", sum(len(known) for _, _, known in frames)))
        self.rounds = rounds
        return [[self._followed(one) for one in known] for _, _, known in frames]

    def box(self, class_id: str, cam_from_obj: np.ndarray, K: np.ndarray) -> tuple[float, float, float, float]:
        return box_of(cam_from_obj, K)

    def _detected(self, detection: Detection, K: np.ndarray) -> PoseEstimate:
        x0, y0, x1, y1 = detection.box_xyxy_px
        boxes = [(box_of(p, K), p) for c, p in self.objects if c == detection.class_id]
        wanted = np.array([x0, y0, x1, y1])
        _, pose = min(boxes, key=lambda one: float(np.abs(np.array(one[0]) - wanted).max()))
        return PoseEstimate(detection.class_id, pose, self.detected_score, np.eye(6), detection, True)

    def _followed(self, one: Followed) -> Followed:
        last = one.estimate
        near = [p for c, p in self.objects if c == last.class_id]
        gaps = [float(np.linalg.norm(p[:3, 3] - last.cam_from_obj[:3, 3])) for p in near]
        if not gaps or min(gaps) > REACH_M:
            return replace(one, estimate=replace(last, score=0.05, covariance=np.eye(6), is_calibrated=True))
        pose = near[int(np.argmin(gaps))]
        return Followed(PoseEstimate(last.class_id, pose, 0.8, np.eye(6), last.detection, True))
