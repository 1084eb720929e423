"""The rooms of the five places, and a terrace: what stands around the table, and which lamps burn."""

from __future__ import annotations

import math

import numpy as np

from . import furniture as room
from .lights import Light, area, bulb, clear_sky, plain_sky, sun, vary
from .things import Placed, flat

Generator = np.random.Generator


# ---- kitchen: a polished worktop under small warm spots, tiles, a wide phone -------------------------------------
def kitchen(rng: Generator) -> list[Placed]:
    """All that stands around the table."""
    x, y = 2.4, 2.2
    tiles = {
        "kind": "tiles",
        "color": [0.86, 0.89, 0.87],
        "grout": [0.55, 0.55, 0.52],
        "width_m": 0.2,
        "height_m": 0.1,
    }
    tiles |= {"roughness": 0.15, "upright": True}
    paint = {
        "kind": "mottle",
        "a": [0.83, 0.80, 0.70],
        "b": [0.78, 0.75, 0.66],
        "scale": 3.0,
        "roughness": 0.9,
    }
    fronts, steel = flat((0.24, 0.33, 0.36), 0.35), flat((0.72, 0.72, 0.7), 0.35)
    slate = {
        "kind": "tiles",
        "color": [0.30, 0.30, 0.31],
        "grout": [0.2, 0.2, 0.2],
        "width_m": 0.45,
        "height_m": 0.45,
    }
    return [
        room.floor(x, y, slate | {"roughness": 0.35}),
        *room.wall("north", x, y, tiles),
        *room.cupboards("north", x, y, fronts, flat((0.80, 0.76, 0.68), 0.3), 7),
        *room.wall("west", x, y, paint),
        *room.pictures_on("west", x, y, 2, rng),
        *room.wall("south", x, y, paint),
        *room.shelves("south", x, y, flat((0.78, 0.74, 0.66), 0.5), rng, files=0.6),
        *room.window_wall("east", x, y, paint, steel),
    ]


def kitchen_light(rng: Generator) -> list[Light]:
    """Lamps and sky of one picture."""
    spots = [area((dx, -0.1, 1.15), (0.09, 0.09), 14, 2950, (dx, 0, 0)) for dx in (-0.65, 0.0, 0.65)]
    out = [vary(lamp, rng, 0.15, 0.6) for lamp in spots if rng.random() < 0.85]
    out.append(vary(area((2.52, 0, 0.8), (2.7, 1.3), 90, 7200, (0, 0, 0.8), seen=True), rng, 0.0, 0.9))
    return [*out, plain_sky((0.42, 0.40, 0.36), (0.66, 0.67, 0.70), 0.45)]


# ---- office: a pale desk with printed paper under ceiling panels -------------------------------------------------
def office(rng: Generator) -> list[Placed]:
    """All that stands around the table."""
    x, y = 2.7, 2.5
    paint = {
        "kind": "mottle",
        "a": [0.72, 0.76, 0.80],
        "b": [0.68, 0.72, 0.77],
        "scale": 2.0,
        "roughness": 0.95,
    }
    carpet = {
        "kind": "grass",
        "a": [0.28, 0.31, 0.36],
        "b": [0.36, 0.38, 0.42],
        "scale": 300.0,
        "roughness": 1.0,
    }
    board = flat((0.86, 0.86, 0.84), 0.45)
    screen = room.box("screen", (-0.35, 2.05, 0.15), (0.35, 2.08, 0.55), flat((0.03, 0.03, 0.035), 0.15))
    glow = {"kind": "glow", "color": [0.35, 0.55, 0.85], "strength": 0.9}
    return [
        room.floor(x, y, carpet),
        *room.wall("north", x, y, paint),
        room.box("desk", (-0.9, 1.75, -0.04), (0.9, 2.45, 0.0), board),
        screen,
        room.box("picture", (-0.335, 2.049, 0.165), (0.335, 2.0501, 0.535), glow),
        room.box("foot", (-0.1, 2.0, 0.0), (0.1, 2.2, 0.15), flat((0.1, 0.1, 0.1), 0.5)),
        *room.wall("east", x, y, flat((0.87, 0.86, 0.82), 0.9)),
        *room.shelves("east", x, y, board, rng, files=0.7),
        *room.wall("south", x, y, paint),
        *room.pictures_on("south", x, y, 3, rng),
        *room.window_wall("west", x, y, flat((0.85, 0.85, 0.83), 0.9), flat((0.35, 0.36, 0.38), 0.4)),
    ]


