"""Joins each image to its own detections and camera info, by stamp; with tracking also hands out lone images."""

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

from mrc_net_ros.conversions import size_of_images
from mrc_net_ros.thread_time import NO_TIME, ThreadTime
from mrc_net_ros.unusable_input import UnusableInput

JUMP_BACK_S = 0.5
"""Stamps that go back by more than this are a bag that starts again; less is the network's reordering."""


@dataclass(frozen=True)
class Frame:
    """An image with what belongs to it, and when [s, monotonic] its image came in and its last message did.

    ``detections`` are None where the image was handed out without waiting for any; ``is_late`` says that they came
    after that. ``epoch`` goes up whenever time has jumped back.
    ``callbacks`` is what was spent on its messages until then.
    """

    image: Image | CompressedImage
    detections: Detection2DArray | None
    camera_info: CameraInfo
    image_at_s: float = 0.0
    complete_at_s: float = 0.0
    is_late: bool = False
    epoch: int = 0
    callbacks: ThreadTime = NO_TIME


def stamp_ns(stamp: Time) -> int:
    """A message's stamp in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


SIZES_OF_A_FRAME = 4
"""Sizes of images whose latest camera info is remembered for each optical frame."""


class CameraInfoCache:
    """The last camera infos: the one with the image's stamp, else the latest of the same optical frame and size.

    Where none has the image's size it is the latest of the frame: what is wrong is said when it is used.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_stamp: OrderedDict[tuple[str, int], CameraInfo] = OrderedDict()
        self._latest: dict[str, OrderedDict[tuple[int, int], CameraInfo]] = {}

    def add(self, info: CameraInfo) -> None:
        """Remembers a camera info."""
        self._by_stamp[(info.header.frame_id, stamp_ns(info.header.stamp))] = info
        of_frame = self._latest.setdefault(info.header.frame_id, OrderedDict())
        of_frame.pop(size := size_of_images(info), None)
        of_frame[size] = info
        while len(of_frame) > SIZES_OF_A_FRAME:
            of_frame.popitem(last=False)
        while len(self._by_stamp) > self._size:
            self._by_stamp.popitem(last=False)

    def find(self, frame_id: str, at_ns: int, size: tuple[int, int] | None = None) -> CameraInfo | None:
        """The info for an image of this optical frame, stamp and (height, width), or None; no size: not known yet."""
        exact, of_frame = self._by_stamp.get((frame_id, at_ns)), self._latest.get(frame_id)
        if exact is not None or not of_frame:
            return exact
        latest = next(reversed(of_frame.values()))
        return latest if size is None else of_frame.get(size, latest)

    @property
    def frame_ids(self) -> list[str]:
        """The optical frames that camera infos came from."""
        return sorted(self._latest)


class FrameSynchroniser:
    """Images wait for their detections; a pair waits for the first camera info of its optical frame.

    With tracking they are handed out without detections as well: with ``every_frame`` as they come, with
    ``between_detections`` when the next image comes and their detections have not. That is decided by the order of
    messages alone, without a clock, so that a replay decides as the node did. Detections that come later still make
    a frame, which says so.

    message_filters never forgets the newest stamps, so that it yields nothing once a bag starts again: then
    it is rebuilt.

    Args:
        on_frame: called with each complete frame, in the thread that added its last message.
        queue_size: messages of each input that wait.
        slop_s: largest difference of the stamps of image and detections; 0 demands equality.
        tracking: as the node's parameter.
    """

    def __init__(
        self,
        on_frame: Callable[[Frame], None],
        queue_size: int,
        slop_s: float = 0.0,
        tracking: str = "off",
    ) -> None:
        self._on_frame = on_frame
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._tracking = tracking
        self.camera_infos = CameraInfoCache(size=max(2 * queue_size, 10))
        self.images = self.detections = self.pairs = self.rebuilds = 0
        self._image_at_s: OrderedDict[int, float] = OrderedDict()
        self._without_info: tuple[Image | CompressedImage, Detection2DArray] | None = None
        self._lone: Image | CompressedImage | None = None  # waits for detections, or for the next image
        self._handed_out: OrderedDict[int, None] = OrderedDict()  # stamps of images handed out without detections
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
        self.flush()
        if self._tracking != "off":
            self._lone = image
        self._signal(self._image_inlet, image)  # takes it out of there if its detections wait
        if self._tracking == "every_frame":
            self.flush()

    def flush(self) -> None:
        """Hands out the newest image, if it still waits for detections and tracks may answer it without."""
        image, self._lone = self._lone, None
        if image is None:
            return
        self._handed_out[stamp_ns(image.header.stamp)] = None
        while len(self._handed_out) > self._queue_size + 1:
            self._handed_out.popitem(last=False)
        info = self._info_of(image)
        if info is not None:  # else nothing of this camera was estimated yet, so there is no track
            self._on_frame(self._frame(image, None, info))

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
        self._lone = None
        self._handed_out.clear()
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
            self._build()  # forgets the image that waits, too: it is of the time before
        self._last_ns[stream] = now_ns

    def _on_pair(self, image: Image | CompressedImage, detections: Detection2DArray) -> None:
        self.pairs += 1
        self._complete(image, detections)

    def _complete(self, image: Image | CompressedImage, detections: Detection2DArray) -> None:
        if self._lone is not None and stamp_ns(self._lone.header.stamp) == stamp_ns(image.header.stamp):
            self._lone = None
        info = self._info_of(image)
        if info is None:
            self._without_info = (image, detections)
            return
        self._on_frame(self._frame(image, detections, info))

    def _info_of(self, image: Image | CompressedImage) -> CameraInfo | None:
        size = (int(image.height), int(image.width)) if isinstance(image, Image) else None
        return self.camera_infos.find(image.header.frame_id, stamp_ns(image.header.stamp), size)

    def _frame(
        self, image: Image | CompressedImage, detections: Detection2DArray | None, info: CameraInfo
    ) -> Frame:
        now_s, at_ns = time.monotonic(), stamp_ns(image.header.stamp)
        is_late = detections is not None and at_ns in self._handed_out
        return Frame(
            image, detections, info, self._image_at_s.get(at_ns, now_s), now_s, is_late, self.rebuilds
        )
