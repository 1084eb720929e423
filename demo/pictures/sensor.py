"""From a rendered, linear picture to the one that a camera gives: exposure, white balance, noise, tone, compression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
MIDDLE = 0.17  # what the picture's middle brightness is exposed to, before `stops`
HIGHLIGHTS = 2.4  # where the brightest hundredth may come to ...
DARKEST = 0.55  # ... if that does not darken the picture to less than this
ADAPTED = 0.6  # how much of a colour cast the white balance takes out
READ_NOISE, SHOT_NOISE = (
    0.0022,
    0.00011,
)  # of a linear value of 1: deviation, and variance for each unit of light
SHOULDER = 0.62  # up to here tones are sRGB's; above, lights roll off


def read_raw(path: Path, white: float) -> Image:
    """A raw picture (H, W, 3) of 16 bits, RGB, linear.

    Raises:
        OSError: it is missing or damaged.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_COLOR)
    if pixels is None or pixels.dtype != np.uint16:
        raise OSError(f"{path} is no whole 16-bit picture: delete it, and it will be rendered again")
    return pixels[..., ::-1].astype(np.float64) * (white / 65535)


def develop(linear: Image, sensor: dict[str, Any]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) as 8-bit sRGB.

    Args:
        linear: (H, W, 3), RGB.
        sensor: stops (exposure beside the automatic one), vignette (loss of light in the corners), noise (1: a good
            camera in a lit room), sharpen (strength of unsharp masking), jpeg (quality, 0: none), seed of the noise.
    """
    light = linear * _white_balance(linear)
    light = light * _exposure(light) * 2.0 ** sensor["stops"]
    light = light * _vignette(light.shape[:2], sensor["vignette"])[..., None]
    light = _noisy(light, sensor["noise"], np.random.default_rng(sensor["seed"]))
    picture = _tone(light)
    if sensor["sharpen"] > 0:
        picture = picture + sensor["sharpen"] * (picture - cv2.GaussianBlur(picture, (0, 0), 1.0))
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if sensor["jpeg"] > 0:
        _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, sensor["jpeg"]])
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(pixels)


def _white_balance(light: Image) -> Image:
    """Gains (3,) that make the mean colour greyer, as a camera does that does not know the lamp."""
    mean = np.minimum(light, 2.0).mean(axis=(0, 1))
    gains = (mean.mean() / np.maximum(mean, 1e-6)) ** ADAPTED
    return gains / (gains @ LUMINANCE)


def _exposure(light: Image) -> float:
    """A gain: the mean of the logarithms comes to MIDDLE, unless lights would burn out."""
    luminance = light @ LUMINANCE
    middle = float(np.exp(np.log(np.maximum(luminance, 1e-4)).mean()))
    spared = HIGHLIGHTS / max(float(np.percentile(luminance, 99)), 1e-6)
    return MIDDLE / middle * min(max(spared * middle / MIDDLE, DARKEST), 1.0)


def _vignette(size: tuple[int, int], loss: float) -> Image:
    rows, columns = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]), indexing="ij")
    aspect = size[0] / size[1]
    return 1 - loss * (columns**2 + (aspect * rows) ** 2) / (1 + aspect**2)


def _noisy(light: Image, strength: float, rng: np.random.Generator) -> Image:
    """Shot and read noise; a colour filter array's interpolation spreads it over neighbours."""
    deviation = np.sqrt((strength * READ_NOISE) ** 2 + strength**2 * SHOT_NOISE * np.maximum(light, 0))
    grain = cv2.GaussianBlur(rng.standard_normal(light.shape), (0, 0), 0.55) * 1.6
    return light + deviation * grain


def _tone(light: Image) -> Image:
    """sRGB's curve below SHOULDER (of the encoded value), a soft approach to white above."""
    light = np.maximum(light, 0)
    encoded = np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    )
    over = np.maximum(encoded - SHOULDER, 0)
    room = 1 - SHOULDER
    return np.where(encoded > SHOULDER, SHOULDER + room * (1 - np.exp(-over / room)), encoded)
