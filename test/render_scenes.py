"""Meshes, poses and a slow, readable renderer for the rendering tests."""

from __future__ import annotations

import numpy as np
import torch
import trimesh
from scipy.spatial.transform import Rotation

from mrc_core.geometry.mesh import Mesh


def ball(radius: float = 0.1, subdivisions: int = 3) -> Mesh:
    """A sphere, coloured by place."""
    source = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    colors = (255 * (source.vertices / radius * 0.5 + 0.5)).astype(np.uint8)
    return Mesh(source.vertices, source.faces, vertex_colors=colors, name="ball")


def bracket() -> Mesh:
    """A plain part without symmetry, 0.2 m."""
    parts = [trimesh.creation.box((0.16, 0.04, 0.02)), trimesh.creation.cylinder(0.03, 0.1, sections=24)]
    parts[1].apply_translation([0.05, 0.0, 0.05])
    both = trimesh.util.concatenate(parts)
    return Mesh(both.vertices, both.faces, name="bracket")


def quadrant_texture(side: int = 64) -> np.ndarray:
    """Red upper left, green upper right, blue lower left, white lower right."""
    texture = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    texture[:half, :half] = (255, 0, 0)
    texture[:half, half:] = (0, 255, 0)
    texture[half:, :half] = (0, 0, 255)
    texture[half:, half:] = (255, 255, 255)
    return texture


def textured_box(extents: tuple[float, float, float] = (0.12, 0.16, 0.08)) -> Mesh:
    """A box whose every side shows the quadrants, in a tint of its own."""
    source = trimesh.creation.box(extents)
    corners = source.vertices[source.faces].reshape(-1, 3)
    normals = np.repeat(source.face_normals, 3, axis=0)
    axis = np.abs(normals).argmax(axis=1)
    side = axis * 2 + (normals.sum(axis=1) > 0)
    others = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    uv = np.take_along_axis(corners / np.array(extents) + 0.5, others, axis=1)
    base = quadrant_texture().astype(np.float32)
    tints = np.array([[1, 1, 1], [0.3, 1, 1], [1, 0.3, 1], [1, 1, 0.3], [0.6, 0.6, 0.6], [0.2, 0.5, 0.8]])
    atlas = np.concatenate([(base * tint).astype(np.uint8) for tint in tints], axis=1)
    inner = 0.02 + 0.96 * uv  # so that no side samples its neighbour's texels
    uv = np.stack([(side + inner[:, 0]) / 6, inner[:, 1]], axis=1)
    return Mesh(corners, np.arange(36).reshape(-1, 3), normals=normals, uv=uv, texture=atlas, name="box")


def square(side: float = 1.0, cells: int = 1, **appearance: np.ndarray) -> Mesh:
    """A square in the plane z = 0, facing -z, its texture upright for a camera that looks along z with y down."""
    line = np.linspace(0, 1, cells + 1)
    u, v = (grid.reshape(-1) for grid in np.meshgrid(line, line))
    vertices = np.stack([(u - 0.5) * side, (0.5 - v) * side, np.zeros_like(u)], axis=1)
    first = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).reshape(-1)
    quads = np.stack([first, first + 1, first + cells + 2, first + cells + 1], axis=1)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    normals = np.tile([0.0, 0.0, -1.0], (len(vertices), 1))
    return Mesh(vertices, faces, normals=normals, uv=np.stack([u, v], axis=1), name="square", **appearance)


def pose(translation: tuple[float, float, float], rotation: Rotation | None = None) -> torch.Tensor:
    """(1, 4, 4) float32."""
    matrix = np.eye(4)
    matrix[:3, 3] = translation
    if rotation is not None:
        matrix[:3, :3] = rotation.as_matrix()
    return torch.tensor(matrix[None], dtype=torch.float32)


def intrinsics(f: float, cx: float, cy: float, fy: float | None = None) -> torch.Tensor:
    """(1, 3, 3) float32."""
    return torch.tensor([[[f, 0.0, cx], [0.0, f if fy is None else fy, cy], [0.0, 0.0, 1.0]]])


def random_views(
    count: int, size: tuple[int, int], distance: tuple[float, float], seed: int, spread: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random poses (count, 4, 4) and off-centre intrinsics (count, 3, 3); the object's origin projects up to `spread`
    image sides from the middle, so that the image border cuts it."""
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(count, random_state=seed)
    poses, cameras = [], []
    for i in range(count):
        f, fy = rng.uniform(150, 350, 2)
        cx, cy = (rng.uniform(0.1, 0.9, 2) * [size[1], size[0]]).tolist()
        z = rng.uniform(*distance)
        u, v = (np.array([size[1], size[0]]) * (0.5 + rng.uniform(-spread, spread, 2))).tolist()
        poses.append(pose(((u - cx) * z / f, (v - cy) * z / fy, z), rotations[i]))
        cameras.append(intrinsics(f, cx, cy, fy))
    return torch.cat(poses), torch.cat(cameras)


def ray_cast(mesh: Mesh, cam_from_obj: torch.Tensor, K: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Depth (H, W) by meeting the ray of every pixel with every triangle: the renderer's slow, readable twin."""
    matrix = cam_from_obj.double().numpy()
    corners = (mesh.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3])[mesh.faces]  # (F, 3, 3)
    rows, columns = np.mgrid[: size[0], : size[1]]
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1).reshape(-1, 3)
    rays = pixels @ np.linalg.inv(K.double().numpy()).T  # z is 1, so that a ray's length parameter is z
    depth = np.full(len(rays), np.inf)
    for a, b, c in corners:
        matrix = np.stack([b - a, c - a], axis=1)
        normal = np.cross(b - a, c - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (normal @ a) / (rays @ normal)
        inside = (
            np.linalg.lstsq(matrix, (rays * z[:, None] - a).T, rcond=None)[0]
            if np.isfinite(z).all()
            else None
        )
        if inside is None:
            continue
        hit = (inside >= 0).all(axis=0) & (inside.sum(axis=0) <= 1) & (z >= 0.001)
        depth = np.where(hit & (z < depth), z, depth)
    return np.where(np.isfinite(depth), depth, 0).reshape(size)
