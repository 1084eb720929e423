"""What is known of the true poses of an image, whatever it was recorded as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mrc_net_ros.bags.replay import ReplayedFrame


@dataclass(frozen=True)
class TrueObject:
    """A true pose: (4, 4), metres, in the camera's optical frame.

    ``instance`` names the same object in every frame; None where the record does not tell.
    ``visible`` is the visible share of the silhouette, None where it is not known.
    """

    class_id: str
    instance: str | None
    cam_from_obj: NDArray[np.float64]
    visible: float | None = None


class GroundTruth(Protocol):
    """A source of true poses."""

    description: str
    """For the report: what the truth was taken from, and how it is joined."""

    def objects(self, frame: ReplayedFrame) -> list[TrueObject] | None:
        """The true objects in a frame, or None where the source knows nothing of this image."""
        ...

    def follows_detections(self, frame: ReplayedFrame) -> bool:
        """Whether entry i of ``objects`` may be taken for the truth of detection i."""
        ...


class NoTruth:
    """No ground truth at all."""

    description = "none"

    def objects(self, frame: ReplayedFrame) -> list[TrueObject] | None:
        """Nothing is known."""
        return None

    def follows_detections(self, frame: ReplayedFrame) -> bool:
        """There are no entries."""
        return False
