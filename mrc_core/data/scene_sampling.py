"""Random draws that make a scene: cameras, poses, occluders, lights and detector-like boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from mrc_core.data.backgrounds import uniform
from mrc_core.geometry.rotations import make_transform, random_rotations, rotation_about
from mrc_core.rendering.interface import Lights


class SceneConfig(BaseModel):
    """What scenes look like. Ranges are (low, high), drawn uniformly unless said otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_width: int = 640
    image_height: int = 480
    focal_range: tuple[float, float] = (0.75, 1.7)  # over the image's width; log-uniform
    distance_range: tuple[float, float] = (1.4, 6.5)  # over the object's diameter; log-uniform
    standing_fraction: float = 0.45  # objects that stand on their -z side before an upright camera
    resting_fraction: float = 0.1  # the same, but lying on any of the six sides; the others: uniform on SO(3)
    camera_roll_deg: float = 20.0  # of an upright camera, +-
    max_occluders: int = 3
    min_visible: float = 0.25  # samples with a smaller visible part of the silhouette are drawn again
    box_shift: float = 0.1  # of the box's size, +-
    box_scale: tuple[float, float] = (0.85, 1.2)
    amodal_fraction: float = 0.1  # detectors that box the whole silhouette, not the visible part


@dataclass(frozen=True)
class Instances:
    """Objects placed in images: rows (N,) of image and mesh index, and poses (N, 4, 4)."""

    image_index: Tensor
    mesh_index: Tensor
    cam_from_obj: Tensor


