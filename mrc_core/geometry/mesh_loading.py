"""Mesh files into parts: geometry with one material each, in the file's unit."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.resolvers import Resolver

FORMATS = ("ply", "obj", "glb", "stl")


@dataclass
class MeshPart:
    """Triangles of one material: vertices (V, 3) float64, faces (F, 3), normals (V, 3), uv (V, 2) with v up,
    image (H, W, 3) uint8 and colors (V, 3) uint8; the last four may be None."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None
    uv: np.ndarray | None
    image: np.ndarray | None
    colors: np.ndarray | None


def load_parts(path: Path, opened: list[str] | None = None) -> list[MeshPart]:
    """All triangles of a file, the transforms of the scene's nodes applied.

    Args:
        opened: takes the files that were read beside it, materials and textures, by their paths relative to its folder.

    Raises:
        FileNotFoundError: the file, its material library or a texture is missing.
        ValueError: the format is unknown, the file is damaged or without triangles, or names files outside its folder.
    """
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise ValueError(
            f"cannot read mesh '{path}': unknown format '{suffix}', use one of {', '.join(FORMATS)}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"mesh file '{path}' does not exist")
    resolver = _FolderResolver(path)
    try:
        with path.open("rb") as file:
            scene = trimesh.load_scene(file, file_type=suffix, resolver=resolver, process=False)
        nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
    except Exception as error:
        if resolver.problem is not None:
            raise resolver.problem from None
        raise ValueError(
            f"cannot read mesh '{path}', it seems damaged ({type(error).__name__}: {error})"
        ) from error
    # The readers go on without a texture that they did not get; an object without its texture must not pass unseen.
    if resolver.problem is not None:
        raise resolver.problem
    parts = [
        _placed(scene.geometry[name], np.asarray(transform, np.float64), suffix)
        for transform, name in nodes
        if isinstance(scene.geometry[name], trimesh.Trimesh) and len(scene.geometry[name].faces)
    ]
    if not parts:
        raise ValueError(f"mesh '{path}' is empty: it has no triangles")
    if opened is not None:
        opened += resolver.opened
    return parts


class _FolderResolver(Resolver):
    """Gives a reader the files beside a mesh, and no others; keeps the first problem, for readers that swallow it."""

    def __init__(self, mesh_path: Path) -> None:
        self.mesh_path = mesh_path
        self.file_name = mesh_path.name
        self.problem: Exception | None = None
        self.opened: list[str] = []  # in the order of the first reading

    def get(self, name: str | bytes) -> bytes:
        text = name.decode() if isinstance(name, bytes) else name
        try:
            inside = self._inside(text)
            content = (self.mesh_path.parent / inside).read_bytes()
        except (OSError, ValueError) as error:
            self.problem = self.problem or error
            raise
        if inside not in self.opened:
            self.opened.append(inside)
        return content

    def _inside(self, name: str) -> str:
        """A file's path relative to the mesh's folder."""
        # An MTL may put options before the file name: "-s 1 1 1 image.png".
        name = name.strip().split()[-1] if name.strip().startswith("-") else name.strip()
        inside = posixpath.normpath(name.replace("\\", "/"))
        has_drive = len(inside) > 1 and inside[1] == ":"
        if posixpath.isabs(inside) or has_drive or inside.split("/")[0] == "..":
            raise ValueError(
                f"mesh '{self.mesh_path}' names the file '{name}' outside its own folder: "
                "copy it beside the mesh and name it without a path"
            )
        if not (self.mesh_path.parent / inside).is_file():
            raise FileNotFoundError(
                f"mesh '{self.mesh_path}' needs the file '{name}', which is not in its folder"
            )
        return inside

    def namespaced(self, namespace: str) -> Resolver:
        return self

    def keys(self) -> list[str]:
        return [p.name for p in self.mesh_path.parent.iterdir() if p.is_file()]

    def write(self, name: str, data: Any) -> None:
        raise NotImplementedError("a mesh's folder is only read")


def _placed(geometry: trimesh.Trimesh, transform: np.ndarray, suffix: str) -> MeshPart:
    vertices = np.asarray(geometry.vertices, np.float64)
    faces = np.asarray(geometry.faces, np.int64)
    # The attribute computes normals where the file has none; only the cache tells the two apart.
    normals: np.ndarray | None = None
    if "vertex_normals" in geometry._cache.cache:
        stored = np.asarray(geometry.vertex_normals, np.float64)
        if stored.shape == vertices.shape and np.isfinite(stored).all() and np.abs(stored).sum(axis=1).all():
            normals = stored
    uv, image, colors = _appearance(geometry, suffix)
    if geometry.visual.kind == "face":
        corner = faces.reshape(-1)
        colors = np.repeat(np.asarray(geometry.visual.face_colors)[:, :3], 3, axis=0)
        vertices, faces = vertices[corner], np.arange(len(corner)).reshape(-1, 3)
        normals = None if normals is None else normals[corner]
    if not np.array_equal(transform, np.eye(4)):
        vertices = vertices @ transform[:3, :3].T + transform[:3, 3]
        if normals is not None:
            normals = normals @ np.linalg.inv(transform[:3, :3])
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
        if np.linalg.det(transform[:3, :3]) < 0:
            faces = faces[:, ::-1]
    return MeshPart(vertices, faces, normals, uv, image, colors)


def _appearance(
    geometry: trimesh.Trimesh, suffix: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """uv, image and vertex colours of a geometry."""
    visual, count = geometry.visual, len(geometry.vertices)
    if visual.kind == "vertex":
        return None, None, np.asarray(visual.vertex_colors)[:, :3].astype(np.uint8)
    if visual.kind != "texture":
        return None, None, None
    uv = None if visual.uv is None or len(visual.uv) != count else np.asarray(visual.uv, np.float64)[:, :2]
    material = visual.material
    if suffix == "glb":
        image, factor = (
            getattr(material, "baseColorTexture", None),
            getattr(material, "baseColorFactor", None),
        )
        # glTF's factors are linear light, its images and our colours sRGB.
        factor = np.ones(3) if factor is None else np.asarray(factor, np.float64)[:3] / 255.0
        pixels = (
            None if image is None or uv is None else _scaled_linear(np.asarray(image.convert("RGB")), factor)
        )
        plain = _scaled_linear(np.full((1, 3), 255, np.uint8), factor)[0]
        has_color = getattr(material, "baseColorFactor", None) is not None and not np.allclose(factor, 1)
    else:
        image = getattr(material, "image", None)
        pixels = None if image is None or uv is None else np.asarray(image.convert("RGB"))
        diffuse = getattr(material, "diffuse", None)
        # The library's default for a material without Kd is its own grey, not the file's.
        has_color = "kd" in getattr(material, "kwargs", {})
        plain = np.asarray(diffuse if diffuse is not None else (0, 0, 0), np.uint8)[:3]
    if pixels is not None:
        return uv, np.ascontiguousarray(pixels), None
    stored = getattr(visual, "vertex_attributes", {}).get("color")
    if stored is not None and len(stored) == count:
        return None, None, np.asarray(trimesh.visual.color.to_rgba(stored))[:, :3].astype(np.uint8)
    return None, None, np.tile(plain, (count, 1)) if has_color else None


def _scaled_linear(pixels: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """sRGB pixels (..., 3) uint8 times a factor (3,) of linear light."""
    if np.allclose(factor, 1):
        return pixels
    value = np.arange(256) / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    scaled = np.clip(linear[:, None] * factor, 0, 1)  # (256, 3)
    table = np.where(scaled <= 0.0031308, scaled * 12.92, 1.055 * scaled ** (1 / 2.4) - 0.055)
    table = np.round(table * 255).astype(np.uint8)
    return np.stack([table[pixels[..., c], c] for c in range(3)], axis=-1)
