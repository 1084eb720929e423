"""Files of a BOP data set: JSON and pictures, read with errors that name the file and say what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PICTURE_FOLDERS = ("rgb", "gray")
PICTURE_ENDINGS = (".png", ".jpg", ".tif", ".jpeg", ".tiff")


class BopDataError(ValueError):
    """A file of a data set is missing or damaged; the message names it and says what to do."""


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        BopDataError: it is missing, or not JSON (cut short, say).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BopDataError(f"{path} is missing: unpack the data set again") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BopDataError(f"{path} is not valid JSON ({error}): unpack the data set again") from error


def find_picture(scene: Path, image_id: int) -> Path:
    """The colour or grey picture of an image, whatever its folder and ending.

    Raises:
        BopDataError: there is none.
    """
    for folder in PICTURE_FOLDERS:
        for ending in PICTURE_ENDINGS:
            path = scene / folder / f"{image_id:06d}{ending}"
            if path.is_file():
                return path
    raise BopDataError(f"{scene} has no picture {image_id:06d} in {' or '.join(PICTURE_FOLDERS)}/")


def find_depth(scene: Path, image_id: int) -> Path:
    """The depth picture of an image.

    Raises:
        BopDataError: there is none.
    """
    for ending in (".png", ".tif", ".tiff"):
        path = scene / "depth" / f"{image_id:06d}{ending}"
        if path.is_file():
            return path
    raise BopDataError(f"{scene} has no depth picture {image_id:06d} in depth/")


def read_pixels(path: Path) -> NDArray[Any]:
    """The pixels of a picture as they are stored, (H, W) or (H, W, C).

    Pillow, because it refuses a picture that was cut short; OpenCV fills the rest with zeros and says nothing.

    Raises:
        BopDataError: it is missing, cut short or no picture.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode in ("P", "1", "LA", "RGBA", "CMYK", "YCbCr"):
                return np.asarray(picture.convert("L" if picture.mode in ("1", "LA") else "RGB"))
            return np.asarray(picture)
    except FileNotFoundError:
        raise BopDataError(f"{path} is missing") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise BopDataError(f"{path} cannot be read, it is cut short or damaged ({error})") from error


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) from a picture's header.

    Raises:
        BopDataError: it is missing or no picture.
    """
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, SyntaxError, ValueError) as error:
        raise BopDataError(f"{path} cannot be read as a picture ({error})") from error


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """A colour or grey picture as RGB (H, W, 3) uint8; 16-bit grey is scaled to its largest value.

    Raises:
        BopDataError: see `read_pixels`.
    """
    pixels = read_pixels(path)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8:
        top = max(float(pixels.max()), 1.0)
        pixels = np.round(pixels.astype(np.float64) * (255.0 / top))
    return np.array(pixels, dtype=np.uint8, order="C")  # a copy: Pillow lends its memory for reading alone


def read_depth_m(path: Path, depth_scale: float) -> NDArray[np.float32]:
    """A depth picture (H, W) in metres; `depth_scale` makes millimetres of its values. 0 is unknown.

    Raises:
        BopDataError: see `read_pixels`; or it has more than one channel.
    """
    pixels = read_pixels(path)
    if pixels.ndim != 2:
        raise BopDataError(f"{path} has {pixels.shape[2]} channels: a depth picture has one")
    return (pixels.astype(np.float64) * (depth_scale * 1e-3)).astype(np.float32)
