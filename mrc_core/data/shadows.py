"""Shadows of the first light: a depth picture from the lamp's side says which points something stands before.

An approximation: one light of several, seen at SIDE x SIDE px around the target, its rim blurred by the same amount
everywhere (a variance shadow map, after Donnelly and Lauritzen, 2006). Light that one surface throws on another is
left out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.blurs import convolve, gaussian
from mrc_core.data.pixel_rays import PixelRays
from mrc_core.data.scene_renderer import SceneRenderer
from mrc_core.data.shapes import MeshShapes
from mrc_core.data.surroundings import Instances
from mrc_core.geometry.rotations import make_transform

SIDE = 80  # px of the depth picture
REACH = 1.5  # radii of the target that it shows around the target
FAR = 40.0  # the lamp's distance, in those reaches: its rays are nearly parallel
BEYOND = 1.5  # reaches behind the target: where the picture shows nothing
BIAS = 0.02  # reaches: how far behind the picture a point must lie to be in shadow
LEAST_VARIANCE = 1.5e-4
BLEEDING = 0.25  # shadows lighter than this vanish: where two casters lie behind each other, the method is too bright


def lit_share(
    renderer: SceneRenderer,
    everything: Instances,
    shapes: MeshShapes,
    centre: Tensor,
    radius: Tensor,
    to_light: Tensor,
    softness_px: Tensor,
    rays: PixelRays,
    depth_m: Tensor,
) -> Tensor:
    """How much of the light reaches each pixel's point (B, S, S), 0..1.

    Args:
        renderer: draws the casters.
        everything: all casters, poses in the camera's frame; on the CPU, as `centre`, `radius` and `to_light`.
        shapes: of the meshes.
        centre: of the targets (B, 3).
        radius: of the targets (B,).
        to_light: unit vectors (B, 3), camera frame.
        softness_px: of the shadows' rim (B,), pixels of the depth picture, on the device.
        rays: of the crops' pixels, on the device.
        depth_m: of what each pixel shows (B, S, S), z in the camera's frame, on the device.
    """
    count = len(centre)
    reach = (1 + REACH) * radius
    light_from_cam = _looking_along(-to_light, centre, FAR * reach)
    K = torch.zeros(count, 3, 3)
    K[:, 0, 0] = K[:, 1, 1] = FAR * SIDE / 2
    K[:, :2, 2] = (SIDE - 1) / 2
    K[:, 2, 2] = 1
    poses = light_from_cam[everything.image_index] @ everything.cam_from_obj
    casters = Instances(everything.image_index, everything.mesh_index, poses)
    casters = casters.take(casters.in_view(K, SIDE, shapes.radius, count))
    what = (casters.image_index, casters.mesh_index, casters.cam_from_obj)
    depth = renderer.render_scenes(*what, K, (SIDE, SIDE)).depth_m
    unit = reach.to(depth)[:, None, None]
    # depth around the target in reaches; where nothing stands, far behind it
    level = torch.where(depth > 0, depth / unit - FAR, BEYOND)
    moments = convolve(torch.stack([level, level**2], dim=1), gaussian(softness_px, 9))
    from_cam = light_from_cam.to(depth_m)
    x, y, z = (
        depth_m * rays.dot(from_cam[:, row, :3]) + from_cam[:, row, 3, None, None] for row in range(3)
    )
    grid = torch.stack([x, y], dim=-1) * (FAR / z.clamp(min=1e-6))[..., None]  # -1..1 over the picture
    mean, square = F.grid_sample(moments, grid, padding_mode="border", align_corners=False).unbind(dim=1)
    behind = (z / unit - FAR).clamp(max=BEYOND) - BIAS - mean
    variance = (square - mean**2).clamp(min=LEAST_VARIANCE)
    share = variance / (variance + behind.clamp(min=0) ** 2)
    outside = (grid.abs() > 1).any(dim=-1)
    return torch.where(outside, 1.0, ((share - BLEEDING) / (1 - BLEEDING)).clamp(0, 1))


def _looking_along(z: Tensor, centre: Tensor, distance: Tensor) -> Tensor:
    """Transforms (B, 4, 4) into the frame of a camera that looks along z (B, 3) at centres that far away."""
    helper = torch.where(z[:, 1:2].abs() < 0.9, z.new_tensor([0.0, 1, 0]), z.new_tensor([1.0, 0, 0]))
    x = F.normalize(torch.linalg.cross(helper, z), dim=-1)
    rotation = torch.stack([x, torch.linalg.cross(z, x), z], dim=1)
    shift = -torch.einsum("bij,bj->bi", rotation, centre)
    shift[:, 2] += distance
    return make_transform(rotation, shift)
