"""What the nodes rely on in cv_bridge; holds for the real package as for the stand-in."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

cv_bridge = pytest.importorskip("cv_bridge")
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

BRIDGE = cv_bridge.CvBridge()
ROUND_TRIPS = [
    ("mono8", "uint8", ()),
    ("mono16", "uint16", ()),
    ("16UC1", "uint16", ()),
    ("32FC1", "float32", ()),
    ("rgb8", "uint8", (3,)),
    ("bgr8", "uint8", (3,)),
    ("rgba8", "uint8", (4,)),
    ("bgra8", "uint8", (4,)),
    ("bayer_rggb8", "uint8", ()),
    ("32FC2", "float32", (2,)),
]


def picture(dtype: str, channels: tuple[int, ...], height: int = 6, width: int = 8) -> np.ndarray:
    values = np.random.default_rng(0).uniform(0, 255, (height, width, *channels))
    return (values * 257 if dtype == "uint16" else values).astype(dtype)


def image_message(data: bytes, encoding: str, height: int, width: int, step: int, is_bigendian: int = 0) -> Image:
    result = Image(encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian)
    result.data = array.array("B", data)
    return result


@pytest.mark.parametrize(("encoding", "dtype", "channels"), ROUND_TRIPS, ids=[r[0] for r in ROUND_TRIPS])
def test_round_trip(encoding: str, dtype: str, channels: tuple[int, ...]):
    original = picture(dtype, channels)
    message = BRIDGE.cv2_to_imgmsg(original, encoding, Header(frame_id="camera"))
    assert (message.encoding, message.height, message.width) == (encoding, 6, 8)
    assert message.step == 8 * original.itemsize * (channels[0] if channels else 1)
    assert message.header.frame_id == "camera"
    back = BRIDGE.imgmsg_to_cv2(message)
    assert back.dtype == original.dtype
    np.testing.assert_array_equal(back, original)


def test_passthrough_names_the_encoding_after_the_array():
    assert BRIDGE.cv2_to_imgmsg(picture("uint8", (3,))).encoding == "8UC3"
    assert BRIDGE.cv2_to_imgmsg(picture("float32", ())).encoding == "32FC1"


def test_an_array_that_is_not_contiguous_is_sent_as_it_looks():
    original = picture("uint8", (3,))[:, ::-1]
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(original, "rgb8")), original)


@pytest.mark.parametrize(("encoding", "channels", "padding"), [("mono8", 1, 5), ("rgb8", 3, 6)])
def test_the_padding_of_rows_is_left_out(encoding: str, channels: int, padding: int):
    original = picture("uint8", (channels,), 4, 5).reshape(4, -1)
    padded = np.pad(original, ((0, 0), (0, padding)), constant_values=99)
    message = image_message(padded.tobytes(), encoding, 4, 5, 5 * channels + padding)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message).reshape(4, -1), original)


@pytest.mark.parametrize(("encoding", "dtype"), [("mono16", "uint16"), ("32FC1", "float32")])
def test_the_byte_order_is_honoured(encoding: str, dtype: str):
    original = picture(dtype, ())
    big = original.astype(np.dtype(dtype).newbyteorder(">"))
    message = image_message(big.tobytes(), encoding, 6, 8, 8 * original.itemsize, is_bigendian=1)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), original)


def test_colour_conversions():
    rgb = picture("uint8", (3,))
    message = BRIDGE.cv2_to_imgmsg(rgb, "rgb8")
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "bgr8"), rgb[..., ::-1])
    rgba = BRIDGE.imgmsg_to_cv2(message, "rgba8")
    np.testing.assert_array_equal(rgba[..., :3], rgb)
    assert (rgba[..., 3] == 255).all()
    grey = BRIDGE.imgmsg_to_cv2(message, "mono8")
    np.testing.assert_allclose(grey, rgb @ np.array([0.299, 0.587, 0.114]), atol=1.0)


def test_16_and_8_bits_scale_to_each_others_range():
    deep = BRIDGE.cv2_to_imgmsg(np.array([[0, 257, 65535]], np.uint16), "mono16")
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(deep, "mono8"), [[0, 1, 255]])
    flat = BRIDGE.cv2_to_imgmsg(np.array([[0, 1, 255]], np.uint8), "mono8")
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(flat, "mono16"), [[0, 257, 65535]])


@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_become_the_right_colour(order: str):
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colour[c] for c in order], np.uint8).reshape(2, 2)
    mosaic = np.tile(tile, (8, 8))
    message = BRIDGE.cv2_to_imgmsg(mosaic, f"bayer_{order}8")
    rgb = BRIDGE.imgmsg_to_cv2(message, "rgb8")
    np.testing.assert_array_equal(rgb[4:-4, 4:-4], np.broadcast_to([200, 120, 40], (8, 8, 3)))


def test_compressed_images_decode_to_bgr():
    bgr = np.zeros((16, 16, 3), np.uint8)
    bgr[..., 2] = 250
    message = BRIDGE.cv2_to_compressed_imgmsg(bgr, "png")
    assert message.format
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), bgr)
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message, "rgb8"), bgr[..., ::-1])
    jpeg = CompressedImage(format="jpeg", data=array.array("B", cv2.imencode(".jpg", bgr)[1].tobytes()))
    np.testing.assert_allclose(BRIDGE.compressed_imgmsg_to_cv2(jpeg, "bgr8"), bgr, atol=6)


def test_what_cannot_be_converted_is_refused():
    depth = BRIDGE.cv2_to_imgmsg(picture("float32", ()), "32FC1")
    with pytest.raises(cv_bridge.CvBridgeError):
        BRIDGE.imgmsg_to_cv2(depth, "rgb8")
    with pytest.raises(cv_bridge.CvBridgeError):
        BRIDGE.imgmsg_to_cv2(depth, "no_such_encoding")
    with pytest.raises(cv_bridge.CvBridgeError):
        BRIDGE.cv2_to_imgmsg(picture("float32", (3,)), "rgb8")


def test_a_large_image_is_sent_without_a_copy_for_each_byte():
    import time

    image = np.zeros((480, 640, 3), np.uint8)
    BRIDGE.cv2_to_imgmsg(image, "rgb8")
    start = time.perf_counter()
    for _ in range(5):
        BRIDGE.cv2_to_imgmsg(image, "rgb8")
    assert (time.perf_counter() - start) / 5 < 0.02  # byte by byte takes twice as long and more
