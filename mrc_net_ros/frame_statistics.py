"""What is counted of one camera's frames, and how long they took."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from threading import Lock

import numpy as np

STAGES = (
    "callbacks",
    "wait for detections",
    "wait for network",
    "conversion",
    "estimate",
    "publication",
    "transport",
    "own work",
    "own work CPU",
    "latency",
    "age",
)
"""Spans of time: in the inputs' callbacks, for each complete frame whether it is answered or dropped; from the image's
arrival to its last partner's; from there to the start of work; messages to pictures; the network; poses to serialised
messages; handing these to DDS; ``own work`` is callbacks, conversion and publication of an answered frame, ``own work
CPU`` the part of it that its two threads themselves ran; ``latency`` from the last partner until all is handed over;
``age`` from the image's stamp until then, in the node's clock."""


class FrameStatistics:
    """Counters, and the durations of the last frames; may be used from several threads.

    Args:
        window: how many frames the percentiles cover.
    """

    def __init__(self, window: int = 200) -> None:
        self._lock = Lock()
        self._durations_s: dict[str, deque[float]] = {stage: deque(maxlen=window) for stage in STAGES}
        self.frames = 0
        self.poses = 0
        self.tracks = self.lost_tracks = self.tracked_frames = self.late_detections = 0
        self.dropped_frames: Counter[str] = Counter()
        self.dropped_detections: Counter[str] = Counter()
        self.unknown_classes: Counter[str] = Counter()

    def note_tracks(self, living: int, lost: int) -> None:
        """Notes how many tracks live now, and counts those that were lost since this was noted last."""
        with self._lock:
            self.tracks, self.lost_tracks = living, self.lost_tracks + lost

    def add_tracked_frame(self) -> None:
        """Counts a frame with poses that stage 2 alone has followed."""
        with self._lock:
            self.tracked_frames += 1

    def add_late_detections(self) -> None:
        """Counts detections that came after their image was answered, and which tracks learnt from."""
        with self._lock:
            self.late_detections += 1

    def add_frame(self, poses: int, dropped: Mapping[str, int], durations_s: Mapping[str, float]) -> None:
        """Counts a frame whose poses were published.

        Args:
            dropped: detections that were left out, by reason.
            durations_s: seconds, by stage; without the callbacks'.
        """
        with self._lock:
            self.frames += 1
            self.poses += poses
            self.dropped_detections.update(dropped)
            for stage, seconds in durations_s.items():
                self._durations_s[stage].append(seconds)

    def add_callbacks(self, seconds: float) -> None:
        """Notes what the inputs' callbacks spent on a complete frame."""
        with self._lock:
            self._durations_s["callbacks"].append(seconds)

    def add_dropped_frame(self, reason: str) -> None:
        """Counts a frame of which nothing came out."""
        with self._lock:
            self.dropped_frames[reason] += 1

    def add_unknown_class(self, class_id: str) -> None:
        """Counts a detection of a class that the bundle has not."""
        with self._lock:
            self.unknown_classes[class_id] += 1

    def percentiles_ms(self, stage: str) -> tuple[float, float, float] | None:
        """Median, 95th percentile and maximum [ms] of a stage over the window, or None before the first frame."""
        with self._lock:
            if not self._durations_s[stage]:
                return None
            p50, p95, most = np.percentile(np.asarray(self._durations_s[stage]) * 1e3, (50, 95, 100))
        return float(p50), float(p95), float(most)

    def values(self) -> dict[str, str]:
        """All of it for /diagnostics, by key."""
        result = {"frames": str(self.frames), "poses": str(self.poses)}
        for stage in STAGES:
            found = self.percentiles_ms(stage)
            for name, number in zip(("p50", "p95", "max"), found or (None, None, None)):
                result[f"{stage} {name} [ms]"] = "-" if number is None else f"{number:.2f}"
        with self._lock:
            result["tracks"], result["lost tracks"] = str(self.tracks), str(self.lost_tracks)
            result["tracked frames"] = str(self.tracked_frames)
            result["late detections"] = str(self.late_detections)
            result["dropped frames"] = str(self.dropped_frames.total())
            result.update({f"dropped frames, {k}": str(n) for k, n in sorted(self.dropped_frames.items())})
            result["dropped detections"] = str(self.dropped_detections.total())
            result.update(
                {f"dropped detections, {k}": str(n) for k, n in sorted(self.dropped_detections.items())}
            )
            result["unknown classes"] = ", ".join(sorted(self.unknown_classes)) or "-"
        return result
