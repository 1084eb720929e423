"""The scene in Blender: table, room and lights around the items, photographed by Cycles. Needs the `bpy` module."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from blender.camera import add_camera, blender_pose
from blender.engine import empty_scene, render_to
from blender.lights import add_area_light, add_point_light
from blender.materials import flat, printed, vertex_painted, wood
from blender.things import add_box, add_thing
from numpy.typing import NDArray

from .layout import Item
from .trajectory import HEIGHT, WIDTH, K

Array = NDArray[np.float64]
FLOOR_M = -0.74


class Photographer:
    """Builds the scene once and takes pictures of it."""

    def __init__(self, items: list[Item], samples: int = 28, threads: int = 2, scale: float = 1.0) -> None:
        self.scene = empty_scene((HEIGHT, WIDTH), samples, threads)
        self.scene.render.resolution_percentage = round(100 * scale)
        for item in items:
            _add_item(self.scene, item)
        _add_table(self.scene)
        _add_room(self.scene)
        _add_lights(self.scene)
        self.camera = add_camera(self.scene, K, (HEIGHT, WIDTH))

    def shoot(self, cam_from_world: Array, path: Path) -> None:
        """Render one frame to a PNG; the file appears only when it is complete."""
        self.camera.matrix_world = blender_pose(cam_from_world)
        render_to(self.scene, path)


def _add_item(scene: bpy.types.Scene, item: Item) -> None:
    if item.texture is not None and item.uv is not None:
        material = printed(item.name, item.texture, item.roughness)
    elif item.colors is not None:
        material = vertex_painted(item.name, item.roughness)
    else:
        raise ValueError(f"{item.name} has neither a texture nor vertex colours")
    add_thing(scene, item.name, item, item.world_from_obj, material)


def _add_table(scene: bpy.types.Scene) -> None:
    planks = wood("table top", (0.44, 0.29, 0.18), (0.74, 0.56, 0.38), 1.0)
    add_box(scene, "table top", (-0.75, -0.50, -0.035), (0.75, 0.50, 0.0), planks)
    metal = flat("table leg", (0.20, 0.20, 0.22), 0.4)
    for x in (-0.70, 0.65):
        for y in (-0.45, 0.40):
            add_box(scene, "table leg", (x, y, FLOOR_M), (x + 0.05, y + 0.05, -0.035), metal)


def _add_room(scene: bpy.types.Scene) -> None:
    """Floor, four walls, and things on and along them that a camera sees beyond the table."""
    top = 1.9
    add_box(
        scene,
        "floor",
        (-2.3, -2.1, FLOOR_M - 0.05),
        (2.3, 2.1, FLOOR_M),
        wood("floor", (0.30, 0.24, 0.2), (0.5, 0.42, 0.36), 0.7),
    )
    rug = flat("rug", (0.36, 0.42, 0.50), 0.95)
    add_box(scene, "rug", (-1.3, -1.0, FLOOR_M), (1.3, 1.2, FLOOR_M + 0.01), rug)
    walls = {
        "north": ((-2.3, 2.1, FLOOR_M), (2.3, 2.15, top), (0.80, 0.80, 0.76)),
        "south": ((-2.3, -2.15, FLOOR_M), (2.3, -2.1, top), (0.62, 0.68, 0.70)),
        "east": ((2.3, -2.1, FLOOR_M), (2.35, 2.1, top), (0.82, 0.77, 0.68)),
        "west": ((-2.35, -2.1, FLOOR_M), (-2.3, 2.1, top), (0.78, 0.80, 0.82)),
    }
    for name, (low, high, color) in walls.items():
        add_box(scene, name, low, high, flat(name, color, 0.9))
    rng = np.random.default_rng(4)
    shelf = flat("shelf", (0.40, 0.30, 0.22))
    for level in range(4):
        z = -0.55 + 0.42 * level
        add_box(scene, "shelf", (-1.2, 1.80, z), (0.9, 2.09, z + 0.025), shelf)
        x = -1.18
        while x < 0.80:
            width, height = rng.uniform(0.025, 0.07), rng.uniform(0.18, 0.33)
            if rng.random() < 0.82:
                color = flat("spine", tuple(0.5 * rng.uniform(0.12, 0.82, 3) + 0.5 * rng.uniform(0.15, 0.75)))
                add_box(scene, "spine", (x, 1.86, z + 0.025), (x + width, 2.07, z + 0.025 + height), color)
            x += width + 0.004
    add_box(scene, "cupboard", (1.55, -1.5, FLOOR_M), (2.25, -0.2, 0.2), flat("cupboard", (0.86, 0.84, 0.80)))
    add_box(scene, "drawer", (1.53, -1.42, -0.45), (1.55, -0.28, -0.05), flat("drawer", (0.66, 0.72, 0.70)))
    add_box(
        scene, "sofa", (-1.7, -2.05, FLOOR_M), (0.4, -1.35, -0.32), flat("sofa", (0.30, 0.36, 0.34), 0.95)
    )
    add_box(
        scene, "sofa back", (-1.7, -2.08, -0.32), (0.4, -1.85, 0.1), flat("sofa", (0.27, 0.33, 0.31), 0.95)
    )
    for x, color in ((-1.2, (0.78, 0.52, 0.30)), (-0.1, (0.70, 0.70, 0.64))):
        add_box(scene, "cushion", (x, -1.86, -0.32), (x + 0.4, -1.70, 0.05), flat("cushion", color, 0.95))
    for y, z, color in (
        (-0.9, 0.5, (0.75, 0.36, 0.26)),
        (0.1, 0.55, (0.24, 0.40, 0.56)),
        (0.85, 0.45, (0.82, 0.72, 0.42)),
    ):
        add_box(
            scene,
            "frame",
            (-2.30, y - 0.27, z - 0.35),
            (-2.28, y + 0.27, z + 0.35),
            flat("frame", (0.15, 0.13, 0.12)),
        )
        add_box(
            scene,
            "picture",
            (-2.28, y - 0.23, z - 0.31),
            (-2.27, y + 0.23, z + 0.31),
            flat("picture", color),
        )
        add_box(
            scene,
            "picture",
            (-2.27, y - 0.10, z - 0.2),
            (-2.265, y + 0.15, z + 0.05),
            flat("picture", (0.92, 0.88, 0.8)),
        )


def _add_lights(scene: bpy.types.Scene) -> None:
    middle = (0.0, 0.0, 0.0)
    add_area_light(scene, "window", (1.5, -0.9, 1.5), middle, (0.6, 0.6), 62.0, (0.94, 0.97, 1.0))
    add_area_light(scene, "ceiling", (-0.5, 0.7, 1.8), middle, (1.4, 1.4), 20.0, (1.0, 0.98, 0.94))
    add_point_light(scene, "lamp", (-0.95, 0.75, 0.75), 0.06, 7.0, (1.0, 0.72, 0.45))

    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    place, split = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ")
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].color = (0.50, 0.46, 0.42, 1.0)
    ramp.color_ramp.elements[1].color = (0.80, 0.88, 1.0, 1.0)
    links.new(place.outputs["Generated"], split.inputs["Vector"])
    links.new(split.outputs["Z"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = 0.30
    scene.world = world
