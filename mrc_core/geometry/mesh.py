"""A triangle mesh in metres, with the appearance that a renderer needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mrc_core.geometry.mesh_diameter import point_set_diameter
from mrc_core.geometry.mesh_normals import smooth_vertex_normals

METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
DIAMETER_LIMITS_M = (0.003, 5.0)

# The order is the order in which a remedy is offered: CAD tools and BOP write millimetres, scanners metres.
_LIKELY_UNITS = ("mm", "m", "cm", "in")
_LIKELY_DIAMETERS_M = (0.01, 5.0)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh in the object's frame, in metres.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32, indices of vertices.
        normals: (V, 3) float32, unit length; pass None to have them computed.
        uv: (V, 2) float32 or None; OpenGL's convention, v points up and (0, 0) is the lower left corner of the texture.
        texture: (H, W, 3) uint8 RGB or None; only with `uv`.
        vertex_colors: (V, 3) uint8 RGB or None; ignored where there is a texture.
        name: for messages.

    A mesh with neither texture nor vertex colours is plain: renderers paint it grey.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray = None  # type: ignore[assignment]
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    vertex_colors: np.ndarray | None = None
    name: str = "mesh"

    def __post_init__(self) -> None:
        """Check and convert every array.

        Raises:
            ValueError: for an empty mesh, a wrong shape, NaN, or faces that name vertices that are not there.
        """
        vertices = _checked(self.vertices, np.float32, (None, 3), "vertices", self.name)
        faces = _checked(self.faces, np.int32, (None, 3), "faces", self.name)
        count = len(vertices)
        if count == 0 or len(faces) == 0:
            raise ValueError(f"mesh '{self.name}' is empty: {count} vertices, {len(faces)} faces")
        if not np.isfinite(vertices).all():
            bad = int((~np.isfinite(vertices).all(axis=1)).sum())
            raise ValueError(f"mesh '{self.name}': {bad} of {count} vertices are NaN or infinite")
        if faces.min() < 0 or faces.max() >= count:
            raise ValueError(
                f"mesh '{self.name}': faces name vertices {faces.min()} to {faces.max()}, but there are only {count}"
            )
        if self.normals is None:
            normals = smooth_vertex_normals(vertices, faces)
        else:
            normals = _unit(_checked(self.normals, np.float32, (count, 3), "normals", self.name))
        uv = None if self.uv is None else _checked(self.uv, np.float32, (count, 2), "uv", self.name)
        if uv is not None and not np.isfinite(uv).all():
            raise ValueError(f"mesh '{self.name}': texture coordinates are NaN or infinite")
        texture = None
        if self.texture is not None:
            texture = _checked(self.texture, np.uint8, (None, None, 3), "texture", self.name)
            if uv is None or texture.size == 0:
                raise ValueError(f"mesh '{self.name}': a texture needs at least one pixel, and uv")
        colors = self.vertex_colors
        if colors is not None:
            colors = _checked(colors, np.uint8, (count, 3), "vertex_colors", self.name)
        for key, value in (
            ("vertices", vertices),
            ("faces", faces),
            ("normals", normals),
            ("uv", uv),
            ("texture", texture),
            ("vertex_colors", colors),
        ):
            object.__setattr__(self, key, value)

    @staticmethod
    def load(path: str | Path, unit: str = "m", opened: list[str] | None = None) -> Mesh:
        """Read a ply, obj, glb or stl file.

        A scene of several parts becomes one mesh, with the transforms of its nodes applied. Textures come from the
        material's base colour (glb), the MTL's map_Kd (obj) or the TextureFile comment (ply); several textures become
        one atlas. A material's plain colour becomes vertex colours. Axes stay as the file has them. Where the file has
        no normals, they are computed, smooth over gentle edges and split at creases.

        Args:
            path: the file; its textures must lie in its folder or below.
            unit: the unit of the file's coordinates: m, cm, mm or in.
            opened: takes the files that were read beside it, see `load_parts`.

        Raises:
            FileNotFoundError: the file, its material or its texture is missing.
            ValueError: unknown format or unit, damaged or empty mesh, a texture outside the mesh's folder, or a size
                that no graspable object has (the message names the likely unit).
        """
        from mrc_core.geometry.mesh_loading import load_parts
        from mrc_core.geometry.mesh_merging import merge_parts

        if unit not in METRES_PER_UNIT:
            raise ValueError(f"unknown unit '{unit}': choose from {', '.join(METRES_PER_UNIT)}")
        path = Path(path)
        arrays = merge_parts(load_parts(path, opened), path.name)
        vertices = np.asarray(arrays["vertices"], np.float64)
        if vertices.size and np.isfinite(vertices).all():
            check_unit(point_set_diameter(vertices), unit, path.name)
        arrays["vertices"] = vertices * METRES_PER_UNIT[unit]
        return Mesh(**arrays, name=path.stem)  # type: ignore[arg-type]

    def save(self, path: str | Path) -> None:
        """Write the mesh as glb, in metres, axes untouched; `Mesh.load` gives the same mesh back."""
        from mrc_core.geometry.mesh_saving import save_glb

        save_glb(self, Path(path))

    @cached_property
    def diameter(self) -> float:
        """The largest distance between two vertices that a face uses, in metres."""
        return point_set_diameter(self.vertices[np.unique(self.faces)])

    def sample_points(self, count: int, seed: int = 0) -> np.ndarray:
        """Points spread evenly over the surface, (count, 3) float32, metres; the same for the same seed."""
        if count < 1:
            raise ValueError(f"cannot sample {count} points")
        rng = np.random.default_rng(seed)
        corners = self.vertices[self.faces].astype(np.float64)  # (F, 3, 3)
        edges = corners[:, 1:] - corners[:, :1]
        areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        if areas.sum() <= 0:
            raise ValueError(f"mesh '{self.name}' has no surface to sample: all its triangles are degenerate")
        chosen = rng.choice(len(areas), size=count, p=areas / areas.sum())
        weights = rng.random((count, 2))
        # A point beyond the diagonal of the parallelogram is mirrored back into the triangle.
        beyond = weights.sum(axis=1) > 1
        weights[beyond] = 1 - weights[beyond]
        return (corners[chosen, 0] + np.einsum("nk,nkx->nx", weights, edges[chosen])).astype(np.float32)


def check_unit(diameter_in_unit: float, unit: str, name: str) -> None:
    """Reject a size that no graspable object has.

    Raises:
        ValueError: the diameter is over 5 m or below 3 mm; the message names the unit that would make sense.
    """
    diameter_m = diameter_in_unit * METRES_PER_UNIT[unit]
    low, high = DIAMETER_LIMITS_M
    if low <= diameter_m <= high:
        return
    remedy = "give the unit of its coordinates: " + ", ".join(METRES_PER_UNIT)
    for candidate in _LIKELY_UNITS:
        if _LIKELY_DIAMETERS_M[0] <= diameter_in_unit * METRES_PER_UNIT[candidate] <= _LIKELY_DIAMETERS_M[1]:
            remedy = f"is the mesh in {candidate}? pass unit='{candidate}'"
            break
    raise ValueError(f"mesh '{name}' read in {unit} has a diameter of {diameter_m:.3g} m: {remedy}")


def _checked(
    value: np.ndarray, dtype: type, shape: tuple[int | None, ...], key: str, name: str
) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape)):
        wanted = "(" + ", ".join("*" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"mesh '{name}': {key} has shape {array.shape}, needed is {wanted}")
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"mesh '{name}': {key} has type {array.dtype}, needed is an integer type")
    return np.ascontiguousarray(array, dtype=dtype)


def _unit(normals: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0], np.float32)
    # Rescaling what is unit length already would change its last bit, and a saved mesh would not load as it was.
    scaled = np.where(np.abs(length - 1) < 1e-5, normals, normals / np.maximum(length, 1e-20))
    return np.where(np.isfinite(scaled).all(axis=1, keepdims=True) & (length > 1e-20), scaled, up).astype(
        np.float32
    )
