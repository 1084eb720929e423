"""Reads data sets in BOP's classic layout: T-LESS, YCB-V, LM-O, ITODD and any other.

    DATASET/camera.json, test_targets_bop19.json, models_eval/, SPLIT/000001/{scene_*.json, rgb|gray/, depth/, mask/}

Millimetres become metres here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_core.data.bop_files import (
    BopDataError,
    find_depth,
    find_picture,
    picture_size,
    read_depth_m,
    read_json,
    read_pixels,
    read_rgb,
)
from mrc_core.data.bop_objects import BopObject, load_objects_info

MIN_VISIBLE_OF_TARGETS = 0.1


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """One instance in an image.

    Attributes:
        gt_id: its place in the image's list; masks are named by it.
        cam_from_obj: (4, 4) float64, metres.
        visib_fract: visible over all pixels of the silhouette, what lies outside of the image counted as hidden.
        box_visib_xyxy_px: box of the visible part, or None.
    """

    gt_id: int
    obj_id: int
    cam_from_obj: NDArray[np.float64]
    visib_fract: float
    box_visib_xyxy_px: tuple[float, float, float, float] | None


@dataclass(frozen=True, eq=False)
class BopImage:
    """One image: K (3, 3) in pixels (the centre of pixel (c, r) is at (c, r)), what it shows, and the scale that
    makes millimetres of its depth picture."""

    scene_id: int
    image_id: int
    K: NDArray[np.float64]
    depth_scale: float
    ground_truth: tuple[GroundTruth, ...]


@dataclass(frozen=True)
class Target:
    """`count` instances of an object are to be found in an image."""

    scene_id: int
    image_id: int
    obj_id: int
    count: int


KNOWN_NAMES = ("lm", "lmo", "tless", "ycbv", "itodd", "hb", "icbin", "tudl", "tyol", "ruapc", "icmi")


def known_name(name: str) -> str:
    """The benchmark's own spelling of a data set's name ("YCB-V" is "ycbv"), other names as they are."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    return plain if plain in KNOWN_NAMES else name


