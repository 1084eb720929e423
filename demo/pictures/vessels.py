"""Props that a potter's wheel could make: mugs, bowls, bottles, jars, cups of pens, rolls of tape, fruit."""

from __future__ import annotations

import numpy as np
from objects.source.surface import join

from .prints import label, palette, unit
from .solids import bare, smooth_curve, swept, turned
from .things import Part, Prop, flat, printed

Generator = np.random.Generator


def mug(rng: Generator) -> Prop:
    """A tapered mug with an ear; glazed in another colour inside."""
    r, h, t = rng.uniform(0.036, 0.046), rng.uniform(0.085, 0.11), 0.0035
    foot = r * rng.uniform(0.72, 0.95)
    wall = [
        (0, 0.002),
        (foot - 0.006, 0.002),
        (foot - 0.004, 0),
        (foot, 0.003),
        (r, 0.35 * h),
        (r, h - 0.002),
    ]
    outside = turned([*wall, (r - t / 2, h)])
    inside = turned([(r - t / 2, h), (r - t, h - 0.003), (r - t, 0.3 * h), (foot - t, 0.006), (0, 0.005)])
    at = np.linspace(-np.pi / 2, np.pi / 2, 20)
    high = 0.27 * h
    path = np.stack([r - 0.003 + 0.028 * np.cos(at), 0 * at, 0.56 * h + high * np.sin(at)], axis=1)
    ear = swept(path, 0.0048, 10)
    colors = palette(rng)
    glaze = flat(unit(colors[int(rng.integers(4))]), rng.uniform(0.08, 0.4), coat=0.3)
    return Prop(
        "mug",
        (Part(bare(join([bare(outside), bare(ear)])), glaze), Part(inside, flat(unit(colors[3]), 0.2))),
        tips=bool(rng.random() < 0.15),
    )


def bowl(rng: Generator) -> Prop:
    """A round bowl."""
    r, h, t = rng.uniform(0.055, 0.085), rng.uniform(0.045, 0.065), 0.004
    at = np.linspace(0.25, 1.0, 9)
    out = [(r * np.sin(a * np.pi / 2), h * (1 - np.cos(a * np.pi / 2))) for a in at]
    low = out[0][1]
    shell = [(0, 0.0), (out[0][0], 0.0), *((x, max(z - low, 0) * h / (h - low) + 1e-4) for x, z in out)]
    rim = [(r - t / 2, h + 0.001), (r - t, h - 0.001)]
    back = [(x - t, z + 0.7 * t) for x, z in shell[-2:1:-1] if x > 2 * t]
    surface = turned([*shell, *rim, *back, (0, back[-1][1])])
    colors = palette(rng)
    return Prop("bowl", (Part(surface, flat(unit(colors[int(rng.integers(1, 4))]), 0.15, coat=0.5)),))


def bottle(rng: Generator) -> Prop:
    """A bottle with a label and a screw cap, slimmer than the flask or stouter."""
    r, h = rng.uniform(0.028, 0.045), rng.uniform(0.15, 0.26)
    neck, shoulder = rng.uniform(0.011, 0.016), rng.uniform(0.62, 0.75)
    bend = [
        (r - (r - neck) * (1 - np.cos(a)) / 2, (shoulder + 0.16 * a / np.pi) * h)
        for a in np.linspace(0, np.pi, 9)
    ]
    body = turned(
        [(0, 0.003), (0.7 * r, 0.003), (0.88 * r, 0), (r, 0.005), *bend, (neck, 0.9 * h), (0, 0.9 * h)]
    )
    cap = turned(
        [(0, 0.885 * h), (neck + 0.003, 0.885 * h), (neck + 0.003, 0.985 * h), (neck + 0.001, h), (0, h)]
    )
    texture = label(rng, 2000 * np.pi * r, 900 * h, 0.15, 0.65)
    return Prop(
        "bottle",
        (
            Part(body, printed(rng.uniform(0.08, 0.4), coat=0.3), texture),
            Part(bare(cap), flat(unit(palette(rng)[int(rng.integers(4))]), 0.35)),
        ),
        tips=bool(rng.random() < 0.2),
    )


