"""What stands around the table: walls, windows, cupboards, shelves, seats. All of it is modelled where it stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .prints import palette, poster, unit
from .solids import bare, one_side, sheet, slab, swept
from .things import Material, Placed, fixed, flat, printed

FLOOR_M = -0.74
WALL_TOP_M = 1.85
Generator = np.random.Generator
Corner = Sequence[float]


def box(kind: str, low: Corner, high: Corner, material: Material) -> Placed:
    """An axis-parallel box."""
    return fixed(kind, bare(slab(low, high)), material)


def table(size: tuple[float, float], top: Material, leg: Material, thickness: float = 0.03) -> list[Placed]:
    """A table whose top's upper side is z = 0."""
    x, y = size[0] / 2, size[1] / 2
    things = [box("table top", (-x, -y, -thickness), (x, y, 0.0), top)]
    for i in (-1, 1):
        for j in (-1, 1):
            a, b = i * (x - 0.06), j * (y - 0.06)
            things.append(
                box("table leg", (a - 0.025, b - 0.025, FLOOR_M), (a + 0.025, b + 0.025, -thickness), leg)
            )
    return things


def floor(x: float, y: float, material: Material) -> Placed:
    """A floor that reaches to +-x, +-y."""
    return box("floor", (-x, -y, FLOOR_M - 0.05), (x, y, FLOOR_M), material)


def wall(side: str, x: float, y: float, material: Material) -> list[Placed]:
    """A whole wall of a room that reaches to +-x, +-y; side: north (+y), south, east (+x), west."""
    return [_panel(side, x, y, (-1.0, 1.0), (FLOOR_M, WALL_TOP_M), "wall", material, 0.0, 0.06)]


def window_wall(side: str, x: float, y: float, material: Material, frame: Material) -> list[Placed]:
    """A wall with a wide window, through which sky and sun come in, its bars and a sill."""
    low, high, span = 0.12, 1.45, 0.62
    things = [
        _panel(side, x, y, (-1.0, -span), (FLOOR_M, WALL_TOP_M), "wall", material, 0.0, 0.06),
        _panel(side, x, y, (span, 1.0), (FLOOR_M, WALL_TOP_M), "wall", material, 0.0, 0.06),
        _panel(side, x, y, (-span, span), (FLOOR_M, low), "wall", material, 0.0, 0.06),
        _panel(side, x, y, (-span, span), (high, WALL_TOP_M), "wall", material, 0.0, 0.06),
        _panel(side, x, y, (-span, span), (low - 0.03, low), "sill", frame, -0.12, 0.06),
    ]
    for at in np.linspace(-span, span, 4):
        things.append(_panel(side, x, y, (at - 0.012, at + 0.012), (low, high), "bar", frame, 0.01, 0.05))
    for z in (low, 0.62 * high, high - 0.05):
        things.append(_panel(side, x, y, (-span, span), (z, z + 0.05), "bar", frame, 0.015, 0.045))
    return things


def pictures_on(side: str, x: float, y: float, count: int, rng: Generator) -> list[Placed]:
    """Framed pictures on a wall."""
    things: list[Placed] = []
    for at in np.linspace(-0.65, 0.65, count) + rng.uniform(-0.08, 0.08, count):
        half, tall = rng.uniform(0.08, 0.16), rng.uniform(0.5, 0.8)
        z = rng.uniform(0.25, 0.6)
        ink = flat(unit(palette(rng)[0]), 0.4)
        things.append(_panel(side, x, y, (at - half, at + half), (z, z + tall), "frame", ink, -0.03, 0.0))
        span, high = (at - half + 0.012, at + half - 0.012), (z + 0.03, z + tall - 0.03)
        length = x if side in ("north", "south") else y
        picture = poster(rng, 2000 * half * length, 1000 * (tall - 0.06))
        front = _panel(side, x, y, span, high, "picture", ink, -0.032, -0.031).prop.parts[0].surface
        number = {"north": 0, "south": 1, "east": 2, "west": 3}[side]
        low, top = front.vertices.min(axis=0), front.vertices.max(axis=0)
        things.append(fixed("picture", one_side(slab(low, top), number), printed(0.3), picture))
    return things


def cupboards(side: str, x: float, y: float, fronts: Material, top: Material, count: int) -> list[Placed]:
    """A row of cupboards along a wall, with handles and a worktop."""
    steel = flat((0.6, 0.6, 0.6), 0.3, metallic=1.0)
    things = [_panel(side, x, y, (-0.8, 0.8), (0.10, 0.14), "worktop", top, -0.62, 0.0)]
    edges = np.linspace(-0.8, 0.8, count + 1)
    for a, b in zip(edges[:-1], edges[1:]):
        gap = 0.004
        things.append(
            _panel(side, x, y, (a + gap, b - gap), (FLOOR_M + 0.1, 0.09), "cupboard", fronts, -0.6, 0.0)
        )
        middle = 0.5 * (a + b)
        things.append(
            _panel(side, x, y, (middle - 0.04, middle + 0.04), (0.02, 0.035), "handle", steel, -0.63, -0.6)
        )
    return things


