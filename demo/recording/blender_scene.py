"""The scene in Blender: table, room and lights around the items, photographed by Cycles. Needs the `bpy` module."""

from __future__ import annotations

import os
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .layout import Item
from .trajectory import HEIGHT, WIDTH, K, look_at

Array = NDArray[np.float64]
# Blender's cameras look along -z with y up.
OPTICAL_FROM_BLENDER_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
FLOOR_M = -0.74


class Photographer:
    """Builds the scene once and takes pictures of it."""

    def __init__(self, items: list[Item], samples: int = 28, threads: int = 2, scale: float = 1.0) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        _configure(self.scene, samples, threads, scale)
        for item in items:
            _add_item(self.scene, item)
        _add_table(self.scene)
        _add_room(self.scene)
        _add_lights(self.scene)
        self.camera = _add_camera(self.scene)

    def shoot(self, cam_from_world: Array, path: Path) -> None:
        """Render one frame to a PNG; the file appears only when it is complete."""
        self.camera.matrix_world = Matrix(
            (np.linalg.inv(cam_from_world) @ OPTICAL_FROM_BLENDER_CAMERA).tolist()
        )
        unfinished = path.with_name("unfinished-" + path.name)
        self.scene.render.filepath = str(unfinished)
        bpy.ops.render.render(write_still=True)
        os.replace(unfinished, path)


def _configure(scene: bpy.types.Scene, samples: int, threads: int, scale: float) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.max_bounces = 5
    scene.cycles.diffuse_bounces = 3
    scene.cycles.glossy_bounces = 2
    scene.cycles.caustics_reflective = False
    scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.render.use_persistent_data = True
    scene.render.threads_mode = "FIXED"
    scene.render.threads = threads
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = round(100 * scale)
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.exposure = 0.0


def _add_camera(scene: bpy.types.Scene) -> bpy.types.Object:
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = 36.0
    data.lens = fx / WIDTH * 36.0
    data.shift_x = -(cx - (WIDTH - 1) / 2) / WIDTH
    data.shift_y = (cy - (HEIGHT - 1) / 2) / WIDTH * fx / fy
    data.clip_start = 0.01
    scene.render.pixel_aspect_x = fy / fx
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def _linear(srgb: Array) -> Array:
    srgb = np.asarray(srgb, float)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _material(name: str, roughness: float) -> tuple[bpy.types.Material, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = 0.4
    return material, shader


def _add_item(scene: bpy.types.Scene, item: Item) -> None:
    data = bpy.data.meshes.new(item.name)
    data.from_pydata(item.vertices.tolist(), [], item.faces.tolist())
    data.polygons.foreach_set("use_smooth", np.ones(len(item.faces), bool))
    material, shader = _material(item.name, item.roughness)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    if item.texture is not None and item.uv is not None:
        layer = data.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", item.uv[item.faces.ravel()].astype(np.float32).ravel())
        height, width = item.texture.shape[:2]
        image = bpy.data.images.new(item.name, width, height)
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., :3] = item.texture[::-1] / 255.0  # Blender stores the lowest row first
        image.pixels.foreach_set(rgba.ravel())
        image.pack()
        source = nodes.new("ShaderNodeTexImage")
        source.image = image
    elif item.colors is not None:
        colors = np.ones((len(item.vertices), 4), np.float32)
        colors[:, :3] = _linear(item.colors / 255.0)
        data.color_attributes.new("paint", "FLOAT_COLOR", "POINT").data.foreach_set("color", colors.ravel())
        source = nodes.new("ShaderNodeVertexColor")
        source.layer_name = "paint"
    else:
        raise ValueError(f"{item.name} has neither a texture nor vertex colours")
    links.new(source.outputs["Color"], shader.inputs["Base Color"])
    data.materials.append(material)
    data.validate()
    data.normals_split_custom_set_from_vertices(item.normals.tolist())
    thing = bpy.data.objects.new(item.name, data)
    thing.matrix_world = Matrix(item.world_from_obj.tolist())
    scene.collection.objects.link(thing)


def _add_box(
    scene: bpy.types.Scene,
    name: str,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    material: bpy.types.Material,
) -> None:
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    data = bpy.data.meshes.new(name)
    data.from_pydata(corners, [], faces)
    data.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new(name, data))


