"""One training crop out of a picture of a BOP data set, with its truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mrc_core.geometry.cameras import BOX_MAP_GROWTH, box_map, crop_from_image, transform_boxes
from mrc_core.geometry.crop_sampling import sample_crops, supersampling


@dataclass(frozen=True)
class BopCrop:
    """A crop of S px.

    image (4, S, S): RGB in 0..1 and the box map; K (3, 3) of the crop; cam_from_obj (4, 4); inside (S, S) bool: where
    the picture is, for beyond its border a crop is black; seen (S, S) bool: where the target is visible;
    depth_m (S, S): its depth there, 0 elsewhere and where it is unknown.
    """

    image: Tensor
    K: Tensor
    cam_from_obj: Tensor
    inside: Tensor
    seen: Tensor
    depth_m: Tensor


def cut_crop(
    rgb: Tensor,
    visible: Tensor,
    depth_m: Tensor | None,
    K: Tensor,
    cam_from_obj: Tensor,
    box_xyxy_px: Tensor,
    size: int,
) -> BopCrop:
    """The crop around a detection box.

    Args:
        rgb: the picture (3, H, W), 0..1.
        visible: where the target is visible (H, W), bool.
        depth_m: depth picture (H, W), 0 where unknown, or None where there is none.
        K: of the picture (3, 3); cam_from_obj: pose (4, 4).
        box_xyxy_px: the detection box (4,), pixels of the picture.
        size: side of the crop, px.
    """
    to_crop = crop_from_image(box_xyxy_px[None], size)
    from_crop = torch.linalg.inv(to_crop)
    colours = sample_crops(rgb, from_crop, size, supersampling(to_crop)[0])[0]
    boxes = box_map(transform_boxes(to_crop, box_xyxy_px[None]), size, BOX_MAP_GROWTH)[0]

    # Labels are those of the picture's pixel at the middle of each crop pixel: an average over an edge is no depth.
    height, width = visible.shape
    axis = torch.arange(size, dtype=torch.float32) * from_crop[0, 0, 0]
    column, row = (axis + from_crop[0, 0, 2]).round().long(), (axis + from_crop[0, 1, 2]).round().long()
    inside = ((row >= 0) & (row < height))[:, None] & ((column >= 0) & (column < width))
    rows, columns = row.clamp(0, height - 1)[:, None], column.clamp(0, width - 1)
    seen = visible[rows, columns] & inside
    depth = torch.zeros(size, size) if depth_m is None else depth_m[rows, columns] * seen
    return BopCrop(torch.cat([colours, boxes]), to_crop[0] @ K, cam_from_obj, inside, seen, depth)


def quarter_turns(crop: BopCrop, turns: int) -> BopCrop:
    """The crop turned clockwise by `turns` x 90 degrees, as a camera rolled about its optical axis would take it.

    A pixel (x, y) comes to (S - 1 - y, x). With X' = -Y, Y' = X that is again a pinhole camera: the focal lengths
    change places, and the principal point (cx, cy) comes to (S - 1 - cy, cx).
    """
    for _ in range(turns % 4):
        fx, fy, cx, cy = crop.K[0, 0], crop.K[1, 1], crop.K[0, 2], crop.K[1, 2]
        K = torch.eye(3)
        K[0, 0], K[1, 1], K[0, 2], K[1, 2] = fy, fx, crop.image.shape[-1] - 1 - cy, cx
        roll = torch.eye(4)
        roll[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        crop = replace(
            crop,
            K=K,
            cam_from_obj=roll @ crop.cam_from_obj,
            **{name: _clockwise(getattr(crop, name)) for name in ("image", "inside", "seen", "depth_m")},
        )
    return crop


def _clockwise(image: Tensor) -> Tensor:
    return torch.rot90(image, -1, (-2, -1)).contiguous()
