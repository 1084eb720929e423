"""Meshes in Blender: anything with triangles and colours, and plain boxes."""

from __future__ import annotations

from typing import Protocol

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .materials import linear

Array = NDArray[np.float64]


class Shape(Protocol):
    """vertices (V, 3) and normals (V, 3) in the thing's frame, metres; faces (F, 3); then uv (V, 2), v up, with a
    texture (H, W, 3) uint8, or colors (V, 3) uint8 sRGB."""

    vertices: Array
    normals: Array
    faces: NDArray[np.int64]
    uv: Array | None
    texture: NDArray[np.uint8] | None
    colors: NDArray[np.uint8] | None


def add_thing(
    scene: bpy.types.Scene, name: str, shape: Shape, world_from_thing: Array, material: bpy.types.Material
) -> bpy.types.Object:
    """A mesh at a pose (4, 4), with smooth shading by its own normals."""
    data = bpy.data.meshes.new(name)
    data.from_pydata(shape.vertices.tolist(), [], shape.faces.tolist())
    data.polygons.foreach_set("use_smooth", np.ones(len(shape.faces), bool))
    if shape.uv is not None:
        layer = data.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", shape.uv[shape.faces.ravel()].astype(np.float32).ravel())
    if shape.colors is not None:
        colors = np.ones((len(shape.vertices), 4), np.float32)
        colors[:, :3] = linear(shape.colors / 255.0)
        data.color_attributes.new("paint", "FLOAT_COLOR", "POINT").data.foreach_set("color", colors.ravel())
    data.materials.append(material)
    data.validate()
    data.normals_split_custom_set_from_vertices(shape.normals.tolist())
    thing = bpy.data.objects.new(name, data)
    thing.matrix_world = Matrix(np.asarray(world_from_thing).tolist())
    scene.collection.objects.link(thing)
    return thing


def add_box(
    scene: bpy.types.Scene,
    name: str,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    material: bpy.types.Material,
) -> None:
    """An axis-parallel box between two corners, metres."""
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    data = bpy.data.meshes.new(name)
    data.from_pydata(corners, [], faces)
    data.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new(name, data))
