"""A compact index of a BOP split: every instance that has a box, as arrays, so that training can reach any of them.

A set for training has a million instances in hundreds of megabytes of JSON. The index holds 80 bytes of each, is built
once, and is kept in a file that is built anew when the JSON files change.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_core.data.atomic_files import write_bytes
from mrc_core.data.bop_dataset import BopDataset, BopImage
from mrc_core.data.bop_files import BopDataError
from mrc_core.data.bop_writer import SCENE_FILES


@dataclass(frozen=True, eq=False)
class BopIndex:
    """Images (M of them) and instances with a box of their visible part (N), in the order of scenes and images.

    Attributes:
        scene_id, image_id: of each image (M,).
        K: (M, 3, 3), pixels.
        depth_scale: (M,), makes millimetres of the depth picture's values.
        image: row of each instance's image (N,).
        gt_id: the instance's place in its image's list (N,).
        obj_id: (N,).
        visib_fract: (N,), 0..1.
        box_xyxy_px: of the visible part (N, 4), from the first to the last pixel's centre.
        cam_from_obj: (N, 3, 4), metres, in the frame of the data set's models.
    """

    scene_id: NDArray[np.int32]
    image_id: NDArray[np.int32]
    K: NDArray[np.float32]
    depth_scale: NDArray[np.float32]
    image: NDArray[np.int32]
    gt_id: NDArray[np.int32]
    obj_id: NDArray[np.int32]
    visib_fract: NDArray[np.float32]
    box_xyxy_px: NDArray[np.float32]
    cam_from_obj: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)


def open_index(dataset: BopDataset, cache: Path, log: Callable[[str], None]) -> BopIndex:
    """The index of a split, from the file `cache` where that is up to date, else built and written there.

    A scene whose JSON files are missing or damaged is left out, and the log says so.

    Raises:
        BopDataError: no scene can be read.
    """
    key = _fingerprint(dataset)
    kept = _load(cache, key)
    if kept is not None:
        return kept
    log(f"{dataset.name} {dataset.split}: reading the truth of {len(dataset.scene_ids)} scenes, once")
    index = build_index(dataset, log)
    content = io.BytesIO()
    np.savez(content, key=np.array(key), **{field.name: getattr(index, field.name) for field in fields(index)})
    write_bytes(cache, content.getvalue())
    return index


def build_index(dataset: BopDataset, log: Callable[[str], None]) -> BopIndex:
    """Reads the truth of every scene; see `open_index`."""
    parts: list[dict[str, NDArray[Any]]] = []  # a scene each: as arrays at once, since objects take ten times as much
    images = 0
    for scene_id in dataset.scene_ids:
        try:
            scene = list(dataset.images(scene_id).values())
        except BopDataError as error:
            log(f"{dataset.name} {dataset.split}: scene {scene_id} is left out: {error}")
            continue
        parts.append(_scene_columns(scene, images))
        images += len(scene)
    if not any(len(part["image"]) for part in parts):
        raise BopDataError(f"{dataset.folder} shows no object with a box (scene_gt_info.json, bbox_visib)")
    return BopIndex(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _scene_columns(scene: Sequence[BopImage], first_row: int) -> dict[str, NDArray[Any]]:
    """The columns of an index for the images of one scene, the first of which has the row `first_row`."""
    seen = [
        (first_row + row, truth)
        for row, image in enumerate(scene)
        for truth in image.ground_truth
        if truth.box_visib_xyxy_px is not None and truth.visib_fract > 0
    ]
    return {
        "scene_id": np.array([image.scene_id for image in scene], dtype=np.int32),
        "image_id": np.array([image.image_id for image in scene], dtype=np.int32),
        "K": np.array([image.K for image in scene], dtype=np.float32).reshape(-1, 3, 3),
        "depth_scale": np.array([image.depth_scale for image in scene], dtype=np.float32),
        "image": np.array([row for row, _ in seen], dtype=np.int32),
        "gt_id": np.array([truth.gt_id for _, truth in seen], dtype=np.int32),
        "obj_id": np.array([truth.obj_id for _, truth in seen], dtype=np.int32),
        "visib_fract": np.array([truth.visib_fract for _, truth in seen], dtype=np.float32),
        "box_xyxy_px": np.array([truth.box_visib_xyxy_px for _, truth in seen], dtype=np.float32).reshape(-1, 4),
        "cam_from_obj": np.array([truth.cam_from_obj[:3] for _, truth in seen], dtype=np.float32).reshape(-1, 3, 4),
    }


def _fingerprint(dataset: BopDataset) -> str:
    """Changes when a scene comes, goes or has its JSON files written anew."""
    digest = hashlib.sha256(str(dataset.folder.resolve()).encode())
    for scene_id in dataset.scene_ids:
        for name in SCENE_FILES:
            path = dataset.scene_folder(scene_id) / name
            facts = path.stat() if path.is_file() else None
            digest.update(f"{scene_id}/{name} {facts and (facts.st_size, facts.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def _load(cache: Path, key: str) -> BopIndex | None:
    """The kept index, or None: there is none, it is of other files, or it is damaged."""
    try:
        with np.load(cache, allow_pickle=False) as content:
            if str(content["key"]) != key:
                return None
            return BopIndex(**{field.name: content[field.name] for field in fields(BopIndex)})
    except Exception:  # numpy and zipfile raise what a damaged file happens to cause; it is built anew
        return None
