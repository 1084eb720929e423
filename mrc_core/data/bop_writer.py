"""Writes a split of a BOP data set: pictures, depth, masks, ground truth and targets.

Metres become millimetres here. A scene's JSON files are written last, so that a scene that has them is whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_core.data.atomic_files import write_json
from mrc_core.data.bop_dataset import MIN_VISIBLE_OF_TARGETS

SCENE_FILES = ("scene_camera.json", "scene_gt.json", "scene_gt_info.json")
NO_BOX = [-1, -1, -1, -1]


@dataclass(frozen=True, eq=False)
class InstanceRecord:
    """One object in an image.

    Attributes:
        obj_id: its number in the data set.
        cam_from_obj: (4, 4) float64, metres, of the mesh's own frame: that of models/.
        silhouette: (h, w) bool, the whole object as it would be seen alone, also beyond the image's border.
        silhouette_origin_px: (column, row) of the image that the silhouette's first pixel is at; may be negative.
        visible: (H, W) bool, where the image shows it; a part of the silhouette.
    """

    obj_id: int
    cam_from_obj: NDArray[np.float64]
    silhouette: NDArray[np.bool_]
    silhouette_origin_px: tuple[int, int]
    visible: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image with its truth.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W), z in the camera's frame at the pixels' centres, metres, 0 where unknown.
        K: (3, 3) float64, pixels; the centre of pixel (c, r) is at (c, r).
        instances: what stands in it; their order gives the numbers in the masks' names.
        depth_scale: millimetres of one step of the depth picture; what its 16 bits do not reach becomes unknown.
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.floating[Any]]
    K: NDArray[np.float64]
    instances: tuple[InstanceRecord, ...]
    depth_scale: float = 0.1


def clip_to_image(
    silhouette: NDArray[np.bool_], origin_px: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The part (H, W) of a silhouette that lies in an image of `size` (H, W); see `InstanceRecord`."""
    out = np.zeros(size, dtype=bool)
    (column, row), (height, width) = origin_px, silhouette.shape
    top, bottom = max(row, 0), min(row + height, size[0])
    left, right = max(column, 0), min(column + width, size[1])
    if top < bottom and left < right:
        out[top:bottom, left:right] = silhouette[top - row : bottom - row, left - column : right - column]
    return out


def instance_info(instance: InstanceRecord, depth_values: NDArray[np.uint16]) -> dict[str, Any]:
    """An instance's entry of scene_gt_info.json, from its masks and the depth picture (H, W) as it is stored.

    Boxes are x, y, width, height in pixels with width = xmax - xmin, so one pixel is 0 wide, and four times -1 where
    there is no pixel. visib_fract counts what lies outside of the image as hidden.
    """
    mask = clip_to_image(
        instance.silhouette, instance.silhouette_origin_px, (depth_values.shape[0], depth_values.shape[1])
    )
    whole, seen = int(instance.silhouette.sum()), int(instance.visible.sum())
    return {
        "bbox_obj": _box(instance.silhouette, instance.silhouette_origin_px),
        "bbox_visib": _box(instance.visible, (0, 0)),
        "px_count_all": whole,
        "px_count_valid": int((mask & (depth_values > 0)).sum()),
        "px_count_visib": seen,
        "visib_fract": seen / whole if whole else 0.0,
    }


def depth_picture(depth_m: NDArray[np.floating[Any]], depth_scale: float) -> NDArray[np.uint16]:
    """Depth (H, W) in metres as 16-bit values of `depth_scale` mm; 0 where unknown or too far for 16 bits."""
    steps = np.rint(np.asarray(depth_m, dtype=np.float64) * (1000 / depth_scale))
    return np.where(np.isfinite(steps) & (steps > 0) & (steps < 2**16), steps, 0).astype(np.uint16)


