"""What lies where: the demo's objects and the clutter on a table top.

World frame: metres, z up, the table top is z = 0, the scene's middle is the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
import yaml
from numpy.typing import NDArray
from objects.source.surface import Color, RoundedBox, Surface, join, lathe

Array = NDArray[np.float64]
SIDES = ("front", "back", "left", "right", "top", "bottom")


@dataclass(frozen=True)
class Item:
    """One thing on the table.

    name: class_id of an object of ours, or any name for clutter; world_from_obj (4, 4); vertices (V, 3),
    normals (V, 3), faces (F, 3) in the item's frame; uv (V, 2) and texture (H, W, 3) uint8, or colors (V, 3)
    uint8 sRGB; detectable: an object of ours.
    """

    name: str
    world_from_obj: Array
    vertices: Array
    normals: Array
    faces: NDArray[np.int64]
    uv: Array | None
    texture: NDArray[np.uint8] | None
    colors: NDArray[np.uint8] | None
    roughness: float
    detectable: bool

    @property
    def extents(self) -> Array:
        """Size of the bounding box in the item's frame, (3,) metres."""
        return np.ptp(self.vertices, axis=0)


# (class_id, x, y, yaw in degrees); all of them stand on their underside.
OBJECT_PLACES = [
    ("tea_box", -0.135, 0.035, 28.0),
    ("bracket", 0.005, -0.145, 205.0),
    ("toolbox", 0.125, 0.015, -38.0),
    ("flask", -0.005, 0.125, 0.0),
]
ROUGHNESS = {"tea_box": 0.5, "bracket": 0.38, "toolbox": 0.42, "flask": 0.4}


def load_scene(objects_folder: Path) -> list[Item]:
    """The objects of `objects_folder`/objects.yaml in their places, then the clutter.

    Raises KeyError if objects.yaml lacks an object that has a place.
    """
    listed = yaml.safe_load((objects_folder / "objects.yaml").read_text(encoding="utf-8"))["objects"]
    files = {entry["class_id"]: objects_folder / entry["mesh"] for entry in listed}
    items = [_load_object(class_id, files[class_id], x, y, yaw) for class_id, x, y, yaw in OBJECT_PLACES]
    return items + clutter()


def pose(x: float, y: float, z: float, yaw_deg: float) -> Array:
    """world_from_obj (4, 4) of something upright."""
    c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1]])


def _load_object(class_id: str, path: Path, x: float, y: float, yaw_deg: float) -> Item:
    mesh = trimesh.load(path, force="mesh", process=False)
    uv = texture = colors = None
    if mesh.visual.kind == "texture":
        uv = np.asarray(mesh.visual.uv, float)
        texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    else:
        colors = np.asarray(mesh.visual.vertex_colors)[:, :3]
    vertices = np.asarray(mesh.vertices, float)
    world_from_obj = pose(x, y, -vertices[:, 2].min(), yaw_deg)
    normals = np.asarray(mesh.vertex_normals, float)
    faces = np.asarray(mesh.faces, np.int64)
    return Item(
        class_id, world_from_obj, vertices, normals, faces, uv, texture, colors, ROUGHNESS[class_id], True
    )


def clutter() -> list[Item]:
    """Things that are none of the objects, and hide parts of them."""
    return [
        _clutter("mug", _mug((226, 222, 210), (40, 70, 60)), 0.145, -0.150, 60, 0.35),
        _clutter(
            "lower book", _book((0.21, 0.145, 0.028), (38, 62, 84), (222, 190, 120)), -0.215, -0.155, 18, 0.6
        ),
        _clutter(
            "upper book",
            _book((0.18, 0.12, 0.022), (150, 66, 44), (236, 226, 200)),
            -0.222,
            -0.150,
            34,
            0.6,
            0.028,
        ),
        _clutter("can", _can(), -0.012, 0.022, 0, 0.3),
        _clutter("block", _plain((0.045, 0.045, 0.045), (214, 160, 60)), -0.085, -0.075, 15, 0.55),
        _clutter(
            "small block", _plain((0.036, 0.036, 0.036), (70, 130, 80)), -0.078, -0.078, 50, 0.55, 0.045
        ),
        _clutter("apple", _apple(), 0.075, 0.150, 0, 0.35),
        _clutter("carton", _carton(), -0.085, 0.205, -25, 0.55),
    ]


def _clutter(
    name: str, surface: Surface, x: float, y: float, yaw: float, roughness: float, z: float = 0.0
) -> Item:
    world_from_obj = pose(x, y, z - surface.vertices[:, 2].min(), yaw)
    return Item(
        name,
        world_from_obj,
        surface.vertices,
        surface.normals,
        surface.faces,
        None,
        None,
        surface.colors,
        roughness,
        False,
    )


