"""What stands behind the objects: a textured floor and a wall, with their depth.

The world's frame has z up and the floor at z = 0; the camera looks along +y, more or less down, and the wall is the
plane y = `wall_y`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.draws import uniform
from mrc_core.data.room_textures import room_textures
from mrc_core.rendering.interface import Lights

_TEXTURE_PX = 512


def render_room(
    K: Tensor,
    size: tuple[int, int],
    cam_from_world: Tensor,
    wall_y: float,
    lights: Lights,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Picture (3, H, W), RGB in 0..1, and depth (H, W), float64, z in metres at the pixels' centres.

    Args:
        K: (3, 3), pixels.
        size: (H, W).
        cam_from_world: (4, 4), float64.
        wall_y: where the wall is, metres; behind everything.
        lights: of one image, in the camera's frame.
        rng: draws the textures.
    """
    rotation, translation = cam_from_world[:3, :3], cam_from_world[:3, 3]
    rows, columns = torch.meshgrid(
        torch.arange(size[0], dtype=torch.float64), torch.arange(size[1], dtype=torch.float64), indexing="ij"
    )
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1)  # (H, W, 3)
    rays = pixels @ torch.linalg.inv(K.double()).T  # z is 1, so that the factor to the hit is the depth
    rays_world = rays @ rotation
    camera = -rotation.T @ translation
    to_floor = _positive(-camera[2] / rays_world[..., 2])
    to_wall = _positive((wall_y - camera[1]) / rays_world[..., 1])
    depth = torch.minimum(to_floor, to_wall)
    hit = camera + depth[..., None].clamp(max=1e4) * rays_world  # (H, W, 3)
    scale = float(translation.norm()) * uniform((2,), 0.3, 1.0, rng)
    shift = uniform((2, 2), -1, 1, rng)
    textures = 0.1 + 0.8 * room_textures(2, _TEXTURE_PX, rng)  # neither black nor white under any light
    floor = _sampled(textures[0], hit[..., [0, 1]] / scale[0] + shift[0])
    wall = _sampled(textures[1], hit[..., [0, 2]] / scale[1] + shift[1])
    # the world's z and -y axes in the camera's frame
    shades = [_shade(lights, normal.float()) for normal in (rotation[:, 2], -rotation[:, 1])]
    picture = torch.where(
        to_floor <= to_wall, floor * shades[0][:, None, None], wall * shades[1][:, None, None]
    )
    return picture.clamp(0, 1), torch.where(depth.isfinite(), depth, 0.0)


def camera_towards(elevation_rad: float, roll_rad: float) -> Tensor:
    """Rotation cam_from_world (3, 3), float64, of a camera that looks along +y and down by the elevation."""
    turned = math.pi / 2 + elevation_rad
    cosine, sine = math.cos(turned), math.sin(turned)
    tilt = torch.tensor([[1.0, 0, 0], [0, cosine, -sine], [0, sine, cosine]], dtype=torch.float64)
    cosine, sine = math.cos(roll_rad), math.sin(roll_rad)
    return torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], dtype=torch.float64) @ tilt


def _positive(factor: Tensor) -> Tensor:
    return torch.where(factor.isfinite() & (factor > 0), factor, torch.inf)


def _sampled(texture: Tensor, at: Tensor) -> Tensor:
    """The texture (3, T, T) at coordinates (H, W, 2), one texture from -1 to 1, mirrored beyond."""
    grid = at.float()[None]
    return F.grid_sample(texture[None], grid, padding_mode="reflection", align_corners=False)[0]


def _shade(lights: Lights, normal: Tensor) -> Tensor:
    towards = F.normalize(lights.directions[0], dim=-1)
    return lights.ambient[0] + (lights.colors[0] * (towards @ normal).clamp(min=0)[:, None]).sum(dim=0)
