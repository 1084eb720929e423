"""Textures made ready for minification: texels that no triangle uses take the colour of the nearest ones that are used.

Scans and atlases leave the space between their charts black. Mip levels average over it, and from afar every seam would
show as a dark line.
"""

from __future__ import annotations

import cv2
import numpy as np

_SUBPIXEL_BITS = 4


def prepare_texture(texture: np.ndarray, uv: np.ndarray, faces: np.ndarray, max_side: int) -> np.ndarray:
    """The texture with unused texels filled, and made smaller so that no side is longer than `max_side`.

    Args:
        texture: (H, W, 3) uint8.
        uv: (V, 2), v up.
        faces: (F, 3).
        max_side: pixels.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = texture.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    used = used_texels(uv, faces, height, width)
    if used.all():
        return texture if scale == 1 else cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
    color = cv2.bitwise_and(texture, texture, mask=used)
    weight = np.where(used > 0, np.uint8(255), np.uint8(0))
    if scale < 1:
        color = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    return _filled(color.astype(np.float32), weight.astype(np.float32) / 255)


def used_texels(uv: np.ndarray, faces: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) uint8, 1 where a triangle covers the texel; all 1 where coordinates leave the texture, for it repeats."""
    used = np.zeros((height, width), np.uint8)
    if uv.min() < -1e-3 or uv.max() > 1 + 1e-3:
        return np.ones_like(used)
    # The drawing functions count from the texel's centre.
    points = np.stack([uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5], axis=1)
    corners = np.round(points[faces] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    for triangle in corners:
        cv2.fillConvexPoly(used, triangle, 1, shift=_SUBPIXEL_BITS)
    # A texel on a chart's border belongs to it in part, and may have the colour of the space beside it. Where the chart
    # has texels further in, those stand for it.
    inner = cv2.erode(used, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)
    beside_inner = cv2.dilate(inner, np.ones((3, 3), np.uint8))
    return np.where(beside_inner > inner, np.uint8(0), used)


def _filled(color: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3), already multiplied by their weights (H, W); where the weight is 0, from a coarser level."""
    if weight.any() and not weight.all() and max(weight.shape) > 1:
        half = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
        coarse = _filled(
            cv2.resize(color, half, interpolation=cv2.INTER_AREA),
            cv2.resize(weight, half, interpolation=cv2.INTER_AREA),
        )
        background = cv2.resize(coarse, weight.shape[::-1], interpolation=cv2.INTER_NEAREST)
    else:
        background = np.zeros(color.shape, np.uint8)
    known = weight > 1 / 512
    color /= np.where(known, weight, 1)[..., None]
    color += 0.5
    return np.where(known[..., None], np.minimum(color, 255).astype(np.uint8), background)