class SplitWriter:
    """Writes scenes into DATASET/SPLIT/, and, when all are there, the data set's targets and camera.json.

    Args:
        dataset: the data set's folder; made where it is missing.
        split: the split's folder in it.
        masks: whether mask/ and mask_visib/ are written.
    """

    def __init__(self, dataset: str | Path, split: str, masks: bool = True) -> None:
        self.dataset, self.split, self.masks = Path(dataset), split, masks

    def scene_folder(self, scene_id: int) -> Path:
        """Where a scene is."""
        return self.dataset / self.split / f"{scene_id:06d}"

    def is_finished(self, scene_id: int) -> bool:
        """Whether a scene was written to its end."""
        return all((self.scene_folder(scene_id) / name).is_file() for name in SCENE_FILES)

    def write_scene(self, scene_id: int, images: Iterable[ImageRecord]) -> None:
        """Writes the images, numbered from 0, as they come, and then the scene's JSON files.

        Raises:
            OSError: a picture cannot be written.
        """
        folder = self.scene_folder(scene_id)
        for name in ("rgb", "depth", *(("mask", "mask_visib") if self.masks else ())):
            (folder / name).mkdir(parents=True, exist_ok=True)
        cameras: dict[int, Any] = {}
        truths: dict[int, Any] = {}
        infos: dict[int, Any] = {}
        for image_id, image in enumerate(images):
            depth = depth_picture(image.depth_m, image.depth_scale)
            self._write_pictures(folder, image_id, image, depth)
            cameras[image_id] = {"cam_K": _numbers(image.K), "depth_scale": image.depth_scale}
            truths[image_id] = [_truth(item) for item in image.instances]
            infos[image_id] = [instance_info(item, depth) for item in image.instances]
        for name, content in zip(SCENE_FILES, (cameras, truths, infos)):
            write_json(folder / name, content)

    def _write_pictures(
        self, folder: Path, image_id: int, image: ImageRecord, depth: NDArray[np.uint16]
    ) -> None:
        _save(folder / "rgb" / f"{image_id:06d}.png", image.rgb[..., ::-1])
        _save(folder / "depth" / f"{image_id:06d}.png", depth)
        if not self.masks:
            return
        for gt_id, item in enumerate(image.instances):
            name = f"{image_id:06d}_{gt_id:06d}.png"
            mask = clip_to_image(item.silhouette, item.silhouette_origin_px, (depth.shape[0], depth.shape[1]))
            _save(folder / "mask" / name, mask.astype(np.uint8) * 255)
            _save(folder / "mask_visib" / name, item.visible.astype(np.uint8) * 255)

    def finish(self, scene_ids: Sequence[int], size: tuple[int, int]) -> list[dict[str, int]]:
        """Writes SPLIT_targets_bop19.json and camera.json (the first scene's) for images of `size` (H, W).

        Targets are the objects of which an instance is at least 10 % visible. Returns them as they are in the file.

        Raises:
            OSError: a scene is not there.
        """
        targets = []
        for scene_id in scene_ids:
            truths, infos = self._read(scene_id, "scene_gt.json"), self._read(scene_id, "scene_gt_info.json")
            for key, truth in truths.items():
                seen = [i["visib_fract"] >= MIN_VISIBLE_OF_TARGETS for i in infos[key]]
                counts = Counter(item["obj_id"] for item, enough in zip(truth, seen) if enough)
                targets += [
                    {"im_id": int(key), "inst_count": count, "obj_id": obj_id, "scene_id": scene_id}
                    for obj_id, count in sorted(counts.items())
                ]
        write_json(self.dataset / f"{self.split}_targets_bop19.json", targets)
        camera = next(iter(self._read(scene_ids[0], "scene_camera.json").values()))
        fx, _, cx, _, fy, cy, *_ = camera["cam_K"]
        values = {"cx": cx, "cy": cy, "depth_scale": camera["depth_scale"], "fx": fx, "fy": fy}
        write_json(self.dataset / "camera.json", values | {"height": size[0], "width": size[1]})
        return targets

    def _read(self, scene_id: int, name: str) -> dict[str, Any]:
        return json.loads((self.scene_folder(scene_id) / name).read_text(encoding="utf-8"))


def _truth(item: InstanceRecord) -> dict[str, Any]:
    pose = np.asarray(item.cam_from_obj, dtype=np.float64)
    return {
        "cam_R_m2c": _numbers(pose[:3, :3]),
        "cam_t_m2c": _numbers(pose[:3, 3] * 1000),
        "obj_id": item.obj_id,
    }


def _numbers(values: NDArray[np.float64]) -> list[float]:
    return [float(v) for v in values.reshape(-1)]


def _box(mask: NDArray[np.bool_], origin_px: tuple[int, int]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return list(NO_BOX)
    x, y = int(columns[0]) + origin_px[0], int(rows[0]) + origin_px[1]
    return [x, y, int(columns[-1] - columns[0]), int(rows[-1] - rows[0])]


def _save(path: Path, pixels: NDArray[Any]) -> None:
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels)):
        raise OSError(f"{path} cannot be written: is the disk full?")