def _flat(name: str, srgb: tuple[float, float, float], roughness: float = 0.7) -> bpy.types.Material:
    material, shader = _material(name, roughness)
    shader.inputs["Base Color"].default_value = (*_linear(np.array(srgb)), 1.0)
    return material


def _wood(
    name: str, dark: tuple[float, float, float], light: tuple[float, float, float], scale: float
) -> bpy.types.Material:
    """Planks along x with a grain: two stretched noises, and a dark joint every 12 cm."""
    material, shader = _material(name, 0.45)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    stretch = nodes.new("ShaderNodeMapping")
    stretch.inputs["Scale"].default_value = (1.6 * scale, 22.0 * scale, 1.0)
    grain = nodes.new("ShaderNodeTexNoise")
    grain.inputs["Scale"].default_value = 2.2
    grain.inputs["Detail"].default_value = 9.0
    grain.inputs["Distortion"].default_value = 0.9
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.30, 0.72
    ramp.color_ramp.elements[0].color = (*_linear(np.array(dark)), 1.0)
    ramp.color_ramp.elements[1].color = (*_linear(np.array(light)), 1.0)
    planks = nodes.new("ShaderNodeTexBrick")
    planks.offset = 0.37
    for socket, value in {
        "Scale": 1.0,
        "Brick Width": 1.1,
        "Row Height": 0.12,
        "Mortar Size": 0.0012,
    }.items():
        planks.inputs[socket].default_value = value
    planks.inputs["Color1"].default_value = (1.0, 1.0, 1.0, 1.0)
    planks.inputs["Color2"].default_value = (0.72, 0.72, 0.72, 1.0)
    planks.inputs["Mortar"].default_value = (0.25, 0.25, 0.25, 1.0)
    product = nodes.new("ShaderNodeMix")
    product.data_type, product.blend_type = "RGBA", "MULTIPLY"
    product.inputs["Factor"].default_value = 1.0
    links.new(place.outputs["Object"], stretch.inputs["Vector"])
    links.new(stretch.outputs["Vector"], grain.inputs["Vector"])
    links.new(place.outputs["Object"], planks.inputs["Vector"])
    links.new(grain.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], product.inputs["A"])
    links.new(planks.outputs["Color"], product.inputs["B"])
    links.new(product.outputs["Result"], shader.inputs["Base Color"])
    return material


def _add_table(scene: bpy.types.Scene) -> None:
    wood = _wood("table top", (0.44, 0.29, 0.18), (0.74, 0.56, 0.38), 1.0)
    _add_box(scene, "table top", (-0.75, -0.50, -0.035), (0.75, 0.50, 0.0), wood)
    metal = _flat("table leg", (0.20, 0.20, 0.22), 0.4)
    for x in (-0.70, 0.65):
        for y in (-0.45, 0.40):
            _add_box(scene, "table leg", (x, y, FLOOR_M), (x + 0.05, y + 0.05, -0.035), metal)


