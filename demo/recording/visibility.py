"""Exact silhouettes: which pixels show which item, and how much of each object can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layout import Item

Array = NDArray[np.float64]
NOTHING = -1
NEAREST_M = 0.02


@dataclass(frozen=True)
class ObjectView:
    """An object in one frame.

    cam_from_obj (4, 4); extents (3,) metres; visib_fract: share of its silhouette that is visible, where what the image
    border cuts off counts as hidden; box_xyxy_px of the visible part, from pixel edge to pixel edge, or None.
    """

    class_id: str
    cam_from_obj: Array
    extents: Array
    visib_fract: float
    box_xyxy_px: tuple[float, float, float, float] | None


def index_image(
    items: list[Item], cam_from_world: Array, K: Array, size: tuple[int, int]
) -> NDArray[np.int64]:
    """(H, W) index of the nearest item in each pixel, NOTHING where there is none. Pixel centres are at integers.

    Raises ValueError if an item reaches within NEAREST_M of the camera plane.
    """
    nearest = np.full(size[0] * size[1], np.inf)
    owner = np.full(size[0] * size[1], NOTHING, np.int64)
    for index, item in enumerate(items):
        pixel, depth = _fragments(_project(item, cam_from_world, K), item.faces, size)
        order = np.argsort(-depth, kind="stable")  # the last write to a pixel is then the nearest fragment's
        pixel, depth = pixel[order], depth[order]
        front = np.full_like(nearest, np.inf)
        front[pixel] = depth
        owner[front < nearest] = index
        nearest = np.minimum(nearest, front)
    return owner.reshape(size)


def silhouette_area_px(item: Item, cam_from_world: Array, K: Array) -> int:
    """Pixel centres that the item alone covers on an image plane without borders."""
    projected = _project(item, cam_from_world, K)
    pixels = projected[:, :2] / projected[:, 2:]
    low, high = np.floor(pixels.min(axis=0)).astype(int), np.ceil(pixels.max(axis=0)).astype(int)
    # The image is moved to where the item is; whole pixels, so that the sampling points stay the same.
    shifted = projected - projected[:, 2:] * np.array([*low, 0.0])
    columns, rows = (high - low + 1).tolist()
    return len(np.unique(_fragments(shifted, item.faces, (rows, columns))[0]))


def _project(item: Item, cam_from_world: Array, K: Array) -> Array:
    """(V, 3) K @ point of every vertex."""
    cam_from_obj = cam_from_world @ item.world_from_obj
    points = item.vertices @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
    if points[:, 2].min() < NEAREST_M:
        raise ValueError(f"{item.name} comes too near to the camera: move the camera away from it")
    return points @ K.T


def _fragments(
    projected: Array, faces: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.int64], Array]:
    """Flat pixel index and depth of every pixel centre covered by a triangle; projected (V, 3) = K @ point."""
    height, width = size
    z = projected[:, 2]
    corners = (projected[:, :2] / z[:, None])[faces]  # (F, 3, 2)
    low = np.maximum(np.ceil(corners.min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(axis=1)), [width - 1, height - 1]).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    count = np.where(np.abs(area) > 1e-12, extent.prod(axis=1), 0)
    triangle = np.repeat(np.arange(len(faces)), count)
    running = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    column = low[triangle, 0] + running % np.maximum(extent[triangle, 0], 1)
    row = low[triangle, 1] + running // np.maximum(extent[triangle, 0], 1)
    at = np.stack([column, row], axis=1).astype(float)
    weight_b = _cross(at - a[triangle], (c - a)[triangle]) / area[triangle]
    weight_c = _cross((b - a)[triangle], at - a[triangle]) / area[triangle]
    weight_a = 1.0 - weight_b - weight_c
    inside = (weight_a >= -1e-9) & (weight_b >= -1e-9) & (weight_c >= -1e-9)
    inverse = (1.0 / z)[faces][triangle]
    depth = 1.0 / (weight_a * inverse[:, 0] + weight_b * inverse[:, 1] + weight_c * inverse[:, 2])
    return (row * width + column)[inside], depth[inside]


def _cross(a: Array, b: Array) -> Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def view_objects(
    items: list[Item], cam_from_world: Array, K: Array, size: tuple[int, int]
) -> list[ObjectView]:
    """One ObjectView for each detectable item, in the items' order."""
    seen = index_image(items, cam_from_world, K, size)
    views = []
    for index, item in enumerate(items):
        if not item.detectable:
            continue
        rows, columns = np.nonzero(seen == index)
        box = None
        if len(rows):
            box = (columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
        share = len(rows) / max(silhouette_area_px(item, cam_from_world, K), 1)
        views.append(ObjectView(item.name, cam_from_world @ item.world_from_obj, item.extents, share, box))
    return views
