"""Synthetic training scenes, made on the fly from meshes by a batched renderer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.augmentation import photometric
from mrc_core.data.backgrounds import random_backgrounds, uniform
from mrc_core.data.layout import Layout
from mrc_core.data.scene_sampling import (
    Instances,
    SceneConfig,
    jitter_boxes,
    sample_cameras,
    sample_lights,
    sample_neighbours,
    sample_rotations,
    sample_translations,
)
from mrc_core.geometry.cameras import (
    BOX_MAP_GROWTH,
    box_map,
    crop_from_image,
    mask_boxes,
    project,
    transform_boxes,
)
from mrc_core.geometry.rotations import make_transform
from mrc_core.geometry.site import site_from_translation

MAX_DRAWS = 50  # of a batch, before its settings are called impossible
PROBE_SIZE = 64  # px of the small picture in which the visible part of the target is measured


class SceneRenderer(Protocol):
    """A renderer of several objects in one image; see `mrc_core.rendering.interface`."""

    def render_scenes(
        self,
        image_index: Tensor,
        object_index: Tensor,
        cam_from_obj: Tensor,
        K: Tensor,
        size: tuple[int, int],
        lights: Any = None,
    ) -> Any:
        """Returns rgb, depth_m, mask, coverage and instance."""
        ...


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
    """Makes batches on the CPU; the same seed and index give the same batch. The renderers may be on any device.

    Args:
        probe: a plain renderer of the centred meshes of the trained objects first, then the distractors.
        camera: the same with smooth edges (supersampling): makes the pictures.
        diameters: of the trained objects (N,), metres.
        mesh_radius: of all meshes of the renderer (M,): largest distance from the origin, metres.
        crop_size: side of the crops, px.
        config: what scenes look like.
        seed: of everything drawn.
    """

    def __init__(
        self,
        probe: SceneRenderer,
        camera: SceneRenderer,
        diameters: Tensor,
        mesh_radius: Tensor,
        crop_size: int,
        config: SceneConfig,
        seed: int,
    ) -> None:
        self.probe, self.camera = probe, camera
        self.diameters, self.mesh_radius = diameters.float(), mesh_radius.float()
        self.crop_size, self.config, self.seed = crop_size, config, seed

    def batch(self, index: int, size: int, weights: Tensor | None = None) -> SceneBatch:
        """The batch number `index` with `size` samples; `weights` (N,): how often each object is drawn, else alike."""
        rng = self._rng(index)
        return self._shoot(self._layout(size, rng, weights), rng)

    def depths(self, index: int, size: int) -> tuple[Tensor, Tensor]:
        """Objects (size,) and tau_z (size,) of the crops of a batch, without its pictures."""
        layout = self._layout(size, self._rng(index))
        K_crop = crop_from_image(layout.box_xyxy_px, self.crop_size) @ layout.K
        translation = layout.cam_from_obj[:, :3, 3]
        return layout.object_index, site_from_translation(translation, K_crop, self.crop_size)[1]

    def _rng(self, index: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 1_000_003 + index) % (2**63))

    # ---- where everything stands -------------------------------------------------------------------------------------
    def _layout(self, size: int, rng: torch.Generator, weights: Tensor | None = None) -> Layout:
        """Scenes whose target is visible enough; the others are drawn again."""
        parts: list[Layout] = []
        for _ in range(MAX_DRAWS):
            drawn = self._draw_layout(size + size // 2 + 1, rng, weights)
            visible = drawn.visible_fraction >= self.config.min_visible
            parts.append(drawn.take((visible & drawn.box_xyxy_px.isfinite().all(dim=1)).nonzero().squeeze(1)))
            if sum(map(len, parts)) >= size:
                return Layout.join(parts).take(torch.arange(size))
        raise ValueError(
            f"in {MAX_DRAWS} draws too few targets were at least {self.config.min_visible:.0%} visible: "
            "lower scenes.min_visible or scenes.max_occluders"
        )

    def _draw_layout(self, count: int, rng: torch.Generator, weights: Tensor | None) -> Layout:
        shares = torch.ones(len(self.diameters)) if weights is None else weights
        object_index = torch.multinomial(shares, count, replacement=True, generator=rng)
        diameter = self.diameters[object_index]
        K = sample_cameras(count, self.config, rng)
        translation = sample_translations(K, diameter, self.config, rng)
        pose = make_transform(sample_rotations(count, self.config, rng), translation)
        neighbours = sample_neighbours(translation, diameter, self.mesh_radius, self.config, rng)
        boxes, fraction = self._visible_boxes(K, object_index, pose, neighbours, rng)
        return Layout(K, object_index, pose, neighbours, jitter_boxes(boxes, self.config, rng), fraction)

    def _visible_boxes(
        self, K: Tensor, object_index: Tensor, pose: Tensor, neighbours: Instances, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Boxes (B, 4) of the targets' visible parts, image px, and visible fractions (B,), from small pictures."""
        centre = project(K, pose[:, None, :3, 3]).squeeze(1)  # (B, 2)
        half = (
            0.62
            * K[:, 0, 0]
            * self.diameters[object_index]
            / (pose[:, 2, 3] - self.diameters[object_index] / 2)
        )
        window = torch.cat([centre - half[:, None], centre + half[:, None]], dim=-1)
        probe_from_image = crop_from_image(window, PROBE_SIZE, factor=1.0)
        probe_K = probe_from_image @ K
        size = (PROBE_SIZE, PROBE_SIZE)
        rows = torch.arange(len(K))
        alone = self.probe.render_scenes(rows, object_index, pose, probe_K, size).mask.cpu()
        together = self._all(object_index, pose, neighbours)
        among = self.probe.render_scenes(*together, probe_K, size).instance.cpu()
        inside = self._inside_image(probe_from_image, PROBE_SIZE)
        seen = (among == rows[:, None, None].to(among)) & inside
        fraction = seen.sum(dim=(1, 2)) / alone.sum(dim=(1, 2)).clamp(min=1)
        whole = torch.rand(len(K), generator=rng) < self.config.amodal_fraction
        boxes = mask_boxes(torch.where(whole[:, None, None], alone & inside, seen))
        image_from_probe = torch.linalg.inv(probe_from_image)
        return transform_boxes(image_from_probe, boxes + boxes.new_tensor([-0.5, -0.5, 0.5, 0.5])), fraction

    def _inside_image(self, crop_from_img: Tensor, size: int) -> Tensor:
        """Which crop pixels (B, size, size) lie inside of the image."""
        bounds = torch.tensor([-0.5, -0.5, self.config.image_width - 0.5, self.config.image_height - 0.5])
        return (
            box_map(transform_boxes(crop_from_img, bounds.expand(len(crop_from_img), 4)), size).squeeze(1) > 0
        )

    @staticmethod
    def _all(object_index: Tensor, pose: Tensor, neighbours: Instances) -> tuple[Tensor, Tensor, Tensor]:
        """Targets (instances 0..B-1) and neighbours as one list: image, mesh and pose of each."""
        return (
            torch.cat([torch.arange(len(object_index)), neighbours.image_index]),
            torch.cat([object_index, neighbours.mesh_index]),
            torch.cat([pose, neighbours.cam_from_obj]),
        )

    # ---- the picture -------------------------------------------------------------------------------------------------
    def _shoot(self, layout: Layout, rng: torch.Generator) -> SceneBatch:
        size, count = self.crop_size, len(layout)
        to_crop = crop_from_image(layout.box_xyxy_px, size)
        K_crop = to_crop @ layout.K
        together = self._all(layout.object_index, layout.cam_from_obj, layout.neighbours)
        scene = self.camera.render_scenes(*together, K_crop, (size, size), sample_lights(count, rng))
        instance = scene.instance.cpu()
        target = instance == torch.arange(count)[:, None, None]
        paint = torch.where(target[:, None], 1.0, self._repaint(instance, rng))
        background = random_backgrounds(count, size, rng)
        rgb = scene.rgb.cpu() * paint + (1 - scene.coverage.cpu()[:, None]) * background
        inside = self._inside_image(to_crop, size)
        rgb = photometric(rgb, rng) * inside[:, None]  # beyond the image's border a crop is black
        seen = target & inside
        boxes_crop = transform_boxes(to_crop, layout.box_xyxy_px)
        return SceneBatch(
            image=torch.cat([rgb, box_map(boxes_crop, size, BOX_MAP_GROWTH)], dim=1),
            K=K_crop,
            object_index=layout.object_index,
            cam_from_obj=layout.cam_from_obj,
            visible=F.avg_pool2d(seen.float()[:, None], 4).squeeze(1),
            depth_m=scene.depth_m.cpu() * seen,
            visible_fraction=layout.visible_fraction,
        )

    def _repaint(self, instance: Tensor, rng: torch.Generator) -> Tensor:
        """Tints (B, 3, S, S) for the neighbours, so that a class is not learnt by the company it keeps."""
        count = int(instance.max()) + 2
        tint = uniform((count, 3), 0.35, 1.25, rng)
        tint[-1] = 1.0  # row -1: no object
        return tint[instance.long()].permute(0, 3, 1, 2)
