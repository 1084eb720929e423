"""Crops out of whole images, anti-aliased, on the image's device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.geometry.cameras import BOX_MAP_GROWTH, box_map, crop_from_image, transform_boxes

MAX_SUPERSAMPLE = 6


def extract_crops(image: Tensor, K: Tensor, box_xyxy_px: Tensor, crop_size: int) -> tuple[Tensor, Tensor]:
    """Square crops (B, 4, S, S) around boxes, RGB and the box map, and their intrinsics (B, 3, 3).

    Args:
        image: (3, H, W), RGB in 0..1; beyond its border a crop is black.
        K: (3, 3), pixel centres at integers.
        box_xyxy_px: (B, 4).

    Where a crop shrinks the image by a factor of n, n x n samples are averaged for each pixel. n depends on the box
    alone, so that a crop is the same whatever else is in the frame.
    """
    box = box_xyxy_px.to(image)
    to_crop = crop_from_image(box, crop_size)
    shrink = 1 / to_crop[:, 0, 0]
    samples = shrink.ceil().clamp(1, MAX_SUPERSAMPLE).int().tolist()
    rgb = image.new_empty(len(box), 3, crop_size, crop_size)
    for count in sorted(set(samples)):
        rows = [i for i, n in enumerate(samples) if n == count]
        rgb[rows] = _sample(image, torch.linalg.inv(to_crop[rows]), crop_size, count)
    boxes = box_map(transform_boxes(to_crop, box), crop_size, BOX_MAP_GROWTH)
    return torch.cat([rgb, boxes], dim=1), to_crop @ K.to(image)


def _sample(image: Tensor, image_from_crop: Tensor, size: int, count: int) -> Tensor:
    """Bilinear samples on a grid `count` times as fine as the crop, averaged: (B, 3, size, size)."""
    height, width = image.shape[-2:]
    axis = (torch.arange(size * count, device=image.device, dtype=image.dtype) + 0.5) / count - 0.5
    scale, shift = image_from_crop[:, 0, 0, None], image_from_crop[:, :2, 2]
    x = axis * scale + shift[:, :1]  # (B, n), image pixels
    y = axis * scale + shift[:, 1:]
    # grid_sample without align_corners puts -1 and 1 at the outer edges of the border pixels
    x, y = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    batch = image.expand(len(grid), *image.shape)
    fine = F.grid_sample(batch, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(fine, count) if count > 1 else fine


def image_to_tensor(image_rgb_uint8: object, device: torch.device) -> Tensor:
    """(3, H, W) float in 0..1 on the device of an (H, W, 3) uint8 image; the conversion runs on the device.

    Raises:
        ValueError: another shape or type.
    """
    raw = torch.as_tensor(image_rgb_uint8)
    if raw.ndim != 3 or raw.shape[2] != 3 or raw.dtype != torch.uint8:
        raise ValueError(f"the image must be (H, W, 3) uint8 RGB, got {tuple(raw.shape)} {raw.dtype}")
    return raw.to(device).permute(2, 0, 1).float().div_(255)


def check_intrinsics(K: Tensor) -> Tensor:
    """K (3, 3) as float32.

    Raises:
        ValueError: not a camera matrix.
    """
    matrix = torch.as_tensor(K, dtype=torch.float64)
    if matrix.shape != (3, 3) or not torch.isfinite(matrix).all():
        raise ValueError(f"K must be a finite 3x3 camera matrix, got shape {tuple(matrix.shape)}")
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    if fx <= 0 or fy <= 0 or not math.isclose(float(matrix[2, 2]), 1.0, abs_tol=1e-6):
        raise ValueError(f"K is not a camera matrix (fx {fx}, fy {fy}, last row {matrix[2].tolist()})")
    return matrix.float()
