"""One camera of the node: its topics, its counters, and what it remembers from frame to frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mrc_net_ros.camera_inputs import CameraInputs
from mrc_net_ros.camera_outputs import CameraOutputs
from mrc_net_ros.frame_estimation import PoseStep
from mrc_net_ros.frame_statistics import FrameStatistics
from mrc_net_ros.loaded_bundle import LoadedBundle
from mrc_net_ros.rectification import CameraModels
from mrc_net_ros.stable_symmetry import StableSymmetry
from mrc_net_ros.starvation import RefusalWatch
from mrc_net_ros.synchroniser import Frame
from mrc_net_ros.tracker import Tracker


def topic_prefix(camera_name: str) -> str:
    """What stands before the topics of a camera: nothing for the only one, which has no name."""
    return f"{camera_name}/" if camera_name else ""


@dataclass
class Camera:
    """A camera. ``inputs`` are there while the node is active; ``steps`` and ``tracker`` are new with every bundle."""

    name: str
    outputs: CameraOutputs
    inputs: CameraInputs | None = None
    statistics: FrameStatistics = field(default_factory=FrameStatistics)
    models: CameraModels = field(default_factory=CameraModels)
    steps: Sequence[PoseStep] = ()
    tracker: Tracker | None = None
    """None without tracking."""
    trouble: str = ""
    """Why no frame of it is complete, as it was last found; empty: nothing."""
    refusal: str = ""
    """Why complete frames of it come to nothing; empty: they do not."""
    overlay_at_s: float = 0.0
    """When [s, monotonic] the last overlay was drawn."""

    _refusals: RefusalWatch = field(default_factory=RefusalWatch)

    def look_for_trouble(self) -> None:
        """Finds out why nothing comes out. Ask about once a second."""
        if self.inputs is None:
            return
        dropped = self.statistics.dropped_frames
        self.trouble = self.inputs.trouble()
        self.refusal = self._refusals.trouble(
            self.statistics.frames, dropped["refused"] + dropped["error"], time.monotonic()
        )

    def start_over(self, bundle: LoadedBundle, tracking: str) -> None:
        """Forgets the poses of former frames; ``tracking`` as the node's parameter."""
        models = {name: item.model for name, item in bundle.objects.items()}
        self.steps = [StableSymmetry(models)]
        self.tracker = (
            None if tracking == "off" else Tracker(models, bundle.follower, tracking == "every_frame")
        )
        self.statistics.note_tracks(0, 0)

    def forget(self) -> None:
        """Lets go of what former frames left, on the GPU as well."""
        self.steps, self.tracker = (), None


@dataclass(frozen=True)
class Job:
    """A complete frame on its way to the worker."""

    camera: Camera
    frame: Frame
