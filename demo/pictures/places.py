"""The five places in which the pictures are taken: camera, table, surroundings, lamps, and what lies about.

None of the camera matrices, surfaces or lamps is used by the demo's recording, and training draws none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import surroundings
from .lights import Light
from .odds import banana, cable, napkin, plant, screwdriver, wood_block
from .stationery import binder, book, calculator, carton, keyboard
from .things import Material, Placed, Prop, flat
from .vessels import bottle, bowl, jar, mug, pear, pen_cup, tape

Array = NDArray[np.float64]
Generator = np.random.Generator
PropMaker = Callable[[Generator], Prop]


@dataclass(frozen=True)
class Place:
    """A scene of the data set.

    Attributes:
        camera: fx, fy, cx, cy in pixels of a 640 x 480 picture; the centre of pixel (c, r) is at (c, r).
        table: its size (x, y), metres.
        tops: what the table may be covered with.
        surroundings: all but the table; drawn once for the place.
        lighting: lamps and sky, drawn for every picture.
        small, carriers: props that lie about, and those among which some carry others.
        papers: share of the pictures in which printed sheets lie on the table.
        reach: the camera stays within +-x, +-y, metres, and below z.
        f_numbers: full-frame f-numbers to draw from; 0 is a lens without blur.
        sensor: how the picture is developed; see `sensor.develop`.
    """

    name: str
    camera: tuple[float, float, float, float]
    table: tuple[float, float]
    tops: tuple[Material, ...]
    leg: Material
    surroundings: Callable[[Generator], list[Placed]]
    lighting: Callable[[Generator], list[Light]]
    small: tuple[PropMaker, ...]
    carriers: tuple[PropMaker, ...]
    papers: float
    reach: tuple[float, float, float]
    f_numbers: tuple[float, ...]
    sensor: dict[str, Any]

    def K(self, size: tuple[int, int]) -> Array:
        """The camera's matrix (3, 3) for pictures of `size` (H, W) with the same field of view."""
        fx, fy, cx, cy = self.camera
        x, y = size[1] / 640, size[0] / 480
        return np.array([[fx * x, 0, (cx + 0.5) * x - 0.5], [0, fy * y, (cy + 0.5) * y - 0.5], [0, 0, 1.0]])


