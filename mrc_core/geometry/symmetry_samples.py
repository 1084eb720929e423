"""Points spread evenly over what can be seen of a mesh, with the colours there: what a symmetry is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.so3_grid import healpix_directions

Array = NDArray[np.float64]

# Steps of a two-dimensional low-discrepancy sequence: the powers of the plastic number's inverse.
_STEP_U, _STEP_V = 0.7548776662466927, 0.5698402909980532
_MOST_CENTRES = 100_000
_VIEWS_N_SIDE = 2  # 48 directions
_CELL = 0.02  # of the diameter: a cell of the depth maps
_DEPTH_SLACK = 0.025  # of the diameter: what lies that far behind the front of its cell still counts as seen


@dataclass(frozen=True, eq=False)
class SurfaceSamples:
    """Points of a surface: points (N, 3), the faces that they lie on (N,), and colours (N, 3) in CIELAB or None."""

    points: Array
    faces: NDArray[np.int64]
    colours: Array | None

    def take(self, rows: NDArray) -> SurfaceSamples:
        """The samples of some rows."""
        return SurfaceSamples(
            self.points[rows], self.faces[rows], None if self.colours is None else self.colours[rows]
        )


def sample_evenly(mesh: Mesh, count: int) -> SurfaceSamples:
    """Points with equal shares of the area, however unevenly the vertices lie; no chance is in it.

    Raises:
        ValueError: the mesh has no area.
    """
    corners = mesh.vertices[mesh.faces].astype(np.float64)  # (F, 3, 3)
    edges = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).cumsum()
    if area[-1] <= 0:
        raise ValueError(f"mesh '{mesh.name}' has no surface: all its triangles are degenerate")
    number = np.arange(count)
    face = np.searchsorted(area, (number + 0.5) / count * area[-1], side="right").clip(max=len(area) - 1)
    u, v = (0.5 + number * _STEP_U) % 1, (0.5 + number * _STEP_V) % 1
    beyond = u + v > 1  # the other half of the parallelogram is mirrored back
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)
    return _samples(mesh, face, weights)


def face_centres(mesh: Mesh) -> SurfaceSamples:
    """The middle of every face, or of every n-th of a very fine mesh: even a small face has a sample."""
    face = np.arange(0, len(mesh.faces), -(-len(mesh.faces) // _MOST_CENTRES))
    return _samples(mesh, face, np.full((len(face), 3), 1 / 3))


def _samples(mesh: Mesh, face: NDArray, weights: Array) -> SurfaceSamples:
    corner = mesh.faces[face]  # (N, 3)
    points = np.einsum("nk,nkx->nx", weights, mesh.vertices[corner].astype(np.float64))
    return SurfaceSamples(points, face, _colours(mesh, corner, weights))


def _colours(mesh: Mesh, corner: NDArray, weights: Array) -> Array | None:
    """CIELAB colours (N, 3) of points on faces; None for a plain mesh."""
    if mesh.texture is not None and mesh.uv is not None:
        uv = np.einsum("nk,nkx->nx", weights, mesh.uv[corner].astype(np.float64)) % 1.0
        height, width = mesh.texture.shape[:2]
        column = (uv[:, 0] * width).astype(int).clip(0, width - 1)
        row = ((1 - uv[:, 1]) * height).astype(int).clip(0, height - 1)
        rgb = mesh.texture[row, column]
    elif mesh.vertex_colors is not None:
        rgb = np.einsum("nk,nkc->nc", weights, mesh.vertex_colors[corner].astype(np.float64))
    else:
        return None
    lab = cv2.cvtColor((rgb[None] / 255.0).astype(np.float32), cv2.COLOR_RGB2Lab)[0]
    return np.asarray(lab, dtype=np.float64)


def views_that_see(points: Array, diameter: float) -> NDArray[np.int64]:
    """From how many of 48 directions, all around and far away, each of the points (N, 3) can be seen.

    The points hide each other as a depth map of coarse cells tells; parts inside of a closed case are seen from none.
    """
    polar, azimuth = (t.numpy() for t in healpix_directions(_VIEWS_N_SIDE))
    towards = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
    )
    seen = np.zeros(len(points), dtype=np.int64)
    for direction in towards:
        helper = np.eye(3)[np.abs(direction).argmin()]
        across = np.cross(direction, helper)
        across /= np.linalg.norm(across)
        plane = points @ np.stack([across, np.cross(direction, across)], axis=1) / (_CELL * diameter)
        cell = (plane - plane.min(axis=0)).astype(np.int64)
        index = cell[:, 0] * (cell[:, 1].max() + 1) + cell[:, 1]
        depth = -points @ direction
        front = np.full(index.max() + 1, np.inf)
        np.minimum.at(front, index, depth)
        seen += depth <= front[index] + _DEPTH_SLACK * diameter
    return seen
