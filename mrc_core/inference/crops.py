"""Crops out of whole images, anti-aliased, on the image's device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mrc_core.geometry.cameras import (
    BOX_MAP_GROWTH,
    box_map,
    crop_from_image,
    rounded_box_map,
    transform_boxes,
)
from mrc_core.geometry.crop_sampling import sample_crops, supersampling
from mrc_core.geometry.lens_map import LensMap
from mrc_core.model.conventions import OURS, Conventions


def extract_crops(
    image: Tensor,
    K: Tensor,
    box_xyxy_px: Tensor,
    crop_size: int,
    conventions: Conventions = OURS,
    lens: LensMap | None = None,
) -> tuple[Tensor, Tensor]:
    """Square crops (B, 4, S, S) around boxes, RGB and the box map, and their intrinsics (B, 3, 3).

    Args:
        image: (3, H, W), RGB in 0..1; beyond its border a crop is black.
        K: (3, 3), pixel centres at integers.
        box_xyxy_px: (B, 4).
        conventions: those of the network that reads the crops.
        lens: of an image with distortion; K and boxes are those of the image without, and so are the crops.

    Where a crop shrinks the image by a factor of n, n x n samples are averaged for each pixel. n depends on the box
    alone, so that a crop is the same whatever else is in the frame.
    """
    box = box_xyxy_px.to(image)
    to_crop = crop_from_image(box, crop_size)
    to_pixels = to_crop.clone()
    to_pixels[:, :2, 2] += conventions.crop_shift_px
    samples = supersampling(to_crop) if conventions.antialias else [1] * len(box)
    rgb = image.new_empty(len(box), 3, crop_size, crop_size)
    for count in sorted(set(samples)):
        rows = [i for i, n in enumerate(samples) if n == count]
        rgb[rows] = sample_crops(image, torch.linalg.inv(to_pixels[rows]), crop_size, count, lens)
    box_px = transform_boxes(to_crop, box)
    if conventions.box_map == "rounded":
        boxes = rounded_box_map(box_px + 0.5, crop_size, BOX_MAP_GROWTH)
    else:
        boxes = box_map(box_px, crop_size, BOX_MAP_GROWTH)
    return torch.cat([rgb, boxes], dim=1), to_crop @ K.to(image)


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
