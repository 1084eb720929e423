"""Props with edges: books, binders, cartons, sheets of paper, keyboards, calculators."""

from __future__ import annotations

import numpy as np
from objects.source.surface import RoundedBox, join

from .prints import cover, page, palette, unit
from .solids import bare, hexahedron, one_side, slab, wedge
from .things import Part, Prop, flat, printed

Generator = np.random.Generator
SIDES = ("front", "back", "left", "right", "top", "bottom")


def book(rng: Generator) -> Prop:
    """A hardback: two boards, a spine, pages; the picture is on the upper board."""
    x, y, z = rng.uniform(0.12, 0.2), rng.uniform(0.17, 0.26), rng.uniform(0.015, 0.045)
    board = 0.0025
    colors = palette(rng)
    cloth = flat(unit(colors[int(rng.integers(3))]), 0.55)
    low, high = (-x / 2, -y / 2), (x / 2, y / 2)
    shell = [
        slab((*low, 0), (*high, board)),
        slab((*low, board), (low[0] + board, high[1], z - board)),
        slab((*low, z - board), (*high, z - 2e-4)),
    ]
    pages = slab((low[0] + board, low[1] + 0.004, board), (high[0] - 0.004, high[1] - 0.004, z - board))
    front = one_side(slab((*low, z - board), (*high, z)), 4)
    return Prop(
        "book",
        (
            Part(bare(join([bare(part) for part in shell])), cloth),
            Part(bare(pages), {"kind": "pages", "color": [0.9, 0.87, 0.78], "roughness": 0.9}),
            Part(front, printed(rng.uniform(0.25, 0.6)), cover(rng, 1000 * x, 1000 * y)),
        ),
        carries=True,
    )


def binder(rng: Generator) -> Prop:
    """A ring binder that lies on its side: its spine is higher than its mouth, so that it carries things at a slant."""
    width, depth = 0.315, 0.275
    front, back = rng.uniform(0.012, 0.03), rng.uniform(0.055, 0.085)
    shell = wedge(width, depth, front, back)
    colors = palette(rng)
    deck = np.array([0.0, -(back - front), depth])
    deck /= np.linalg.norm(deck)
    # the label on its spine stands off by less than a hair
    tag = hexahedron(
        np.array(
            [
                [x, depth / 2 + y, z * back]
                for z in (0.2, 0.8)
                for y in (0, 3e-4)
                for x in (-0.1 * width, 0.25 * width)
            ]
        )
    )
    return Prop(
        "binder",
        (
            Part(bare(shell), flat(unit(colors[int(rng.integers(4))]), rng.uniform(0.3, 0.6), bump_m=2e-4)),
            Part(one_side(tag, 1), printed(0.7), cover(rng, 110, 40)),
        ),
        carries=True,
        deck=(float(deck[0]), float(deck[1]), float(deck[2])),
    )


def carton(rng: Generator) -> Prop:
    """A folding box with a picture on its sides, of other proportions than the tea box."""
    x, y = rng.uniform(0.05, 0.11), rng.uniform(0.03, 0.06)
    z = rng.uniform(0.05, 0.17)
    box = slab((-x / 2, -y / 2, 0), (x / 2, y / 2, z))
    if rng.random() < 0.35:  # plain cardboard with a sticker
        sticker = one_side(slab((-0.3 * x, -y / 2 - 2e-4, 0.3 * z), (0.3 * x, y / 2 + 2e-4, 0.7 * z)), 0)
        board = {
            "kind": "mottle",
            "a": [0.66, 0.5, 0.33],
            "b": [0.58, 0.43, 0.28],
            "scale": 60,
            "roughness": 0.85,
        }
        parts = (Part(bare(box), board), Part(sticker, printed(0.5), cover(rng, 600 * x, 400 * z)))
    else:
        parts = (Part(box, printed(rng.uniform(0.3, 0.6)), cover(rng, 1000 * x, 1000 * z)),)
    return Prop("carton", parts, carries=True, tips=bool(rng.random() < 0.5))


def papers(rng: Generator) -> list[Prop]:
    """Sheets of paper, to lie on each other: each is a side without thickness at its own tiny height."""
    sheets = []
    for i in range(int(rng.integers(1, 4))):
        wide, high = (0.148, 0.21) if rng.random() < 0.5 else (0.21, 0.297)
        z = 2e-4 * (i + 1)
        side = one_side(slab((-wide / 2, -high / 2, 0), (wide / 2, high / 2, z)), 4)
        picture = page(rng, 1000 * wide, 1000 * high)
        sheets.append(Prop("paper", (Part(side, printed(rng.uniform(0.5, 0.9)), picture),)))
    return sheets


def keyboard(rng: Generator) -> Prop:
    """A compact keyboard."""
    columns, rows, pitch = int(rng.integers(12, 16)), 5, 0.019
    x, y = columns * pitch + 0.012, rows * pitch + 0.012
    dark = rng.random() < 0.5
    case, key = ([0.12, 0.12, 0.13], [0.2, 0.2, 0.21]) if dark else ([0.75, 0.75, 0.76], [0.9, 0.9, 0.9])
    body = wedge(x, y, 0.010, 0.018)
    keys = []
    slope = 0.008 / y
    for r in range(rows):
        c = 0
        while c < columns:
            wide = 6 if r == 0 and c == 3 else 1
            wide = min(wide, columns - c)
            left, low = -x / 2 + 0.006 + c * pitch, -y / 2 + 0.006 + r * pitch
            z = 0.010 + slope * (low + y / 2)
            keys.append(
                slab((left + 0.001, low + 0.001, z), (left + wide * pitch - 0.001, low + 0.018, z + 0.006))
            )
            c += wide
    caps = bare(join([bare(k) for k in keys]))
    return Prop("keyboard", (Part(bare(body), flat(case, 0.5)), Part(caps, flat(key, 0.55))))


def calculator(rng: Generator) -> Prop:
    """A pocket calculator."""
    x, y, z = 0.075, 0.13, 0.012
    body = RoundedBox((x, y, z), 0.004, cells=1)
    shell = join([body.side(name)[0] for name in SIDES]).moved((0, 0, z / 2))
    screen = slab((-0.42 * x, 0.24 * y, z - 0.001), (0.42 * x, 0.42 * y, z + 0.0004))
    keys = [
        slab(
            (-0.4 * x + c * 0.016, -0.44 * y + r * 0.0165, z - 0.001),
            (-0.4 * x + c * 0.016 + 0.012, -0.44 * y + r * 0.0165 + 0.011, z + 0.0015),
        )
        for r in range(5)
        for c in range(4)
    ]
    return Prop(
        "calculator",
        (
            Part(bare(shell), flat([0.16, 0.17, 0.2] if rng.random() < 0.6 else [0.85, 0.83, 0.78], 0.4)),
            Part(bare(screen), flat([0.45, 0.52, 0.42], 0.08)),
            Part(bare(join([bare(k) for k in keys])), flat([0.55, 0.56, 0.6], 0.5)),
        ),
    )
