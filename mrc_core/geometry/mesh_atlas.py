"""Several textures into one."""

from __future__ import annotations

import cv2
import numpy as np

_GUTTER_PX = 8  # so that the neighbour does not bleed in down to the third mip level
_MAX_TILES = 8
_MAX_SIDE_PX = 8192
_EDGE = 1e-4  # texture coordinates beyond the border by less are rounding, not repetition


def pack_atlas(
    images: list[np.ndarray], image_of_part: list[int], uvs: list[np.ndarray], name: str
) -> tuple[list[np.ndarray], np.ndarray]:
    """Pack images into one and move the texture coordinates along.

    Args:
        images: (H, W, 3) uint8 each; a texture that repeats is laid out as often as it is used.
        image_of_part: for each part, the index of its image.
        uvs: for each part, (V, 2), v up.
        name: of the mesh, for messages.

    Returns:
        the new uv of each part, and the atlas (H, W, 3) uint8.

    Raises:
        ValueError: a texture repeats more than 8 times.
    """
    uvs = [uv - np.floor(uv.min(axis=0) + _EDGE) for uv in uvs]
    tiled = []
    tiles = np.ones((len(images), 2), int)
    for part, uv in zip(image_of_part, uvs):
        tiles[part] = np.maximum(tiles[part], np.ceil(uv.max(axis=0) - _EDGE).astype(int))
    if tiles.max() > _MAX_TILES:
        raise ValueError(
            f"mesh '{name}' repeats a texture {tiles.max()} times: bake its materials into one texture"
        )
    for image, (across, up) in zip(images, tiles):
        tiled.append(np.tile(image, (up, across, 1)))
    scale = min(1.0, _MAX_SIDE_PX / 2 / np.sqrt(sum(image.shape[0] * image.shape[1] for image in tiled)))
    if scale < 1:
        tiled = [_shrunk(image, scale) for image in tiled]
    places, width, height = _shelves([(image.shape[0], image.shape[1]) for image in tiled])
    atlas = np.zeros((height, width, 3), np.uint8)
    for image, (x, y) in zip(tiled, places):
        h, w = image.shape[:2]
        padded = np.pad(image, ((_GUTTER_PX, _GUTTER_PX), (_GUTTER_PX, _GUTTER_PX), (0, 0)), mode="edge")
        atlas[y - _GUTTER_PX : y + h + _GUTTER_PX, x - _GUTTER_PX : x + w + _GUTTER_PX] = padded
    moved = []
    for part, uv in zip(image_of_part, uvs):
        (x, y), (h, w) = places[part], tiled[part].shape[:2]
        u = (x + uv[:, 0] / tiles[part, 0] * w) / width
        v = 1 - (y + (1 - uv[:, 1] / tiles[part, 1]) * h) / height
        moved.append(np.stack([u, v], axis=1))
    return moved, atlas


def _shrunk(image: np.ndarray, scale: float) -> np.ndarray:
    size = (max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _shelves(sizes: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], int, int]:
    """Places (x, y) of the upper left corners inside their gutters, and the width and height of the whole."""
    outer = [(h + 2 * _GUTTER_PX, w + 2 * _GUTTER_PX) for h, w in sizes]
    width = max(max(w for _, w in outer), int(np.sqrt(sum(h * w for h, w in outer)) * 1.1))
    places = [(0, 0)] * len(sizes)
    x = y = shelf = 0
    for index in sorted(range(len(sizes)), key=lambda i: -outer[i][0]):
        h, w = outer[index]
        if x + w > width:
            x, y, shelf = 0, y + shelf, 0
        places[index] = (x + _GUTTER_PX, y + _GUTTER_PX)
        x, shelf = x + w, max(shelf, h)
    return places, width, y + shelf
