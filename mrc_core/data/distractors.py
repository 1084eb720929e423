"""Distractors: simple solids that hide a part of the target, so that any mesh set trains with occlusion."""

from __future__ import annotations

import numpy as np
import trimesh

from mrc_core.geometry.mesh import Mesh


def make_distractors(count: int, diameter: float, seed: int = 0) -> list[Mesh]:
    """Boxes, cylinders, cones, capsules and rings with random proportions and blotchy vertex colours.

    Args:
        count: how many.
        diameter: typical size in metres; theirs are 0.3 to 1.1 of it.
    """
    rng = np.random.default_rng(seed)
    return [_distractor(i, diameter * rng.uniform(0.3, 1.1), rng) for i in range(count)]


def _distractor(index: int, diameter: float, rng: np.random.Generator) -> Mesh:
    kind = index % 5
    if kind == 0:
        solid = trimesh.creation.box(extents=rng.uniform(0.2, 1.0, 3)).subdivide().subdivide()
    elif kind == 1:
        solid = trimesh.creation.cylinder(radius=rng.uniform(0.1, 0.5), height=1.0, sections=24).subdivide()
    elif kind == 2:
        solid = trimesh.creation.capsule(height=rng.uniform(0.2, 1.0), radius=0.3, count=[12, 12])
    elif kind == 3:
        solid = trimesh.creation.cone(radius=rng.uniform(0.2, 0.6), height=1.0, sections=24).subdivide()
    else:
        solid = trimesh.creation.torus(
            major_radius=0.5, minor_radius=rng.uniform(0.06, 0.2), major_sections=24, minor_sections=10
        )
    vertices = np.asarray(solid.vertices, dtype=np.float64)
    vertices = (vertices - vertices.mean(axis=0)) * (diameter / (2 * np.linalg.norm(vertices, axis=1).max()))
    # colours vary over the surface with two random plane waves: printed things are rarely uniform
    waves = np.sin(vertices @ rng.normal(size=(3, 2)) * (8 / diameter) * rng.uniform(0.2, 1.0, 2)) * 0.5 + 0.5
    colours = rng.uniform(30, 255, 3) * waves[:, :1] + rng.uniform(30, 255, 3) * (1 - waves[:, :1])
    return Mesh(
        vertices=vertices.astype(np.float32),
        faces=np.asarray(solid.faces, dtype=np.int32),
        normals=np.asarray(solid.vertex_normals, dtype=np.float32),
        uv=None,
        texture=None,
        vertex_colors=colours.clip(0, 255).astype(np.uint8),
        name=f"distractor_{index}",
    )
