"""Random draws of cameras and of the targets' poses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mrc_core.data.draws import log_uniform, uniform
from mrc_core.data.scene_config import SceneConfig
from mrc_core.geometry.rotations import random_rotations, rotation_about

__all__ = ["SceneConfig", "sample_cameras", "sample_rotations", "sample_translations", "upright_views"]

LARGEST = 0.95  # of the image's height: nearer to the camera than this diameter no target comes


def sample_cameras(count: int, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Camera matrices (count, 3, 3) with a principal point near the middle and nearly square pixels."""
    focal = log_uniform((count,), *config.focal_range, rng) * config.image_width
    shift = config.principal_point_shift
    K = torch.zeros(count, 3, 3)
    K[:, 0, 0] = focal
    K[:, 1, 1] = focal * uniform((count,), 0.98, 1.02, rng)
    for row, size in enumerate((config.image_width, config.image_height)):
        K[:, row, 2] = (size - 1) / 2 + shift * size * torch.randn(count, generator=rng)
    K[:, 2, 2] = 1
    return K


def sample_rotations(count: int, config: SceneConfig, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotations (count, 3, 3) of the target and which way is up (count, 3), both in the camera's frame.

    The target's rotation is uniform over SO(3), or it stands or rests on a side (see SceneConfig); up is as an upright
    camera above the horizon sees it.
    """
    free = random_rotations(count, rng)
    upright = upright_views(count, config, rng)
    sides = sides_down()
    resting = upright @ sides[torch.randint(6, (count,), generator=rng)]
    kind = torch.rand(count, generator=rng)[:, None, None]
    standing = config.standing_fraction
    rotation = torch.where(
        kind < standing, upright, torch.where(kind < standing + config.resting_fraction, resting, free)
    )
    return rotation, upright[:, :, 2]


def upright_views(count: int, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Rotations (count, 3, 3) of a z-up object before a camera at 0..90 degrees of elevation, rolled as configured."""
    elevation = torch.asin(uniform((count,), 0.0, 1.0, rng))
    roll = uniform((count,), -1, 1, rng)
    any_roll = torch.rand(count, generator=rng) < config.any_roll_fraction
    roll = roll * torch.where(any_roll, math.pi, math.radians(config.camera_roll_deg))
    azimuth = uniform((count,), 0, 2 * math.pi, rng)
    x, z = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    # camera's y points down: object z up becomes camera -y at elevation 0, and -z (towards the camera) at 90 degrees
    tilt = rotation_about(x.expand(count, 3), math.pi / 2 + elevation)
    return rotation_about(z.expand(count, 3), roll) @ tilt @ rotation_about(z.expand(count, 3), azimuth)


def sides_down() -> Tensor:
    """Rotations (6, 3, 3) that turn each side of an object down."""
    x, y = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0])
    turns = [(x, 0), (x, 1), (x, 2), (x, 3), (y, 1), (y, 3)]
    return torch.stack([rotation_about(axis, torch.tensor(n * math.pi / 2)) for axis, n in turns])


def sample_translations(K: Tensor, diameter: Tensor, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Translations (B, 3): log-uniform distance, the origin uniform over a part of the image.

    That part is all of it and a little more for the configured share of the targets, else where they fit in whole.
    What would not fit into the image at all is drawn further away.
    """
    count = len(K)
    low, high = config.distance_range
    nearest = K[:, 1, 1] / (LARGEST * config.image_height)  # in diameters
    nearest = nearest.clamp(min=low)
    share = torch.rand(count, generator=rng)
    distance = torch.exp(nearest.log() + share * (nearest.clamp(min=high) / nearest).log())
    size = torch.tensor([config.image_width, config.image_height])
    focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=-1)
    fits = (0.5 - focal / distance[:, None] / size / 2).clamp(min=0)  # half of the room for the origin
    anywhere = torch.rand(count, 1, generator=rng) < config.border_fraction
    reach = torch.where(anywhere, 0.5 + config.overhang, fits)
    at = (uniform((count, 2), -1, 1, rng) * reach + 0.5) * size - 0.5
    z = distance * diameter
    xy = (at - K[:, :2, 2]) / focal * z[:, None]
    return torch.cat([xy, z[:, None]], dim=-1)
