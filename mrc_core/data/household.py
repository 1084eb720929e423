"""Unknown things that stand around a target: boxes, books, cans, bottles, cups, bowls, rings and brackets.

They hide a part of it and fill the background, so that any set of objects trains with occlusion and clutter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import trimesh
from numpy.typing import NDArray

from mrc_core.data.procedural_textures import clutter, palette, plaster, printed
from mrc_core.geometry.mesh import Mesh

SECTIONS = 28  # of a solid of revolution
TEXTURE_PX = 128
PLAIN = 0.35  # of the things, that have one colour
STRONG = 0.4  # of those, that have a strong one

Profile = NDArray[np.float64]  # (n, 2): radius and height, from the bottom up


def make_household(count: int, diameter: float, seed: int = 0) -> list[Mesh]:
    """So many things, each of another kind than the last.

    Args:
        count: how many.
        diameter: typical size, metres; theirs are 0.3 to 1.1 of it.
    """
    rng = np.random.default_rng([seed, 1])
    makers: list[Callable[[np.random.Generator], Mesh]] = [_box, _can, _bracket, _bottle, _book, _cup, _ring, _bowl]
    return [_finished(makers[i % len(makers)](rng), diameter * rng.uniform(0.3, 1.1), i, rng) for i in range(count)]


def _finished(shape: Mesh, diameter: float, index: int, rng: np.random.Generator) -> Mesh:
    """In its size, about its middle, in its colours."""
    middle = (shape.vertices.min(axis=0) + shape.vertices.max(axis=0)) / 2
    vertices = shape.vertices - middle
    vertices = vertices * (diameter / (2 * np.linalg.norm(vertices, axis=1).max()))
    name, colours, texture = f"thing_{index}", None, None
    if shape.uv is None or rng.random() < PLAIN:
        colours = np.tile(palette(rng, 1, STRONG)[0] * 255, (len(vertices), 1)).clip(0, 255).astype(np.uint8)
    else:
        painter = [printed, printed, clutter, plaster][rng.integers(4)]
        texture = (painter(rng, TEXTURE_PX).clip(0, 1) * 255).astype(np.uint8)
    uv = None if texture is None else shape.uv
    return Mesh(vertices, shape.faces, shape.normals, uv, texture, colours, name)


# ---- kinds: shapes of any size, with texture coordinates where there is something to print on ------------------------
def _box(rng: np.random.Generator) -> Mesh:
    return _cuboid(rng.uniform(0.25, 1.0, 3))


def _book(rng: np.random.Generator) -> Mesh:
    return _cuboid(np.array([1.0, rng.uniform(0.6, 0.9), rng.uniform(0.04, 0.2)]))


def _can(rng: np.random.Generator) -> Mesh:
    radius = rng.uniform(0.15, 0.6)
    return _lathe(np.array([[0, 0], [radius, 0], [radius, 1], [0, 1]]))


def _bottle(rng: np.random.Generator) -> Mesh:
    radius, neck, shoulder = rng.uniform(0.15, 0.35), rng.uniform(0.06, 0.12), rng.uniform(0.5, 0.8)
    waist = radius * rng.uniform(0.85, 1.0)
    round_shoulder = [[neck + (waist - neck) * np.cos(a), shoulder + 0.12 * np.sin(a)] for a in (0.5, 1.0, 1.57)]
    return _lathe(np.array([[0, 0], [radius, 0], [waist, shoulder], *round_shoulder, [neck, 1], [0, 1]]))


def _cup(rng: np.random.Generator) -> Mesh:
    foot, rim, wall = rng.uniform(0.25, 0.45), rng.uniform(0.35, 0.5), 0.03
    outline = [[0, 0], [foot, 0], [rim, 1], [rim - wall, 1], [foot - wall, 0.08], [0, 0.08]]
    cup = _lathe(np.array(outline))
    if rng.random() < 0.5:
        return cup
    handle = trimesh.creation.torus(0.25, 0.05, major_sections=16, minor_sections=8)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    handle.apply_translation([(foot + rim) / 2 + 0.12, 0, 0.5])
    return _joined([_solid(cup), handle])


def _bowl(rng: np.random.Generator) -> Mesh:
    depth, wall = rng.uniform(0.3, 0.9), 0.04
    angles = np.linspace(0, np.pi / 2, 7)
    outer = np.stack([np.sin(angles), depth * (1 - np.cos(angles))], axis=1)
    inner = np.stack([(1 - wall) * np.sin(angles), wall + (depth - wall) * (1 - np.cos(angles))], axis=1)[::-1]
    return _lathe(np.concatenate([outer, inner]))


def _ring(rng: np.random.Generator) -> Mesh:
    ring = trimesh.creation.torus(0.5, rng.uniform(0.04, 0.2), major_sections=28, minor_sections=10)
    return Mesh(np.asarray(ring.vertices), np.asarray(ring.faces), np.asarray(ring.vertex_normals))


def _bracket(rng: np.random.Generator) -> Mesh:
    """Two to four blocks that stick in each other, a part of some machine."""
    parts = []
    for i in range(int(rng.integers(2, 5))):
        size = np.sort(rng.uniform(0.08, 1.0 if i == 0 else 0.6, 3))[rng.permutation(3)]
        block = _solid(_cuboid(size))
        if rng.random() < 0.3:
            block = trimesh.creation.cylinder(size[0] / 2 + 0.05, size[1], sections=20)
        block.apply_translation(rng.uniform(-0.35, 0.35, 3))
        parts.append(block)
    return _joined(parts)


# ---- building --------------------------------------------------------------------------------------------------------
def _cuboid(size: NDArray[np.float64]) -> Mesh:
    """Sides with corners of their own, each with the whole texture."""
    box = trimesh.creation.box(extents=size)
    corners = np.asarray(box.vertices)[box.faces].reshape(-1, 3)
    normals = np.repeat(np.asarray(box.face_normals), 3, axis=0)
    others = np.array([[1, 2], [0, 2], [0, 1]])[np.abs(normals).argmax(axis=1)]
    uv = np.take_along_axis(corners / size + 0.5, others, axis=1)
    return Mesh(corners, np.arange(36).reshape(-1, 3), normals, uv)


def _lathe(profile: Profile) -> Mesh:
    """A solid of revolution about z, with sharp edges; the texture goes once around."""
    angle = np.linspace(0, 2 * np.pi, SECTIONS + 1)
    start, end = profile[:-1], profile[1:]
    rings = np.stack([start, end], axis=1).reshape(-1, 2)  # every stretch has corners of its own: its edges are sharp
    along = np.linalg.norm(end - start, axis=1)
    place = np.concatenate([[0], np.cumsum(along)]) / along.sum()
    v = np.stack([place[:-1], place[1:]], axis=1).reshape(-1)
    slope = np.repeat(np.stack([(end - start)[:, 1], -(end - start)[:, 0]], axis=1) / along[:, None], 2, axis=0)
    cosine, sine = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    radius, height = rings[:, None, :1], np.repeat(rings[:, None, 1:], SECTIONS + 1, axis=1)
    vertices = np.concatenate([radius * cosine, radius * sine, height], axis=2)
    outwards = slope[:, None, :1]
    normals = np.concatenate(
        [outwards * cosine, outwards * sine, np.repeat(slope[:, None, 1:], SECTIONS + 1, axis=1)], axis=2
    )
    u = np.broadcast_to(angle / (2 * np.pi), vertices.shape[:2])
    uv = np.stack([u, np.broadcast_to(v[:, None], u.shape)], axis=2)
    first = 2 * np.arange(len(start))[:, None] * (SECTIONS + 1) + np.arange(SECTIONS)
    a, b = first.reshape(-1), first.reshape(-1) + SECTIONS + 1
    faces = np.concatenate([np.stack([a, a + 1, b + 1], axis=1), np.stack([a, b + 1, b], axis=1)])
    return Mesh(vertices.reshape(-1, 3), faces, normals.reshape(-1, 3), uv.reshape(-1, 2))


def _solid(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=mesh.normals, process=False)


def _joined(parts: list[trimesh.Trimesh]) -> Mesh:
    vertices = np.concatenate([np.asarray(part.vertices) for part in parts])
    normals = np.concatenate([np.asarray(part.vertex_normals) for part in parts])
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    faces = np.concatenate([np.asarray(part.faces) + start for part, start in zip(parts, starts)])
    return Mesh(vertices, faces, normals)