class BopDataset:
    """A split of a data set on disk. Scenes are read when they are asked for.

    Attributes:
        name: of the data set ("ycbv"): the folder's name unless given.
        split: as asked for ("test"); `folder` may be another one ("test_primesense").
        objects: by number.
    """

    def __init__(self, root: str | Path, split: str = "test", name: str | None = None) -> None:
        """
        Raises:
            BopDataError: the folder, the split or the models are not there.
        """
        self.root = Path(root)
        if not self.root.is_dir():
            raise BopDataError(f"{self.root} is not a folder: pass the data set's folder (with models_eval/)")
        self.name = known_name(name or self.root.resolve().name)
        self.split = split
        self.folder = self._split_folder()
        self.objects: dict[int, BopObject] = load_objects_info(self.root, self.name)
        self._scene = lru_cache(maxsize=4)(self._read_scene)

    def _split_folder(self) -> Path:
        exact = self.root / self.split
        if exact.is_dir():
            return exact
        alike = sorted(p for p in self.root.glob(f"{self.split}_*") if p.is_dir())
        if len(alike) == 1:  # T-LESS has test_primesense, and calls it test in result files
            return alike[0]
        there = sorted({p.parent.parent.name for p in self.root.glob("*/*/scene_camera.json")})
        raise BopDataError(
            f"{self.root} has no split {self.split!r}: "
            + (f"choose from {', '.join(there)}" if there else "no folder in it holds scenes")
        )

    @cached_property
    def scene_ids(self) -> list[int]:
        """Numbers of the scenes on disk."""
        return sorted(int(p.name) for p in self.folder.iterdir() if p.is_dir() and p.name.isdigit())

    def scene_folder(self, scene_id: int) -> Path:
        """Where a scene is."""
        return self.folder / f"{scene_id:06d}"

    def has_ground_truth(self, scene_id: int) -> bool:
        """Whether a scene comes with its poses; those of some test splits (ITODD, HB) are not public."""
        return (self.scene_folder(scene_id) / "scene_gt.json").is_file()

    def images(self, scene_id: int) -> dict[int, BopImage]:
        """All images of a scene by number; without ground truth where the scene comes without.

        Raises:
            BopDataError: the scene or one of its files is missing or damaged.
        """
        return self._scene(scene_id)

    def rgb(self, scene_id: int, image_id: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3), RGB.

        Raises:
            BopDataError: it is missing or damaged.
        """
        return read_rgb(find_picture(self.scene_folder(scene_id), image_id))

    def depth_m(self, scene_id: int, image_id: int) -> NDArray[np.float32]:
        """Depth (H, W), z in metres, 0 where unknown.

        Raises:
            BopDataError: it is missing or damaged.
        """
        image = self.images(scene_id)[image_id]
        return read_depth_m(find_depth(self.scene_folder(scene_id), image_id), image.depth_scale)

    def mask(self, scene_id: int, image_id: int, gt_id: int, visible: bool = True) -> NDArray[np.bool_]:
        """The visible (or the whole) silhouette of an instance, (H, W).

        Raises:
            BopDataError: it is missing or damaged.
        """
        folder = self.scene_folder(scene_id) / ("mask_visib" if visible else "mask")
        return read_pixels(folder / f"{image_id:06d}_{gt_id:06d}.png") > 0

    def image_size(self, scene_id: int, image_id: int) -> tuple[int, int]:
        """(width, height) of an image: its header, or camera.json where the picture cannot be read.

        Raises:
            BopDataError: neither tells.
        """
        try:
            return picture_size(find_picture(self.scene_folder(scene_id), image_id))
        except BopDataError as error:
            for path in sorted(self.root.glob("camera*.json")):
                camera = read_json(path)
                if "width" in camera and "height" in camera:
                    return int(camera["width"]), int(camera["height"])
            raise error

    def targets(self, path: str | Path | None = None) -> list[Target]:
        """What is to be found: of `path`, of SPLIT_targets_bop19.json, or, where there is no such file, every
        instance that is at least 10 % visible.

        Raises:
            BopDataError: the file is missing, damaged, or not as BOP has it.
        """
        if path is None:
            default = self.root / f"{self.split}_targets_bop19.json"
            if not default.is_file():
                return self._targets_from_truth()
            path = default
        counts: dict[tuple[int, int, int], int] = {}
        for number, entry in enumerate(read_json(Path(path))):
            try:
                key = (int(entry["scene_id"]), int(entry["im_id"]), int(entry["obj_id"]))
                count = int(entry["inst_count"])
            except (KeyError, TypeError, ValueError) as error:
                raise BopDataError(
                    f"{path}, entry {number}: scene_id, im_id, obj_id and inst_count are needed ({error!r})"
                ) from error
            if key in counts or count < 1:
                raise BopDataError(f"{path}, entry {number}: the target {key} is named twice, or has no count")
            counts[key] = count
        if not counts:
            raise BopDataError(f"{path} names no target")
        return [Target(*key, count) for key, count in counts.items()]

    def _targets_from_truth(self) -> list[Target]:
        counts: dict[tuple[int, int, int], int] = defaultdict(int)
        for scene_id in self.scene_ids:
            for image in self.images(scene_id).values():
                for truth in image.ground_truth:
                    if truth.visib_fract >= MIN_VISIBLE_OF_TARGETS:
                        counts[scene_id, image.image_id, truth.obj_id] += 1
        if not counts:
            raise BopDataError(f"{self.folder} shows no object that is at least 10 % visible")
        return [Target(*key, count) for key, count in counts.items()]

    def _read_scene(self, scene_id: int) -> dict[int, BopImage]:
        folder = self.scene_folder(scene_id)
        if not folder.is_dir():
            raise BopDataError(f"{folder} is missing: unpack the data set again")
        cameras = read_json(folder / "scene_camera.json")
        truths = infos = {}
        if self.has_ground_truth(scene_id):
            truths = read_json(folder / "scene_gt.json")
            infos = read_json(folder / "scene_gt_info.json")
        out = {}
        for key, camera in sorted(cameras.items(), key=lambda item: int(item[0])):
            try:
                out[int(key)] = _image(scene_id, int(key), camera, truths.get(key, []), infos.get(key, []))
            except (KeyError, TypeError, ValueError) as error:
                raise BopDataError(f"{folder}: image {key} is not described as BOP does: {error!r}") from error
        return out


def _image(
    scene_id: int, image_id: int, camera: dict[str, Any], truths: list[Any], infos: list[Any]
) -> BopImage:
    if len(infos) != len(truths):
        raise ValueError(f"{len(truths)} instances in scene_gt.json, {len(infos)} in scene_gt_info.json")
    K = _numbers(camera["cam_K"], 9).reshape(3, 3)
    items = tuple(_ground_truth(i, truth, info) for i, (truth, info) in enumerate(zip(truths, infos)))
    return BopImage(scene_id, image_id, K, float(camera.get("depth_scale", 1.0)), items)


def _ground_truth(gt_id: int, truth: dict[str, Any], info: dict[str, Any]) -> GroundTruth:
    pose = np.eye(4)
    pose[:3, :3] = _numbers(truth["cam_R_m2c"], 9).reshape(3, 3)
    pose[:3, 3] = _numbers(truth["cam_t_m2c"], 3) / 1000
    box = info.get("bbox_visib")
    corners = None
    if box is not None and box[2] > 0 and box[3] > 0:
        x, y, w, h = (float(v) for v in box)
        corners = (x, y, x + w, y + h)
    return GroundTruth(gt_id, int(truth["obj_id"]), pose, float(info["visib_fract"]), corners)


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(array) != count or not np.isfinite(array).all():
        raise ValueError(f"{count} finite numbers needed, got {values}")
    return array