PLACES = (
    Place(
        name="kitchen",
        camera=(452.0, 456.5, 333.1, 229.4),
        table=(1.7, 0.9),
        tops=(
            {"kind": "granite", "a": [0.10, 0.10, 0.11], "b": [0.30, 0.29, 0.28], "fleck": [0.62, 0.58, 0.52]}
            | {"scale": 230.0, "roughness": 0.09},
            {
                "kind": "marble",
                "a": [0.88, 0.87, 0.84],
                "b": [0.48, 0.48, 0.50],
                "scale": 2.2,
                "roughness": 0.06,
            },
        ),
        leg=flat((0.24, 0.33, 0.36), 0.35),
        surroundings=surroundings.kitchen,
        lighting=surroundings.kitchen_light,
        small=(mug, bowl, bottle, jar, jar, pear, banana, napkin, carton, plant),
        carriers=(carton, book, carton),
        papers=0.1,
        reach=(2.2, 2.0, 1.7),
        f_numbers=(0.0, 0.0, 8.0),
        sensor={"noise": 1.0, "vignette": 0.28, "sharpen": 0.45, "jpeg": 90},
    ),
    Place(
        name="office",
        camera=(598.0, 604.0, 301.8, 251.7),
        table=(1.6, 0.8),
        tops=(
            flat((0.82, 0.82, 0.80), 0.28),
            {
                "kind": "veneer",
                "dark": [0.60, 0.52, 0.42],
                "light": [0.74, 0.67, 0.57],
                "scale": 5.0,
                "roughness": 0.4,
            },
        ),
        leg=flat((0.5, 0.5, 0.52), 0.4),
        surroundings=surroundings.office,
        lighting=surroundings.office_light,
        small=(mug, pen_cup, cable, cable, keyboard, calculator, tape, plant, bottle, book),
        carriers=(book, binder, book, binder),
        papers=0.8,
        reach=(2.5, 1.6, 1.6),
        f_numbers=(0.0, 8.0, 4.0),
        sensor={"noise": 0.6, "vignette": 0.15, "sharpen": 0.2, "jpeg": 96},
    ),
    Place(
        name="living room",
        camera=(1180.0, 1168.3, 326.9, 246.0),
        table=(1.5, 0.95),
        tops=(
            {
                "kind": "cloth",
                "a": [0.80, 0.78, 0.72],
                "b": [0.20, 0.32, 0.50],
                "cell_m": 0.022,
                "roughness": 0.95,
            },
            {"kind": "planks", "dark": [0.14, 0.07, 0.04], "light": [0.33, 0.18, 0.10], "scale": 1.2}
            | {"plank_m": 0.4, "roughness": 0.25, "coat": 0.8},
        ),
        leg=flat((0.2, 0.12, 0.08), 0.4),
        surroundings=surroundings.living_room,
        lighting=surroundings.living_room_light,
        small=(mug, book, bowl, pear, plant, plant, bottle, napkin, cable, banana, jar),
        carriers=(book, book, carton),
        papers=0.25,
        reach=(3.0, 2.8, 1.75),
        f_numbers=(0.0, 2.8, 5.6),
        sensor={"noise": 1.8, "vignette": 0.2, "sharpen": 0.0, "jpeg": 0},
    ),
    Place(
        name="workshop",
        camera=(840.0, 848.6, 352.4, 214.9),
        table=(1.8, 0.9),
        tops=(
            {
                "kind": "veneer",
                "dark": [0.52, 0.38, 0.23],
                "light": [0.70, 0.56, 0.38],
                "scale": 6.5,
                "roughness": 0.7,
            },
            {"kind": "checker", "a": [0.09, 0.26, 0.21], "b": [0.10, 0.29, 0.24], "line": [0.62, 0.68, 0.42]}
            | {"cell_m": 0.05, "roughness": 0.6},
        ),
        leg=flat((0.36, 0.3, 0.24), 0.7),
        surroundings=surroundings.workshop,
        lighting=surroundings.workshop_light,
        small=(
            tape,
            tape,
            screwdriver,
            screwdriver,
            wood_block,
            wood_block,
            cable,
            cable,
            jar,
            carton,
            bottle,
            mug,
        ),
        carriers=(carton, wood_block, binder, carton),
        papers=0.3,
        reach=(2.6, 2.0, 1.5),
        f_numbers=(0.0, 5.6, 4.0),
        sensor={"noise": 1.2, "vignette": 0.1, "sharpen": 0.0, "jpeg": 0},
    ),
    Place(
        name="terrace",
        camera=(505.0, 500.0, 313.4, 233.2),
        table=(1.5, 0.9),
        tops=(
            {"kind": "planks", "dark": [0.50, 0.47, 0.43], "light": [0.68, 0.65, 0.60], "scale": 0.9}
            | {"plank_m": 0.085, "roughness": 0.75},
            {"kind": "tiles", "color": [0.70, 0.36, 0.22], "grout": [0.80, 0.76, 0.68], "width_m": 0.15}
            | {"height_m": 0.15, "uneven": 0.3, "roughness": 0.3},
        ),
        leg=flat((0.15, 0.16, 0.17), 0.5),
        surroundings=surroundings.terrace,
        lighting=surroundings.terrace_light,
        small=(mug, bowl, bottle, bottle, pear, banana, napkin, plant, plant, book, jar),
        carriers=(book, carton, book),
        papers=0.3,
        reach=(3.3, 3.0, 2.2),
        f_numbers=(0.0, 0.0, 8.0),
        sensor={"noise": 0.4, "vignette": 0.2, "sharpen": 0.4, "jpeg": 92},
    ),
)
