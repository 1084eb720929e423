"""One frame on its way from messages to messages: what the network is given, and what is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from geometry_msgs.msg import Pose
from numpy.typing import NDArray
from std_msgs.msg import Header

from mrc_core.geometry.lens_map import DistortedImage
from mrc_core.inference import Detection, PoseEstimate
from mrc_net_ros.conversions import pose_from_matrix
from mrc_net_ros.rectification import Box, CameraModel
from mrc_net_ros.tracks import FramePlan


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why. ``kind`` groups problems for throttling; ``once``: say it only once."""

    kind: str
    text: str
    once: bool = False


@dataclass(frozen=True)
class Instance:
    """An estimate, its rank by score within its class in this frame (0 is the best), and the box as it was received.

    The estimate's own detection has the box in the undistorted image [px]. ``track`` is the number of its track, None
    without tracking; ``is_followed`` says that stage 2 alone found it, and that its box is that of the projected mesh.
    """

    estimate: PoseEstimate
    rank: int
    box_px: Box
    track: int | None = None
    is_followed: bool = False

    @property
    def number(self) -> int:
        """What tells it from other instances of its class: its track's number, else its rank."""
        return self.rank if self.track is None else self.track

    @cached_property
    def pose(self) -> Pose:
        """The estimate's pose, made once for all messages that carry it: do not change it."""
        return pose_from_matrix(self.estimate.cam_from_obj)


@dataclass(frozen=True)
class PreparedFrame:
    """A frame as the network takes it, and what was left out of it.

    Args:
        header: the image's.
        rgb: (H, W, 3), uint8, as it was received.
        camera: of it; tells what its lens has done.
        detections: with boxes in the pixels of the image without distortion.
        boxes_px: the same boxes in the pixels of the image as it was received.
        dropped: detections that were left out, counted by reason.
        plan: what tracks do in it.
    """

    header: Header
    rgb: NDArray[np.uint8]
    camera: CameraModel
    detections: list[Detection]
    boxes_px: list[Box]
    problems: list[Problem] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    plan: FramePlan = field(default_factory=FramePlan)

    @property
    def K(self) -> NDArray[np.float64]:
        """(3, 3), of the image without distortion."""
        return self.camera.K

    @property
    def picture(self) -> NDArray[np.uint8] | DistortedImage:
        """For the network."""
        return self.camera.picture(self.rgb)

    @property
    def scores(self) -> list[float]:
        """Of all that the network has to do: the tracks' own scores, then the detector's."""
        tracked = [track.followed.estimate.score for track in self.plan.following]
        return tracked + [detection.score for detection in self.detections]

    def keeping(self, places: Sequence[int], reason: str, remedy: str) -> PreparedFrame:
        """Only what has these places in ``scores``; the rest is counted under ``reason`` and reported."""
        tracks, all_of_it = len(self.plan.following), len(self.scores)
        count = all_of_it - len(places)
        if not count:
            return self
        what = "detections and tracks" if tracks else "detections"
        text = f"{count} of {all_of_it} {what} were dropped, those with the lowest scores: {remedy}"
        kept = [i - tracks for i in places if i >= tracks]
        following = [self.plan.following[i] for i in places if i < tracks]
        return replace(
            self,
            detections=[self.detections[i] for i in kept],
            boxes_px=[self.boxes_px[i] for i in kept],
            problems=[*self.problems, Problem(f"dropped {reason}", text)],
            dropped=self.dropped + Counter({reason: count}),
            plan=replace(self.plan, following=following),
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
