"""`bracket`: a machined, anodised angle bracket without texture and without any symmetry."""

from __future__ import annotations

import numpy as np
import trimesh
from manifold3d import CrossSection, Manifold

from .surface import Color, Surface, to_trimesh

STEEL_BLUE: Color = (58, 104, 158)
SEGMENTS = 64
MAX_EDGE_M = 0.016


def build() -> trimesh.Trimesh:
    """The bracket, 0.19 x 0.10 x 0.13 m.

    Every leg, hole and step is there once, so that no turn and no mirror maps it onto itself.
    """
    base = _box((0, 0.19), (0, 0.10), (0, 0.014))
    leg = _box((0, 0.014), (0, 0.072), (0, 0.13))
    gusset = Manifold.extrude(CrossSection([[(0.010, 0.010), (0.115, 0.010), (0.010, 0.112)]]), 0.012)
    gusset = gusset.rotate((90, 0, 0)).translate((0, 0.012, 0))
    boss = _cylinder(0.026, 0.036).translate((0.138, 0.062, 0.010))
    step = _box((0.045, 0.085), (0.070, 0.10), (0.010, 0.042))
    lip = _box((0.0, 0.014), (0.072 - 0.001, 0.10), (0.0, 0.030))
    part = base + leg + gusset + boss + step + lip
    part -= _cylinder(0.013, 0.2).translate((0.138, 0.062, -0.1))
    part -= _cylinder(0.014, 0.2).rotate((0, 90, 0)).translate((-0.1, 0.043, 0.092))
    part -= _box((0.168, 0.2), (0.016, 0.036), (-0.1, 0.1))  # open slot in the end of the base
    corner = Manifold.extrude(CrossSection([[(0.045, 0.14), (0.08, 0.098), (0.08, 0.14)]]), 0.2)
    part -= corner.rotate((90, 0, 0)).rotate((0, 0, 90)).translate((-0.1, 0, 0))  # cut top corner of the leg
    part -= _box((0.150, 0.2), (0.086, 0.2), (-0.1, 0.2))  # cut corner of the base
    part = part.refine_to_length(MAX_EDGE_M)
    mesh = part.to_mesh()
    return to_trimesh(
        _split_normals(np.array(mesh.vert_properties, float), np.array(mesh.tri_verts)), "bracket", None, 0.4
    )


def _box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Manifold:
    return Manifold.cube((x[1] - x[0], y[1] - y[0], z[1] - z[0])).translate((x[0], y[0], z[0]))


def _cylinder(radius: float, height: float) -> Manifold:
    return Manifold.cylinder(height, radius, radius, SEGMENTS)


def _split_normals(vertices: np.ndarray, faces: np.ndarray, crease_deg: float = 30.0) -> Surface:
    """Split the vertices at creases, so that curved walls are smooth and edges sharp."""
    corners = vertices[faces]
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = face_normal / np.linalg.norm(face_normal, axis=1, keepdims=True)
    around: list[list[int]] = [[] for _ in vertices]
    for index, face in enumerate(faces):
        for vertex in face:
            around[vertex].append(index)
    out_vertices: list[np.ndarray] = []
    out_normals: list[np.ndarray] = []
    out_faces = np.empty_like(faces)
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    for index, face in enumerate(faces):
        for corner, vertex in enumerate(face):
            smooth = tuple(
                f for f in around[vertex] if unit[f] @ unit[index] > np.cos(np.radians(crease_deg))
            )
            key = (int(vertex), smooth)
            if key not in known:
                known[key] = len(out_vertices)
                normal = face_normal[list(smooth)].sum(axis=0)
                out_vertices.append(vertices[vertex])
                out_normals.append(normal / np.linalg.norm(normal))
            out_faces[index, corner] = known[key]
    colors = np.tile(np.array(STEEL_BLUE, np.uint8), (len(out_vertices), 1))
    return Surface(np.array(out_vertices), np.array(out_normals), out_faces.astype(np.int64), colors=colors)
