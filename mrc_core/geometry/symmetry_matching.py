"""How well a mesh comes to lie on itself after a turn: distances of surface and differences of colour.

All lengths here are parts of the diameter and all points are counted from the middle of the seen surface, which every
symmetry of the object leaves in place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.symmetry_samples import (
    Array,
    SurfaceSamples,
    face_centres,
    sample_evenly,
    views_that_see,
)

_REFERENCE = 20_000  # samples that a surface is known by
_QUERIES = 2_000  # of them are turned and compared
_COARSE_QUERIES, _COARSE_REFERENCE = 120, 4_000  # for a first look at many turns
_NEAREST_FACES = 3  # the closest point of the surface is looked for on the faces of so many nearest samples
_CLEARLY_SEEN = 3  # views
_COLOUR_SAMPLES = 60_000
_SMOOTHING = 0.02  # radius over which colours are averaged: about a pixel of the network's crops
_SMOOTHED = 40  # samples at most
_COLOUR_NEIGHBOURS = 16
_OTHER_SIDE = 0.04  # how far apart the two sides of a sheet count when colours are compared
_FULL_SCALE = (
    100.0  # CIELAB's distance of black and white; opposite hues are further apart, and count the same
)
_LIGHTNESS = 0.5  # weight of lightness beside hue: scans carry the light that they were taken in


class TurnedSurface:
    """Compares a mesh with itself, turned.

    Args:
        mesh: any; only what can be seen from outside counts.
        reach: parts of the diameter; a colour is looked for that far around a point.

    Attributes:
        centre: the middle of the seen surface (3,), in the mesh's frame, metres.
        diameter: of the mesh, metres.
        even_points: points spread evenly over the seen surface (N, 3).
        has_colours: whether the mesh has an appearance of its own.
    """

    def __init__(self, mesh: Mesh, reach: float = 0.01) -> None:
        self.diameter = mesh.diameter
        samples = sample_evenly(mesh, _REFERENCE)
        everything = _joined(samples, face_centres(mesh))
        views = views_that_see(everything.points, self.diameter)
        even, seen = views[: len(samples.points)], views > 0
        clear = even >= min(_CLEARLY_SEEN, int(even.max()))
        self.centre = samples.points[even > 0].mean(axis=0)
        self.even_points = (samples.points[even > 0] - self.centre) / self.diameter
        self._corners = (
            mesh.vertices[mesh.faces].astype(np.float64) - self.centre
        ) / self.diameter  # (F, 3, 3)
        self._reference = self._normalised(everything.take(seen))
        self._tree = cKDTree(self._reference.points)
        chosen = np.flatnonzero(clear)
        self.queries = self._normalised(samples.take(chosen[:: max(1, len(chosen) // _QUERIES)]))
        self._coarse = self.queries.points[:: max(1, len(self.queries.points) // _COARSE_QUERIES)]
        self._coarse_tree = cKDTree(self.even_points[:: max(1, len(self.even_points) // _COARSE_REFERENCE)])
        self.has_colours = samples.colours is not None
        if self.has_colours:
            self._prepare_colours(mesh, self._normalised(samples.take(even > 0)), reach)

    def _normalised(self, samples: SurfaceSamples) -> SurfaceSamples:
        return SurfaceSamples((samples.points - self.centre) / self.diameter, samples.faces, samples.colours)

    # ---- shape -------------------------------------------------------------------------------------------------------
    def coarse_distance(self, rotations: Array) -> Array:
        """Mean distance (R,) of a few points, turned by rotations (R, 3, 3) about the centre, from the samples."""
        turned = np.einsum("rij,nj->rni", rotations, self._coarse)
        return self._coarse_tree.query(turned.reshape(-1, 3))[0].reshape(turned.shape[:2]).mean(axis=1)

    def closest(self, points: Array) -> tuple[Array, Array]:
        """The seen surface's points (N, 3) closest to points (N, 3), and the normals (N, 3) of the faces there."""
        near = self._reference.faces[self._tree.query(points, k=_NEAREST_FACES)[1]]  # (N, k)
        count, k = near.shape
        found = closest_on_triangles(self._corners[near.reshape(-1)], np.repeat(points, k, axis=0)).reshape(
            count, k, 3
        )
        best = np.linalg.norm(found - points[:, None], axis=2).argmin(axis=1)
        row = np.arange(len(points))
        a, b, c = self._corners[near[row, best]].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        return found[row, best], normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)

    def distances(self, transform: Array, every: int = 1) -> Array:
        """Distances (N,) of every n-th query, moved by a transform (4, 4), from the seen surface."""
        moved = self.queries.points[::every] @ transform[:3, :3].T + transform[:3, 3]
        return np.linalg.norm(self.closest(moved)[0] - moved, axis=1)

    # ---- appearance --------------------------------------------------------------------------------------------------
    def _prepare_colours(self, mesh: Mesh, places: SurfaceSamples, reach: float) -> None:
        """Averages the colours around each of the places."""
        dense = self._normalised(sample_evenly(mesh, _COLOUR_SAMPLES))
        assert dense.colours is not None
        at = self._places(places.points, self._normals(places.faces))
        tree = cKDTree(self._places(dense.points, self._normals(dense.faces)))
        distance, index = tree.query(at, k=_SMOOTHED, distance_upper_bound=_SMOOTHING)
        distance[:, 0], index[:, 0] = 0, tree.query(at)[1]  # of a sheet that few samples fell on
        within = np.isfinite(distance)
        total = (dense.colours[np.where(within, index, 0)] * within[..., None]).sum(axis=1)
        scale = np.array([_LIGHTNESS, 1.0, 1.0]) / _FULL_SCALE
        self._smooth = total / within.sum(axis=1, keepdims=True) * scale
        self._colour_tree, self._reach = cKDTree(at), reach
        self._query_normals = self._normals(self.queries.faces)
        own = self._colour_tree.query(self._places(self.queries.points, self._query_normals))[1]
        self._query_colours = self._smooth[own]

    def _normals(self, faces: NDArray) -> Array:
        a, b, c = self._corners[faces].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)

    @staticmethod
    def _places(points: Array, normals: Array) -> Array:
        """Points (N, 6) in which the two sides of a thin sheet lie apart."""
        return np.concatenate([points, normals * (_OTHER_SIDE / 2)], axis=1)

    def colour_differences(self, transform: Array, every: int = 1) -> Array:
        """Differences (N,) of colour, 0..1, between the queries moved by a transform (4, 4) and the surface there.

        Colours are averages over 2 % of the diameter, and the most alike one within reach counts, so that neither
        grain nor a print that is slightly off makes a difference. Only every n-th query is looked at. Zeros for a
        mesh without an appearance.
        """
        if not self.has_colours:
            return np.zeros(len(self.queries.points[::every]))
        rotation = transform[:3, :3]
        moved = self.queries.points[::every] @ rotation.T + transform[:3, 3]
        places = self._places(moved, self._query_normals[::every] @ rotation.T)
        distance, index = self._colour_tree.query(places, k=_COLOUR_NEIGHBOURS)
        difference = np.linalg.norm(self._smooth[index] - self._query_colours[::every, None], axis=2)
        near = distance <= np.maximum(self._reach, distance[:, :1])
        return np.where(near, difference, np.inf).min(axis=1).clip(max=1.0)