def office_light(rng: Generator) -> list[Light]:
    """Lamps and sky of one picture."""
    panels = [
        area((dx, dy, 1.75), (0.6, 0.6), 30, 5200, (dx, dy, 0)) for dx in (-0.9, 0.9) for dy in (-0.7, 0.7)
    ]
    out = [vary(lamp, rng, 0.1, 0.3) for lamp in panels if rng.random() < 0.9]
    out.append(vary(area((-2.82, 0, 0.8), (3.0, 1.3), 90, 6500, (0, 0, 0.8), seen=True), rng, 0.0, 1.2))
    if rng.random() < 0.35:  # the sun looks in at the window
        out.append(sun(math.pi + rng.uniform(-0.35, 0.35), rng.uniform(0.36, 0.46), 3.5, 4800, 1.2))
    return [*out, plain_sky((0.55, 0.55, 0.54), (0.76, 0.78, 0.80), 0.6)]


# ---- living room: cloth or lacquered wood by a lamp at dusk, a long lens -----------------------------------------
def living_room(rng: Generator) -> list[Placed]:
    """All that stands around the table."""
    x, y = 3.3, 3.1
    plaster = {
        "kind": "mottle",
        "a": [0.78, 0.68, 0.55],
        "b": [0.72, 0.62, 0.50],
        "scale": 4.0,
        "roughness": 0.95,
    }
    bricks = {"kind": "tiles", "color": [0.52, 0.28, 0.21], "grout": [0.62, 0.58, 0.52], "width_m": 0.22}
    bricks |= {"height_m": 0.075, "uneven": 0.5, "roughness": 0.9, "upright": True}
    parquet = {"kind": "planks", "dark": [0.22, 0.13, 0.08], "light": [0.42, 0.27, 0.17], "scale": 1.4}
    parquet |= {"plank_m": 0.07, "roughness": 0.3}
    rug = {
        "kind": "cloth",
        "a": [0.45, 0.16, 0.14],
        "b": [0.75, 0.68, 0.55],
        "cell_m": 0.16,
        "roughness": 1.0,
    }
    velvet = {
        "kind": "mottle",
        "a": [0.18, 0.30, 0.28],
        "b": [0.13, 0.24, 0.23],
        "scale": 14.0,
        "roughness": 0.95,
    }
    linen = flat((0.70, 0.55, 0.38), 0.95)
    return [
        room.floor(x, y, parquet),
        room.box("rug", (-1.7, -1.4, room.FLOOR_M), (1.7, 1.4, room.FLOOR_M + 0.012), rug),
        *room.wall("north", x, y, bricks),
        *room.pictures_on("north", x, y, 3, rng),
        *room.wall("west", x, y, plaster),
        *room.sofa("west", x, y, velvet, rng),
        *room.wall("south", x, y, plaster),
        *room.shelves("south", x, y, flat((0.30, 0.19, 0.12), 0.4), rng, files=0.1),
        *room.window_wall("east", x, y, plaster, flat((0.88, 0.87, 0.83), 0.4)),
        *[room.curtain("east", x, y, at, linen) for at in (-0.85, 0.6)],
    ]


def living_room_light(rng: Generator) -> list[Light]:
    """Lamps and sky of one picture."""
    lamp = bulb((-1.1, 0.9, 0.9), 0.11, 42, 2650)
    out = [vary(lamp, rng, 0.4, 0.5), vary(bulb((0.3, 0.2, 1.35), 0.16, 26, 2800), rng, 0.35, 0.7)]
    out.append(vary(area((3.42, 0, 0.8), (3.7, 1.3), 75, 8000, (0, 0, 0.8), seen=True), rng, 0.0, 0.8))
    return [*out, plain_sky((0.42, 0.36, 0.31), (0.46, 0.45, 0.46), 0.40)]


# ---- workshop: a worn bench under tubes, an industrial camera whose chip sits off its axis -----------------------
def workshop(rng: Generator) -> list[Placed]:
    """All that stands around the table."""
    x, y = 2.9, 2.7
    concrete = {
        "kind": "mottle",
        "a": [0.56, 0.56, 0.54],
        "b": [0.44, 0.44, 0.43],
        "scale": 3.5,
        "roughness": 0.85,
    }
    boards = {"kind": "planks", "dark": [0.52, 0.40, 0.27], "light": [0.68, 0.54, 0.38], "scale": 0.8}
    boards |= {"plank_m": 0.14, "roughness": 0.7, "upright": True}
    crates = [flat((0.16, 0.34, 0.22), 0.6), flat((0.75, 0.52, 0.12), 0.6), flat((0.5, 0.14, 0.12), 0.5)]
    things = [
        room.floor(x, y, concrete | {"roughness": 0.5}),
        *room.wall("north", x, y, concrete),
        *room.tools_on("north", x, y, rng),
        *room.wall("east", x, y, boards),
        *room.shelves("east", x, y, flat((0.45, 0.46, 0.48), 0.5), rng, files=0.9),
        *room.wall("south", x, y, concrete),
        *room.cupboards("south", x, y, flat((0.30, 0.36, 0.42), 0.4), flat((0.55, 0.42, 0.3), 0.6), 5),
        *room.wall("west", x, y, boards),
        *room.pictures_on("west", x, y, 2, rng),
    ]
    for at in np.linspace(-1.9, 1.6, 6):
        low, tall = (float(at), y - 0.6, room.FLOOR_M), float(rng.uniform(0.3, 0.65))
        high = (float(at) + 0.45, y - 0.1, room.FLOOR_M + tall)
        things.append(room.box("crate", low, high, crates[int(rng.integers(3))]))
    return things


