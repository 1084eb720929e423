"""Normals for meshes whose file has none."""

from __future__ import annotations

import numpy as np

CREASE_ANGLE_RAD = np.deg2rad(40.0)


def corner_normals(
    vertices: np.ndarray, faces: np.ndarray, crease_rad: float = CREASE_ANGLE_RAD
) -> np.ndarray:
    """A normal for every corner of every face: smooth over gentle edges, sharp at creases.

    The normal of a corner is the mean, weighted by angle, of the faces at that point whose normals lie within
    `crease_rad` of the corner's own face. Vertices at the same place count as one, so that texture seams and
    formats that share no vertices (stl) do not show.

    Args:
        vertices: (V, 3), finite.
        faces: (F, 3).

    Returns:
        (F, 3, 3) float32, unit length; (0, 0, 1) at the corners of degenerate faces.
    """
    face_normals, angles = _face_normals_and_angles(vertices, faces)
    _, place = np.unique(vertices, axis=0, return_inverse=True)
    corner_place = place.reshape(-1)[faces].reshape(-1)  # (3F,)
    order = np.argsort(corner_place, kind="stable")
    _, first, degree = np.unique(corner_place[order], return_index=True, return_counts=True)
    weighted = np.repeat(face_normals, 3, axis=0) * angles.reshape(-1, 1)

    # Every corner meets every other corner of its place: shift by 1, 2, ... around the ring of corners there.
    position = np.arange(len(order)) - np.repeat(first, degree)
    start, size = np.repeat(first, degree), np.repeat(degree, degree)
    own = np.repeat(face_normals, 3, axis=0)[order]
    total = weighted[order].copy()
    active = np.arange(len(order))
    limit = np.cos(crease_rad)
    for shift in range(1, int(degree.max())):
        active = active[size[active] > shift]
        other = start[active] + (position[active] + shift) % size[active]
        gentle = (own[active] * own[other]).sum(axis=1) >= limit
        total[active[gentle]] += weighted[order[other[gentle]]]
    normals = np.empty_like(total)
    normals[order] = total
    return _unit_or_up(normals).reshape(-1, 3, 3)


def smooth_vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """One normal for every vertex, the mean, weighted by angle, of its faces; (V, 3) float32, unit length."""
    face_normals, angles = _face_normals_and_angles(vertices, faces)
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(total, faces[:, corner], face_normals * angles[:, corner : corner + 1])
    return _unit_or_up(total)


def _face_normals_and_angles(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    corners = vertices[faces].astype(np.float64)  # (F, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    out = np.roll(corners, -1, axis=1) - corners
    back = np.roll(corners, 1, axis=1) - corners
    scale = np.linalg.norm(out, axis=2) * np.linalg.norm(back, axis=2)
    cosine = np.divide((out * back).sum(axis=2), scale, out=np.ones_like(scale), where=scale > 0)
    return normals, np.arccos(np.clip(cosine, -1, 1))


def _unit_or_up(normals: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.broadcast_to([0.0, 0.0, 1.0], normals.shape)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), up).astype(np.float32)
