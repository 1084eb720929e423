"""Outlines of objects in given poses, as polygons, and their shaded pictures: through a renderer that is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.evaluation.surface_errors import window_of
from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering.interface import Renderer, Rendering

Array = NDArray[np.float64]
MakeRenderer = Callable[[Sequence[Mesh]], Renderer]

RENDERED_PX = (
    400  # a silhouette's longer side when it is traced: small objects are enlarged, so that lines are smooth
)
MOST_ENLARGED = 4.0
TOLERANCE_PX = 0.6  # of simplified polygons, in rendered pixels
SMALLEST_AREA_PX = 6.0  # rendered pixels; specks are not drawn


class Outlines:
    """Renders a data set's objects.

    Args:
        dataset: gives the meshes.
        obj_ids: which of them will be asked for.
        make_renderer: of meshes.

    Attributes:
        notes: objects whose mesh cannot be loaded, in words; they have no outline.
    """

    def __init__(self, dataset: BopDataset, obj_ids: Iterable[int], make_renderer: MakeRenderer) -> None:
        self.notes: list[str] = []
        self._index: dict[int, int] = {}
        meshes: list[Mesh] = []
        for obj_id in sorted(set(obj_ids)):
            try:
                meshes.append(coloured_mesh(dataset, obj_id))
                self._index[obj_id] = len(self._index)
            except (OSError, ValueError) as error:
                self.notes.append(f"{dataset.objects[obj_id].name} has no outline: {error}")
        self._vertices = [mesh.vertices.astype(np.float64) for mesh in meshes]
        self._renderer = make_renderer(meshes) if meshes else None

    def has(self, obj_id: int) -> bool:
        """Whether an object's mesh could be loaded."""
        return obj_id in self._index

    def outline(self, obj_id: int, cam_from_obj: Array, K: Array, size: tuple[int, int]) -> list[Array]:
        """Polygons (n, 2), x and y in pixels, of the silhouette inside of an image of size (H, W): parts and holes.

        Also of what other objects hide. Empty where the object is out of sight, or has no mesh.
        """
        index = self._index.get(obj_id)
        window = None if index is None else window_of(K, cam_from_obj, self._vertices[index], size)
        if index is None or window is None:
            return []
        x0, y0, x1, y1 = window
        scale = float(np.clip(RENDERED_PX / max(x1 - x0, y1 - y0), 1.0, MOST_ENLARGED))
        wanted = (round((y1 - y0) * scale), round((x1 - x0) * scale))
        mask = (
            self._render(index, cam_from_obj, window_from_image(x0, y0, scale) @ K, wanted)
            .mask[0]
            .cpu()
            .numpy()
        )
        return [(part + 0.5) / scale - 0.5 + (x0, y0) for part in trace(mask)]

    def shaded(
        self, obj_id: int, cam_from_obj: Array, K: Array, size: tuple[int, int]
    ) -> tuple[Array, Array] | None:
        """The object on black (H, W, 3), RGB, 0..1, and its coverage (H, W, 1), 0..1; None where it has no mesh."""
        index = self._index.get(obj_id)
        if index is None or not np.isfinite(cam_from_obj).all():
            return None
        # twice as large, then averaged: smooth edges whatever the renderer's supersampling
        rendered = self._render(
            index, cam_from_obj, window_from_image(0, 0, 2) @ K, (2 * size[0], 2 * size[1])
        )
        both = torch.cat(
            [rendered.rgb[0].clamp(0, 1), rendered.coverage[:1].to(rendered.rgb.dtype)]
        )  # (4, 2H, 2W)
        small = torch.nn.functional.avg_pool2d(both[None], 2)[0].permute(1, 2, 0).double().cpu().numpy()
        return small[..., :3], small[..., 3:]

    def _render(self, index: int, cam_from_obj: Array, K: Array, size: tuple[int, int]) -> Rendering:
        assert self._renderer is not None
        device = self._renderer.device
        return self._renderer.render(
            torch.tensor([index], device=device),
            torch.from_numpy(cam_from_obj[None]).float().to(device),
            torch.from_numpy(K[None]).float().to(device),
            size,
        )


def window_from_image(x0: float, y0: float, scale: float) -> Array:
    """The map (3, 3) from pixels of an image to those of an enlarged window whose first pixel is (x0, y0).

    The centre of pixel (c, r) is at (c, r): enlarging keeps the corners of pixels in place, not their centres.
    """
    return np.array([[scale, 0, (0.5 - x0) * scale - 0.5], [0, scale, (0.5 - y0) * scale - 0.5], [0, 0, 1]])


def coloured_mesh(dataset: BopDataset, obj_id: int) -> Mesh:
    """The object's mesh of models/, which has colours, else the one that errors are measured on, which often has none.

    Raises:
        OSError, ValueError: neither can be read.
    """
    item = dataset.objects[obj_id]
    path = dataset.root / "models" / item.path.name
    if path.is_file() and path != item.path:
        try:
            return Mesh.load(path, unit="mm")
        except (OSError, ValueError):
            pass  # its texture may be missing, say
    return item.mesh


def trace(mask: NDArray[np.bool_]) -> list[Array]:
    """Polygons (n, 2), x and y, around the parts of a mask (H, W) and around their holes."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts = [
        cv2.approxPolyDP(one, TOLERANCE_PX, True) for one in found if cv2.contourArea(one) >= SMALLEST_AREA_PX
    ]
    return [part[:, 0].astype(np.float64) for part in parts if len(part) >= 3]
