"""Pinhole cameras and square crops around detections.

Pixels follow OpenCV and ROS: the centre of pixel (c, r) is at (c, r). One affine matrix, `crop_from_image`, makes
the crop's pixels and the crop's intrinsics.
"""

from __future__ import annotations

import torch
from torch import Tensor

CROP_FACTOR = 1.5  # side of the crop over the longer side of the detection box (MRC-Net)
BOX_MAP_GROWTH = 0.125  # how much the box map grows on every side, in parts of the box's size


def camera_matrix(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """A camera matrix (3, 3), float64, of focal lengths and principal point in pixels."""
    return torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float64)


def project(K: Tensor, points: Tensor) -> Tensor:
    """Pixels (..., N, 2) of camera-frame points (..., N, 3) under K (..., 3, 3). No check for points behind."""
    uvw = points @ K.transpose(-1, -2)
    return uvw[..., :2] / uvw[..., 2:]


def crop_from_image(box_xyxy_px: Tensor, crop_size: int, factor: float = CROP_FACTOR) -> Tensor:
    """Affine maps (..., 3, 3) from image pixels to the pixels of a square crop of `crop_size` px.

    The crop has the box's centre and `factor` times its longer side (at least one pixel). The box's centre comes to
    the crop's centre, which is (crop_size - 1) / 2 in pixel-centre coordinates.

    Args:
        box_xyxy_px: boxes (..., 4) as x0, y0, x1, y1 in image pixels.
    """
    x0, y0, x1, y1 = box_xyxy_px.unbind(-1)
    side = factor * torch.maximum(x1 - x0, y1 - y0).clamp(min=1.0 / factor)
    scale = crop_size / side
    out = torch.zeros(*box_xyxy_px.shape[:-1], 3, 3, dtype=box_xyxy_px.dtype, device=box_xyxy_px.device)
    out[..., 0, 0] = out[..., 1, 1] = scale
    out[..., 0, 2] = (crop_size - 1) / 2 - scale * (x0 + x1) / 2
    out[..., 1, 2] = (crop_size - 1) / 2 - scale * (y0 + y1) / 2
    out[..., 2, 2] = 1
    return out


def box_map(box_xyxy_px: Tensor, size: int, growth: float = 0.0) -> Tensor:
    """Binary maps (B, 1, size, size) of boxes (B, 4) given in crop pixels, grown by `growth` of their size per side."""
    x0, y0, x1, y1 = box_xyxy_px.unbind(-1)
    dx, dy = growth * (x1 - x0), growth * (y1 - y0)
    axis = torch.arange(size, device=box_xyxy_px.device, dtype=box_xyxy_px.dtype)
    in_x = (axis >= (x0 - dx)[:, None]) & (axis <= (x1 + dx)[:, None])  # (B, size)
    in_y = (axis >= (y0 - dy)[:, None]) & (axis <= (y1 + dy)[:, None])
    return (in_y[:, None, :, None] & in_x[:, None, None, :]).to(box_xyxy_px.dtype)


def rounded_box_map(edges_xyxy_px: Tensor, size: int, growth: float = 0.0) -> Tensor:
    """As `box_map`, but from edge to edge of whole pixels: i is inside where round(x0) <= i < round(x1), half to even.

    Edges (B, 4) count from the border of the first pixel, not from its centre: its own are 0 and 1.
    """
    x0, y0, x1, y1 = edges_xyxy_px.unbind(-1)
    dx, dy = growth * (x1 - x0), growth * (y1 - y0)
    axis = torch.arange(size, device=edges_xyxy_px.device, dtype=edges_xyxy_px.dtype)
    in_x = (axis >= (x0 - dx).round()[:, None]) & (axis < (x1 + dx).round()[:, None])  # (B, size)
    in_y = (axis >= (y0 - dy).round()[:, None]) & (axis < (y1 + dy).round()[:, None])
    return (in_y[:, None, :, None] & in_x[:, None, None, :]).to(edges_xyxy_px.dtype)


def mask_boxes(mask: Tensor) -> Tensor:
    """Tight boxes (B, 4), x0, y0, x1, y1 in px, of masks (B, H, W); NaN where a mask is empty."""
    columns, rows = mask.any(dim=1), mask.any(dim=2)  # (B, W), (B, H)

    def span(hits: Tensor) -> tuple[Tensor, Tensor]:
        length = hits.shape[1]
        index = torch.arange(length, device=hits.device)
        first = torch.where(hits, index, length).amin(dim=1)
        last = torch.where(hits, index, -1).amax(dim=1)
        return first, last

    (x0, x1), (y0, y1) = span(columns), span(rows)
    boxes = torch.stack([x0, y0, x1, y1], dim=-1).to(torch.float32)
    return torch.where((x1 >= 0)[:, None], boxes, torch.full_like(boxes, float("nan")))


def transform_boxes(affine: Tensor, box_xyxy_px: Tensor) -> Tensor:
    """Boxes (..., 4) moved by axis-aligned affine maps (..., 3, 3) with positive scale."""
    scale = torch.stack([affine[..., 0, 0], affine[..., 1, 1]], dim=-1).repeat_interleave(2, dim=-1)[
        ..., [0, 2, 1, 3]
    ]
    shift = torch.cat([affine[..., :2, 2], affine[..., :2, 2]], dim=-1)
    return box_xyxy_px * scale + shift


def look_direction(K_crop: Tensor, crop_size: int) -> Tensor:
    """Where the crop looks (B, 3): ((u - cx) / fx, (v - cy) / fy, s / fx) with (u, v) its centre and s its side in px.

    The three are the same in image and in crop pixels, so the crop's own matrix (B, 3, 3) suffices.
    """
    fx, fy = K_crop[:, 0, 0], K_crop[:, 1, 1]
    centre = (crop_size - 1) / 2
    return torch.stack(
        [(centre - K_crop[:, 0, 2]) / fx, (centre - K_crop[:, 1, 2]) / fy, crop_size / fx], dim=-1
    )
