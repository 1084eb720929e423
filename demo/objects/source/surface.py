"""A triangle surface under construction, and the primitives that the demo objects are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Color = tuple[int, int, int]


@dataclass
class Surface:
    """Triangles with split normals and either texture coordinates or vertex colours.

    vertices (V, 3) in metres, z up; normals (V, 3) unit; faces (F, 3), counter-clockwise seen from outside;
    uv (V, 2) with v up; colors (V, 3) uint8 sRGB.
    """

    vertices: Array
    normals: Array
    faces: NDArray[np.int64]
    uv: Array | None = None
    colors: NDArray[np.uint8] | None = None

    def moved(self, offset: tuple[float, float, float]) -> Surface:
        """The same surface, shifted by `offset` metres."""
        return Surface(self.vertices + np.asarray(offset), self.normals, self.faces, self.uv, self.colors)

    def half_turn(self) -> Surface:
        """The same surface turned by exactly 180 degrees about z (sign flips only, so without rounding)."""
        flip = np.array([-1.0, -1.0, 1.0])
        return Surface(self.vertices * flip, self.normals * flip, self.faces, self.uv, self.colors)


def join(parts: list[Surface]) -> Surface:
    """One surface from several; all must carry the same kind of colour."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts)])
    uv = None if parts[0].uv is None else np.concatenate([part.uv for part in parts if part.uv is not None])
    colors = (
        None if parts[0].colors is None else np.concatenate([p.colors for p in parts if p.colors is not None])
    )
    return Surface(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.normals for part in parts]),
        faces,
        uv,
        colors,
    )


def to_trimesh(surface: Surface, name: str, texture: Image.Image | None, roughness: float) -> trimesh.Trimesh:
    """A trimesh with its origin at the centre of the bounding box, ready to be exported as glb."""
    center = (surface.vertices.min(axis=0) + surface.vertices.max(axis=0)) / 2
    visual: trimesh.visual.TextureVisuals | trimesh.visual.ColorVisuals
    if texture is not None:
        material = trimesh.visual.material.PBRMaterial(
            name=name, baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=roughness
        )
        visual = trimesh.visual.TextureVisuals(uv=surface.uv, material=material)
    else:
        visual = trimesh.visual.ColorVisuals(vertex_colors=surface.colors)
    return trimesh.Trimesh(
        surface.vertices - center, surface.faces, vertex_normals=surface.normals, visual=visual, process=False
    )


@dataclass(frozen=True)
class AtlasRegion:
    """A rectangle of the texture in pixels; `turned` when the picture lies on its side in it."""

    left: int
    top: int
    width: int
    height: int
    turned: bool = False

    def uv(self, right: Array, up: Array, atlas_size: int) -> Array:
        """Texture coordinates (N, 2) of the picture's own (right, up) in 0..1."""
        if self.turned:  # the picture is stored turned by 90 degrees counter-clockwise
            right, up = 1.0 - up, right
        u = (self.left + right * self.width) / atlas_size
        v = 1.0 - (self.top + (1.0 - up) * self.height) / atlas_size
        return np.stack([u, v], axis=1)


