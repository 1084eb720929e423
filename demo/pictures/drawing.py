"""Draws a picture: what stands where, from where it is seen, in which light, through which lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from objects.source.surface import Surface

from mrc_core.geometry.objects import ObjectModel

from . import furniture
from .arranging import Arrangement
from .lights import Light
from .places import PLACES, Place
from .resting import draw_rotation, resting, turn_about_z
from .stationery import papers
from .things import Part, Placed, Prop
from .truth import Observer
from .viewing import Space, draw_view

Array = NDArray[np.float64]
Generator = np.random.Generator
OBJECTS_A_PICTURE = ((2, 0.15), (3, 0.35), (4, 0.5))  # and their probabilities
STANDING = 0.45  # of our objects; the others lie as they would fall
UPON = 0.35  # of our objects stand on something where there is something
TO_THE_TABLE = ("binder", "keyboard", "plant", "napkin", "cable")  # nobody puts these upon other things
MOVING = 0.15  # of the pictures are blurred by the camera's motion
BLUR_PX = (1.5, 4.0)


@dataclass(frozen=True, eq=False)
class Picture:
    """All that a picture depends on.

    Attributes:
        scene_id, image_id: its numbers in the data set.
        size: (H, W) px.
        K: (3, 3); the centre of pixel (c, r) is at (c, r).
        cam_from_world: (4, 4), in the middle of the exposure.
        things: everything, our objects among it.
        lights: lamps, sun and sky.
        lens: f_number (full-frame; 0: no blur) and focus_m.
        motion: how the camera turns (3,) radians and shifts (3,) metres during the exposure, in its own frame.
        seed: of Cycles' noise.
        sensor: see `sensor.develop`.
    """

    scene_id: int
    image_id: int
    size: tuple[int, int]
    K: Array
    cam_from_world: Array
    things: tuple[Placed, ...]
    lights: tuple[Light, ...]
    lens: dict[str, float]
    motion: dict[str, list[float]]
    seed: int
    sensor: dict[str, Any] = field(default_factory=dict)


def draw_picture(
    objects: Sequence[ObjectModel], scene_id: int, image_id: int, size: tuple[int, int], seed: int
) -> Picture:
    """The picture with these numbers (scenes count from 1); it depends on nothing but the arguments."""
    place = PLACES[(scene_id - 1) % len(PLACES)]
    rng = np.random.default_rng([seed, scene_id, image_id])
    top = place.tops[int(rng.integers(len(place.tops)))]
    around = [
        *furniture.table(place.table, top, place.leg),
        *place.surroundings(np.random.default_rng([seed, scene_id])),  # the same in all pictures of a scene
    ]
    arrangement = arrange(objects, place, rng)
    things = [*arrangement.placed, *around]
    observer = Observer(things)
    K = place.K(size)
    points = np.concatenate([item.points for item in arrangement.placed])
    cam_from_world = draw_view(observer, K, size, Space(place.reach, points), rng)
    lights = place.lighting(rng)
    middles = np.array([things[row].points.mean(axis=0) for row in observer.objects])
    depths = middles @ cam_from_world[2, :3] + cam_from_world[2, 3]
    lens = {
        "f_number": float(place.f_numbers[int(rng.integers(len(place.f_numbers)))]),
        "focus_m": round(float(depths[int(rng.integers(len(depths)))]), 4),
    }
    return Picture(
        scene_id,
        image_id,
        size,
        K,
        cam_from_world,
        tuple(things),
        tuple(lights),
        lens,
        _draw_motion(K, rng),
        int(rng.integers(1 << 30)),
        place.sensor
        | {"stops": round(float(rng.uniform(-0.45, 0.45)), 3), "seed": int(rng.integers(1 << 30))},
    )


def arrange(objects: Sequence[ObjectModel], place: Place, rng: Generator) -> Arrangement:
    """Some of the objects, each once, among and upon other things."""
    table = Arrangement(place.table)
    centre = np.array([rng.uniform(-0.22, 0.22) * place.table[0], rng.uniform(-0.12, 0.12) * place.table[1]])
    if rng.random() < place.papers:
        for sheet in papers(rng):
            table.lay(sheet, turn_about_z(rng.uniform(0, 2 * np.pi)), centre + rng.normal(0, 0.13, 2))
    for _ in range(int(rng.integers(0, 3))):
        _put_somewhere(table, _one_of(place.carriers, rng), centre, 0.07, rng)
    counts, weights = zip(*OBJECTS_A_PICTURE)
    count = min(int(rng.choice(counts, p=weights)), len(objects))
    for number in rng.permutation(len(objects))[:count]:
        prop = prop_of(objects[number], rng)
        rotation = draw_rotation(resting(prop), STANDING, rng)
        carriers = table.carriers() if rng.random() < UPON else []
        rng.shuffle(carriers)
        if not any(table.put_upon(prop, rotation, c, rng, int(number) + 1) for c in carriers):
            table.put(prop, rotation, centre + rng.normal(0, 0.05, 2), int(number) + 1)
    for _ in range(int(rng.integers(5, 9))):
        _put_somewhere(table, _one_of(place.small, rng), centre, 0.10, rng)
    for _ in range(int(rng.integers(4, 9))):  # farther away, to fill the picture
        _put_somewhere(table, _one_of(place.small, rng), centre, 0.4, rng)
    return table


def prop_of(item: ObjectModel, rng: Generator) -> Prop:
    """One of our objects, with a gloss of its own in this picture."""
    mesh = item.mesh
    surface = Surface(
        mesh.vertices.astype(np.float64),
        mesh.normals.astype(np.float64),
        mesh.faces.astype(np.int64),
        uv=None if mesh.uv is None else mesh.uv.astype(np.float64),
        colors=mesh.vertex_colors,
    )
    kind = "print" if mesh.texture is not None else "paint" if mesh.vertex_colors is not None else "flat"
    material = {"kind": kind, "roughness": round(float(rng.uniform(0.22, 0.6)), 3)}
    if kind == "flat":
        material["color"] = [0.5, 0.5, 0.5]
    return Prop(item.class_id, (Part(surface, material, mesh.texture),), carries=True, tips=True)


def _one_of(makers: Sequence[Any], rng: Generator) -> Prop:
    return makers[int(rng.integers(len(makers)))](rng)


def _put_somewhere(table: Arrangement, prop: Prop, centre: Array, spread_m: float, rng: Generator) -> None:
    """Upright, or as it may fall, near the centre; on something else at times; not at all where there is no room."""
    turn = turn_about_z(rng.uniform(0, 2 * np.pi))
    rotation = draw_rotation(resting(prop), 0.0, rng) if prop.tips else turn
    if rng.random() < 0.25 and prop.kind not in TO_THE_TABLE:
        carriers = table.carriers()
        if carriers and table.put_upon(prop, rotation, carriers[int(rng.integers(len(carriers)))], rng):
            return
    table.put(prop, rotation, centre + rng.normal(0, spread_m, 2))


def _draw_motion(K: Array, rng: Generator) -> dict[str, list[float]]:
    """A trembling hand in some pictures: a turn that moves the picture by a few pixels."""
    still: dict[str, list[float]] = {"turn_rad": [0.0, 0.0, 0.0], "shift_m": [0.0, 0.0, 0.0]}
    blur, way, share = rng.uniform(*BLUR_PX), rng.uniform(0, 2 * np.pi), rng.random()
    if share > MOVING:
        return still
    turn = blur / K[0, 0]
    return still | {
        "turn_rad": [round(float(turn * np.cos(way)), 6), round(float(turn * np.sin(way)), 6), 0.0],
        "shift_m": [round(float(v), 6) for v in rng.normal(0, 3e-4, 3)],
    }