def closest_on_triangles(corners: Array, points: Array) -> Array:
    """Closest points (N, 3) of triangles (N, 3, 3) to points (N, 3); flat triangles and single points are as good."""
    edges = corners[:, (1, 2, 0)] - corners  # (N, 3, 3)
    normal = np.cross(edges[:, 0], edges[:, 1])
    squared = np.einsum("nx,nx->n", normal, normal)
    to_point = points[:, None] - corners
    inside = (np.einsum("nex,nx->ne", np.cross(edges, to_point), normal) >= 0).all(axis=1) & (
        squared > 1e-300
    )
    height = np.einsum("nx,nx->n", to_point[:, 0], normal) / np.maximum(squared, 1e-300)
    found = points - height[:, None] * normal
    out = np.flatnonzero(~inside)
    edges, to_point = edges[out], to_point[out]
    length = np.einsum("nex,nex->ne", edges, edges)
    along = np.einsum("nex,nex->ne", to_point, edges) / np.maximum(length, 1e-300)
    on_edges = corners[out] + along.clip(0, 1)[..., None] * edges
    gap = on_edges - points[out, None]
    nearest = np.einsum("nex,nex->ne", gap, gap).argmin(axis=1)
    found[out] = on_edges[np.arange(len(out)), nearest]
    return found


def _joined(a: SurfaceSamples, b: SurfaceSamples) -> SurfaceSamples:
    colours = None if a.colours is None or b.colours is None else np.concatenate([a.colours, b.colours])
    return SurfaceSamples(np.concatenate([a.points, b.points]), np.concatenate([a.faces, b.faces]), colours)
