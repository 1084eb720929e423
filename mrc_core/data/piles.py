"""Piles: objects dropped one after another on a floor and on each other, without passing through.

The world's frame has z up and the floor at z = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_core.geometry.mesh import Mesh

POINTS_OF_A_MESH = 20_000
_CELLS_ACROSS = 60  # of the largest object: its surface points then lie closer than a cell
_NOTHING = 1e9
_AROUND = np.ones((3, 3), np.uint8)


def surface_cloud(mesh: Mesh) -> NDArray[np.float64]:
    """Points (P, 3) all over a mesh's surface, its corners among them, in the mesh's frame, metres."""
    used = mesh.vertices[np.unique(mesh.faces)]
    return np.concatenate([used, mesh.sample_points(POINTS_OF_A_MESH)]).astype(np.float64)


def drop_pile(
    clouds: Sequence[NDArray[np.float64]], rotations: NDArray[np.float64], at_xy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Poses world_from_obj (N, 4, 4) of objects let down straight, in their order, until they touch what is below.

    A grid of cells holds the height of the pile. An object comes down until in some cell its underside meets the
    pile; its underside counts for the neighbouring cells too, so that two objects keep up to a cell between them and
    none cuts into another. An object does not tip over.

    Args:
        clouds: surface points (P, 3) of each object, object frame, metres; see `surface_cloud`.
        rotations: world_from_obj (N, 3, 3).
        at_xy: where the middle of each object's bounding box comes to (N, 2), metres.
    """
    placed = []
    for cloud, rotation, at in zip(clouds, rotations, at_xy):
        points = cloud @ rotation.T
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        placed.append((points, np.array([at[0] - middle[0], at[1] - middle[1], 0.0])))
    corners = [points + shift for points, shift in placed]
    cell = max(np.ptp(points, axis=0).max() for points in corners) / _CELLS_ACROSS
    reach = max(np.abs(points[:, :2]).max() for points in corners)
    cells = 2 * int(np.ceil(reach / cell)) + 4  # an empty one all around
    pile = np.zeros((cells, cells))
    poses = np.tile(np.eye(4), (len(placed), 1, 1))
    for pose, rotation, (_, shift), points in zip(poses, rotations, placed, corners):
        row, column = (np.floor(points[:, :2] / cell).astype(np.int64) + cells // 2).T
        underside, upside = np.full(pile.shape, _NOTHING), np.full(pile.shape, -_NOTHING)
        np.minimum.at(underside, (row, column), points[:, 2])
        np.maximum.at(upside, (row, column), points[:, 2])
        lift = float((pile - cv2.erode(underside, _AROUND)).max())
        np.maximum(pile, upside + lift, out=pile)
        pose[:3, :3] = rotation
        pose[:3, 3] = shift + (0, 0, lift)
    return poses
