"""Joins each image to its own detections and its own camera info, by stamp."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from message_filters import ApproximateTimeSynchronizer, SimpleFilter, TimeSynchronizer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from mrc_net_ros.thread_time import NO_TIME, ThreadTime
from mrc_net_ros.unusable_input import UnusableInput

JUMP_BACK_S = 0.5
"""Stamps that go back by more than this are a bag that starts again; less is the network's reordering."""


@dataclass(frozen=True)
class Frame:
    """An image with what belongs to it, and when [s, monotonic] its image came in and its last message did.

    ``callbacks`` is what was spent on its messages until then.
    """

    image: Image | CompressedImage
    detections: Detection2DArray
    camera_info: CameraInfo
    image_at_s: float = 0.0
    complete_at_s: float = 0.0
    callbacks: ThreadTime = NO_TIME


def stamp_ns(stamp: Time) -> int:
    """A message's stamp in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class CameraInfoCache:
    """The last camera infos: the one with the image's stamp, else the latest of the same optical frame."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_stamp: OrderedDict[tuple[str, int], CameraInfo] = OrderedDict()
        self._latest: dict[str, CameraInfo] = {}

    def add(self, info: CameraInfo) -> None:
        """Remembers a camera info."""
        self._by_stamp[(info.header.frame_id, stamp_ns(info.header.stamp))] = info
        self._latest[info.header.frame_id] = info
        while len(self._by_stamp) > self._size:
            self._by_stamp.popitem(last=False)

    def find(self, frame_id: str, at_ns: int) -> CameraInfo | None:
        """The info for an image of this optical frame and stamp, or None."""
        return self._by_stamp.get((frame_id, at_ns), self._latest.get(frame_id))

    @property
    def frame_ids(self) -> list[str]:
        """The optical frames that camera infos came from."""
        return sorted(self._latest)


class FrameSynchroniser:
    """Images wait for their detections; a pair waits for the first camera info of its optical frame.

    message_filters never forgets the newest stamps, so that it yields nothing once a bag starts again: then
    it is rebuilt.

    Args:
        on_frame: called with each complete frame, in the thread that added its last message.
        queue_size: messages of each input that wait.
        slop_s: largest difference of the stamps of image and detections; 0 demands equality.
    """

    def __init__(self, on_frame: Callable[[Frame], None], queue_size: int, slop_s: float = 0.0) -> None:
        self._on_frame = on_frame
        self._queue_size = queue_size
        self._slop_s = slop_s
        self.camera_infos = CameraInfoCache(size=max(2 * queue_size, 10))
        self.images = self.detections = self.pairs = self.rebuilds = 0
        self._image_at_s: OrderedDict[int, float] = OrderedDict()
        self._without_info: tuple[Image | CompressedImage, Detection2DArray] | None = None
        self._build()

    @property
    def waits_for_camera_info(self) -> bool:
        """Whether an image and its detections are held back, for no camera info of their frame came yet."""
        return self._without_info is not None

    def add_image(self, image: Image | CompressedImage) -> None:
        """Takes an image from its topic.

        Raises:
            UnusableInput: its stamp is before the epoch.
        """
        self.images += 1
        self._note_stamp("image", image)
        self._image_at_s[stamp_ns(image.header.stamp)] = time.monotonic()
        while len(self._image_at_s) > self._queue_size + 1:
            self._image_at_s.popitem(last=False)
        self._signal(self._image_inlet, image)

    def add_detections(self, detections: Detection2DArray) -> None:
        """Takes the detections of an image from their topic. Raises as ``add_image``."""
        self.detections += 1
        self._note_stamp("detections", detections)
        self._signal(self._detections_inlet, detections)

    def add_camera_info(self, info: CameraInfo) -> None:
        """Takes a camera info from its topic, and lets a pair go that waited for it."""
        self.camera_infos.add(info)
        if self._without_info is not None:
            pair, self._without_info = self._without_info, None
            self._complete(*pair)

    def _build(self) -> None:
        self._last_ns: dict[str, int] = {}
        self._image_inlet = SimpleFilter()
        self._detections_inlet = SimpleFilter()
        inlets = [self._image_inlet, self._detections_inlet]
        if self._slop_s > 0.0:
            join = ApproximateTimeSynchronizer(inlets, self._queue_size, self._slop_s)
        else:
            join = TimeSynchronizer(inlets, self._queue_size)
        join.registerCallback(self._on_pair)
        self._join = join

    def _signal(self, inlet: SimpleFilter, message: Any) -> None:
        try:
            inlet.signalMessage(message)
        except Exception:
            self._build()  # message_filters of some distributions keeps its lock when it raises
            raise

    def _note_stamp(self, stream: str, message: Any) -> None:
        now_ns = stamp_ns(message.header.stamp)
        if now_ns < 0:
            # Before it is taken for a bag that starts again; rclpy has no time before the epoch
            raise UnusableInput(
                f"stamp {stream}",
                f"a message of the {stream} topic has a negative stamp ({now_ns / 1e9:.3f} s) and is left "
                "out: check the clock of its publisher",
            )
        if now_ns < self._last_ns.get(stream, now_ns) - JUMP_BACK_S * 1e9:
            self.rebuilds += 1
            self._without_info = None
            self._build()
        self._last_ns[stream] = now_ns

    def _on_pair(self, image: Image | CompressedImage, detections: Detection2DArray) -> None:
        self.pairs += 1
        self._complete(image, detections)

    def _complete(self, image: Image | CompressedImage, detections: Detection2DArray) -> None:
        info = self.camera_infos.find(image.header.frame_id, stamp_ns(image.header.stamp))
        if info is None:
            self._without_info = (image, detections)
            return
        now_s = time.monotonic()
        image_at_s = self._image_at_s.get(stamp_ns(image.header.stamp), now_s)
        self._on_frame(Frame(image, detections, info, image_at_s, now_s))
