"""Props that bend and grow: cables, potted plants, napkins, bananas, screwdrivers."""

from __future__ import annotations

import numpy as np
from objects.source.surface import join

from .prints import palette, unit
from .solids import bare, sheet, slab, smooth_curve, swept, turned
from .things import Part, Prop, flat

Generator = np.random.Generator


def cable(rng: Generator) -> Prop:
    """A cable in bends on the table, with a plug."""
    radius = rng.uniform(0.0018, 0.0032)
    heading, at = rng.uniform(0, 2 * np.pi), np.zeros(2)
    corners = [np.zeros(2)]
    for _ in range(int(rng.integers(4, 8))):
        heading += rng.uniform(-1.1, 1.1)
        at = at + rng.uniform(0.045, 0.09) * np.array([np.cos(heading), np.sin(heading)])
        corners.append(at)
    middle = np.mean(corners, axis=0)
    flat_path = np.array([[*(c - middle), radius] for c in corners])
    path = smooth_curve(flat_path, 80)
    cord = swept(path, radius, 8)
    way = path[-1] - path[-4]
    plug = swept(
        np.stack(
            [
                path[-1] + way / np.linalg.norm(way) * d + [0, 0, 0.0056 - radius]
                for d in (-0.002, 0, 0.02, 0.028)
            ]
        ),
        [0.003, 0.0056, 0.0056, 0.0045],
        10,
    )
    color = [[0.04, 0.04, 0.045], [0.85, 0.85, 0.84], [0.05, 0.05, 0.05], [0.6, 0.25, 0.1]][
        int(rng.integers(4))
    ]
    rubber = flat(color, 0.5)
    return Prop("cable", (Part(join([cord, plug]), rubber),))


def plant(rng: Generator) -> Prop:
    """A pot with long leaves that hang over."""
    r, h = rng.uniform(0.04, 0.055), rng.uniform(0.07, 0.09)
    pot = turned(
        [
            (0, 0),
            (0.72 * r, 0),
            (r, 0.8 * h),
            (1.08 * r, 0.8 * h),
            (1.08 * r, h),
            (0.95 * r, h),
            (0.9 * r, 0.86 * h),
            (0, 0.86 * h),
        ]
    )
    clay = [[0.6, 0.32, 0.2], [0.85, 0.84, 0.8], [0.25, 0.3, 0.34], [0.5, 0.55, 0.42]][int(rng.integers(4))]
    leaves, narrow = [], rng.uniform(0.008, 0.02)
    for i in range(int(rng.integers(14, 26))):
        angle = 2.4 * i + rng.uniform(-0.3, 0.3)
        out, up = rng.uniform(0.05, 0.12), rng.uniform(0.06, 0.16)
        t = np.linspace(0, 1, 9)[:, None]
        way, side = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
        spine = way * (0.3 * r + out * t**1.3) + np.array([0, 0, 1.0]) * (
            0.85 * h + up * (2 * t - 1.35 * t**2)
        )
        wide = narrow * np.sin(np.pi * np.clip(0.12 + 0.88 * t, 0, 1)) ** 0.8
        fold = np.array([0, 0, 1.0]) * 0.3 * wide
        leaves.append(
            sheet(np.stack([spine - side * wide + fold, spine, spine + side * wide + fold], axis=1))
        )
    green = np.array([0.2, 0.38, 0.14]) * rng.uniform(0.7, 1.4) + rng.uniform(0, 0.06, 3)
    foliage = {
        "kind": "mottle",
        "a": green.tolist(),
        "b": (0.6 * green).tolist(),
        "scale": 45.0,
        "roughness": 0.45,
    }
    soil = turned([(0, 0.862 * h), (0.88 * r, 0.862 * h)])
    return Prop(
        "plant",
        (
            Part(
                bare(pot),
                {
                    "kind": "mottle",
                    "a": clay,
                    "b": (0.85 * np.array(clay)).tolist(),
                    "scale": 25.0,
                    "roughness": 0.8,
                },
            ),
            Part(bare(join([bare(leaf) for leaf in leaves])), foliage),
            Part(bare(soil), flat([0.13, 0.09, 0.06], 1.0)),
        ),
    )


