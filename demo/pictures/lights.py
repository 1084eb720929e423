"""Lamps, the sun and the sky as a picture's description has them, and the colour of hot bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Light = dict[str, Any]

# CIE 1931 to linear sRGB
_RGB_FROM_XYZ = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def hot_body(kelvin: float) -> list[float]:
    """Linear RGB of a black body between 1667 and 25000 K, the largest channel 1 (Kim et al.'s cubic fits)."""
    t = 1e3 / kelvin
    if kelvin < 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if kelvin < 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif kelvin < 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    rgb = np.maximum(_RGB_FROM_XYZ @ [x / y, 1.0, (1 - x - y) / y], 0.0)
    return [round(float(v), 4) for v in rgb / rgb.max()]


def area(
    at: Sequence[float],
    size: tuple[float, float],
    power_w: float,
    kelvin: float,
    towards: Sequence[float] = (0, 0, 0),
    seen: bool = False,
) -> Light:
    """A shining rectangle (width, height), metres; `seen`: by the camera itself, not in reflections alone."""
    return {
        "kind": "area",
        "at": [float(v) for v in at],
        "towards": [float(v) for v in towards],
        "size": [float(v) for v in size],
        "power_w": float(power_w),
        "color": hot_body(kelvin),
        "seen": seen,
    }


def bulb(at: Sequence[float], radius: float, power_w: float, kelvin: float) -> Light:
    """A shining ball."""
    return {
        "kind": "point",
        "at": [float(v) for v in at],
        "radius": float(radius),
        "power_w": float(power_w),
        "color": hot_body(kelvin),
    }


def sun(azimuth: float, elevation: float, irradiance: float, kelvin: float, angle_deg: float) -> Light:
    """The sun, seen from the table at an azimuth and elevation (radians); its disc's angle makes its shadows soft."""
    flat = np.cos(elevation)
    return {
        "kind": "sun",
        "direction": [float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation))],
        "irradiance": float(irradiance),
        "color": hot_body(kelvin),
        "angle_deg": float(angle_deg),
    }


def plain_sky(below: Sequence[float], above: Sequence[float], strength: float) -> Light:
    """What is beyond all things: a run of colours from the lowest direction to the highest, sRGB."""
    return {"kind": "gradient", "below": list(below), "above": list(above), "strength": float(strength)}


def clear_sky(azimuth: float, elevation: float, strength: float, dust: float) -> Light:
    """A physical sky with the sun in it, softened by haze."""
    return {
        "kind": "nishita",
        "azimuth": float(azimuth),
        "elevation": float(elevation),
        "strength": float(strength),
        "dust": float(dust),
    }


def vary(light: Light, rng: np.random.Generator, reach_m: float = 0.25, stops: float = 0.5) -> Light:
    """The same lamp a little elsewhere and brighter or darker by up to `stops` doublings."""
    varied = dict(light)
    if "at" in light:
        varied["at"] = [
            round(float(v + d), 4) for v, d in zip(light["at"], rng.uniform(-reach_m, reach_m, 3))
        ]
    key = "irradiance" if "irradiance" in light else "power_w"
    varied[key] = round(float(light[key] * 2 ** rng.uniform(-stops, stops)), 4)
    return varied
