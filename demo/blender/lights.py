"""Lamps, the sun and the sky in Blender."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import ArrayLike

from .materials import rgba


def add_area_light(
    scene: bpy.types.Scene,
    name: str,
    at: ArrayLike,
    towards: ArrayLike,
    size: tuple[float, float],
    power_w: float,
    color: ArrayLike,
) -> bpy.types.Object:
    """A rectangle of `size` (width, height) metres at a point that shines towards another; linear RGB colour."""
    data = bpy.data.lights.new(name, "AREA")
    data.shape, data.size, data.size_y = "RECTANGLE", size[0], size[1]
    data.energy, data.color = power_w, np.asarray(color, float).tolist()
    return _place(scene, name, data, at, towards)


def add_point_light(
    scene: bpy.types.Scene, name: str, at: ArrayLike, radius: float, power_w: float, color: ArrayLike
) -> bpy.types.Object:
    """A glowing ball, metres and watts."""
    data = bpy.data.lights.new(name, "POINT")
    data.energy, data.color, data.shadow_soft_size = power_w, np.asarray(color, float).tolist(), radius
    lamp = bpy.data.objects.new(name, data)
    lamp.location = np.asarray(at, float).tolist()
    scene.collection.objects.link(lamp)
    return lamp


def add_sun(
    scene: bpy.types.Scene, direction: ArrayLike, irradiance: float, color: ArrayLike, angle_deg: float
) -> None:
    """The sun, seen in a direction (3,); the larger its disc, the softer the shadows. Irradiance in W/m2."""
    data = bpy.data.lights.new("sun", "SUN")
    data.energy, data.color, data.angle = (
        irradiance,
        np.asarray(color, float).tolist(),
        math.radians(angle_deg),
    )
    _place(scene, "sun", data, direction, (0.0, 0.0, 0.0))


def add_sky(scene: bpy.types.Scene, sky: dict[str, Any]) -> None:
    """What is beyond all things.

    {"kind": "gradient", below, above, strength}, or {"kind": "nishita", azimuth, elevation, dust, strength}: a clear
    sky with its sun. Colours are sRGB, angles radians.

    Raises:
        ValueError: there is no such kind.
    """
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    if sky["kind"] == "gradient":
        place, split = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ")
        source = nodes.new("ShaderNodeValToRGB")
        source.color_ramp.elements[0].color = rgba(sky["below"])
        source.color_ramp.elements[1].color = rgba(sky["above"])
        links.new(place.outputs["Generated"], split.inputs["Vector"])
        links.new(split.outputs["Z"], source.inputs["Fac"])
    elif sky["kind"] == "nishita":
        source = nodes.new("ShaderNodeTexSky")
        source.sky_type = "NISHITA"
        source.sun_elevation = sky["elevation"]
        source.sun_rotation = math.pi / 2 - sky["azimuth"]  # Blender's counts from +y, clockwise
        source.sun_size, source.dust_density = math.radians(1.6), sky["dust"]
    else:
        raise ValueError(f"a light of the kind {sky['kind']!r} is not known")
    links.new(source.outputs["Color"], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = sky["strength"]
    # a map of where the light comes from takes seconds at its usual size, and these skies are smooth
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 256
    scene.world = world


def _place(
    scene: bpy.types.Scene, name: str, data: bpy.types.Light, at: ArrayLike, towards: ArrayLike
) -> bpy.types.Object:
    """Blender's lights shine along their -z."""
    light = bpy.data.objects.new(name, data)
    way = Vector((np.asarray(towards, float) - np.asarray(at, float)).tolist())
    light.location = np.asarray(at, float).tolist()
    light.rotation_mode = "QUATERNION"
    light.rotation_quaternion = way.to_track_quat("-Z", "Y")
    scene.collection.objects.link(light)
    return light
