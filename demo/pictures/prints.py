"""Printed paper: covers, pages, labels, posters, all painted here, with words that mean nothing in particular."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from objects.source.artwork import Artwork
from objects.source.surface import AtlasRegion, Color

Pixels = NDArray[np.uint8]
WORDS = [
    "HARBOR",
    "NORTH",
    "GARDEN",
    "SIGNAL",
    "PAPER",
    "WINTER",
    "ATLAS",
    "RIVER",
    "FIELD",
    "COPPER",
    "ORCHARD",
]
WORDS += ["COMPASS", "ISLAND", "MEADOW", "SILVER", "MARBLE"]


def unit(color: Color) -> list[float]:
    """A colour of 0..255 in 0..1."""
    return [c / 255 for c in color]


def palette(rng: np.random.Generator, count: int = 4) -> list[Color]:
    """Colours that go together, from dark to light: a hue, its neighbours and its opposite, or mere shades of grey."""
    hue = float(rng.choice([0.01, 0.05, 0.08, 0.12, 0.16, 0.27, 0.36, 0.48, 0.56, 0.6, 0.64, 0.76, 0.93]))
    hue, full = hue + rng.uniform(-0.02, 0.02), 0.12 if rng.random() < 0.35 else rng.uniform(0.3, 0.75)
    colors = []
    for i in range(count):
        turn = rng.choice([0.0, 0.06, -0.06, 0.5])
        value = 0.18 + 0.72 * (i + rng.uniform(0, 0.8)) / count
        rgb = colorsys.hsv_to_rgb((hue + turn) % 1.0, full * rng.uniform(0.4, 1.0), min(value, 0.95))
        colors.append(tuple(round(255 * c) for c in rgb))
    return colors  # type: ignore[return-value]


def cover(rng: np.random.Generator, width_mm: float, height_mm: float) -> Pixels:
    """The front of a book or of a carton: a title, shapes, a line of small print."""
    colors = palette(rng)
    art = _blank(width_mm, height_mm, colors[int(rng.integers(4))])
    ink = colors[0] if sum(art.image.getpixel((0, 0))) > 380 else colors[3]
    kind = rng.integers(4)
    if kind == 0:  # bands
        for _ in range(int(rng.integers(2, 5))):
            y, h = rng.uniform(0.35, 0.9) * height_mm, rng.uniform(0.02, 0.12) * height_mm
            art.rectangle(0, y, width_mm, y + h, colors[int(rng.integers(4))])
    elif kind == 1:  # discs
        for _ in range(int(rng.integers(3, 8))):
            x, y = rng.uniform(0, 1, 2) * (width_mm, height_mm)
            radius = rng.uniform(0.05, 0.25) * width_mm
            art.ellipse(x, y, radius, radius, colors[int(rng.integers(4))])
    elif kind == 2:  # hills
        for i in range(4):
            top = (0.4 + 0.13 * i) * height_mm
            x = np.linspace(0, width_mm, 24)
            y = top + 0.06 * height_mm * np.sin(x / width_mm * rng.uniform(4, 12) + rng.uniform(0, 6))
            art.polygon([*zip(x, y), (width_mm, height_mm), (0, height_mm)], colors[i])
    else:  # a framed picture
        art.rectangle(*np.array([0.12, 0.3, 0.88, 0.82]) * ([width_mm, height_mm] * 2), colors[2], 2.0)
        art.ellipse(0.5 * width_mm, 0.56 * height_mm, 0.2 * width_mm, 0.16 * height_mm, colors[1])
    size = min(0.13 * height_mm, 0.17 * width_mm)
    for row, word in enumerate(rng.choice(WORDS, 2, replace=False)):
        art.text(width_mm / 2, (0.1 + 0.11 * row) * height_mm, str(word), size * (1 - 0.3 * row), ink)
    art.paragraph(0.2 * width_mm, 0.93 * height_mm, 0.6 * width_mm, 1, ink, int(rng.integers(1 << 30)))
    return np.asarray(art.finished())


def page(rng: np.random.Generator, width_mm: float, height_mm: float) -> Pixels:
    """A printed page: headline, columns of text, a chart or a picture."""
    paper = tuple(int(c) for c in rng.integers(236, 253, 3))
    colors = palette(rng)
    art = _blank(width_mm, height_mm, paper)
    ink: Color = (45, 45, 50)
    margin, column = 0.09 * width_mm, 0.38 * width_mm
    art.rectangle(margin, 0.06 * height_mm, rng.uniform(0.45, 0.85) * width_mm, 0.09 * height_mm, ink)
    for side in range(2):
        x = margin + side * (column + 0.06 * width_mm)
        y = 0.14 * height_mm
        while y < 0.84 * height_mm:
            if rng.random() < 0.3:
                high = rng.uniform(0.12, 0.2) * height_mm
                _figure(art, rng, x, y, column, min(high, 0.92 * height_mm - y), colors)
                y += high + 0.03 * height_mm
            else:
                rows = int(rng.integers(4, 9))
                art.paragraph(x, y, column, rows, (95, 95, 100), int(rng.integers(1 << 30)), 5.2)
                y += rows * 5.2 + 0.02 * height_mm
    return np.asarray(art.finished())


def label(rng: np.random.Generator, around_mm: float, height_mm: float, below: float, above: float) -> Pixels:
    """What goes around a vessel: plain colour up to the part `below` and from `above` on, a label between them."""
    colors = palette(rng)
    art = _blank(around_mm, height_mm, colors[int(rng.integers(4))])
    top, bottom = (1 - above) * height_mm, (1 - below) * height_mm
    ground = colors[3] if rng.random() < 0.6 else colors[1]
    ink = colors[0] if ground == colors[3] else (245, 240, 230)
    art.rectangle(0, top, around_mm, bottom, ground)
    art.rectangle(0, top, around_mm, top + 0.08 * (bottom - top), ink)
    word, size = str(rng.choice(WORDS)), 0.22 * (bottom - top)
    for x in (0.25, 0.75):
        art.text(x * around_mm, top + 0.4 * (bottom - top), word, min(size, 0.07 * around_mm), ink)
        art.ellipse(x * around_mm, top + 0.72 * (bottom - top), 0.05 * around_mm, 0.05 * around_mm, colors[2])
    art.barcode(
        0.46 * around_mm, top + 0.3 * (bottom - top), 0.08 * around_mm, 0.4 * (bottom - top), int(1e3 * size)
    )
    return np.asarray(art.finished())


def poster(rng: np.random.Generator, width_mm: float, height_mm: float) -> Pixels:
    """A picture for a wall: blurred patches of colour under a grain, as a photograph seen from afar."""
    colors = np.array(palette(rng, 6), float)
    low = colors[rng.integers(6, size=(6, 5))]
    rows = np.linspace(0, 5, max(8, round(height_mm / 3)))
    columns = np.linspace(0, 4, max(8, round(width_mm / 3)))
    r0, c0 = np.minimum(rows.astype(int), 4), np.minimum(columns.astype(int), 3)
    r, c = (rows - r0)[:, None, None], (columns - c0)[None, :, None]
    blocks = low[r0][:, c0] * (1 - r) * (1 - c) + low[r0 + 1][:, c0] * r * (1 - c)
    blocks += low[r0][:, c0 + 1] * (1 - r) * c + low[r0 + 1][:, c0 + 1] * r * c
    return np.clip(blocks + rng.normal(0, 8, blocks.shape), 0, 255).astype(np.uint8)


def _blank(width_mm: float, height_mm: float, ground: Color) -> Artwork:
    """An empty sheet whose longer side has 512 pixels."""
    scale = 512 / max(width_mm, height_mm)
    return Artwork(AtlasRegion(0, 0, round(width_mm * scale), round(height_mm * scale)), width_mm, ground)


def _figure(
    art: Artwork,
    rng: np.random.Generator,
    x: float,
    y: float,
    width: float,
    height: float,
    colors: list[Color],
) -> None:
    if rng.random() < 0.5:  # a bar chart
        bars = int(rng.integers(4, 8))
        for i in range(bars):
            left, tall = x + i * width / bars, rng.uniform(0.2, 1.0) * height
            art.rectangle(left, y + height - tall, left + 0.7 * width / bars, y + height, colors[i % 4])
    else:
        art.rectangle(x, y, x + width, y + height, colors[2])
        art.ellipse(x + 0.6 * width, y + 0.5 * height, 0.2 * width, 0.3 * height, colors[0])
