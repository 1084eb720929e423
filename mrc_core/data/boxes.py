"""Boxes as detectors draw them: mostly about right, sometimes clearly wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from mrc_core.data.draws import uniform
from mrc_core.data.scene_config import SceneConfig

SIDE_NOISE = 0.04  # of the box's size, by which each side is off on its own, +-
CUT = 0.3  # of the box's size, by which one side of a cut box is off, +-
UNCLIPPED = 0.15  # of the boxes, that may go beyond the image's border


def jitter_boxes(box_xyxy_px: Tensor, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Boxes (B, 4) as a detector would draw them: shifted and scaled, some sloppily, some with one side far off."""
    count = len(box_xyxy_px)
    size = box_xyxy_px[:, 2:] - box_xyxy_px[:, :2]
    centre = (box_xyxy_px[:, 2:] + box_xyxy_px[:, :2]) / 2
    sloppy = torch.rand(count, 1, generator=rng) < config.sloppy_fraction
    reach = torch.where(sloppy, config.sloppy_shift, config.box_shift)
    shift = uniform((count, 2), -1, 1, rng) * reach
    scale = torch.where(
        sloppy,
        uniform((count, 1), *config.sloppy_scale, rng),
        uniform((count, 1), *config.box_scale, rng),
    )
    sides = torch.cat([shift - scale / 2, shift + scale / 2], dim=-1)  # in the box's size, from its centre
    sides = sides + uniform((count, 4), -SIDE_NOISE, SIDE_NOISE, rng)
    cut = torch.rand(count, generator=rng) < config.cut_fraction
    which = torch.nn.functional.one_hot(torch.randint(4, (count,), generator=rng), 4)
    sides = sides + (cut * uniform((count,), -CUT, CUT, rng))[:, None] * which
    boxes = centre.repeat(1, 2) + sides * size.repeat(1, 2)
    clipped = boxes.clamp(min=-0.5)
    clipped = torch.minimum(
        clipped, torch.tensor([config.image_width - 0.5, config.image_height - 0.5]).repeat(2)
    )
    # a small box that was shifted off the image would be clipped to nothing
    stays = (clipped[:, 2:] - clipped[:, :2] > 0.3 * (boxes[:, 2:] - boxes[:, :2])).all(dim=1)
    stays &= torch.rand(count, generator=rng) >= UNCLIPPED
    return torch.where(stays[:, None], clipped, boxes)
