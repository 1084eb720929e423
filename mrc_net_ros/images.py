"""Pictures out of image messages: colour, grey and Bayer patterns of 8 bits, colour and grey of 16 bits."""

from __future__ import annotations

import cv2
import numpy as np
from cv_bridge import CvBridge
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from mrc_net_ros.unusable_input import UnusableInput

BAYER_ENCODINGS = tuple(f"bayer_{order}8" for order in ("rggb", "bggr", "gbrg", "grbg"))
EIGHT_BIT_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", *BAYER_ENCODINGS)
SIXTEEN_BIT_ENCODINGS = ("rgb16", "bgr16", "rgba16", "bgra16", "mono16")
FULL_SCALE_16 = 65535
NEARLY_BLACK = 0.04
"""A 16-bit picture whose brightest value is below this part of white is refused: see ``_eight_bits``."""

_TO_RGB = {
    "rgba": cv2.COLOR_RGBA2RGB,
    "bgr": cv2.COLOR_BGR2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
    "mono": cv2.COLOR_GRAY2RGB,
}
_bridge = CvBridge()
_RGB_FLAG: int | None = getattr(cv2, "IMREAD_COLOR_RGB", None)
"""Since OpenCV 4.11; before, colours are decoded as BGR and turned."""


def rgb_from_image(image: Image, white_16bit: int = FULL_SCALE_16) -> NDArray[np.uint8]:
    """The picture (H, W, 3), RGB. Bayer patterns are interpolated; 16 bits are scaled to 8.

    Args:
        white_16bit: the value of white in pictures of 16 bits, for example 4095 for a camera of 12 bits.

    Raises:
        UnusableInput: an encoding that is no colour or grey picture, fewer bytes than announced, or a 16-bit
            picture that would come out black.
    """
    if image.encoding not in EIGHT_BIT_ENCODINGS + SIXTEEN_BIT_ENCODINGS:
        raise UnusableInput(
            "encoding",
            f"the image's encoding is '{image.encoding}', but must be one of "
            f"{', '.join(EIGHT_BIT_ENCODINGS + SIXTEEN_BIT_ENCODINGS)}: convert it in the camera's driver or "
            "with image_proc",
        )
    if image.height < 1 or image.width < 1 or len(image.data) < image.step * image.height:
        raise UnusableInput(
            "image_size",
            f"the image announces {image.width}x{image.height} pixels in rows of {image.step} bytes, but has "
            f"only {len(image.data)} bytes: check the camera's driver",
        )
    if image.encoding in BAYER_ENCODINGS and min(image.height, image.width) < 4:
        raise UnusableInput("image_size", "a Bayer pattern needs at least 4x4 pixels: check the driver")
    if image.encoding in EIGHT_BIT_ENCODINGS:
        return np.ascontiguousarray(_bridge.imgmsg_to_cv2(image, desired_encoding="rgb8"))
    eight = _eight_bits(_bridge.imgmsg_to_cv2(image, desired_encoding="passthrough"), white_16bit)
    conversion = _TO_RGB.get(image.encoding.removesuffix("16"))
    rgb = eight if conversion is None else cv2.cvtColor(eight, conversion)
    return np.ascontiguousarray(rgb, dtype=np.uint8)


def _eight_bits(values: NDArray[np.uint16], white: int) -> NDArray[np.uint8]:
    """Values 0..white of 16 bits as 0..255.

    Nothing in a message tells how many of the 16 bits a camera fills. If white is taken for 65535 and the camera
    counts to 1023, the picture is black and the poses are nonsense without a word: that is refused.
    """
    brightest = int(values.max())
    if brightest < NEARLY_BLACK * white:
        raise UnusableInput(
            "white_16bit",
            f"the brightest value of the 16-bit image is {brightest} of {white}: the picture would be nearly "
            "black. Set the parameter 'white_16bit' to the camera's largest value (1023 for 10 bits, 4095 for "
            "12), or let more light in",
        )
    return np.asarray(cv2.convertScaleAbs(values, alpha=255.0 / white), dtype=np.uint8)


def rgb_from_compressed(image: CompressedImage) -> NDArray[np.uint8]:
    """The picture (H, W, 3), RGB, of a JPEG or PNG. Orientation tags are ignored: boxes count stored pixels.

    Raises:
        UnusableInput: the bytes are no such picture, or compressed depth.
    """
    if "compressedDepth" in image.format:
        raise UnusableInput(
            "encoding", f"the compressed image is depth ('{image.format}'): subscribe to the colour image"
        )
    data = np.frombuffer(image.data, np.uint8)
    colours = cv2.IMREAD_COLOR if _RGB_FLAG is None else _RGB_FLAG
    picture = cv2.imdecode(data, colours | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if picture is None:
        raise UnusableInput(
            "encoding",
            f"the compressed image ('{image.format}', {data.size} bytes) cannot be decoded: it must be a "
            "whole JPEG or PNG",
        )
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if _RGB_FLAG is None else picture
    return np.ascontiguousarray(rgb, dtype=np.uint8)