def jar(rng: Generator) -> Prop:
    """A preserving jar with a label and a metal lid."""
    r, h = rng.uniform(0.03, 0.042), rng.uniform(0.07, 0.12)
    edge = [(0, 0.002), (0.8 * r, 0.002), (0.9 * r, 0), (r, 0.006), (r, 0.84 * h), (0.85 * r, 0.9 * h)]
    body = turned([*edge, (0.85 * r, 0.93 * h), (0, 0.93 * h)])
    lid = turned([(0, 0.87 * h), (0.93 * r, 0.87 * h), (0.93 * r, 0.98 * h), (0.9 * r, h), (0, h)])
    texture = label(rng, 2000 * np.pi * r, 1000 * h, 0.2, 0.8)
    tin = flat([0.75, 0.73, 0.68], 0.3, metallic=1.0)
    return Prop("jar", (Part(body, printed(0.12, coat=0.4), texture), Part(bare(lid), tin)))


def pen_cup(rng: Generator) -> Prop:
    """A cup with pens in it."""
    r, h = 0.037, rng.uniform(0.09, 0.105)
    cup = turned([(0, 0), (r, 0), (r, h), (r - 0.003, h), (r - 0.003, 0.004), (0, 0.004)])
    parts = [Part(bare(cup), flat(unit(palette(rng)[int(rng.integers(3))]), 0.4))]
    for i in range(int(rng.integers(3, 7))):
        angle = 2 * np.pi * i / 6 + rng.uniform(0, 0.6)
        way = np.array([np.cos(angle), np.sin(angle), 0])
        foot, top = way * -0.4 * r + [0, 0, 0.009], way * 0.78 * r + [0, 0, h]
        tip = foot + (top - foot) * rng.uniform(1.3, 1.7)
        path = np.linspace(foot, tip, 4)
        path = np.concatenate([path, (tip + (tip - foot) * [[0.004], [0.05]])])
        pen = swept(path, [0.0042] * 5 + [0.001], 8)
        parts.append(Part(pen, flat(unit(palette(rng)[int(rng.integers(4))]), 0.35)))
    return Prop("pen cup", tuple(parts))


def tape(rng: Generator) -> Prop:
    """A roll of adhesive tape on its side."""
    r, hole, w = rng.uniform(0.035, 0.055), 0.026, rng.uniform(0.018, 0.048)
    roll = turned([(hole + 0.003, 0), (r, 0), (r, w), (hole + 0.003, w)])
    core = turned([(hole + 0.003, w), (hole, w), (hole, 0), (hole + 0.003, 0)])
    colors = [[0.72, 0.55, 0.30], [0.82, 0.8, 0.72], [0.15, 0.2, 0.5], [0.75, 0.2, 0.15]]
    color = colors[int(rng.integers(4))]
    return Prop(
        "tape",
        (Part(bare(roll), flat(color, 0.25, coat=0.2)), Part(bare(core), flat([0.6, 0.5, 0.38], 0.9))),
    )


def pear(rng: Generator) -> Prop:
    """A pear with its stem."""
    size = rng.uniform(0.85, 1.15)
    at = np.linspace(0.02, np.pi - 0.02, 24)
    width = 0.036 * np.sin(at) * (1 + 0.35 * np.cos(at)) + 0.004 * np.sin(at) ** 3
    outline = [(float(x), float(z)) for x, z in zip(width * size, (0.05 - 0.05 * np.cos(at)) * size)]
    body = turned([(0, 0), *outline[1:-1], (0, 0.1 * size)])
    stem = swept(
        smooth_curve(np.array([[0, 0, 0.097], [0.001, 0, 0.108], [0.006, 0.002, 0.118]]) * size, 8), 0.0016, 6
    )
    green = np.array([0.62, 0.66, 0.2]) + rng.uniform(-0.12, 0.12, 3)
    skin = {"kind": "mottle", "a": green.tolist(), "b": [0.66, 0.42, 0.2], "scale": 38.0, "roughness": 0.4}
    return Prop("pear", (Part(bare(body), skin), Part(stem, flat([0.3, 0.2, 0.12], 0.8))))
