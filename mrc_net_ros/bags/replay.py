"""Replays a bag without DDS: images, camera infos and detections are joined by the node's own synchroniser.

Nothing is lost on the way and nothing waits; the same bag gives the same frames in the same order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vision_msgs.msg import Detection2DArray

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import RawMessage, Recording
from mrc_net_ros.bags.topic_choice import CameraTopics
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.synchroniser import Frame, FrameSynchroniser, stamp_ns
from mrc_net_ros.unusable_input import UnusableInput


@dataclass(frozen=True)
class Selection:
    """Which images of a bag are evaluated.

    Args:
        start_s: from this long after the first image, by stamp.
        duration_s: for this long; None: to the end.
        every: every n-th image of those.
        most: at most so many; None: all.
        detections_every: only every n-th message of detections of the bag is let through, from the first one on.
    """

    start_s: float = 0.0
    duration_s: float | None = None
    every: int = 1
    most: int | None = None
    detections_every: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0.0):
            raise BagError(f"--start is {self.start_s:g}: it must be a number of seconds that is not negative")
        if self.duration_s is not None and not (math.isfinite(self.duration_s) and self.duration_s > 0.0):
            raise BagError(f"--duration is {self.duration_s:g}: it must be a positive number of seconds")
        if self.every < 1 or (self.most is not None and self.most < 1):
            raise BagError("--every and --frames must be at least 1")
        if self.detections_every < 1:
            raise BagError("--detections-every must be at least 1")


@dataclass(frozen=True)
class ReplayedFrame:
    """A frame as the node gets it. ``image_index`` counts all images of the bag, from 0; the stamp is the image's.

    ``recorded`` are the bag's detections of this image, also where they were not let through; None where it has none.
    With tracking an image may come twice: alone, and again with its late detections.
    """

    image_index: int
    stamp_ns: int
    frame: Frame
    recorded: Detection2DArray | None = None


@dataclass
class ReplayCounts:
    """What became of the bag's images; filled while it is replayed."""

    images: int = 0
    """Read so far."""
    selected: int = 0
    joined: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Selected images that became no frame, by reason."""


class Replay:
    """Iterates over the complete frames of a bag.

    Args:
        recording: the bag.
        topics: the node's inputs.
        settings: queue size and slop as the node's parameters.
        selection: which images are taken.
    """

    def __init__(
        self, recording: Recording, topics: CameraTopics, settings: NodeSettings, selection: Selection
    ) -> None:
        self._recording, self._topics, self._settings = recording, topics, settings
        self.selection = selection
        self.counts = ReplayCounts()
        self._first_ns: int | None = None
        self._in_range = self._detections = 0
        self._alone: dict[int, int] = {}  # stamp -> index of images that were handed out without detections
        self._withheld: dict[int, Detection2DArray] = {}

    def __iter__(self) -> Iterator[ReplayedFrame]:
        """The frames, in the order in which they become complete."""
        self.counts, self._first_ns, self._in_range, self._detections = ReplayCounts(), None, 0, 0
        self._alone, self._withheld = {}, {}
        ready: list[Frame] = []
        settings = self._settings
        synchroniser = FrameSynchroniser(
            ready.append, settings.sync_queue_size, settings.sync_slop_s, settings.tracking
        )
        waiting: dict[int, int] = {}  # stamp -> index of the selected images that are not joined yet
        completed = 0
        for raw in self._recording.messages(self._topics.names):
            self._add(raw, synchroniser, waiting)
            completed += sum(frame.detections is not None for frame in ready)
            yield from self._selected(ready, waiting)
            ready.clear()
            if self._is_over() and not waiting:
                return
        synchroniser.flush()
        yield from self._selected(ready, waiting)
        if waiting:
            self.counts.lost[_why_lost(synchroniser, completed)] += len(waiting)

    def _selected(self, ready: Sequence[Frame], waiting: dict[int, int]) -> Iterator[ReplayedFrame]:
        """Of the frames that are ready those whose image was selected; the synchroniser sees all, as in the node."""
        for frame in ready:
            at_ns = stamp_ns(frame.image.header.stamp)
            index = self._alone.get(at_ns) if frame.is_late else waiting.pop(at_ns, None)
            if index is None:
                continue
            self.counts.joined += not frame.is_late
            if frame.detections is None:
                self._alone[at_ns] = index
            yield ReplayedFrame(index, at_ns, frame, self._recorded_of(frame, at_ns))

    def _recorded_of(self, frame: Frame, at_ns: int) -> Detection2DArray | None:
        return frame.detections if frame.detections is not None else self._withheld.get(at_ns)

    def _add(self, raw: RawMessage, synchroniser: FrameSynchroniser, waiting: dict[int, int]) -> None:
        message = raw.read()
        try:
            if raw.topic == self._topics.camera_info:
                synchroniser.add_camera_info(message)
            elif raw.topic == self._topics.detections:
                self._detections += 1
                if (self._detections - 1) % self.selection.detections_every == 0:
                    synchroniser.add_detections(message)
                else:
                    self._withheld[stamp_ns(message.header.stamp)] = message
            else:
                at_ns = stamp_ns(message.header.stamp)
                if self._takes(at_ns):
                    if at_ns in waiting:
                        self.counts.lost["another image has the same stamp"] += 1
                    waiting[at_ns] = self.counts.images - 1
                synchroniser.add_image(message)
        except UnusableInput as error:
            if (
                raw.topic == self._topics.image
                and waiting.pop(stamp_ns(message.header.stamp), None) is not None
            ):
                self.counts.lost[str(error)] += 1

    def _takes(self, at_ns: int) -> bool:
        """Counts an image; whether it is among those selected."""
        self.counts.images += 1
        if self._first_ns is None:
            self._first_ns = at_ns
        since_s = (at_ns - self._first_ns) * 1e-9 - self.selection.start_s
        limit_s = self.selection.duration_s
        # half a nanosecond: sums of decimal fractions are not exact
        if since_s < -5e-10 or (limit_s is not None and since_s >= limit_s - 5e-10):
            return False
        self._in_range += 1
        if (self._in_range - 1) % self.selection.every or self._is_over():
            return False
        self.counts.selected += 1
        return True

    def _is_over(self) -> bool:
        most = self.selection.most
        return most is not None and self.counts.selected >= most


def _why_lost(synchroniser: FrameSynchroniser, completed: int) -> str:
    if synchroniser.pairs > completed:
        return "no camera info of the image's frame_id: record the camera_info of this very camera"
    return (
        "no detections with the image's stamp: the detector must copy the image's header, or allow a difference with "
        "'sync_slop_s'"
    )
