"""One camera of the node: its topics, its counters, and what it remembers from frame to frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mrc_net_ros.camera_inputs import CameraInputs
from mrc_net_ros.camera_outputs import CameraOutputs
from mrc_net_ros.frame_estimation import DROP_REASONS, PoseStep
from mrc_net_ros.frame_statistics import FrameStatistics
from mrc_net_ros.loaded_bundle import LoadedBundle
from mrc_net_ros.rectification import CameraModels
from mrc_net_ros.stable_symmetry import StableSymmetry
from mrc_net_ros.starvation import NO_DETECTION_IS_USED, RefusalWatch
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

    _frames: RefusalWatch = field(default_factory=RefusalWatch)
    _detections: RefusalWatch = field(default_factory=lambda: RefusalWatch(NO_DETECTION_IS_USED))

    def look_for_trouble(self) -> None:
        """Finds out why nothing comes out. Ask about once a second."""
        if self.inputs is None:
            return
        counted, now_s = self.statistics, time.monotonic()
        frames, detections = counted.dropped_frames, counted.dropped_detections
        self.trouble = self.inputs.trouble()
        of_frames = self._frames.trouble(counted.frames, frames["refused"] + frames["error"], now_s)
        unusable = sum(detections[reason] for reason in (*DROP_REASONS.values(), "pose not finite"))
        # Once there was a pose, a detector that knows more classes than the bundle is no trouble
        of_detections = self._detections.trouble(counted.poses, 0 if counted.poses else unusable, now_s)
        self.refusal = of_frames or of_detections

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
