"""What the node counts, and how it looks in /diagnostics."""

from __future__ import annotations

from collections import deque
from threading import Lock

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue


class FrameStatistics:
    """Counters of frames and the latencies of the last ones; may be used from several threads.

    Args:
        window: how many frames the percentiles cover.
    """

    def __init__(self, window: int = 200) -> None:
        self._lock = Lock()
        self._latencies_s: deque[float] = deque(maxlen=window)
        self.frames = 0
        self.poses = 0
        self.replaced_frames = 0
        self.refused_frames = 0
        self.dropped_detections = 0

    def add_frame(self, poses: int, dropped: int, latency_s: float) -> None:
        """Counts a frame whose poses were published, ``latency_s`` after its last message came in."""
        with self._lock:
            self.frames += 1
            self.poses += poses
            self.dropped_detections += dropped
            self._latencies_s.append(latency_s)

    def add_replaced(self) -> None:
        """Counts a frame that a newer one replaced before the network was free."""
        with self._lock:
            self.replaced_frames += 1

    def add_refused(self) -> None:
        """Counts a frame of which nothing could be used."""
        with self._lock:
            self.refused_frames += 1

    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 95th percentile [ms] over the window, or None before the first frame."""
        with self._lock:
            if not self._latencies_s:
                return None
            p50, p95 = np.percentile(np.asarray(self._latencies_s) * 1e3, (50, 95))
        return float(p50), float(p95)

    def diagnostic_status(self, name: str, state: str, trouble: str) -> DiagnosticStatus:
        """The status for /diagnostics: an error with its reason while not active, a warning while starved."""
        latency = self.latency_ms()
        values = {
            "state": state,
            "frames": self.frames,
            "poses": self.poses,
            "replaced frames": self.replaced_frames,
            "refused frames": self.refused_frames,
            "dropped detections": self.dropped_detections,
            "latency p50 [ms]": "-" if latency is None else f"{latency[0]:.1f}",
            "latency p95 [ms]": "-" if latency is None else f"{latency[1]:.1f}",
        }
        level = DiagnosticStatus.OK
        if trouble:
            level = DiagnosticStatus.WARN if state == "active" else DiagnosticStatus.ERROR
        status = DiagnosticStatus(level=level, name=name, message=trouble or state)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return status
