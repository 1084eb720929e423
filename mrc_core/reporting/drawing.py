"""Pictures with lines over them as SVG: the pixels are a JPEG, the lines stay sharp at any size and on paper.

Coordinates are pixels, the centre of pixel (c, r) at (c, r); an SVG has that point at (c + 0.5, r + 0.5).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

JPEG_QUALITY = 86
AXIS_COLOURS = ("#ff5a4f", "#45d65b", "#5b9bff")  # x, y, z
LABEL_PX = 13.0  # height of labels, in pixels of the page


def jpeg_url(picture: Picture) -> str:
    """A picture (H, W, 3), RGB, as a data URL."""
    ok, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not ok:
        raise RuntimeError("a picture could not be written as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def css_colour(rgb: tuple[int, int, int]) -> str:
    """#rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def image_element(picture: Picture, size: tuple[int, int], element_id: str) -> str:
    """The pixels, stretched to size (H, W); other panels show them again by their id."""
    return f'<image id="{element_id}" width="{size[1]}" height="{size[0]}" href="{jpeg_url(picture)}"/>'


def again(element_id: str) -> str:
    """Pixels that are in the page already."""
    return f'<use href="#{element_id}"/>'


def panel(size: tuple[int, int], content: str, label: str) -> str:
    """One picture of size (H, W) with what is drawn on it."""
    box = f"0 0 {size[1]} {size[0]}"
    return f'<svg class="picture" viewBox="{box}" role="img" aria-label="{escape(label)}">{content}</svg>'


def outline_path(polygons: Sequence[Array], kind: str, colour: str = "") -> str:
    """Closed lines; `kind` is the style: `truth` (white, dashed) or `estimate` (strong, in a colour)."""
    if not polygons:
        return ""
    data = "".join("M" + " ".join(f"{x + 0.5:.1f},{y + 0.5:.1f}" for x, y in part) + "Z" for part in polygons)
    stroke = f' style="stroke:{colour}"' if colour else ""
    return f'<path class="under" d="{data}"/><path class="{kind}"{stroke} d="{data}"/>'


def axes_lines(K: Array, cam_from_obj: Array, length_m: float, kind: str) -> str:
    """The object's axes, x red, y green, z blue; nothing where an end is not in front of the camera."""
    ends = np.concatenate([np.zeros((1, 3)), length_m * np.eye(3)])
    points = ends @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
    if not np.isfinite(points).all() or points[:, 2].min() <= 1e-3:
        return ""
    pixels = points @ K.T
    pixels = np.clip(pixels[:, :2] / pixels[:, 2:], -1e4, 1e4) + 0.5
    start = "{:.1f},{:.1f}".format(*pixels[0])
    lines = [
        (f"M{start} " + "{:.1f},{:.1f}".format(*end), colour) for end, colour in zip(pixels[1:], AXIS_COLOURS)
    ]
    return "".join(
        f'<path class="axis {kind}" style="stroke:{colour}" d="{data}"/>' for data, colour in lines
    )


class Labels:
    """Texts that do not cover one another: each goes down until there is room.

    Args:
        size: (H, W) of the picture.
        shown_px: width that it is shown at, which decides how large letters are in the picture's pixels.
    """

    def __init__(self, size: tuple[int, int], shown_px: float) -> None:
        self._height, self._width = size
        self._letter = LABEL_PX * self._width / shown_px
        self._taken: list[tuple[float, float, float, float]] = []

    def place(self, text: str, polygons: Sequence[Array], colour: str) -> str:
        """The text at the top of an outline; nothing where there is none."""
        if not polygons:
            return ""
        points = np.concatenate(polygons)
        wide, high = 0.58 * self._letter * len(text), 1.15 * self._letter
        x = float(np.clip((points[:, 0].min() + points[:, 0].max()) / 2, wide / 2, self._width - wide / 2))
        y = float(np.clip(points[:, 1].min() - 0.4 * self._letter, high, self._height - 0.3 * high))
        while y < self._height - 0.3 * high and any(
            self._meets(x, y, wide, high, box) for box in self._taken
        ):
            y += 0.25 * high
        self._taken.append((x, y, wide, high))
        style = f"fill:{colour};font-size:{self._letter:.1f}px"
        return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{escape(text)}</text>'

    @staticmethod
    def _meets(x: float, y: float, wide: float, high: float, box: tuple[float, float, float, float]) -> bool:
        return abs(x - box[0]) < (wide + box[2]) / 2 and abs(y - box[1]) < (high + box[3]) / 2
