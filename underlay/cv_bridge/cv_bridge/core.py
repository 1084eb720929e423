"""The bridge itself: messages in, arrays out, and back."""

from __future__ import annotations

import array
import sys
from typing import Any

import cv2
import numpy as np
from cv_bridge.encodings import Encoding, convert
from sensor_msgs.msg import CompressedImage, Image

_FORMATS = ("bmp", "dib", "jpeg", "jpg", "jpe", "jp2", "png", "pbm", "pgm", "ppm", "sr", "ras", "tiff", "tif")


class CvBridgeError(TypeError):
    """An image or an encoding that the bridge cannot convert."""


class CvBridge:
    """Converts sensor_msgs/Image and CompressedImage to and from arrays of shape (H, W) or (H, W, C)."""

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """E.g. "bgr8" -> ("uint8", 3). Raises CvBridgeError for an unknown encoding."""
        parsed = _parse(encoding)
        return parsed.dtype.name, parsed.channels

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """A message's image, converted to `desired_encoding` unless that is "passthrough".

        Honours the row step and the byte order. The array may share the message's memory. Raises CvBridgeError for
        an unknown encoding, for data shorter than height * step, and where there is no conversion.
        """
        source = _parse(img_msg.encoding)
        row_bytes = img_msg.width * source.channels * source.dtype.itemsize
        if img_msg.step < row_bytes:
            raise CvBridgeError(f"step {img_msg.step} is less than a row of {img_msg.width} {img_msg.encoding} pixels")
        # np.asarray serves messages whose data was set to a list.
        data = np.asarray(img_msg.data, np.uint8) if isinstance(img_msg.data, list) else img_msg.data
        buffer = np.frombuffer(data, np.uint8)
        if buffer.size < img_msg.height * img_msg.step:
            raise CvBridgeError(
                f"data has {buffer.size} bytes where {img_msg.height} rows of {img_msg.step} bytes are announced"
            )
        rows = buffer[: img_msg.height * img_msg.step].reshape(img_msg.height, img_msg.step)[:, :row_bytes]
        dtype = source.dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        shape = (img_msg.height, img_msg.width) + ((source.channels,) if source.channels > 1 else ())
        image = np.ascontiguousarray(rows).view(dtype).reshape(shape)
        if not dtype.isnative:
            image = image.astype(source.dtype)
        if desired_encoding == "passthrough":
            return image
        return _converted(image, source, _parse(desired_encoding))

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str = "passthrough", header: Any = None) -> Image:
        """An array as a message. "passthrough" names the encoding after dtype and channels, e.g. 8UC3.

        Raises TypeError if `cvim` is no array, CvBridgeError if it does not fit the encoding.
        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        generic = _generic_encoding(cvim.dtype, channels)
        if encoding == "passthrough":
            encoding = generic
        else:
            wanted = _parse(encoding)
            if (wanted.dtype, wanted.channels) != (cvim.dtype.newbyteorder("="), channels):
                raise CvBridgeError(f"encoding specified as {encoding}, but image has incompatible type {generic}")
        message = Image()
        if header is not None:
            message.header = header
        message.height, message.width = (int(size) for size in cvim.shape[:2])
        message.encoding = encoding
        order = cvim.dtype.byteorder
        message.is_bigendian = int(order == ">" or (order == "=" and sys.byteorder == "big"))
        message.step = message.width * channels * cvim.dtype.itemsize
        message.data = _as_data(cvim)
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """Decode JPEG, PNG and the like. The pixels are bgr8 (mono8 for a grey picture), converted if asked for.

        Raises CvBridgeError if the data cannot be decoded.
        """
        encoded = np.frombuffer(bytes(cmprs_img_msg.data), np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_ANYCOLOR) if encoded.size else None
        if image is None:
            raise CvBridgeError(f"the {encoded.size} bytes of a {cmprs_img_msg.format} image do not decode")
        if desired_encoding == "passthrough":
            return image
        source = Encoding.parse("mono8" if image.ndim == 2 else "bgr8")
        return _converted(image, source, _parse(desired_encoding))

    def cv2_to_compressed_imgmsg(self, cvim: np.ndarray, dst_format: str = "jpg") -> CompressedImage:
        """Encode a bgr8 or mono8 array. Raises TypeError if `cvim` is no array, CvBridgeError for an unknown format."""
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        if dst_format not in _FORMATS:
            raise CvBridgeError(f"unknown format {dst_format}; one of {', '.join(_FORMATS)}")
        _, encoded = cv2.imencode("." + dst_format, cvim)
        message = CompressedImage()
        message.format = dst_format
        message.data = _as_data(encoded)
        return message


def _parse(encoding: str) -> Encoding:
    try:
        return Encoding.parse(encoding)
    except ValueError as error:
        raise CvBridgeError(str(error)) from None


def _converted(image: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    try:
        return convert(image, source, target)
    except (ValueError, AttributeError, cv2.error) as error:
        raise CvBridgeError(str(error)) from error


def _generic_encoding(dtype: np.dtype, channels: int) -> str:
    kinds = {"u": "U", "i": "S", "f": "F"}
    name = f"{dtype.itemsize * 8}{kinds.get(dtype.kind, '?')}C{channels}"
    _parse(name)
    return name


def _as_data(values: np.ndarray) -> array.array:
    # The generated setter takes an array.array as it is; any other sequence is checked and copied byte by byte.
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
    return data
