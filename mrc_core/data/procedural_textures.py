"""Painted textures: plaster, wood, tiles, cloth, clutter, print and plain walls, each from a random generator alone."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # (side, side, 3), RGB, about 0..1
LARGE = 0.05  # of floors, walls and tables, that have a strong colour


def paint(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """A texture (side, side, 3) of a random kind."""
    kinds: list[tuple[Callable[[np.random.Generator, int], Image], float]] = [
        (plaster, 2.0),
        (wood, 2.5),
        (tiles, 1.5),
        (cloth, 1.5),
        (clutter, 3.0),
        (printed, 1.5),
        (wall, 2.0),
    ]
    share = np.array([weight for _, weight in kinds])
    chosen = kinds[rng.choice(len(kinds), p=share / share.sum())][0]
    image = chosen(rng, side)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    slope = rng.normal(0, 0.06, 2).astype(np.float32)
    image *= (1 + slope[0] * ramp[None, :] + slope[1] * ramp[:, None])[..., None]
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def palette(rng: np.random.Generator, count: int, strong: float = 0.2) -> Image:
    """Colours (count, 3) as things have them: mostly pale, a share of them strong, the strong ones not neon."""
    is_strong = rng.random(count) < strong
    saturation = np.where(is_strong, rng.uniform(0.5, 0.95, count), rng.beta(1.1, 4.5, count))
    value = rng.uniform(0.08, 1.0, count) ** 0.8 * (1 - 0.25 * saturation)
    hue = rng.random(count)
    return np.array([colorsys.hsv_to_rgb(*c) for c in zip(hue, saturation, value)], np.float32)


def fractal(rng: np.random.Generator, side: int, roughness: float, stretch: float = 1.0) -> Image:
    """Noise (side, side) of all scales, mean 0 and deviation about 1; `stretch` times finer across than along."""
    total = np.zeros((side, side), np.float32)
    cells = 3
    while cells <= side:
        shape = (max(2, round(cells / stretch)), cells)
        octave = rng.standard_normal(shape, np.float32)
        total += cv2.resize(octave, (side, side), interpolation=cv2.INTER_CUBIC) * cells**-roughness
        cells *= 2
    return (total - total.mean()) / (total.std() + 1e-6)


def plaster(rng: np.random.Generator, side: int) -> Image:
    """Concrete, stone, plaster, carpet: one colour with noise of all scales, in parts of a second colour."""
    first, second = palette(rng, 2, LARGE)
    noise = fractal(rng, side, rng.uniform(0.0, 1.2))[..., None]
    blend = (0.5 + rng.uniform(0, 0.35) * fractal(rng, side, rng.uniform(0.6, 1.5))).clip(0, 1)[..., None]
    colour = first + (second - first) * blend * rng.uniform(0, 1)
    return (colour + rng.uniform(0.01, 0.08) * noise).astype(np.float32)


def wood(rng: np.random.Generator, side: int) -> Image:
    """Boards with grain, in the colours of wood or of any."""
    hue, strong = rng.uniform(0.04, 0.11), rng.uniform(0.15, 0.7)
    value = rng.uniform(0.3, 0.9)
    light = np.array(colorsys.hsv_to_rgb(hue, strong, value), np.float32)
    if rng.random() < 0.15:
        light = palette(rng, 1, LARGE)[0]
    dark = light * rng.uniform(0.5, 0.85)
    boards = int(rng.integers(1, 6))
    image = np.zeros((side, side, 3), np.float32)
    edges = np.linspace(0, side, boards + 1).round().astype(int)
    across = np.linspace(0, 1, side, dtype=np.float32)[None, :]
    for left, right in zip(edges[:-1], edges[1:]):
        waves = fractal(rng, side, 0.9, 6.0)
        rings = np.sin(2 * np.pi * (across * rng.uniform(4, 14) + rng.uniform(0.1, 0.7) * waves))
        grain = 0.5 + 0.3 * rings + 0.2 * fractal(rng, side, 0.2, 12.0)
        board = dark + (light - dark) * grain.clip(0, 1)[..., None]
        image[:, left:right] = (board * rng.uniform(0.85, 1.1))[:, left:right]
        image[:, left : left + 1] *= 0.6
    return image if rng.random() < 0.5 else image.transpose(1, 0, 2).copy()


def tiles(rng: np.random.Generator, side: int) -> Image:
    """Tiles, bricks or a chequered floor."""
    size = int(rng.integers(side // 12, side // 3))
    long = int(size * rng.choice([1.0, 2.0, 3.0]))
    offset = rng.choice([0.0, 0.5])
    first, second, joint = palette(rng, 3, LARGE)
    chequered = rng.random() < 0.3
    rows, columns = np.mgrid[:side, :side]
    row = rows // size
    shifted = columns + (row % 2) * int(offset * long)
    column = shifted // long
    shade = rng.uniform(0.9, 1.1, (side // size + 2, side // long + 3)).astype(np.float32)
    image = np.where(((row + column) % 2 == 1)[..., None] & chequered, second, first)
    image = image * shade[row, column][..., None]
    width = int(rng.integers(0, 4))
    gap = (rows % size < width) | (shifted % long < width)
    image = np.where(gap[..., None], joint, image)
    return (image + 0.02 * fractal(rng, side, 0.3)[..., None]).astype(np.float32)


def cloth(rng: np.random.Generator, side: int) -> Image:
    """Stripes or checks of a few colours, woven."""
    colours = palette(rng, 4)
    widths = rng.integers(side // 40, side // 5, 64)
    band = np.repeat(rng.integers(0, 4, 64), widths)[:side]
    warp = np.broadcast_to(colours[band][None], (side, side, 3))
    image = warp if rng.random() < 0.4 else (warp + warp.transpose(1, 0, 2)) / 2
    at = np.arange(side, dtype=np.float32)
    weave = np.sin(at * rng.uniform(0.8, 2.6))[None, :] * np.sin(at * rng.uniform(0.8, 2.6))[:, None]
    folds = fractal(rng, side, 1.8)
    return (image * (1 + rng.uniform(0, 0.1) * weave + 0.04 * folds)[..., None]).astype(np.float32)


def clutter(rng: np.random.Generator, side: int) -> Image:
    """Shapes of all sizes one upon another, a stand-in for shelves, tools and rooms."""
    colours = palette(rng, 8)
    image = np.empty((side, side, 3), np.float32)
    image[:] = colours[0]
    biggest = side * rng.uniform(0.25, 0.6)
    count = int(rng.integers(25, 90))
    axis_aligned = rng.random() < 0.4  # shelves and buildings
    for i in range(count):
        size = biggest * (1 - i / count) ** 1.5 + 3
        colour = (colours[rng.integers(1, 8)] * rng.uniform(0.7, 1.2)).tolist()
        x, y = rng.uniform(0, side, 2)
        half = size * rng.uniform(0.15, 0.6, 2)
        angle = 0.0 if axis_aligned else rng.uniform(0, 360)
        kind = rng.random()
        if kind < 0.6:
            points = cv2.boxPoints(((x, y), (2 * half[0], 2 * half[1]), angle))
            cv2.fillConvexPoly(image, np.round(points * 16).astype(np.int32), colour, cv2.LINE_AA, 4)
        elif kind < 0.85:
            cv2.ellipse(image, ((x, y), (2 * half[0], 2 * half[1]), angle), colour, -1, cv2.LINE_AA)
        else:
            end = (int(x + 3 * half[0]), int(y + rng.normal() * half[1]))
            cv2.line(image, (int(x), int(y)), end, colour, int(rng.integers(1, 5)), cv2.LINE_AA)
    return image * (1 + 0.08 * fractal(rng, side, 1.2))[..., None]


def printed(rng: np.random.Generator, side: int) -> Image:
    """Posters, pages and labels: blocks of colour and lines of letters."""
    colours = palette(rng, 5)
    image = np.empty((side, side, 3), np.float32)
    image[:] = colours[0] if rng.random() < 0.5 else rng.uniform(0.75, 0.97)
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.integers(0, side, 2)
        w, h = rng.integers(side // 10, side // 2, 2)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colours[rng.integers(5)].tolist(), -1)
    letters = np.array(list("abcdefghiklmnoprstuvwxyzABCDEFGHKLMNOPRST0123456789   "))
    y = 0
    while y < side:
        size = rng.choice([0.3, 0.4, 0.5, 1.0, 2.0], p=[0.3, 0.3, 0.2, 0.15, 0.05])
        y += int(30 * size)
        line = "".join(rng.choice(letters, int(rng.integers(4, 40))))
        ink = (colours[rng.integers(5)] * 0.4).tolist()
        cv2.putText(
            image, line, (int(rng.integers(-20, side // 2)), y), cv2.FONT_HERSHEY_SIMPLEX, size, ink,
            max(1, int(2 * size)), cv2.LINE_AA,
        )  # fmt: skip
    return image


def wall(rng: np.random.Generator, side: int) -> Image:
    """A painted wall or an empty table: next to nothing to see."""
    first = palette(rng, 1, LARGE)[0]
    soft = fractal(rng, side, 2.0)[..., None] * rng.uniform(0, 0.05)
    fine = rng.standard_normal((side, side, 1), np.float32) * rng.uniform(0, 0.02)
    return (first * (1 + soft) + fine).astype(np.float32)
