"""Sends frames at a steady rate, as a camera and a fast detector would, and waits for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from mrc_net_ros.bag_player import BagPlayer
from mrc_net_ros.measuring.restamped import RestampedFrames


class FrameSender:
    """Publishes camera info, detections and image of one frame after the other, stamped with the time of day.

    Args:
        player: with the publishers.
        frames: to send, round and round.
    """

    def __init__(self, player: BagPlayer, frames: RestampedFrames) -> None:
        self._player, self._frames = player, frames
        self.sent_s: dict[int, float] = {}
        """When [s, monotonic] each image was published, by stamp [ns]."""

    def send(self) -> int:
        """Sends one frame now. Returns its stamp [ns]."""
        frame = self._frames.frame(len(self.sent_s), time.time_ns())
        self._player.send_camera_info(frame.camera_info)
        self._player.send_detections(frame.detections)
        self.sent_s[frame.stamp_ns] = time.monotonic()
        self._player.send_image(frame.image)
        return frame.stamp_ns

    def answered(self, timeout_s: float) -> float | None:
        """Sends one frame and waits for its poses. Returns the seconds that took, or None after ``timeout_s``."""
        at_ns = self.send()
        received_s = self._player.wait_for_poses(at_ns, timeout_s)
        return None if received_s is None else received_s - self.sent_s[at_ns]

    def send_steadily(self, rate_hz: float, goes_on: Callable[[], bool]) -> None:
        """Sends frames at this rate while ``goes_on``. A frame that is late is followed by the next one in time."""
        started_s, sent = time.monotonic(), 0
        while goes_on():
            time.sleep(max(0.0, started_s + sent / rate_hz - time.monotonic()))
            self.send()
            sent += 1
