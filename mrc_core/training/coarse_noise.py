"""Coarse poses for stage 2 that do not depend on how good stage 1 already is.

The paper trains stage 2 on the network's own coarse pose from step 0; its ablation's separately trained variant
disturbs the true pose instead. With little compute the network's own first thousands of coarse poses are too far off
to teach stage 2 anything, so a share of the batch may start from disturbed truth; the share goes down as training
goes on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mrc_core.geometry.rotations import make_transform, rotation_about
from mrc_core.training.config import TrainConfig


def noise_share(step: int, config: TrainConfig) -> float:
    """Share of the batch that starts from disturbed truth at this step: linear, then constant; separate stages: all."""
    if config.separate_stages:
        return 1.0
    progress = min(1.0, step / config.coarse_noise_steps)
    return config.coarse_noise_start + (config.coarse_noise_end - config.coarse_noise_start) * progress


def disturbed(cam_from_obj: Tensor, diameter: Tensor, config: TrainConfig, rng: torch.Generator) -> Tensor:
    """Poses (B, 4, 4) near the true ones: Euler angles, shift and depth with the configured deviations.

    Args:
        cam_from_obj: true poses (B, 4, 4).
        diameter: of the objects (B,), metres.
    """
    count = len(cam_from_obj)
    draw = torch.randn(count, 6, generator=rng).to(cam_from_obj)
    rotation = cam_from_obj[:, :3, :3]
    for i, axis in enumerate(torch.eye(3).to(cam_from_obj)):
        angle = draw[:, i] * math.radians(config.coarse_noise_angle_deg)
        rotation = rotation_about(axis.expand(count, 3), angle) @ rotation
    translation = cam_from_obj[:, :3, 3]
    scale = (1 + draw[:, 5:] * config.coarse_noise_depth).clamp(0.7, 1.3)  # along the viewing ray
    shift = torch.cat(
        [draw[:, 3:5] * config.coarse_noise_shift * diameter[:, None], draw.new_zeros(count, 1)], dim=1
    )
    return make_transform(rotation, translation * scale + shift)
