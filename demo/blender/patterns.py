"""Materials by name, for described pictures: patterns of colour and relief, made of Blender's procedural textures.

A description's material is {"kind": ..., "roughness": ...} with the kind's own keys, and may have coat, metallic and
bump_m. Lengths are metres, colours sRGB. Patterns are laid over a thing's own coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import bpy
from numpy.typing import NDArray

from .materials import add_node, flat, multiply, new_material, printed, rgba, standing, vertex_painted, wood

Socket = bpy.types.NodeSocket
Spec = dict[str, Any]


class Pattern(NamedTuple):
    """Sockets of colour and of height, and what the height's 1 stands for in metres."""

    color: Socket
    height: Socket | None = None
    relief_m: float = 0.0


def described_material(name: str, spec: Spec, texture: NDArray[Any] | None) -> bpy.types.Material:
    """The material of a description.

    Raises:
        ValueError: there is no such kind.
    """
    kind, roughness = spec["kind"], spec.get("roughness", 0.6)
    if kind == "flat":
        material = flat(name, spec["color"], roughness)
    elif kind == "paint":
        material = vertex_painted(name, roughness)
    elif kind == "print" and texture is not None:
        material = printed(name, texture, roughness)
    elif kind == "glow":
        material = _glowing(name, spec)
    elif kind == "planks":
        material = wood(
            name,
            spec["dark"],
            spec["light"],
            spec["scale"],
            roughness,
            spec["plank_m"],
            upright=spec.get("upright", False),
        )
    elif kind in PATTERNS:
        material = _patterned(name, spec, roughness)
    else:
        raise ValueError(f"{name}: a material of the kind {kind!r} is not known, or lacks its texture")
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Metallic"].default_value = spec.get("metallic", 0.0)
    shader.inputs["Coat Weight"].default_value = spec.get("coat", 0.0)
    shader.inputs["Coat Roughness"].default_value = 0.06
    if "bump_m" in spec:
        grain = add_node(material, "TexNoise", Vector=_place(material, {}), Scale=900.0, Detail=2.0)
        _raise(material, grain.outputs["Fac"], spec["bump_m"])
    return material


def _patterned(name: str, spec: Spec, roughness: float) -> bpy.types.Material:
    material, shader = new_material(name, roughness)
    pattern = PATTERNS[spec["kind"]](material, _place(material, spec), spec)
    links = material.node_tree.links
    links.new(pattern.color, shader.inputs["Base Color"])
    if pattern.height is not None:
        _raise(material, pattern.height, pattern.relief_m)
    if roughness < 0.5:  # fingers and cloths leave traces on what shines
        smear = add_node(material, "TexNoise", Vector=_place(material, spec), Scale=9.0, Detail=4.0)
        spread = add_node(
            material,
            "MapRange",
            Value=smear.outputs["Fac"],
            To_Min=0.6 * roughness,
            To_Max=1.5 * roughness + 0.04,
        )
        links.new(spread.outputs["Result"], shader.inputs["Roughness"])
    return material


def _glowing(name: str, spec: Spec) -> bpy.types.Material:
    material, shader = new_material(name, 0.5)
    shader.inputs["Emission Color"].default_value = rgba(spec["color"])
    shader.inputs["Emission Strength"].default_value = spec["strength"]
    return material


def _place(material: bpy.types.Material, spec: Spec) -> Socket:
    """The thing's own coordinates; "upright": those of a wall along x or y, its height in place of y."""
    at = add_node(material, "TexCoord").outputs["Object"]
    return standing(material, at) if spec.get("upright") else at


def _raise(material: bpy.types.Material, height: Socket, relief_m: float) -> None:
    """Relief in the shading; the surface stays where it is, so that silhouettes and depth do not change."""
    bump = add_node(material, "Bump", Strength=1.0, Distance=relief_m, Height=height)
    shader = material.node_tree.nodes["Principled BSDF"]
    material.node_tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def _ramp(material: bpy.types.Material, value: Socket, *stops: tuple[float, Any]) -> Socket:
    """Colours (sRGB) at positions of a value, straight between them."""
    node = add_node(material, "ValToRGB", Fac=value)
    elements = node.color_ramp.elements
    while len(elements) < len(stops):
        elements.new(0.5)
    for element, (position, color) in zip(elements, stops):
        element.position, element.color = position, rgba(color)
    return node.outputs["Color"]


