"""Textures as the renderer reads them: all mip levels of all textures in one array."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAX_LEVELS = 14  # 8192 pixels down to 1


@dataclass(frozen=True)
class TexturePack:
    """Mip levels of several textures.

    Attributes:
        texels: (T,) uint32, a texel is r | g << 8 | b << 16, rows from the top.
        levels: (O, MAX_LEVELS, 3) int32: offset into texels, width, height; the last level repeats to the end.
        count: (O,) int32, how many levels the object's texture has, 0 for an object without texture.
    """

    texels: np.ndarray
    levels: np.ndarray
    count: np.ndarray


def pack_textures(textures: list[np.ndarray | None]) -> TexturePack:
    """Build the mip levels of each (H, W, 3) uint8 texture; None for an object without."""
    levels = np.zeros((len(textures), MAX_LEVELS, 3), np.int64)
    count = np.zeros(len(textures), np.int32)
    chunks: list[np.ndarray] = [np.zeros(1, np.uint32)]  # never empty, for an empty array has no address
    offset = 1
    for index, texture in enumerate(textures):
        if texture is None:
            continue
        pyramid = mip_levels(texture)
        count[index] = len(pyramid)
        for level in range(MAX_LEVELS):
            if level < len(pyramid):
                image = pyramid[level].astype(np.uint32)
                chunks.append((image[..., 0] | image[..., 1] << 8 | image[..., 2] << 16).reshape(-1))
                levels[index, level] = (offset, image.shape[1], image.shape[0])
                offset += chunks[-1].size
            else:
                levels[index, level] = levels[index, level - 1]
    if offset >= 2**31:
        raise ValueError(f"{offset} texels are more than the renderer can address: lower max_texture_px")
    return TexturePack(np.concatenate(chunks), levels.astype(np.int32), count)


def mip_levels(texture: np.ndarray) -> list[np.ndarray]:
    """The texture at half the size each time, down to 1 pixel, every pixel the mean of what it covers."""
    image = texture
    pyramid = [image]
    while max(image.shape[:2]) > 1 and len(pyramid) < MAX_LEVELS:
        image = _resized(image, image.shape[1] // 2, image.shape[0] // 2)
        pyramid.append(image)
    return pyramid


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(image, (max(1, width), max(1, height)), interpolation=cv2.INTER_AREA)