def _painted(surface: Surface, color: Color) -> Surface:
    surface.colors = np.tile(np.array(color, np.uint8), (len(surface.vertices), 1))
    return surface


def _plain(size: tuple[float, float, float], color: Color, radius: float = 0.002) -> Surface:
    box = RoundedBox(size, radius, cells=1)
    return join([_painted(box.side(side)[0], color) for side in SIDES])


def _book(size: tuple[float, float, float], cover: Color, print_color: Color) -> Surface:
    x, y, z = size
    return join(
        [
            _plain((x, y, 0.003), cover, 0.001).moved((0, 0, z / 2 - 0.0015)),
            _plain((x, y, 0.003), cover, 0.001).moved((0, 0, 0.0015 - z / 2)),
            _plain((0.004, y, z), cover, 0.001).moved((0.002 - x / 2, 0, 0)),
            _plain((x - 0.008, y - 0.008, z - 0.006), (238, 230, 208), 0.0005).moved((0.002, 0, 0)),
            _plain((0.5 * x, 0.012, 0.0006), print_color, 0.0002).moved((0.01, 0.25 * y, z / 2)),
            _plain((0.3 * x, 0.008, 0.0006), print_color, 0.0002).moved((0.01, 0.10 * y, z / 2)),
            _plain((0.22 * x, 0.25 * y, 0.0006), print_color, 0.0002).moved((0.01, -0.2 * y, z / 2)),
        ]
    )


def _carton() -> Surface:
    return join(
        [
            _plain((0.085, 0.060, 0.150), (236, 232, 222)),
            _plain((0.0856, 0.0606, 0.050), (96, 60, 120)).moved((0, 0, -0.03)),
            _plain((0.0859, 0.0609, 0.012), (236, 170, 50)).moved((0, 0, 0.03)),
        ]
    )


def _mug(outside: Color, inside: Color) -> Surface:
    cup: list[tuple[float, float, Color]] = [
        (0.0, 0.0, outside),
        (0.034, 0.0, outside),
        (0.040, 0.006, outside),
    ]
    cup += [(0.040, 0.060, outside), (0.040, 0.070, inside), (0.040, 0.088, outside)]
    cup += [(0.0365, 0.088, outside), (0.0365, 0.036, inside), (0.0, 0.034, inside)]
    around, along = np.meshgrid(
        np.linspace(0, 2 * np.pi, 13), np.linspace(-np.pi / 2, np.pi / 2, 17), indexing="ij"
    )
    ring = np.stack([np.cos(along), np.zeros_like(along), np.sin(along)], axis=-1)
    out = ring * np.cos(around)[..., None] + np.array([0.0, 1.0, 0.0]) * np.sin(around)[..., None]
    vertices = np.array([0.037, 0, 0.046]) + ring * np.array([0.028, 0, 0.027]) + 0.005 * out
    index = np.arange(13 * 17).reshape(13, 17)
    a, b, c, d = (
        index[:-1, :-1].ravel(),
        index[1:, :-1].ravel(),
        index[1:, 1:].ravel(),
        index[:-1, 1:].ravel(),
    )
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    handle = _painted(Surface(vertices.reshape(-1, 3), out.reshape(-1, 3), faces), outside)
    return join([lathe(cup, 48), handle])


def _can() -> Surface:
    tin, label, stripe = (176, 178, 182), (40, 110, 60), (236, 220, 150)
    profile: list[tuple[float, float, Color]] = [
        (0.0, 0.0, tin),
        (0.032, 0.0, tin),
        (0.034, 0.003, tin),
        (0.034, 0.012, tin),
    ]
    profile += [(0.034, 0.040, label), (0.034, 0.066, stripe), (0.034, 0.094, label), (0.034, 0.106, tin)]
    profile += [(0.032, 0.109, tin), (0.030, 0.106, tin), (0.0, 0.106, tin)]
    return lathe(profile, 48)


def _apple() -> Surface:
    green: Color = (140, 172, 48)
    profile: list[tuple[float, float, Color]] = []
    for t in np.linspace(-np.pi / 2, np.pi / 2, 20):
        radius = 0.036 * math.cos(t) * (1 + 0.12 * math.sin(t)) + (0.006 if abs(t) < 1.5 else 0.0)
        profile.append((max(radius, 0.0) if abs(t) < 1.5 else 0.0, 0.034 + 0.034 * math.sin(t), green))
    stem: list[tuple[float, float, Color]] = [(0.0015, 0.064, (80, 60, 40)), (0.0015, 0.082, (80, 60, 40))]
    return join([lathe(profile, 40), lathe([*stem, (0.0, 0.0825, (80, 60, 40))], 10)])