def shelves(
    side: str, x: float, y: float, board: Material, rng: Generator, files: float = 0.3
) -> list[Placed]:
    """Shelves full of books and files."""
    things: list[Placed] = []
    length = x if side in ("north", "south") else y
    for z in (-0.6, -0.2, 0.2, 0.6, 1.0):
        things.append(_panel(side, x, y, (-0.6, 0.6), (z, z + 0.022), "shelf", board, -0.28, 0.0))
        at = -0.59
        while at < 0.56:
            wide = rng.uniform(0.05, 0.08) if rng.random() < files else rng.uniform(0.015, 0.045)
            tall = rng.uniform(0.18, 0.33)
            if rng.random() < 0.85:
                spine = flat(unit(palette(rng)[int(rng.integers(4))]), rng.uniform(0.3, 0.8))
                span = (at, at + wide / length)
                depth = -rng.uniform(0.19, 0.26)
                things.append(
                    _panel(side, x, y, span, (z + 0.022, z + 0.022 + tall), "spine", spine, depth, -0.02)
                )
            at += wide / length + 0.003
    return things


def sofa(side: str, x: float, y: float, cloth: Material, rng: Generator) -> list[Placed]:
    """A sofa along a wall with cushions."""
    things = [
        _panel(side, x, y, (-0.55, 0.55), (FLOOR_M + 0.08, -0.32), "seat", cloth, -0.95, -0.05),
        _panel(side, x, y, (-0.55, 0.55), (FLOOR_M + 0.08, 0.12), "back", cloth, -0.28, -0.05),
    ]
    for at in (-0.6, 0.55):
        things.append(_panel(side, x, y, (at, at + 0.06), (FLOOR_M + 0.05, -0.1), "arm", cloth, -0.95, -0.05))
    for at in rng.uniform(-0.5, 0.3, 3):
        soft = flat(unit(palette(rng)[int(rng.integers(1, 4))]), 0.95)
        things.append(_panel(side, x, y, (at, at + 0.17), (-0.32, 0.06), "cushion", soft, -0.45, -0.3))
    return things


def tools_on(side: str, x: float, y: float, rng: Generator) -> list[Placed]:
    """A perforated board with tools on it."""
    board = {
        "kind": "dots",
        "a": [0.72, 0.66, 0.55],
        "b": [0.12, 0.1, 0.08],
        "cell_m": 0.03,
        "roughness": 0.8,
    }
    things = [_panel(side, x, y, (-0.6, 0.6), (0.1, 1.3), "board", board, -0.02, 0.0)]
    steel = flat((0.55, 0.56, 0.58), 0.35, metallic=1.0)
    for at in np.linspace(-0.55, 0.55, 12):
        z, tall = rng.uniform(0.5, 0.9), rng.uniform(0.12, 0.3)
        grip = flat(unit(palette(rng)[int(rng.integers(4))]), 0.4)
        line = np.array([_place(side, x, y, at, -0.05, z + d) for d in np.linspace(0, tall, 5)])
        things.append(fixed("tool", bare(swept(line, rng.uniform(0.006, 0.012), 8)), steel))
        line = np.array([_place(side, x, y, at, -0.05, z - d) for d in np.linspace(0, 0.11, 5)])
        things.append(fixed("grip", bare(swept(line, [0.012, 0.016, 0.014, 0.017, 0.01], 10)), grip))
    return things


def curtain(side: str, x: float, y: float, at: float, cloth: Material) -> Placed:
    """A curtain in folds, as a row of thick cords."""
    along = np.linspace(at, at + 0.28, 60)
    line = np.array([_place(side, x, y, a, -0.09 + 0.035 * np.sin(70 * a), 0.0) for a in along])
    low, high = np.array([0, 0, FLOOR_M + 0.03]), np.array([0, 0, 1.6])
    return fixed("curtain", bare(sheet(np.stack([line + low, line + high]))), cloth)


def _place(side: str, x: float, y: float, along: float, off: float, z: float) -> list[float]:
    """A point by a wall: `along` its length from -1 to 1, `off` metres outwards from its inner face."""
    if side in ("north", "south"):
        return [along * x, (y + off) * (1 if side == "north" else -1), z]
    return [(x + off) * (1 if side == "east" else -1), along * y, z]


def _panel(
    side: str,
    x: float,
    y: float,
    along: tuple[float, float],
    height: tuple[float, float],
    kind: str,
    material: Material,
    inner: float,
    outer: float,
) -> Placed:
    """A box by a wall, from `inner` to `outer` metres beyond the wall's inner face."""
    ends = np.array(
        [_place(side, x, y, along[0], inner, height[0]), _place(side, x, y, along[1], outer, height[1])]
    )
    return box(kind, ends.min(axis=0), ends.max(axis=0), material)