def napkin(rng: Generator) -> Prop:
    """A crumpled cloth: a sheet with soft waves, its rim on the table."""
    side, high = rng.uniform(0.14, 0.2), rng.uniform(0.014, 0.028)
    u, v = np.meshgrid(np.linspace(-1, 1, 70), np.linspace(-1, 1, 70))
    height = np.zeros_like(u)
    for _ in range(9):
        angle, waves, start = rng.uniform(0, 2 * np.pi), rng.uniform(2, 9), rng.uniform(0, 2 * np.pi)
        height += np.abs(np.sin(0.5 * waves * (u * np.cos(angle) + v * np.sin(angle)) + start)) / waves**0.7
    height = (height - height.min()) / np.ptp(height)
    height = high * height**1.5 * (1 - np.maximum(abs(u), abs(v)) ** 4)
    # where cloth goes up and down there is less of it along the table, and its rim is not straight
    inward = 0.82 + 0.06 * np.sin(3 * np.arctan2(v, u) + start) - 1.2 * height / side
    points = np.stack([u * side / 2 * inward, v * side / 2 * inward, 0.001 + height], axis=-1)
    a, b = (unit(c) for c in palette(rng, 2))
    cloth = {"kind": "cloth", "a": b, "b": a, "cell_m": float(rng.uniform(0.008, 0.02)), "roughness": 0.95}
    return Prop("napkin", (Part(sheet(points), cloth),))


def banana(rng: Generator) -> Prop:
    """A banana on its side."""
    at = np.linspace(-0.95, 0.95, 26)
    bend = rng.uniform(0.09, 0.13)
    radius = 0.0175 * np.clip(1 - abs(at) ** 5, 0.16, 1)
    path = np.stack(
        [bend * np.sin(at * 0.9), bend * (1 - np.cos(at * 0.9)) - 0.02, radius.max() + 0 * at], axis=1
    )
    skin = {"kind": "mottle", "a": [0.88, 0.72, 0.2], "b": [0.72, 0.5, 0.16], "scale": 30.0, "roughness": 0.5}
    return Prop("banana", (Part(swept(path, radius, 14), skin),))


def screwdriver(rng: Generator) -> Prop:
    """A screwdriver that lies on the table, its shaft along x."""
    r = rng.uniform(0.012, 0.016)
    along = np.array([0, 0.004, 0.02, 0.05, 0.08, 0.092, 0.098])
    radius = r * np.array([0.6, 0.95, 1.0, 0.85, 1.0, 0.7, 0.35])
    line = np.stack([along - 0.1, 0 * along, 0 * along + r], axis=1)
    handle = swept(line, radius, 12)
    length = rng.uniform(0.08, 0.13)
    shaft = swept(
        np.array([[-0.004, 0, r], [length - 0.01, 0, r], [length, 0, r]]), [0.0032, 0.0032, 0.001], 10
    )
    colors = [[0.75, 0.12, 0.08], [0.9, 0.6, 0.08], [0.1, 0.25, 0.6], [0.08, 0.08, 0.09]]
    return Prop(
        "screwdriver",
        (
            Part(handle, flat(colors[int(rng.integers(4))], 0.25, coat=0.4)),
            Part(shaft, flat([0.6, 0.6, 0.6], 0.25, metallic=1.0)),
        ),
    )


def wood_block(rng: Generator) -> Prop:
    """An offcut of timber."""
    x, y, z = rng.uniform(0.06, 0.16), rng.uniform(0.035, 0.07), rng.uniform(0.018, 0.045)
    pine = {
        "kind": "veneer",
        "dark": [0.62, 0.45, 0.28],
        "light": [0.8, 0.64, 0.44],
        "scale": 9.0,
        "roughness": 0.75,
    }
    return Prop("block", (Part(bare(slab((-x / 2, -y / 2, 0), (x / 2, y / 2, z))), pine),), carries=True)
