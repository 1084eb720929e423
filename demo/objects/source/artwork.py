"""Drawing the printed sides of an object and packing them into one texture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .surface import AtlasRegion, Color

OVERSAMPLING = 4


class Artwork:
    """A picture drawn in millimetres from its top left corner; oversampled, so that edges come out smooth."""

    def __init__(self, region: AtlasRegion, width_mm: float, background: Color) -> None:
        width, height = (region.height, region.width) if region.turned else (region.width, region.height)
        self.region = region
        self.image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING), background)
        self.draw = ImageDraw.Draw(self.image)
        self.scale = width * OVERSAMPLING / width_mm

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, color: Color, radius: float = 0.0
    ) -> None:
        """A filled rectangle, its corners rounded by `radius`."""
        self.draw.rounded_rectangle(self._px(x0, y0, x1, y1), radius * self.scale, fill=color)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """A filled ellipse around (x, y)."""
        self.draw.ellipse(self._px(x - rx, y - ry, x + rx, y + ry), fill=color)

    def polygon(self, points: list[tuple[float, float]], color: Color) -> None:
        """A filled polygon."""
        self.draw.polygon(self._px(*np.ravel(points)), fill=color)

    def line(self, points: list[tuple[float, float]], width: float, color: Color) -> None:
        """A line of the given width through the points."""
        self.draw.line(
            self._px(*np.ravel(points)), fill=color, width=round(width * self.scale), joint="curve"
        )

    def text(self, x: float, y: float, text: str, height: float, color: Color, turned: bool = False) -> None:
        """Bold text centred on (x, y); `turned` reads upwards."""
        font = ImageFont.load_default(size=height * self.scale)
        left, top, right, bottom = font.getbbox(text, stroke_width=2)
        stencil = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4), 0)
        stroke = max(1, round(height * self.scale * 0.035))
        ImageDraw.Draw(stencil).text((2 - left, 2 - top), text, fill=255, font=font, stroke_width=stroke)
        if turned:
            stencil = stencil.transpose(Image.Transpose.ROTATE_90)
        corner = (round(x * self.scale - stencil.width / 2), round(y * self.scale - stencil.height / 2))
        self.image.paste(Image.new("RGB", stencil.size, color), corner, stencil)

    def barcode(self, x: float, y: float, width: float, height: float, seed: int) -> None:
        """A barcode on white."""
        self.rectangle(x - 2, y - 2, x + width + 2, y + height + 2, (255, 255, 255))
        rng = np.random.default_rng(seed)
        at = x
        while at < x + width - 2:
            bar, gap = rng.integers(1, 4, size=2) * 0.7
            self.rectangle(at, y, min(at + bar, x + width), y + height, (15, 15, 15))
            at += bar + gap

    def paragraph(
        self, x: float, y: float, width: float, rows: int, color: Color, seed: int, pitch: float = 3.6
    ) -> None:
        """Rows of small print: too small to be read, as on a real package."""
        rng = np.random.default_rng(seed)
        for row in range(rows):
            at, end = x, x + width * (0.55 if row == rows - 1 else 1.0)
            while at < end:
                word = rng.uniform(2.5, 9.0)
                self.rectangle(at, y + row * pitch, min(at + word, end), y + row * pitch + pitch * 0.5, color)
                at += word + 1.4

    def finished(self) -> Image.Image:
        """The picture in the size that it has in the texture, upright."""
        return self.image.reduce(OVERSAMPLING)

    def _px(self, *millimetres: float) -> list[float]:
        return [value * self.scale for value in millimetres]


def atlas(pictures: list[tuple[AtlasRegion, Image.Image]], size: int, gutter: int = 3) -> Image.Image:
    """All pictures in one square texture; borders continue into the gutters, so that filtering does not bleed."""
    pixels = np.full((size, size, 3), 128, np.uint8)
    for region, picture in pictures:
        block = np.asarray(picture)
        if region.turned:
            block = np.rot90(block)
        if block.shape[:2] != (region.height, region.width):
            raise ValueError(f"picture of {block.shape[:2]} does not fill the region {region}")
        padded = np.pad(block, ((gutter, gutter), (gutter, gutter), (0, 0)), mode="edge")
        top, left = region.top - gutter, region.left - gutter
        if min(top, left) < 0 or top + padded.shape[0] > size or left + padded.shape[1] > size:
            raise ValueError(f"region {region} with its gutter leaves the texture of {size} pixels")
        pixels[top : top + padded.shape[0], left : left + padded.shape[1]] = padded
    return Image.fromarray(pixels)
