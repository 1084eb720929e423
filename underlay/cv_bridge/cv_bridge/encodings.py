"""What the encodings of sensor_msgs/Image mean, and the conversions between those with colour."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np

_NAMED = {
    "rgb8": ("uint8", 3),
    "rgba8": ("uint8", 4),
    "rgb16": ("uint16", 3),
    "rgba16": ("uint16", 4),
    "bgr8": ("uint8", 3),
    "bgra8": ("uint8", 4),
    "bgr16": ("uint16", 3),
    "bgra16": ("uint16", 4),
    "mono8": ("uint8", 1),
    "mono16": ("uint16", 1),
    **{f"bayer_{order}8": ("uint8", 1) for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": ("uint16", 1) for order in ("rggb", "bggr", "gbrg", "grbg")},
}
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([0-9]*)")
_DTYPES = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
# OpenCV names a Bayer pattern by the second row, second and third column; ROS by the first row's start.
_BAYER = {"rggb": "BayerBG", "bggr": "BayerRG", "gbrg": "BayerGR", "grbg": "BayerGB"}


@dataclass(frozen=True)
class Encoding:
    """An encoding taken apart."""

    name: str
    dtype: np.dtype
    channels: int
    layout: str  # "rgb", "bgr", "rgba", "bgra", "mono", "bayer_rggb", ..., or "" where the channels mean no colour

    @classmethod
    def parse(cls, name: str) -> Encoding:
        """Raises ValueError for an encoding that is not known."""
        if name in _NAMED:
            dtype, channels = _NAMED[name]
            return cls(name, np.dtype(dtype), channels, re.sub("(8|16)$", "", name))
        match = _GENERIC.fullmatch(name)
        if match is None:
            raise ValueError(f"Unrecognized image encoding [{name}]")
        return cls(name, np.dtype(_DTYPES[match[1]]), int(match[2] or 1), "")


def convert(image: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    """Convert colour and depth; (H, W) or (H, W, C) -> the same with the target's channels.

    8 and 16 bit are scaled to each other's full range, other depths are converted without scaling. Raises ValueError
    where there is no conversion.
    """
    if source.layout and target.layout and source.layout != target.layout:
        image = _convert_colour(image, source, target)
    elif source.channels != target.channels:
        raise ValueError(f"[{source.name}] and [{target.name}] are not both colour formats: no conversion makes sense")
    if source.dtype == target.dtype:
        return image
    bits = (source.dtype.itemsize, target.dtype.itemsize)
    scale = {(1, 2): 65535.0 / 255.0, (2, 1): 255.0 / 65535.0}.get(bits, 1.0)
    return _saturate(image.astype(np.float64) * scale, target.dtype)


def _convert_colour(image: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    if target.layout.startswith("bayer_"):
        raise ValueError(f"There is no conversion from [{source.name}] to [{target.name}]")
    if source.layout.startswith("bayer_"):
        prefix = _BAYER[source.layout.removeprefix("bayer_")]
        if target.layout in ("rgba", "bgra"):
            bgr = cv2.cvtColor(image, getattr(cv2, f"COLOR_{prefix}2BGR"))
            return cv2.cvtColor(bgr, getattr(cv2, f"COLOR_BGR2{target.layout.upper()}"))
        goal = "GRAY" if target.layout == "mono" else target.layout.upper()
        return cv2.cvtColor(image, getattr(cv2, f"COLOR_{prefix}2{goal}"))
    names = ["GRAY" if layout == "mono" else layout.upper() for layout in (source.layout, target.layout)]
    return cv2.cvtColor(image, getattr(cv2, f"COLOR_{names[0]}2{names[1]}"))


def _saturate(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
