"""The pictures of a report: whole images and single instances, as they are and with outlines of truth and estimate.

A picture that cannot be read becomes a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_files import BopDataError
from mrc_core.evaluation.instances import Instance
from mrc_core.reporting.drawing import (
    Labels,
    again,
    axes_lines,
    css_colour,
    image_element,
    outline_path,
    panel,
)
from mrc_core.reporting.outlines import MakeRenderer, Outlines, window_from_image
from mrc_core.visualisation import object_colours

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

WHOLE_PX = 800  # a whole picture's largest width in the page's file
WHOLE_SHOWN_PX = 560.0
CROP_PX = 288
CONTEXT = 1.5  # side of a crop over the longer side of what it shows
FARTHEST = 2.5  # an estimate that would make a crop larger than this times the truth's is not waited for
SMALLEST_CROP_PX = 40  # of the image
OUTSIDE = (238, 241, 245)


@dataclass(frozen=True)
class Estimate:
    """What one method says of an instance, and how it is drawn."""

    pose: Array | None
    colour: str
    title: str


def colours_of(dataset_objects: Iterable[int]) -> dict[int, str]:
    """A bright colour for each object, the same in every picture."""
    ids = sorted(dataset_objects)
    return {obj_id: css_colour(rgb) for obj_id, rgb in zip(ids, object_colours(len(ids)))}


class Pictures:
    """Makes figures of instances.

    Args:
        dataset: gives pictures and meshes.
        rows: all instances that figures will be asked for.
        make_renderer: of meshes; None leaves the outlines out.

    Attributes:
        notes: what could not be read, in words.
    """

    def __init__(
        self, dataset: BopDataset, rows: Iterable[Instance], make_renderer: MakeRenderer | None
    ) -> None:
        self._dataset = dataset
        self._colours = colours_of(dataset.objects)
        objects = {one.obj_id for one in rows}
        self._outlines = Outlines(dataset, objects, make_renderer) if make_renderer and objects else None
        self.notes: list[str] = list(self._outlines.notes) if self._outlines else []
        self._read = lru_cache(maxsize=8)(self._read_picture)
        self._count = 0

    @property
    def has_outlines(self) -> bool:
        """Whether outlines can be drawn at all."""
        return self._outlines is not None

    def whole(self, rows: Sequence[Instance]) -> str:
        """An image beside itself with outlines and names; the rows are its instances. Empty if it cannot be read."""
        first = rows[0]
        picture, K = self._read(first.scene_id, first.image_id)
        if picture is None:
            return ""
        size = (picture.shape[0], picture.shape[1])
        shrink = min(WHOLE_PX / size[1], 1.0)
        shown = picture
        if shrink < 1:
            wanted = (round(size[1] * shrink), round(size[0] * shrink))
            shown = np.asarray(cv2.resize(picture, wanted, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        name = f"scene {first.scene_id}, image {first.image_id}"
        key = self._key()
        panels = [panel(size, image_element(shown, size, key), name)]
        if self._outlines is not None:
            labels = Labels(size, WHOLE_SHOWN_PX)
            lines = [self._lines(one, self._own(one), K, size) for one in rows]
            names = [
                labels.place(_label(one), est or truth, self._colours[one.obj_id])
                for one, (_, truth, est) in zip(rows, lines)
            ]
            content = again(key) + "".join(part for part, _, _ in lines) + "".join(names)
            panels.append(panel(size, content, f"{name}, with outlines"))
        return "".join(panels)

    def case(self, one: Instance) -> str:
        """An instance and what is around it: as it is, with outlines, and the model as it was estimated. Empty if the
        picture cannot be read."""
        return self.compared(one, [self._own(one)], shaded=True)

    def compared(self, one: Instance, estimates: Sequence[Estimate], shaded: bool = False) -> str:
        """An instance as it is, then with the outlines of the truth and of each estimate.

        Args:
            shaded: add a picture of the model in each estimated pose.
        """
        picture, image_K = self._read(one.scene_id, one.image_id)
        if picture is None:
            return ""
        x0, y0, side = self._window(one, estimates, image_K, picture.shape[:2])
        crop = _cut(picture, x0, y0, side)
        scale = CROP_PX / side
        K, size, key = window_from_image(x0, y0, scale) @ image_K, (CROP_PX, CROP_PX), self._key()
        panels = [panel(size, image_element(crop, size, key), f"{one.name}, picture")]
        if self._outlines is None:
            return "".join(panels)
        for estimate in estimates:
            lines, _, seen = self._lines(one, estimate, K, size)
            if estimate.pose is not None and not seen and self._outlines.has(one.obj_id):
                lines += _words("estimate out of sight")
            axes = axes_lines(K, one.gt, 0.4 * one.diameter, "truth")
            if estimate.pose is not None:
                axes += axes_lines(K, estimate.pose, 0.4 * one.diameter, "estimate")
            panels.append(panel(size, again(key) + lines + axes, f"{one.name}, {estimate.title}"))
            if shaded:
                panels.append(self._shaded(one, estimate, crop, K))
        return "".join(panels)

    def _own(self, one: Instance) -> Estimate:
        return Estimate(one.est, self._colours[one.obj_id], "outlines of truth and estimate")

    def _key(self) -> str:
        self._count += 1
        return f"picture-{self._count}"

    def _lines(
        self, one: Instance, estimate: Estimate, K: Array, size: tuple[int, int]
    ) -> tuple[str, list[Array], list[Array]]:
        """SVG of the outlines, and the polygons of the truth and of the estimate."""
        assert self._outlines is not None
        truth = self._outlines.outline(one.obj_id, one.gt, K, size)
        pose = estimate.pose
        found = [] if pose is None else self._outlines.outline(one.obj_id, pose, K, size)
        lines = outline_path(found, "estimate", estimate.colour) + outline_path(truth, "truth")
        return f"<g><title>{escape(describe(one))}</title>{lines}</g>", truth, found

    def _shaded(self, one: Instance, estimate: Estimate, crop: Picture, K: Array) -> str:
        """The model in the estimated pose before the dimmed picture."""
        assert self._outlines is not None
        size = (CROP_PX, CROP_PX)
        grey = crop.mean(axis=2, keepdims=True).repeat(3, axis=2)
        canvas = 110 + 0.45 * grey
        drawn = None if estimate.pose is None else self._outlines.shaded(one.obj_id, estimate.pose, K, size)
        if drawn is not None:
            rgb, coverage = drawn
            canvas = 255 * rgb + canvas * (1 - coverage)
        content = image_element(np.round(np.clip(canvas, 0, 255)).astype(np.uint8), size, self._key())
        if estimate.pose is None:
            content += _words("no estimate")
        return panel(size, content, f"{one.name}, the model as estimated")

    def _window(
        self, one: Instance, estimates: Sequence[Estimate], K: Array, shape: tuple[int, ...]
    ) -> tuple[int, int, int]:
        """Corner and side of the square that shows truth and estimates, in pixels of the image."""
        points = self._dataset.objects[one.obj_id].points
        low, high = _box(points, one.gt, K, shape)
        side = float((high - low).max())
        for estimate in estimates:
            if estimate.pose is not None:
                other_low, other_high = _box(points, estimate.pose, K, shape)
                both_low, both_high = np.minimum(low, other_low), np.maximum(high, other_high)
                if (both_high - both_low).max() <= FARTHEST * side:
                    low, high = both_low, both_high
        wanted = max(round(CONTEXT * float((high - low).max())), SMALLEST_CROP_PX)
        corner = np.round((low + high) / 2 - wanted / 2).astype(int)
        return int(corner[0]), int(corner[1]), wanted

    def _read_picture(self, scene_id: int, image_id: int) -> tuple[Picture | None, Array]:
        try:
            K = self._dataset.images(scene_id)[image_id].K
            return self._dataset.rgb(scene_id, image_id), K
        except (BopDataError, KeyError) as error:
            self.notes.append(f"scene {scene_id}, image {image_id} is not shown: {error}")
            return None, np.eye(3)


def describe(one: Instance) -> str:
    """An instance in one line: what, where, how far off."""
    where = f"{one.name}, {100 * one.visible:.0f} % visible"
    if one.est is None:
        return f"{where}, missed"
    return f"{where}, MSSD {100 * one.mssd / one.diameter:.1f} % of the diameter"


def _words(text: str) -> str:
    return f'<text class="nothing" x="{CROP_PX / 2}" y="{CROP_PX / 2}">{text}</text>'


def _label(one: Instance) -> str:
    return one.name if one.is_right else f"{one.name} {'missed' if one.est is None else '✗'}"


def _box(points: Array, cam_from_obj: Array, K: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Lowest and highest x, y of points (N, 3) in an image; the whole image where some lie behind the camera."""
    moved = points @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
    if not np.isfinite(moved).all() or moved[:, 2].min() <= 1e-3:
        return np.zeros(2), np.array(shape[1::-1], dtype=np.float64)
    pixels = moved @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    return pixels.min(axis=0), pixels.max(axis=0)


def _cut(picture: Picture, x0: int, y0: int, side: int) -> Picture:
    """A square of the picture, CROP_PX large; what lies outside of the picture is light grey."""
    out = np.full((side, side, 3), OUTSIDE, dtype=np.uint8)
    height, width = picture.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x0 + side, width), min(y0 + side, height)
    if right > left and bottom > top:
        out[top - y0 : bottom - y0, left - x0 : right - x0] = picture[top:bottom, left:right]
    how = cv2.INTER_AREA if side > CROP_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(out, (CROP_PX, CROP_PX), interpolation=how), dtype=np.uint8)