def _mottle(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Two colours in soft patches, with a fine grain."""
    noise = add_node(material, "TexNoise", Vector=at, Scale=spec["scale"], Detail=6.0, Roughness=0.6)
    color = _ramp(material, noise.outputs["Fac"], (0.35, spec["a"]), (0.65, spec["b"]))
    grain = add_node(material, "TexNoise", Vector=at, Scale=40 * spec["scale"], Detail=2.0)
    return Pattern(color, grain.outputs["Fac"], 0.02 / (40 * spec["scale"]))


def _granite(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Grains of two colours and bright flecks."""
    grains = add_node(material, "TexNoise", Vector=at, Scale=spec["scale"], Detail=8.0, Roughness=0.75)
    base = _ramp(
        material,
        grains.outputs["Fac"],
        (0.42, spec["a"]),
        (0.52, spec["b"]),
        (0.62, spec["b"]),
        (0.66, spec["fleck"]),
    )
    return Pattern(base)


def _marble(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """A pale stone with thin veins along the zero lines of a noise."""
    noise = add_node(
        material, "TexNoise", Vector=at, Scale=spec["scale"], Detail=9.0, Roughness=0.62, Distortion=1.1
    )
    b, a = spec["b"], spec["a"]
    soft = [0.5 * (u + v) for u, v in zip(a, b)]
    half = [0.8 * u + 0.2 * v for u, v in zip(a, b)]
    stops = ((0.40, a), (0.47, half), (0.495, soft), (0.5, b), (0.505, soft), (0.54, half), (0.66, a))
    return Pattern(_ramp(material, noise.outputs["Fac"], *stops))


def _veneer(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Wood without joints, its grain along x: growth rings that wander, broad shades, fine pores."""
    stretch = add_node(material, "Mapping", Vector=at, Scale=(0.10, 1.0, 1.0))
    rings = add_node(
        material,
        "TexWave",
        Vector=stretch.outputs["Vector"],
        Scale=2.5 * spec["scale"],
        Distortion=14.0,
        Detail=4.0,
        Detail_Scale=1.6,
        Detail_Roughness=0.65,
    )
    rings.bands_direction, rings.wave_profile = "Y", "SAW"
    fibre = add_node(material, "Mapping", Vector=at, Scale=(12.0, 900.0, 900.0))
    pores = add_node(material, "TexNoise", Vector=fibre.outputs["Vector"], Scale=1.0, Detail=2.0)
    shades = add_node(material, "TexNoise", Vector=stretch.outputs["Vector"], Scale=4.0, Detail=3.0)
    color = _ramp(
        material, rings.outputs["Fac"], (0.0, spec["light"]), (0.6, spec["light"]), (1.0, spec["dark"])
    )
    fine = _ramp(material, pores.outputs["Fac"], (0.33, (0.84, 0.83, 0.82)), (0.55, (1.0, 1.0, 1.0)))
    broad = _ramp(material, shades.outputs["Fac"], (0.3, (0.84, 0.82, 0.80)), (0.7, (1.0, 1.0, 1.0)))
    return Pattern(multiply(material, multiply(material, color, fine), broad), pores.outputs["Fac"], 4e-5)


def _cloth(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Gingham: stripes of `b` on `a` both ways, half of each where one crosses; threads in the relief."""
    a, b = spec["a"], spec["b"]
    links = material.node_tree.links
    total = material.node_tree.nodes.new("ShaderNodeMath")
    threads = []
    for i, axis in enumerate("XY"):
        # a wave's period is pi / 10 of a unit at scale 1
        wave = add_node(material, "TexWave", Vector=at, Scale=math.pi / (20 * spec["cell_m"]), Distortion=0.0)
        wave.bands_direction = axis
        stripe = _ramp(material, wave.outputs["Fac"], (0.47, (0, 0, 0)), (0.53, (0.7354, 0.7354, 0.7354)))
        links.new(stripe, total.inputs[i])  # 0.7354 is a half in linear light
        thread = add_node(material, "TexWave", Vector=at, Scale=130.0, Distortion=1.5, Detail=1.0)
        thread.bands_direction = axis
        threads.append(thread.outputs["Color"])
    mixed = [0.5 * (u + v) for u, v in zip(a, b)]
    color = _ramp(material, total.outputs[0], (0.0, a), (0.5, mixed), (1.0, b))
    return Pattern(color, multiply(material, *threads), 2.5e-4)


def _checker(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """A mat with thin lines every `cell_m`, and a faint check."""
    check = add_node(
        material,
        "TexChecker",
        Vector=at,
        Scale=1 / spec["cell_m"],
        Color1=rgba(spec["a"]),
        Color2=rgba(spec["b"]),
    )
    lines = add_node(
        material,
        "TexBrick",
        Vector=at,
        Scale=1.0,
        Brick_Width=spec["cell_m"],
        Row_Height=spec["cell_m"],
        Mortar_Size=0.0007,
        Mortar_Smooth=0.3,
        Color1=(0, 0, 0, 1),
        Color2=(0, 0, 0, 1),
        Mortar=(1, 1, 1, 1),
    )
    lines.offset = 0.0
    line = add_node(material, "RGB")
    line.outputs[0].default_value = rgba(spec["line"])
    mix = material.node_tree.nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    links = material.node_tree.links
    links.new(lines.outputs["Color"], mix.inputs["Factor"])
    links.new(check.outputs["Color"], mix.inputs["A"])
    links.new(line.outputs[0], mix.inputs["B"])
    return Pattern(mix.outputs["Result"])


def _tiles(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Tiles or bricks with joints; "uneven": how much they differ from each other."""
    uneven = spec.get("uneven", 0.06)
    other = [c * (1 - uneven) for c in spec["color"]]
    noise = add_node(material, "TexNoise", Vector=at, Scale=25.0, Detail=5.0)
    tiles = add_node(
        material,
        "TexBrick",
        Vector=at,
        Scale=1.0,
        Brick_Width=spec["width_m"],
        Row_Height=spec["height_m"],
        Mortar_Size=0.002 if spec["height_m"] > 0.08 else 0.005,
        Color1=rgba(spec["color"]),
        Color2=rgba(other),
        Mortar=rgba(spec["grout"]),
    )
    if spec["width_m"] == spec["height_m"]:
        tiles.offset = 0.0
    patches = _ramp(material, noise.outputs["Fac"], (0.3, [1 - uneven] * 3), (0.7, (1, 1, 1)))
    flush = _ramp(material, tiles.outputs["Fac"], (0.0, (1, 1, 1)), (1.0, (0, 0, 0)))
    return Pattern(multiply(material, tiles.outputs["Color"], patches), flush, 1.5e-3)


def _grass(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Blades or tufts, too small to be told apart, in patches."""
    blades = add_node(material, "TexNoise", Vector=at, Scale=spec["scale"], Detail=6.0, Roughness=0.8)
    patches = add_node(material, "TexNoise", Vector=at, Scale=1.3, Detail=3.0)
    color = _ramp(material, blades.outputs["Fac"], (0.3, spec["a"]), (0.7, spec["b"]))
    shade = _ramp(material, patches.outputs["Fac"], (0.3, (0.75, 0.75, 0.75)), (0.7, (1, 1, 1)))
    return Pattern(multiply(material, color, shade), blades.outputs["Fac"], 1.0 / spec["scale"])


def _leaves(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """Foliage: cells of many greens, dark between them."""
    cells = add_node(material, "TexVoronoi", Vector=at, Scale=spec["scale"])
    green = _ramp(material, cells.outputs["Color"], (0.1, spec["a"]), (0.9, spec["b"]))
    gaps = _ramp(material, cells.outputs["Distance"], (0.2, (1, 1, 1)), (0.75, (0.12, 0.14, 0.1)))
    return Pattern(multiply(material, green, gaps), cells.outputs["Distance"], -0.6 / spec["scale"])


def _dots(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """A perforated board, seen from the front (x, z)."""
    flat_at = standing(material, at)
    cells = add_node(material, "TexVoronoi", Vector=flat_at, Scale=1 / spec["cell_m"], Randomness=0.0)
    return Pattern(_ramp(material, cells.outputs["Distance"], (0.14, spec["b"]), (0.17, spec["a"])))


def _pages(material: bpy.types.Material, at: Socket, spec: Spec) -> Pattern:
    """The edge of a book's block: thin lines."""
    stretch = add_node(material, "Mapping", Vector=at, Scale=(5.0, 5.0, 2600.0))
    lines = add_node(material, "TexNoise", Vector=stretch.outputs["Vector"], Scale=1.0, Detail=1.0)
    dark = [0.8 * c for c in spec["color"]]
    return Pattern(_ramp(material, lines.outputs["Fac"], (0.35, dark), (0.65, spec["color"])))


PATTERNS: dict[str, Callable[[bpy.types.Material, Socket, Spec], Pattern]] = {
    "mottle": _mottle,
    "granite": _granite,
    "marble": _marble,
    "veneer": _veneer,
    "cloth": _cloth,
    "checker": _checker,
    "tiles": _tiles,
    "grass": _grass,
    "leaves": _leaves,
    "dots": _dots,
    "pages": _pages,
}