def _add_room(scene: bpy.types.Scene) -> None:
    """Floor, four walls, and things on and along them that a camera sees beyond the table."""
    top = 1.9
    _add_box(
        scene,
        "floor",
        (-2.3, -2.1, FLOOR_M - 0.05),
        (2.3, 2.1, FLOOR_M),
        _wood("floor", (0.30, 0.24, 0.2), (0.5, 0.42, 0.36), 0.7),
    )
    rug = _flat("rug", (0.36, 0.42, 0.50), 0.95)
    _add_box(scene, "rug", (-1.3, -1.0, FLOOR_M), (1.3, 1.2, FLOOR_M + 0.01), rug)
    walls = {
        "north": ((-2.3, 2.1, FLOOR_M), (2.3, 2.15, top), (0.80, 0.80, 0.76)),
        "south": ((-2.3, -2.15, FLOOR_M), (2.3, -2.1, top), (0.62, 0.68, 0.70)),
        "east": ((2.3, -2.1, FLOOR_M), (2.35, 2.1, top), (0.82, 0.77, 0.68)),
        "west": ((-2.35, -2.1, FLOOR_M), (-2.3, 2.1, top), (0.78, 0.80, 0.82)),
    }
    for name, (low, high, color) in walls.items():
        _add_box(scene, name, low, high, _flat(name, color, 0.9))
    rng = np.random.default_rng(4)
    shelf = _flat("shelf", (0.40, 0.30, 0.22))
    for level in range(4):
        z = -0.55 + 0.42 * level
        _add_box(scene, "shelf", (-1.2, 1.80, z), (0.9, 2.09, z + 0.025), shelf)
        x = -1.18
        while x < 0.80:
            width, height = rng.uniform(0.025, 0.07), rng.uniform(0.18, 0.33)
            if rng.random() < 0.82:
                color = _flat(
                    "spine", tuple(0.5 * rng.uniform(0.12, 0.82, 3) + 0.5 * rng.uniform(0.15, 0.75))
                )
                _add_box(scene, "spine", (x, 1.86, z + 0.025), (x + width, 2.07, z + 0.025 + height), color)
            x += width + 0.004
    _add_box(
        scene, "cupboard", (1.55, -1.5, FLOOR_M), (2.25, -0.2, 0.2), _flat("cupboard", (0.86, 0.84, 0.80))
    )
    _add_box(scene, "drawer", (1.53, -1.42, -0.45), (1.55, -0.28, -0.05), _flat("drawer", (0.66, 0.72, 0.70)))
    _add_box(
        scene, "sofa", (-1.7, -2.05, FLOOR_M), (0.4, -1.35, -0.32), _flat("sofa", (0.30, 0.36, 0.34), 0.95)
    )
    _add_box(
        scene, "sofa back", (-1.7, -2.08, -0.32), (0.4, -1.85, 0.1), _flat("sofa", (0.27, 0.33, 0.31), 0.95)
    )
    for x, color in ((-1.2, (0.78, 0.52, 0.30)), (-0.1, (0.70, 0.70, 0.64))):
        _add_box(scene, "cushion", (x, -1.86, -0.32), (x + 0.4, -1.70, 0.05), _flat("cushion", color, 0.95))
    for y, z, color in (
        (-0.9, 0.5, (0.75, 0.36, 0.26)),
        (0.1, 0.55, (0.24, 0.40, 0.56)),
        (0.85, 0.45, (0.82, 0.72, 0.42)),
    ):
        _add_box(
            scene,
            "frame",
            (-2.30, y - 0.27, z - 0.35),
            (-2.28, y + 0.27, z + 0.35),
            _flat("frame", (0.15, 0.13, 0.12)),
        )
        _add_box(
            scene,
            "picture",
            (-2.28, y - 0.23, z - 0.31),
            (-2.27, y + 0.23, z + 0.31),
            _flat("picture", color),
        )
        _add_box(
            scene,
            "picture",
            (-2.27, y - 0.10, z - 0.2),
            (-2.265, y + 0.15, z + 0.05),
            _flat("picture", (0.92, 0.88, 0.8)),
        )


def _add_lights(scene: bpy.types.Scene) -> None:
    def area(
        name: str,
        at: tuple[float, float, float],
        size: float,
        power: float,
        color: tuple[float, float, float],
    ) -> None:
        data = bpy.data.lights.new(name, "AREA")
        data.size, data.energy, data.color = size, power, color
        light = bpy.data.objects.new(name, data)
        facing = np.linalg.inv(look_at(np.array(at), np.zeros(3), 0.0)) @ OPTICAL_FROM_BLENDER_CAMERA
        light.matrix_world = Matrix(facing.tolist())
        scene.collection.objects.link(light)

    area("window", (1.5, -0.9, 1.5), 0.6, 62.0, (0.94, 0.97, 1.0))
    area("ceiling", (-0.5, 0.7, 1.8), 1.4, 20.0, (1.0, 0.98, 0.94))
    lamp = bpy.data.lights.new("lamp", "POINT")
    lamp.energy, lamp.color, lamp.shadow_soft_size = 7.0, (1.0, 0.72, 0.45), 0.06
    bulb = bpy.data.objects.new("lamp", lamp)
    bulb.location = (-0.95, 0.75, 0.75)
    scene.collection.objects.link(bulb)

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
