"""What stands around a target: the table below it and other things beside, before and behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mrc_core.data.draws import uniform
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.shapes import MeshShapes
from mrc_core.geometry.rotations import make_transform, random_rotations

NEAREST = 0.05  # of the target's distance: how far from the camera's plane everything stays
LOWEST_CAMERA = 0.02  # of the target's distance, above its table; from further down the table would hide the target
STANDS = 0.85  # of the things in a scene with a table, that stand on it
UPRIGHT = 0.6  # of those, with their own z axis up; the others lie anyhow
BEFORE = 0.6  # of the things, that are drawn on the camera's side of the target
GAP = 0.2  # mean distance between a thing and the target, over the target's radius, about
HELD = 0.35  # of the things without a table below, that are far nearer to the camera: hands, cables, grippers


@dataclass(frozen=True)
class Support:
    """Tables of B scenes, planes in the camera's frame: normal (B, 3), unit and upwards, height (B,), metres, so that a
    point p of the plane has normal . p = height; present (B,) bool. Where there is no table, the normal is still up."""

    normal: Tensor
    height: Tensor
    present: Tensor

    def take(self, rows: Tensor) -> Support:
        """The tables of some scenes."""
        return Support(self.normal[rows], self.height[rows], self.present[rows])

    def to(self, device: torch.device) -> Support:
        """On another device."""
        return Support(self.normal.to(device), self.height.to(device), self.present.to(device))


@dataclass(frozen=True)
class Instances:
    """Objects placed in images: rows (N,) of image and mesh index, and poses (N, 4, 4)."""

    image_index: Tensor
    mesh_index: Tensor
    cam_from_obj: Tensor

    def take(self, rows: Tensor) -> Instances:
        """Some of them, in their images."""
        return Instances(self.image_index[rows], self.mesh_index[rows], self.cam_from_obj[rows])

    def in_view(self, K: Tensor, size: int, radius: Tensor, always: int) -> Tensor:
        """Rows of those that may show in pictures of `size` x `size` px under intrinsics K (B, 3, 3), and the first
        `always`.

        A renderer looks at every vertex that it is given: what lies outside of a crop costs as much as the rest.

        Args:
            radius: of every mesh (M,), metres.
        """
        x, y, z = self.cam_from_obj[:, :3, 3].unbind(dim=1)
        camera, reach = K[self.image_index], radius[self.mesh_index]
        depth = (z - reach).clamp(min=1e-3)  # nearest point: the sphere looks no larger than a disc of its size there
        shown = torch.ones_like(z, dtype=torch.bool)
        for row, at in enumerate((x, y)):
            focal, middle = camera[:, row, row], camera[:, row, 2]
            least = focal * torch.minimum((at - reach) / depth, (at - reach) / (z + reach)) + middle
            most = focal * torch.maximum((at + reach) / depth, (at + reach) / (z + reach)) + middle
            shown &= (most > -1) & (least < size)
        shown[:always] = True
        return shown.nonzero().squeeze(1)


def sample_support(
    pose: Tensor,
    object_index: Tensor,
    up: Tensor,
    shapes: MeshShapes,
    config: SceneConfig,
    rng: torch.Generator,
) -> Support:
    """Tables that the targets (poses (B, 4, 4), objects (B,)) touch with their lowest point; up is (B, 3)."""
    translation = pose[:, :3, 3]
    height = (up * translation).sum(dim=1) - shapes.reach(object_index, pose[:, :3, :3], -up)
    wanted = torch.rand(len(pose), generator=rng) < config.support_fraction
    return Support(up, height, wanted & (height < -LOWEST_CAMERA * translation[:, 2]))


def sample_neighbours(
    pose: Tensor,
    object_index: Tensor,
    support: Support,
    shapes: MeshShapes,
    num_objects: int,
    config: SceneConfig,
    rng: torch.Generator,
) -> Instances:
    """Up to `max_occluders` other things around each target, none of which cuts into it.

    On a table they stand beside the target, the more often where they hide a part of it; without one they are anywhere
    around it, or much nearer to the camera.

    Args:
        pose: of the targets (B, 4, 4).
        object_index: of the targets (B,).
        support: their tables.
        shapes: of every mesh that may be placed, trained objects first.
        num_objects: how many of the meshes are trained objects.
    """
    count = len(pose)
    number = torch.randint(config.max_occluders + 1, (count,), generator=rng)
    image = torch.repeat_interleave(torch.arange(count), number)
    total = len(image)
    mesh = _draw_meshes(total, len(shapes), num_objects, config, rng)
    target, index = pose[image], object_index[image]
    centre, size = target[:, :3, 3], shapes.radius[index]
    up, radius = support.normal[image], shapes.radius[mesh]
    upright = _frames(up, uniform((total,), 0, 2 * math.pi, rng))
    stands = support.present[image] & (torch.rand(total, generator=rng) < STANDS)
    keeps_upright = stands & (torch.rand(total, generator=rng) < UPRIGHT)
    rotation = torch.where(keeps_upright[:, None, None], upright, random_rotations(total, rng))

    along = torch.where(
        stands[:, None], _directions_on_table(centre, up, rng), _directions(centre, support.present[image], up, rng)
    )
    apart = shapes.reach(index, target[:, :3, :3], along) + shapes.reach(mesh, rotation, -along)
    gap = torch.randn(total, generator=rng).abs() * GAP * size
    at = centre + along * (apart + gap)[:, None]

    held = ~support.present[image] & (torch.rand(total, generator=rng) < HELD)
    at = torch.where(held[:, None], _nearer(centre, size, radius, rng), at)
    # onto the table, or at least not into it
    above = (up * at).sum(dim=1) - shapes.reach(mesh, rotation, -up) - support.height[image]
    lift = torch.where(stands, -above, (-above).clamp(min=0))
    at = at + torch.where(support.present[image], lift, 0.0)[:, None] * up
    behind_camera = (radius + NEAREST * centre[:, 2] - at[:, 2]).clamp(min=0)
    at = at + behind_camera[:, None] * at.new_tensor([0.0, 0.0, 1.0])
    return Instances(image, mesh, make_transform(rotation, at))


def _draw_meshes(
    total: int, meshes: int, num_objects: int, config: SceneConfig, rng: torch.Generator
) -> Tensor:
    """Indices (total,): trained objects for the configured share, else what comes after them, if anything does."""
    known = torch.randint(num_objects, (total,), generator=rng)
    if meshes == num_objects:
        return known
    other = num_objects + torch.randint(meshes - num_objects, (total,), generator=rng)
    return torch.where(torch.rand(total, generator=rng) < config.known_fraction, known, other)


def _directions_on_table(centre: Tensor, up: Tensor, rng: torch.Generator) -> Tensor:
    """Horizontal unit vectors (N, 3) from the target; a share of them within 75 degrees of the camera's direction."""
    total = len(centre)
    to_camera = _unit(-centre + (centre * up).sum(dim=1, keepdim=True) * up)
    across = torch.linalg.cross(up, to_camera)
    before = torch.rand(total, generator=rng) < BEFORE
    angle = uniform((total,), -1, 1, rng) * torch.where(before, math.radians(75), math.pi)
    return angle.cos()[:, None] * to_camera + angle.sin()[:, None] * across