def sample_cameras(count: int, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Camera matrices (count, 3, 3) with a principal point near the middle."""
    low, high = (math.log(v) for v in config.focal_range)
    focal = uniform((count,), low, high, rng).exp() * config.image_width
    K = torch.zeros(count, 3, 3)
    K[:, 0, 0] = focal
    K[:, 1, 1] = focal * uniform((count,), 0.98, 1.02, rng)
    K[:, 0, 2] = (config.image_width - 1) / 2 + 0.02 * config.image_width * torch.randn(count, generator=rng)
    K[:, 1, 2] = (config.image_height - 1) / 2 + 0.02 * config.image_height * torch.randn(
        count, generator=rng
    )
    K[:, 2, 2] = 1
    return K


def sample_rotations(count: int, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Rotations (count, 3, 3) of the target: uniform over SO(3), standing, or resting on a side (see SceneConfig)."""
    free = random_rotations(count, rng)
    upright = upright_views(count, config, rng)
    sides = torch.stack([_side_down(i) for i in range(6)])
    resting = upright @ sides[torch.randint(6, (count,), generator=rng)]
    kind = torch.rand(count, generator=rng)[:, None, None]
    standing = config.standing_fraction
    return torch.where(
        kind < standing, upright, torch.where(kind < standing + config.resting_fraction, resting, free)
    )


def upright_views(count: int, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Rotations (count, 3, 3) of a z-up object before a camera at 0..90 degrees of elevation with a small roll."""
    elevation = torch.asin(uniform((count,), 0.0, 1.0, rng))
    roll = uniform((count,), -1, 1, rng) * math.radians(config.camera_roll_deg)
    azimuth = uniform((count,), 0, 2 * math.pi, rng)
    x, z = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    # camera's y points down: object z up becomes camera -y at elevation 0, and -z (towards the camera) at 90 degrees
    tilt = rotation_about(x.expand(count, 3), math.pi / 2 + elevation)
    return rotation_about(z.expand(count, 3), roll) @ tilt @ rotation_about(z.expand(count, 3), azimuth)


def _side_down(side: int) -> Tensor:
    x, y = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0])
    axis, quarter = (x, side) if side < 4 else (y, 2 * side - 7)  # +-1 quarter about y for sides 4 and 5
    return rotation_about(axis, torch.tensor(quarter * math.pi / 2))


def sample_translations(K: Tensor, diameter: Tensor, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Translations (B, 3): log-uniform distance, origin mostly well inside of the image, sometimes at its border."""
    count = len(K)
    low, high = (math.log(v) for v in config.distance_range)
    z = uniform((count,), low, high, rng).exp() * diameter
    reach = torch.where(torch.rand(count, 1, generator=rng) < 0.75, 0.35, 0.52)
    at = (uniform((count, 2), -1, 1, rng) * reach + 0.5) * torch.tensor(
        [config.image_width, config.image_height]
    )
    x = (at[:, 0] - K[:, 0, 2]) / K[:, 0, 0] * z
    y = (at[:, 1] - K[:, 1, 2]) / K[:, 1, 1] * z
    return torch.stack([x, y, z], dim=-1)


def sample_neighbours(
    translation: Tensor, diameter: Tensor, mesh_radius: Tensor, config: SceneConfig, rng: torch.Generator
) -> Instances:
    """Up to `max_occluders` other objects around each target, most of them nearer to the camera.

    Args:
        translation: of the targets (B, 3).
        diameter: of the targets (B,).
        mesh_radius: of every mesh that may be placed (M,), so that none reaches behind the camera.
    """
    count = len(translation)
    number = torch.randint(config.max_occluders + 1, (count,), generator=rng)
    image_index = torch.repeat_interleave(torch.arange(count), number)
    total = len(image_index)
    mesh_index = torch.randint(len(mesh_radius), (total,), generator=rng)
    size, target = diameter[image_index], translation[image_index]
    radius = mesh_radius[mesh_index]
    in_front = torch.rand(total, generator=rng) < 0.7
    gap = uniform((total,), 0.3, 0.8, rng) * (size / 2 + radius)
    z = target[:, 2] + torch.where(in_front, -gap, gap)
    z = torch.maximum(z, radius + 0.05 * target[:, 2])
    angle = uniform((total,), 0, 2 * math.pi, rng)
    lateral = uniform((total,), 0.35, 1.0, rng) * (size / 2 + radius)
    offset = torch.stack([angle.cos(), angle.sin()], dim=-1) * lateral[:, None]
    xy = target[:, :2] * (z / target[:, 2])[:, None] + offset * (z / target[:, 2])[:, None]
    rotation = torch.where(
        (torch.rand(total, generator=rng) < 0.5)[:, None, None],
        upright_views(total, config, rng),
        random_rotations(total, rng),
    )
    return Instances(image_index, mesh_index, make_transform(rotation, torch.cat([xy, z[:, None]], dim=-1)))


def sample_lights(count: int, rng: torch.Generator) -> Lights:
    """Ambient light and two directional ones of random direction and colour, one of them often weak."""
    tint = uniform((count, 1, 3), 0.88, 1.12, rng)
    directions = torch.randn(count, 2, 3, generator=rng)
    directions[..., 2] = -directions[..., 2].abs()  # from the camera's side
    directions[:, 0, 1] = -directions[:, 0, 1].abs() - 0.3  # the key light from above
    strength = torch.stack(
        [uniform((count,), 0.15, 0.9, rng), uniform((count,), -0.4, 0.5, rng).clamp(min=0)], dim=1
    )[..., None]
    return Lights(
        ambient=uniform((count, 1), 0.35, 0.8, rng) * uniform((count, 3), 0.9, 1.1, rng),
        directions=torch.nn.functional.normalize(directions, dim=-1),
        colors=strength * tint,
        specular=uniform((count,), -0.15, 0.35, rng).clamp(min=0),
        shininess=uniform((count,), 5, 40, rng),
    )


def jitter_boxes(box_xyxy_px: Tensor, config: SceneConfig, rng: torch.Generator) -> Tensor:
    """Boxes (B, 4) as a detector would draw them: shifted and scaled, each side on its own."""
    count = len(box_xyxy_px)
    size = box_xyxy_px[:, 2:] - box_xyxy_px[:, :2]
    centre = (box_xyxy_px[:, 2:] + box_xyxy_px[:, :2]) / 2
    centre = centre + uniform((count, 2), -1, 1, rng) * config.box_shift * size
    half = size / 2 * uniform((count, 1), *config.box_scale, rng) * uniform((count, 2), 0.93, 1.07, rng)
    return torch.cat([centre - half, centre + half], dim=-1)
