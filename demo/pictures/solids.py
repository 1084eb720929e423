"""Surfaces that the props are made of: slabs, wedges, turned and swept shapes, sheets. Metres, z up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from objects.source.surface import Surface, lathe

Array = NDArray[np.float64]
UNPAINTED = (128, 128, 128)


def slab(low: Sequence[float], high: Sequence[float]) -> Surface:
    """An axis-parallel box between two corners; every side shows the whole of a texture, upright or seen from above."""
    return hexahedron(
        np.array([[x, y, z] for z in (low[2], high[2]) for y in (low[1], high[1]) for x in (low[0], high[0])])
    )


def wedge(width: float, depth: float, front: float, back: float) -> Surface:
    """A box on z = 0 whose top rises from `front` at -y to `back` at +y; centred in x and y."""
    w, d = width / 2, depth / 2
    floor = [[x, y, 0.0] for y in (-d, d) for x in (-w, w)]
    top = [[x, y, front if y < 0 else back] for y in (-d, d) for x in (-w, w)]
    return hexahedron(np.array(floor + top))


def hexahedron(corners: Array) -> Surface:
    """Six flat sides from corners (8, 3), ordered as x fastest, then y, then z."""
    sides = np.asarray(corners, float)[
        [(0, 1, 5, 4), (3, 2, 6, 7), (2, 0, 4, 6), (1, 3, 7, 5), (4, 5, 7, 6), (2, 3, 1, 0)]
    ]  # (6, 4, 3)
    normals = np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    first = 4 * np.arange(6)[:, None]
    faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]]).astype(np.int64)
    uv = np.tile(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), (6, 1))
    return Surface(sides.reshape(-1, 3), normals.repeat(4, axis=0), faces, uv=uv)


def one_side(surface: Surface, side: int) -> Surface:
    """A side of a hexahedron alone: 0 front (-y), 1 back, 2 left (-x), 3 right, 4 top, 5 bottom."""
    rows = slice(4 * side, 4 * side + 4)
    uv = None if surface.uv is None else surface.uv[rows]
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int64)
    return Surface(surface.vertices[rows], surface.normals[rows], faces, uv=uv)


def bare(surface: Surface) -> Surface:
    """The surface without texture coordinates, so that it joins with others."""
    return Surface(surface.vertices, surface.normals, surface.faces)


def turned(profile: Sequence[tuple[float, float]], segments: int = 48) -> Surface:
    """A solid of revolution from (radius, height) pairs, bottom up; u goes around it, v up from its foot to its top."""
    surface = lathe([(float(radius), float(height), UNPAINTED) for radius, height in profile], segments)
    z = surface.vertices[:, 2]
    around = np.arange(len(z)) % (segments + 1) / segments
    uv = np.stack([around, (z - z.min()) / max(float(np.ptp(z)), 1e-9)], axis=1)
    return Surface(surface.vertices, surface.normals, surface.faces, uv=uv)


def swept(path: Array, radius: ArrayLike, sides: int = 10) -> Surface:
    """A tube along points (N, 3), of one radius or one for each point, closed at its ends."""
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radius, float), (len(path),))
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along[0], [0.0, 0.0, 1.0] if abs(along[0, 2]) < 0.9 else [1.0, 0.0, 0.0])
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    rings, normals = [], []
    for point, tangent, r in zip(path, along, radii):
        across = across - tangent * (across @ tangent)  # carried along without twist
        across = across / np.linalg.norm(across)
        out = np.outer(np.cos(angle), across) + np.outer(np.sin(angle), np.cross(tangent, across))
        rings.append(point + r * out)
        normals.append(out)
    vertices, normal = np.concatenate(rings), np.concatenate(normals)
    index = np.arange(len(vertices)).reshape(len(path), sides + 1)
    faces = [_grid_faces(index)]
    for ring, end, tangent, sense in ((index[0], path[0], along[0], -1), (index[-1], path[-1], along[-1], 1)):
        centre = len(vertices)
        rim = centre + 1 + np.arange(sides + 1)
        vertices = np.concatenate([vertices, end[None], vertices[ring]])
        normal = np.concatenate([normal, np.tile(sense * tangent, (sides + 2, 1))])
        pair = (rim[:-1], rim[1:]) if sense > 0 else (rim[1:], rim[:-1])
        faces.append(np.stack([np.full(sides, centre), *pair], axis=1))
    return Surface(vertices, normal, np.concatenate(faces))


def sheet(points: Array) -> Surface:
    """A surface without thickness through a grid of points (R, C, 3); u goes along the columns, v along the rows."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    du, dv = np.gradient(points, axis=1), np.gradient(points, axis=0)
    normals = np.cross(du, dv).reshape(-1, 3)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    faces = _grid_faces(index)
    return Surface(points.reshape(-1, 3), normals, faces, uv=np.stack([u, v], axis=-1).reshape(-1, 2))


def smooth_curve(corners: Array, count: int) -> Array:
    """Points (count, 3) of a Catmull-Rom spline through `corners` (N, 3)."""
    padded = np.concatenate([2 * corners[:1] - corners[1:2], corners, 2 * corners[-1:] - corners[-2:-1]])
    at = np.linspace(0, len(corners) - 1, count)
    first = np.minimum(at.astype(int), len(corners) - 2)
    t = (at - first)[:, None]
    p0, p1, p2, p3 = (padded[first + i] for i in range(4))
    bend = 2 * p0 - 5 * p1 + 4 * p2 - p3
    return 0.5 * (2 * p1 + (p2 - p0) * t + bend * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)


def _grid_faces(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two triangles for each cell of a grid of vertex numbers (R, C)."""
    a, b = index[:-1, :-1].ravel(), index[1:, :-1].ravel()
    c, d = index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    return np.concatenate([np.stack([a, d, c], axis=1), np.stack([a, c, b], axis=1)])