def workshop_light(rng: Generator) -> list[Light]:
    """Lamps and sky of one picture."""
    tubes = [area((0, dy, 1.6), (1.25, 0.05), 42, 4200, (0, dy, 0)) for dy in (-0.75, 0.0, 0.75)]
    out = [vary(lamp, rng, 0.15, 0.5) for lamp in tubes if rng.random() < 0.8]
    out.append(vary(area((1.2, -0.8, 0.75), (0.12, 0.12), 12, 3300), rng, 0.3, 0.8))
    return [*out, plain_sky((0.40, 0.40, 0.40), (0.52, 0.53, 0.53), 0.35)]


# ---- terrace: sun and sky ----------------------------------------------------------------------------------------
def terrace(rng: Generator) -> list[Placed]:
    """All that stands around the table."""
    x, y = 3.6, 3.4
    paving = {"kind": "tiles", "color": [0.62, 0.58, 0.52], "grout": [0.34, 0.33, 0.30], "width_m": 0.4}
    paving |= {"height_m": 0.4, "uneven": 0.25, "roughness": 0.85}
    lawn = {
        "kind": "grass",
        "a": [0.20, 0.33, 0.10],
        "b": [0.36, 0.47, 0.18],
        "scale": 70.0,
        "roughness": 1.0,
    }
    leaves = {
        "kind": "leaves",
        "a": [0.10, 0.20, 0.06],
        "b": [0.28, 0.40, 0.14],
        "scale": 22.0,
        "roughness": 0.7,
    }
    render = {
        "kind": "mottle",
        "a": [0.85, 0.83, 0.77],
        "b": [0.80, 0.77, 0.70],
        "scale": 5.0,
        "roughness": 0.95,
    }
    fence = {"kind": "planks", "dark": [0.32, 0.22, 0.15], "light": [0.48, 0.36, 0.26], "scale": 0.9}
    fence |= {"plank_m": 0.11, "roughness": 0.8, "upright": True}
    shutters, glass = flat((0.22, 0.38, 0.36), 0.5), flat((0.08, 0.10, 0.12), 0.05)
    ground = room.FLOOR_M
    things = [
        room.box("lawn", (-30, -30, ground - 0.1), (30, 30, ground - 0.02), lawn),
        room.floor(2.4, 2.2, paving),
        room.box("house", (-5, y, ground), (5, y + 0.3, 3.2), render),
        room.box("fence", (x + 1.2, -6, ground), (x + 1.25, y, 0.75), fence),
        room.box("hedge", (-x - 1.6, -6, ground), (-x - 0.9, y, 0.8), leaves),
        room.box("hedge", (-9, -7.0, ground), (9, -6.2, 0.9), leaves),
    ]
    for at in (-1.8, 1.2):
        things += [
            room.box("pane", (at, y - 0.02, 0.0), (at + 0.8, y, 1.2), glass),
            room.box("shutter", (at - 0.42, y - 0.04, -0.02), (at - 0.02, y, 1.22), shutters),
            room.box("shutter", (at + 0.82, y - 0.04, -0.02), (at + 1.22, y, 1.22), shutters),
        ]
    for _ in range(5):
        a, b, s = rng.uniform(-x, x), -rng.uniform(3.2, 5.5), rng.uniform(0.2, 0.45)
        things.append(room.box("bush", (a - s, b - s, ground), (a + s, b + s, ground + 2 * s), leaves))
    return things


def terrace_light(rng: Generator) -> list[Light]:
    """Lamps and sky of one picture."""
    azimuth = rng.uniform(-math.pi, 0)  # not through the house
    return [clear_sky(azimuth, rng.uniform(0.35, 1.1), 0.1, rng.uniform(0.8, 4.0))]
