"""Draws where everything stands, and keeps the scenes that show enough of their target."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mrc_core.data.boxes import jitter_boxes
from mrc_core.data.layout import Layout
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.scene_renderer import SceneRenderer
from mrc_core.data.scene_sampling import sample_cameras, sample_rotations, sample_translations
from mrc_core.data.shapes import MeshShapes
from mrc_core.data.surroundings import sample_neighbours, sample_support
from mrc_core.geometry.cameras import box_map, crop_from_image, mask_boxes, project, transform_boxes
from mrc_core.geometry.rotations import make_transform

MAX_DRAWS = 50  # of a batch, before its settings are called impossible
SPARE = 0.12  # of a batch, drawn in addition, for those whose target is not visible enough
PROBE_SIZE = 64  # px of the small picture in which the visible part of the target is measured
PROBE_MARGIN = 1.24  # side of that picture over the target's diameter


class LayoutSampler:
    """Draws layouts.

    Args:
        probe: a plain renderer of all meshes: it measures what is visible.
        diameters: of the trained objects (N,), metres.
        shapes: of all meshes, those of the trained objects first.
        config: what scenes look like.
    """

    def __init__(
        self, probe: SceneRenderer, diameters: Tensor, shapes: MeshShapes, config: SceneConfig
    ) -> None:
        self.probe, self.diameters, self.shapes, self.config = probe, diameters, shapes, config

    def sample(self, size: int, rng: torch.Generator, weights: Tensor | None = None) -> Layout:
        """`size` scenes whose target is visible enough; the others are drawn again.

        Raises:
            ValueError: hardly any scene is like that.
        """
        parts: list[Layout] = []
        missing = size
        for _ in range(MAX_DRAWS):
            drawn = self._draw(missing + int(SPARE * missing) + 1, rng, weights)
            good = (drawn.visible_fraction >= self.config.min_visible) & drawn.box_xyxy_px.isfinite().all(dim=1)
            parts.append(drawn.take(good.nonzero().squeeze(1)))
            missing -= len(parts[-1])
            if missing <= 0:
                return Layout.join(parts).take(torch.arange(size))
        raise ValueError(
            f"in {MAX_DRAWS} draws too few targets were at least {self.config.min_visible:.0%} visible: "
            "lower scenes.min_visible or scenes.max_occluders"
        )

    def _draw(self, count: int, rng: torch.Generator, weights: Tensor | None) -> Layout:
        shares = torch.ones(len(self.diameters)) if weights is None else weights.cpu()
        object_index = torch.multinomial(shares, count, replacement=True, generator=rng)
        K = sample_cameras(count, self.config, rng)
        translation = sample_translations(K, self.diameters[object_index], self.config, rng)
        rotation, up = sample_rotations(count, self.config, rng)
        pose = make_transform(rotation, translation)
        support = sample_support(pose, object_index, up, self.shapes, self.config, rng)
        neighbours = sample_neighbours(
            pose, object_index, support, self.shapes, len(self.diameters), self.config, rng
        )
        unknown = torch.full((count, 4), torch.nan)
        layout = Layout(K, object_index, pose, neighbours, support, unknown, torch.zeros(count))
        boxes, fraction = self._visible_boxes(layout, rng)
        return replace(
            layout, box_xyxy_px=jitter_boxes(boxes, self.config, rng), visible_fraction=fraction
        )

    def _visible_boxes(self, layout: Layout, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Boxes (B, 4) of the targets' visible parts, image px, and visible fractions (B,), from small pictures."""
        K, pose, count = layout.K, layout.cam_from_obj, len(layout)
        diameter = self.diameters[layout.object_index]
        centre = project(K, pose[:, None, :3, 3]).squeeze(1)  # (B, 2)
        half = PROBE_MARGIN / 2 * K[:, 0, 0] * diameter / (pose[:, 2, 3] - diameter / 2)
        window = torch.cat([centre - half[:, None], centre + half[:, None]], dim=-1)
        probe_from_image = crop_from_image(window, PROBE_SIZE, factor=1.0)
        probe_K, size = probe_from_image @ K, (PROBE_SIZE, PROBE_SIZE)
        rows = torch.arange(count)
        alone = self.probe.render_scenes(rows, layout.object_index, pose, probe_K, size).mask
        what = layout.everything()
        what = what.take(what.in_view(probe_K, PROBE_SIZE, self.shapes.radius, count))
        among = self.probe.render_scenes(
            what.image_index, what.mesh_index, what.cam_from_obj, probe_K, size
        ).instance
        inside = inside_image(probe_from_image.to(self.probe.device), PROBE_SIZE, self.config)
        seen = (among == rows.to(among)[:, None, None]) & inside
        fraction = seen.sum(dim=(1, 2)) / alone.sum(dim=(1, 2)).clamp(min=1)
        whole = torch.rand(count, generator=rng) < self.config.amodal_fraction
        boxes = mask_boxes(torch.where(whole.to(seen.device)[:, None, None], alone & inside, seen)).cpu()
        image_from_probe = torch.linalg.inv(probe_from_image)
        boxes = transform_boxes(image_from_probe, boxes + boxes.new_tensor([-0.5, -0.5, 0.5, 0.5]))
        return boxes, fraction.cpu()


def inside_image(crop_from_img: Tensor, size: int, config: SceneConfig) -> Tensor:
    """Which pixels (B, size, size) of crops, given by their maps (B, 3, 3), lie inside of the image."""
    bounds = crop_from_img.new_tensor([-0.5, -0.5, config.image_width - 0.5, config.image_height - 0.5])
    return box_map(transform_boxes(crop_from_img, bounds.expand(len(crop_from_img), 4)), size).squeeze(1) > 0
