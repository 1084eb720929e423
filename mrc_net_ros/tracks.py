"""An object that is followed from image to image, and what shall be done about tracks in one image."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrc_core.inference import Followed, PoseEstimate
from mrc_net_ros.rectification import Box

HISTORY = 64
"""Images that a track remembers itself in, for detections that come late: 2 s at 30 Hz."""

LONGEST_STEP_S = 0.5
"""Between images that lie further apart nothing is said of how an object moves."""
SHARE_OF_NEW = 0.5
"""Of the last measured velocity in the smoothed one."""


class Sight(NamedTuple):
    """A track in one image: stamp, pose, box [px, undistorted image] around the mesh there, and its middle (3,).

    Where the pose is not ``is_sure`` the box is the detector's: such a pose may lie anywhere along the viewing ray.
    """

    at_ns: int
    estimate: PoseEstimate
    box_px: Box
    middle_m: NDArray[np.float64]
    is_sure: bool = True


@dataclass(eq=False)
class Track:
    """One object. A track that is not ``living`` is lost: it is not answered, and waits for a detection of itself.

    Args:
        class_id: of the object.
        number: its instance id, unique among the tracks of its class.
        followed: what stage 2 goes on from.
        seen_ns: stamp of the last image that it was answered in.
        confirmed_ns: stamp of the last image in which a detection had it.
    """

    class_id: str
    number: int
    followed: Followed
    seen_ns: int
    confirmed_ns: int
    living: bool = False
    sights: deque[Sight] = field(default_factory=lambda: deque(maxlen=HISTORY))
    velocity_m_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    """Of its middle in the camera's frame, smoothed."""

    def sight(self, at_ns: int) -> Sight:
        """Itself in the image with this stamp, or in that nearest to it in time."""
        return min(reversed(self.sights), key=lambda sight: abs(sight.at_ns - at_ns))

    def sure_sight(self, at_ns: int) -> Sight:
        """As ``sight``, of its sure poses, if there is one."""
        sure = [sight for sight in self.sights if sight.is_sure] or list(self.sights)
        return min(reversed(sure), key=lambda sight: abs(sight.at_ns - at_ns))

    def see(
        self, at_ns: int, followed: Followed, box_px: Box, middle_m: NDArray[np.float64], is_sure: bool = True
    ) -> None:
        """Takes a new pose; ``middle_m`` (3,) is where it puts the object's middle in the camera's frame.

        A pose that is not sure says nothing of how the object moves.
        """
        last = next((sight for sight in reversed(self.sights) if sight.is_sure), None)
        if is_sure and last is not None and last.at_ns < at_ns:
            seconds = (at_ns - last.at_ns) * 1e-9
            measured = (middle_m - last.middle_m) / seconds if seconds < LONGEST_STEP_S else 0.0
            self.velocity_m_s = SHARE_OF_NEW * measured + (1.0 - SHARE_OF_NEW) * self.velocity_m_s
        self.followed, self.seen_ns = followed, max(self.seen_ns, at_ns)
        self.sights.append(Sight(at_ns, followed.estimate, box_px, middle_m, is_sure))

    def predicted(self, at_ns: int) -> Followed:
        """Where stage 2 shall start in the image with this stamp: the last pose, moved on as it moved before.

        It is not turned on: between two images rotations are measured less well than they change.
        """
        seconds = (at_ns - self.sights[-1].at_ns) * 1e-9
        if not 0.0 < seconds < LONGEST_STEP_S:
            return self.followed
        moved = self.followed.estimate.cam_from_obj.copy()
        moved[:3, 3] += self.velocity_m_s * seconds
        return replace(self.followed, estimate=replace(self.followed.estimate, cam_from_obj=moved))

    def confirm(self, at_ns: int) -> None:
        """Notes that a detection has it; an older one changes nothing."""
        self.confirmed_ns = max(self.confirmed_ns, at_ns)


@dataclass(frozen=True)
class FramePlan:
    """What tracks do in one image.

    Args:
        following: those that stage 2 follows into it.
        explained: those that a detection confirms which therefore needs no estimate.
        serves_tracks_alone: the image was answered before, and what its detections say is for tracks.
    """

    following: Sequence[Track] = ()
    explained: Sequence[Track] = ()
    serves_tracks_alone: bool = False