def _directions(centre: Tensor, has_table: Tensor, up: Tensor, rng: torch.Generator) -> Tensor:
    """Unit vectors (N, 3) from the target to any side, more to the camera's; above a table not downwards."""
    total = len(centre)
    direction = _unit(torch.randn(total, 3, generator=rng))
    to_camera = _unit(-centre)
    facing = (direction * to_camera).sum(dim=1, keepdim=True)
    turn = (torch.rand(total, 1, generator=rng) < BEFORE) & (facing < 0)
    direction = torch.where(turn, direction - 2 * facing * to_camera, direction)
    down = (direction * up).sum(dim=1, keepdim=True).clamp(max=0)
    return torch.where(has_table[:, None], _unit(direction - 2 * down * up), direction)


def _nearer(centre: Tensor, size: Tensor, radius: Tensor, rng: torch.Generator) -> Tensor:
    """Places (N, 3) on the way from the camera to the target's rim, between both."""
    total = len(centre)
    way = uniform((total,), 0.45, 0.85, rng)
    angle = uniform((total,), 0, 2 * math.pi, rng)
    lateral = uniform((total,), 0.6, 1.1, rng) * (size + radius / way)
    offset = torch.stack([angle.cos(), angle.sin(), torch.zeros(total)], dim=-1) * lateral[:, None]
    return (centre + offset) * way[:, None]


def _frames(z: Tensor, turn: Tensor) -> Tensor:
    """Rotations (N, 3, 3) whose third column is z (N, 3), turned about it by angles (N,)."""
    helper = torch.where(z[:, :1].abs() < 0.8, z.new_tensor([1.0, 0, 0]), z.new_tensor([0, 1.0, 0]))
    x = _unit(torch.linalg.cross(helper, z))
    y = torch.linalg.cross(z, x)
    turned = turn.cos()[:, None] * x + turn.sin()[:, None] * y
    return torch.stack([turned, torch.linalg.cross(z, turned), z], dim=-1)


def _unit(v: Tensor) -> Tensor:
    return torch.nn.functional.normalize(v, dim=-1)
