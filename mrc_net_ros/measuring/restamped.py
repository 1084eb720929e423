"""Recorded frames that can be sent again and again, each time with a stamp of its own."""

from __future__ import annotations

import array
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from mrc_net_ros.bag_frames import BagError, BagFrame, Recorded
from mrc_net_ros.images import rgb_from_compressed

STAMP_AT = 4
"""Behind CDR's four bytes of encapsulation every message with a header begins with its stamp: int32 and uint32."""
LITTLE_ENDIAN = 1
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class StampedFrame:
    """The bytes of an image, its camera info and its detections, all with one stamp [ns]."""

    stamp_ns: int
    image: bytes
    camera_info: bytes
    detections: bytes


class RestampedFrames:
    """Frames of a bag, with the same number of detections each.

    Args:
        frames: of the bag, with JPEG or PNG images.
        detections: how many are kept of each frame, its first ones; frames with fewer are left out.
        raw: send images as rgb8 and not as they were recorded.
        distortion: coefficients that the camera infos get (plumb_bob), or none.

    Raises:
        BagError: no frame has that many detections.
    """

    def __init__(
        self,
        frames: Sequence[BagFrame],
        detections: int = 2,
        raw: bool = False,
        distortion: Sequence[float] = (),
    ) -> None:
        enough = [frame for frame in frames if len(frame.detections.message.detections) >= detections]
        if not enough:
            raise BagError(f"no frame of the bag has {detections} detections")
        self.frames = [_prepared(frame, detections, raw, distortion) for frame in enough]

    def frame(self, number: int, stamp_ns: int) -> StampedFrame:
        """The ``number``-th frame, counted over all rounds."""
        frame = self.frames[number % len(self.frames)]
        image, camera_info, detections = (
            _restamped(one.cdr, stamp_ns) for one in (frame.image, frame.camera_info, frame.detections)
        )
        return StampedFrame(stamp_ns, image, camera_info, detections)


def _prepared(frame: BagFrame, count: int, raw: bool, distortion: Sequence[float]) -> BagFrame:
    image, info, detections = frame.image, frame.camera_info.message, frame.detections.message
    detections.detections = detections.detections[:count]
    if distortion:
        info.distortion_model, info.d = "plumb_bob", [float(value) for value in distortion]
    if raw:
        image = _recorded(_raw_image(image.message))
    return BagFrame(frame.stamp_ns, image, _recorded(info), _recorded(detections), None)


def _raw_image(compressed: CompressedImage) -> Image:
    pixels = rgb_from_compressed(compressed)
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).tobytes())
    height, width = pixels.shape[:2]
    return Image(
        header=compressed.header, height=height, width=width, encoding="rgb8", step=3 * width, data=data
    )


def _recorded(message: Any) -> Recorded:
    return Recorded(message, bytes(serialize_message(message)))


def _restamped(cdr: bytes, stamp_ns: int) -> bytes:
    order = "<" if cdr[1] & LITTLE_ENDIAN else ">"
    stamp = struct.pack(f"{order}iI", stamp_ns // NANOSECONDS, stamp_ns % NANOSECONDS)
    return b"".join((cdr[:STAMP_AT], stamp, cdr[STAMP_AT + len(stamp) :]))
