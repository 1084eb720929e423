"""What a camera sees of placed things, from the geometry alone: depth, silhouettes, visible parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.data.bop_writer import ImageRecord, InstanceRecord, clip_to_image
from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering import Rendering, create_renderer

from .things import Placed

Array = NDArray[np.float64]
PROBE_WIDTH = 160  # px of the small pictures in which views are judged
DEPTH_SCALE_MM = 0.2  # 16 bits reach 13 m; what is farther has no depth


class Observer:
    """Looks at things with the project's renderer, which samples at the pixels' centres."""

    def __init__(self, things: Sequence[Placed]) -> None:
        self.things = list(things)
        meshes = [
            Mesh(
                item.prop.vertices.astype(np.float32),
                item.prop.faces.astype(np.int32),
                np.tile(np.float32([0, 0, 1]), (len(item.prop.vertices), 1)),  # nobody looks at the shading
                name=item.prop.kind,
            )
            for item in things
        ]
        self._renderer = create_renderer("warp", meshes)
        self._poses = torch.from_numpy(np.stack([item.world_from_prop for item in things]))
        self.objects = [row for row, item in enumerate(things) if item.obj_id > 0]

    def visible_fractions(self, K: Array, size: tuple[int, int], cam_from_world: Array) -> Array:
        """How much of each object of ours each camera sees (B, number of objects), what is outside counted as hidden.

        From small pictures, so to a per cent or two. Args: K (3, 3); size (H, W); cam_from_world (B, 4, 4).
        """
        shrink = PROBE_WIDTH / size[1]
        height, width = round(size[0] * shrink), PROBE_WIDTH
        small = K.copy()
        small[:2] *= shrink
        small[:2, 2] += 0.5 * shrink - 0.5
        views, cameras = torch.from_numpy(cam_from_world), len(cam_from_world)
        together = self._render(range(len(self.things)), small, (height, width), views).instance
        # alone they are drawn with a margin of half a picture all around
        wide = small.copy()
        wide[:2, 2] += [width // 2, height // 2]
        fractions = np.zeros((cameras, len(self.objects)))
        for column, row in enumerate(self.objects):
            alone = self._render([row], wide, (2 * height, 2 * width), views).mask.sum(dim=(1, 2))
            seen = torch.stack([(together[b] == b * len(self.things) + row).sum() for b in range(cameras)])
            fractions[:, column] = (seen / alone.clamp(min=1)).numpy()
        return fractions

    def record(
        self, K: Array, size: tuple[int, int], cam_from_world: Array, rgb: NDArray[np.uint8]
    ) -> ImageRecord:
        """A picture (H, W, 3) with its whole truth; the objects of ours in their order."""
        view = torch.from_numpy(cam_from_world)[None]
        scene = self._render(range(len(self.things)), K, size, view)
        instance = scene.instance[0].numpy()
        instances = tuple(
            self._instance(row, K, size, cam_from_world, instance == row) for row in self.objects
        )
        return ImageRecord(rgb, scene.depth_m[0].numpy(), K, instances, DEPTH_SCALE_MM)

    def _instance(
        self, row: int, K: Array, size: tuple[int, int], cam_from_world: Array, visible: NDArray[np.bool_]
    ) -> InstanceRecord:
        item = self.things[row]
        cam_from_obj = cam_from_world @ item.world_from_prop
        points = item.prop.vertices @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
        pixels = (points @ K.T)[:, :2] / points[:, 2:]
        first = np.floor(pixels.min(axis=0)).astype(int) - 1
        columns, rows = (np.ceil(pixels.max(axis=0)).astype(int) + 2 - first).tolist()
        shifted = K.copy()
        shifted[:2, 2] -= first
        alone = self._render([row], shifted, (rows, columns), torch.from_numpy(cam_from_world)[None])
        silhouette, origin = alone.mask[0].numpy(), (int(first[0]), int(first[1]))
        # rounding may draw a pixel of the rim in one picture and not in the other; the visible is a part of the whole
        visible = visible & clip_to_image(silhouette, origin, size)
        return InstanceRecord(item.obj_id, cam_from_obj, silhouette, origin, visible)

    def _render(self, rows: Sequence[int], K: Array, size: tuple[int, int], views: torch.Tensor) -> Rendering:
        """Things `rows` in each of B views (B, 4, 4); the instance of thing number i of n in view b is b * n + i."""
        numbers, count = torch.tensor(list(rows)), len(views)
        poses = (views[:, None] @ self._poses[numbers]).reshape(-1, 4, 4).float()
        return self._renderer.render_scenes(
            torch.arange(count).repeat_interleave(len(numbers)),
            numbers.repeat(count),
            poses,
            torch.from_numpy(K).float().expand(count, 3, 3),
            size,
        )