# The six sides of a box: outward axis, the axis that points right and the one that points up for who looks at the side.
SIDES: dict[str, tuple[Array, Array, Array]] = {
    name: (np.array(out, float), np.array(right, float), np.array(up, float))
    for name, out, right, up in [
        ("front", (0, -1, 0), (1, 0, 0), (0, 0, 1)),
        ("back", (0, 1, 0), (-1, 0, 0), (0, 0, 1)),
        ("left", (-1, 0, 0), (0, -1, 0), (0, 0, 1)),
        ("right", (1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ("top", (0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ("bottom", (0, 0, -1), (1, 0, 0), (0, -1, 0)),
    ]
}


@dataclass
class RoundedBox:
    """A box with rounded edges, side by side, so that every side can have its own picture.

    size: (3,) metres; radius: of the edges, metres; cells: squares along each side's flat part; arc_cells: over each
    rounding.
    """

    size: tuple[float, float, float]
    radius: float
    cells: int = 8
    arc_cells: int = 2
    half: Array = field(init=False)

    def __post_init__(self) -> None:
        self.half = np.asarray(self.size) / 2

    def side(self, name: str) -> tuple[Surface, Array, Array]:
        """The named side without colour, and its (right, up) picture coordinates in 0..1, each (V,)."""
        out, right, up = SIDES[name]
        a, b = self._lines(float(abs(right) @ self.half)), self._lines(float(abs(up) @ self.half))
        grid_a, grid_b = (g.ravel() for g in np.meshgrid(a, b, indexing="xy"))
        cube = np.outer(grid_a, right) + np.outer(grid_b, up) + out * (abs(out) @ self.half)
        inner = np.clip(cube, -(self.half - self.radius), self.half - self.radius)
        away = cube - inner
        normals = away / np.linalg.norm(away, axis=1, keepdims=True)
        columns = len(a)
        first = (np.arange(len(b) - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
        lower = np.stack([first, first + 1, first + columns + 1], axis=1)
        upper = np.stack([first, first + columns + 1, first + columns], axis=1)
        surface = Surface(inner + self.radius * normals, normals, np.concatenate([lower, upper]))
        position = surface.vertices
        picture_right = position @ right / (2 * (abs(right) @ self.half)) + 0.5
        picture_up = position @ up / (2 * (abs(up) @ self.half)) + 0.5
        return surface, picture_right, picture_up

    def textured(self, regions: dict[str, AtlasRegion], atlas_size: int) -> Surface:
        """All sides named in `regions`, each showing its region of the texture."""
        parts = []
        for name, region in regions.items():
            surface, right, up = self.side(name)
            surface.uv = region.uv(right, up, atlas_size)
            parts.append(surface)
        return join(parts)

    def _lines(self, half: float) -> Array:
        # Tangents of equal angles: on the arc, the cells then come out equally long.
        angle = np.linspace(0.0, np.pi / 4, self.arc_cells + 1)[1:]
        arc = half - self.radius + self.radius * np.tan(angle)
        flat = np.linspace(-(half - self.radius), half - self.radius, self.cells + 1)
        return np.concatenate([-arc[::-1], flat, arc])


def lathe(profile: list[tuple[float, float, Color]], segments: int) -> Surface:
    """A solid of revolution about z, banded in colours.

    profile: (radius, height, colour of the band that ENDS here), from the bottom up, metres. Where the direction
    changes by more than 40 degrees the edge stays sharp.
    """
    points = np.array([(radius, height) for radius, height, _ in profile])
    step = np.diff(points, axis=0)
    flat = np.stack([step[:, 1], -step[:, 0]], axis=1)  # outward in the (radius, height) plane
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    angle = 2 * np.pi * np.arange(segments + 1) / segments
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    parts = []
    for i in range(len(step)):
        ends = []
        for j, neighbour in ((i, i - 1), (i + 1, i + 1)):
            normal = flat[i]
            if 0 <= neighbour < len(flat) and flat[neighbour] @ normal > np.cos(np.radians(40)):
                normal = normal + flat[neighbour]
            normal = normal / np.linalg.norm(normal)
            ends.append((points[j], normal))
        vertices = np.concatenate(
            [np.column_stack([circle * p[0], np.full(segments + 1, p[1])]) for p, _ in ends]
        )
        normals = np.concatenate(
            [np.column_stack([circle * n[0], np.full(segments + 1, n[1])]) for _, n in ends]
        )
        low = np.arange(segments)
        high = low + segments + 1
        triangles = []
        if points[i, 0] > 0:
            triangles.append(np.stack([low, low + 1, high + 1], axis=1))
        if points[i + 1, 0] > 0:
            triangles.append(np.stack([low, high + 1, high], axis=1))
        color = np.tile(np.array(profile[i + 1][2], np.uint8), (len(vertices), 1))
        parts.append(Surface(vertices, normals, np.concatenate(triangles), colors=color))
    return join(parts)
