"""Synthetic training scenes, made on the fly from meshes by a batched renderer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.augmentation import Camera, blank_patches
from mrc_core.data.backgrounds import Backdrops
from mrc_core.data.draws import Draws
from mrc_core.data.layout import Layout
from mrc_core.data.layout_sampling import LayoutSampler, inside_image
from mrc_core.data.lighting import sample_lights
from mrc_core.data.materials import scene_materials
from mrc_core.data.one_thread import one_thread
from mrc_core.data.pixel_rays import PixelRays
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.scene_renderer import SceneRenderer
from mrc_core.data.shadows import lit_share
from mrc_core.data.shapes import MeshShapes
from mrc_core.geometry.cameras import BOX_MAP_GROWTH, box_map, crop_from_image, transform_boxes
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.site import site_from_translation
from mrc_core.rendering.interface import Lights

__all__ = ["SceneBatch", "SceneGenerator", "SceneRenderer"]


@dataclass(frozen=True)
class SceneBatch:
    """Crops with their truth. Poses are of the centred meshes.

    image (B, 4, S, S): RGB in 0..1 and the box map; K (B, 3, 3) of the crops; object_index (B,);
    cam_from_obj (B, 4, 4); visible (B, S/4, S/4): visible part of the silhouette in each cell, 0..1;
    depth_m (B, S, S): depth of the target where it is visible, else 0;
    visible_fraction (B,): visible over all silhouette pixels, the part outside of the image counted as hidden.
    """

    image: Tensor
    K: Tensor
    object_index: Tensor
    cam_from_obj: Tensor
    visible: Tensor
    depth_m: Tensor
    visible_fraction: Tensor

    def to(self, device: torch.device) -> SceneBatch:
        """The batch on another device."""
        return SceneBatch(**{name: value.to(device) for name, value in vars(self).items()})


class SceneGenerator:
    """Makes batches on the camera's device; the same seed and index give the same batch.

    Everything random is drawn on the CPU, so that a batch looks the same on every device; on the CPU it is the same to
    the bit, whichever thread makes it. Calls may come from several threads at once.

    Args:
        probe: a plain renderer of `meshes`, or of simplified ones: it measures what is visible and casts shadows.
        camera: a renderer of `meshes` with smooth edges (supersampling): makes the pictures.
        diameters: of the trained objects (N,), metres.
        meshes: what the renderers draw: the centred meshes of the trained objects first, then the distractors.
        crop_size: side of the crops, px.
        config: what scenes look like.
        seed: of everything drawn.

    Raises:
        FileNotFoundError: `config.backgrounds` is no folder with pictures.
    """

    def __init__(
        self,
        probe: SceneRenderer,
        camera: SceneRenderer,
        diameters: Tensor,
        meshes: Sequence[Mesh],
        crop_size: int,
        config: SceneConfig,
        seed: int,
    ) -> None:
        self.probe, self.camera, self.device = probe, camera, camera.device
        self.diameters, self.shapes = diameters.float().cpu(), MeshShapes.of(meshes)
        self.crop_size, self.config, self.seed = crop_size, config, seed
        self.backdrops = Backdrops(config, seed, self.device)
        self._layouts = LayoutSampler(probe, self.diameters, self.shapes, config)
        self._camera = Camera(config, self.device)

    def batch(self, index: int, size: int, weights: Tensor | None = None) -> SceneBatch:
        """The batch number `index` with `size` samples; `weights` (N,): how often each object is drawn, else alike."""
        rng = self._rng(index)
        with one_thread(self.device):
            return self._shoot(index, self._layouts.sample(size, rng, weights), rng)

    def depths(self, index: int, size: int) -> tuple[Tensor, Tensor]:
        """Objects (size,) and tau_z (size,) of the crops of a batch, without its pictures; on the CPU."""
        with one_thread(self.device):
            layout = self._layouts.sample(size, self._rng(index))
        K_crop = crop_from_image(layout.box_xyxy_px, self.crop_size) @ layout.K
        translation = layout.cam_from_obj[:, :3, 3]
        return layout.object_index, site_from_translation(translation, K_crop, self.crop_size)[1]

    def _rng(self, index: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 1_000_003 + index) % (2**63))

    def _shoot(self, index: int, layout: Layout, rng: torch.Generator) -> SceneBatch:
        size, count, device = self.crop_size, len(layout), self.device
        to_crop = crop_from_image(layout.box_xyxy_px, size)
        K_crop = to_crop @ layout.K
        lights = sample_lights(layout.support.normal, self.config, rng)
        rendering = self._render(layout, K_crop, lights, rng)
        light = self._in_the_light(index, layout, K_crop, lights, rendering, rng)

        sensor_width = Draws(count, rng).log_uniform(*self.config.sensor_width)
        crop_per_sensor = to_crop[:, 0, 0] * self.config.image_width / sensor_width
        to_crop = to_crop.to(device)
        rgb = self._camera.shoot(light, crop_per_sensor, self._off_axis(to_crop), rng)
        hidden, colour = blank_patches(size, self.config.patch_fraction, Draws(count, rng, device))
        inside = inside_image(to_crop, size, self.config)
        # beyond the image's border a crop is black
        rgb = torch.where(hidden, colour, rgb) * inside[:, None]
        target = rendering.instance == torch.arange(count, device=device)[:, None, None]
        seen = target & inside & ~hidden.squeeze(1)
        boxes = transform_boxes(to_crop, layout.box_xyxy_px.to(device))
        return SceneBatch(
            image=torch.cat([rgb, box_map(boxes, size, BOX_MAP_GROWTH)], dim=1),
            K=K_crop.to(device),
            object_index=layout.object_index.to(device),
            cam_from_obj=layout.cam_from_obj.to(device),
            visible=F.avg_pool2d(seen.float()[:, None], 4).squeeze(1),
            depth_m=rendering.depth_m * seen,
            visible_fraction=layout.visible_fraction.to(device),
        )

    def _render(self, layout: Layout, K_crop: Tensor, lights: Lights, rng: torch.Generator) -> Any:
        """Targets and neighbours before nothing; instance n < B is the target of image n."""
        materials = scene_materials(
            len(layout), layout.neighbours.mesh_index < len(self.diameters), self.config, rng
        )
        everything = layout.everything()
        rows = everything.in_view(K_crop, self.crop_size, self.shapes.radius, always=len(layout))
        what = everything.take(rows)
        return self.camera.render_scenes(
            what.image_index,
            what.mesh_index,
            what.cam_from_obj,
            K_crop,
            (self.crop_size, self.crop_size),
            lights,
            materials.take(rows),
        )

    def _in_the_light(
        self, index: int, layout: Layout, K_crop: Tensor, lights: Lights, rendering: Any, rng: torch.Generator
    ) -> Tensor:
        """The whole scene (B, 3, S, S): objects, table, background and shadows; RGB, 0 and more."""
        device, draws = self.device, Draws(len(layout), rng, self.device)
        centre, radius = layout.cam_from_obj[:, :3, 3], self.shapes.radius[layout.object_index]
        rays = PixelRays.of(K_crop.to(device), self.crop_size)
        back = self.backdrops.draw(index, rays, centre.to(device), radius.to(device), layout.support, rng)

        depth = torch.where(rendering.mask, rendering.depth_m, back.table_depth_m)
        to_light, softness = lights.directions[:, 0], draws.uniform(0.4, 2.5)
        lit = lit_share(
            self.probe, layout.everything(), self.shapes, centre, radius, to_light, softness, rays, depth
        )
        casts = draws.chance(self.config.shadow_fraction, 1, 1)
        lit = torch.where(casts & (depth > 0), lit, 1.0)[:, None]

        cosine = torch.einsum("bli,bi->bl", lights.directions, layout.support.normal).clamp(min=0)
        on_table = (lights.colors * cosine[..., None]).to(device)  # (B, L, 3)
        steady = lights.ambient.to(device) + on_table[:, 1:].sum(dim=1)
        behind, rows = back.far, back.rows
        table = back.table * (steady[rows, :, None, None] + on_table[rows, 0, :, None, None] * lit[rows])
        behind[rows] = torch.lerp(behind[rows], table, back.table_share)
        objects = rendering.rgb - (1 - lit) * rendering.first_light
        return objects + (1 - rendering.coverage[:, None]) * behind

    def _off_axis(self, to_crop: Tensor) -> Tensor:
        """Distances (B, 1, S, S) of the crops' pixels from the image's middle, over half of its diagonal."""
        width, height = self.config.image_width, self.config.image_height
        axis = torch.arange(self.crop_size, device=to_crop.device)
        x = (axis - to_crop[:, 0, 2, None]) / to_crop[:, 0, 0, None] - (width - 1) / 2
        y = (axis - to_crop[:, 1, 2, None]) / to_crop[:, 1, 1, None] - (height - 1) / 2
        squared = (x**2)[:, None, None, :] + (y**2)[:, None, :, None]
        return (squared.sqrt() / (0.5 * (width**2 + height**2) ** 0.5)).clamp(max=1.2)
