"""Coarse stand-ins of meshes, for pictures in which only the silhouette and the rough depth count."""

from __future__ import annotations

import numpy as np

from mrc_core.geometry.mesh import Mesh

CELLS = 32  # over the diameter


def simplified(mesh: Mesh, cells: int = CELLS) -> Mesh:
    """The mesh without colours and with the vertices of each cell of a grid merged into one.

    Of a cell's vertices the one furthest from the origin stays, so that the silhouette keeps its extent; nothing moves
    by more than a cell's diagonal. Thin walls may become one sheet. A mesh that would not lose a third of its faces
    stays as it is, but for its colours.

    Args:
        mesh: in a frame whose origin lies near its middle.
        cells: of the grid, over the diameter.
    """
    vertices = mesh.vertices.astype(np.float64)
    cell = np.floor((vertices - vertices.min(axis=0)) / (mesh.diameter / cells)).astype(np.int64)
    order = np.argsort(-np.linalg.norm(vertices, axis=1), kind="stable")  # outermost first
    _, first, group = np.unique(cell[order], axis=0, return_index=True, return_inverse=True)
    new_index = np.empty(len(vertices), np.int64)
    new_index[order] = group.reshape(-1)
    faces = new_index[mesh.faces]
    corners = np.sort(faces, axis=1)
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2])
    faces = faces[whole]
    # both sides of a sheet, and faces that became the same, are drawn once
    _, kept = np.unique(corners[whole], axis=0, return_index=True)
    if len(kept) == 0 or 3 * len(kept) > 2 * len(mesh.faces):
        return Mesh(mesh.vertices, mesh.faces, mesh.normals, name=mesh.name)
    return Mesh(mesh.vertices[order[first]], faces[np.sort(kept)], name=mesh.name)
