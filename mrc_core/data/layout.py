"""Where everything stands in a batch of scenes, before the pictures are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrc_core.data.surroundings import Instances, Support


@dataclass(frozen=True)
class Layout:
    """B scenes: cameras K (B, 3, 3), targets' object_index (B,) and poses cam_from_obj (B, 4, 4), what stands around
    them, the tables below, detection boxes (B, 4) in image px and visible_fraction (B,)."""

    K: Tensor
    object_index: Tensor
    cam_from_obj: Tensor
    neighbours: Instances
    support: Support
    box_xyxy_px: Tensor
    visible_fraction: Tensor

    def __len__(self) -> int:
        return len(self.object_index)

    def everything(self) -> Instances:
        """Targets (instances 0..B-1) and neighbours as one list."""
        around = self.neighbours
        return Instances(
            torch.cat([torch.arange(len(self)), around.image_index]),
            torch.cat([self.object_index, around.mesh_index]),
            torch.cat([self.cam_from_obj, around.cam_from_obj]),
        )

    def take(self, rows: Tensor) -> Layout:
        """The scenes `rows` (n,), in ascending order, with their neighbours."""
        new_row = torch.full((len(self),), -1)
        new_row[rows] = torch.arange(len(rows))
        image = new_row[self.neighbours.image_index]
        stays = image >= 0
        around = self.neighbours
        return Layout(
            self.K[rows],
            self.object_index[rows],
            self.cam_from_obj[rows],
            Instances(image[stays], around.mesh_index[stays], around.cam_from_obj[stays]),
            self.support.take(rows),
            self.box_xyxy_px[rows],
            self.visible_fraction[rows],
        )

    @staticmethod
    def join(parts: Sequence[Layout]) -> Layout:
        """All scenes of several layouts, in their order."""
        starts = torch.tensor([0, *(len(part) for part in parts[:-1])]).cumsum(0)
        around = [part.neighbours for part in parts]
        below = [part.support for part in parts]
        return Layout(
            torch.cat([part.K for part in parts]),
            torch.cat([part.object_index for part in parts]),
            torch.cat([part.cam_from_obj for part in parts]),
            Instances(
                torch.cat([item.image_index + start for item, start in zip(around, starts)]),
                torch.cat([item.mesh_index for item in around]),
                torch.cat([item.cam_from_obj for item in around]),
            ),
            Support(
                torch.cat([item.normal for item in below]),
                torch.cat([item.height for item in below]),
                torch.cat([item.present for item in below]),
            ),
            torch.cat([part.box_xyxy_px for part in parts]),
            torch.cat([part.visible_fraction for part in parts]),
        )
