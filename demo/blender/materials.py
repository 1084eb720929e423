"""Materials of the demo's pictures: one colour, a thing's own colours or texture, planks of wood."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def linear(srgb: ArrayLike) -> Array:
    """Linear values of sRGB ones, both 0..1."""
    srgb = np.asarray(srgb, float)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def rgba(srgb: ArrayLike) -> tuple[float, float, float, float]:
    """A colour for a Blender socket, from sRGB 0..1."""
    red, green, blue = linear(srgb).tolist()
    return red, green, blue, 1.0


def new_material(name: str, roughness: float) -> tuple[bpy.types.Material, bpy.types.Node]:
    """A material and its principled shader."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = 0.4
    return material, shader


def add_node(material: bpy.types.Material, kind: str, **sockets: Any) -> bpy.types.Node:
    """A node of the type ShaderNode<kind>; inputs by name ("Brick_Width"), a value or a socket."""
    node = material.node_tree.nodes.new("ShaderNode" + kind)
    for name, value in sockets.items():
        socket = node.inputs[name.replace("_", " ")]
        if isinstance(value, bpy.types.NodeSocket):
            material.node_tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node


def flat(name: str, srgb: ArrayLike, roughness: float = 0.7) -> bpy.types.Material:
    """One colour."""
    material, shader = new_material(name, roughness)
    shader.inputs["Base Color"].default_value = rgba(srgb)
    return material


def vertex_painted(name: str, roughness: float) -> bpy.types.Material:
    """The colours of the thing's vertices; see `things.add_thing`."""
    material, shader = new_material(name, roughness)
    source = add_node(material, "VertexColor")
    source.layer_name = "paint"
    material.node_tree.links.new(source.outputs["Color"], shader.inputs["Base Color"])
    return material


def printed(name: str, texture: NDArray[np.uint8], roughness: float) -> bpy.types.Material:
    """A texture (H, W, 3), uint8 sRGB, at the thing's own texture coordinates."""
    material, shader = new_material(name, roughness)
    height, width = texture.shape[:2]
    image = bpy.data.images.new(name, width, height)
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = texture[::-1] / 255.0  # Blender stores the lowest row first
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    source = add_node(material, "TexImage")
    source.image = image
    material.node_tree.links.new(source.outputs["Color"], shader.inputs["Base Color"])
    return material


def wood(
    name: str,
    dark: ArrayLike,
    light: ArrayLike,
    scale: float,
    roughness: float = 0.45,
    plank_m: float = 0.12,
    upright: bool = False,
) -> bpy.types.Material:
    """Planks along x with a grain: two stretched noises, and a dark joint every `plank_m`; `upright`: on a wall."""
    material, shader = new_material(name, roughness)
    links = material.node_tree.links
    place = add_node(material, "TexCoord").outputs["Object"]
    if upright:
        place = standing(material, place)
    stretch = add_node(material, "Mapping", Vector=place, Scale=(1.6 * scale, 22.0 * scale, 1.0))
    grain = add_node(
        material, "TexNoise", Vector=stretch.outputs["Vector"], Scale=2.2, Detail=9.0, Distortion=0.9
    )
    ramp = add_node(material, "ValToRGB", Fac=grain.outputs["Fac"])
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.30, 0.72
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = rgba(dark), rgba(light)
    planks = add_node(
        material,
        "TexBrick",
        Vector=place,
        Scale=1.0,
        Brick_Width=1.1,
        Row_Height=plank_m,
        Mortar_Size=0.0012,
        Color1=(1.0, 1.0, 1.0, 1.0),
        Color2=(0.72, 0.72, 0.72, 1.0),
        Mortar=(0.25, 0.25, 0.25, 1.0),
    )
    planks.offset = 0.37
    product = multiply(material, ramp.outputs["Color"], planks.outputs["Color"])
    links.new(product, shader.inputs["Base Color"])
    return material


def multiply(
    material: bpy.types.Material, a: bpy.types.NodeSocket, b: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """The product of two colours."""
    product = material.node_tree.nodes.new("ShaderNodeMix")
    product.data_type, product.blend_type = "RGBA", "MULTIPLY"
    product.inputs["Factor"].default_value = 1.0
    material.node_tree.links.new(a, product.inputs["A"])
    material.node_tree.links.new(b, product.inputs["B"])
    return product.outputs["Result"]


def standing(material: bpy.types.Material, at: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """Coordinates (x + y, z, 0): of any upright plane along x or y."""
    part = add_node(material, "SeparateXYZ", Vector=at)
    along = material.node_tree.nodes.new("ShaderNodeMath")
    material.node_tree.links.new(part.outputs["X"], along.inputs[0])
    material.node_tree.links.new(part.outputs["Y"], along.inputs[1])
    return add_node(material, "CombineXYZ", X=along.outputs[0], Y=part.outputs["Z"]).outputs["Vector"]
