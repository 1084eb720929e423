"""Detections as a detector might give them, made from ground truth: inexact boxes, misses and false alarms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mrc_core.data.bop_detections import BopDetection
from mrc_core.data.bop_writer import MIN_VISIBLE_OF_TARGETS
from mrc_core.data.dataset_scenes import seeded
from mrc_core.data.draws import uniform
from mrc_core.data.rle import encode_mask

Box = tuple[float, float, float, float]


class DetectorConfig(BaseModel):
    """How good the detector is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    box_noise: float = Field(
        default=0.07, ge=0, le=0.4
    )  # each side of a box is off by up to this part of its length
    miss_rate: float = Field(default=0.0, ge=0, le=1)  # share of the visible objects that are not found
    false_positives: float = Field(default=0.0, ge=0, le=100)  # detections of nothing, mean number an image


def detect_scene(
    scene: Path, num_objects: int, size: tuple[int, int], config: DetectorConfig, seed: int | str
) -> list[BopDetection]:
    """Detections of all images of one scene on disk, the best of each image first; the same for the same seed.

    Every instance that is at least 10 % visible gets one, unless it is missed. Boxes surround the visible part to the
    pixels' outer edges and end at the image's border. Where the scene has masks, the visible part goes along. The time
    is 0: no detector ran.

    Args:
        scene: the scene's folder (its name is its number).
        num_objects: objects are numbered from 1 to this.
        size: (H, W) of the images.
        config: how good the detector is.
        seed: of everything drawn.
    """
    truths, infos = (_read(scene / name) for name in ("scene_gt.json", "scene_gt_info.json"))
    out = []
    for key, truth in truths.items():
        rng = seeded(seed, int(scene.name), key, "detections")
        found = []
        for gt_id, (item, info) in enumerate(zip(truth, infos[key])):
            # drawn for every instance, so that one that is missed does not change the others
            offsets, score_noise = uniform((4,), -1, 1, rng), float(uniform((), -1, 1, rng))
            missed = float(torch.rand((), generator=rng)) < config.miss_rate
            if missed or info["visib_fract"] < MIN_VISIBLE_OF_TARGETS:
                continue
            box = _jittered(info["bbox_visib"], config.box_noise * offsets, size)
            score = 0.45 + 0.45 * info["visib_fract"] + 0.1 * score_noise
            mask = _read_mask(scene / "mask_visib" / f"{int(key):06d}_{gt_id:06d}.png")
            found.append(_detection(scene, key, item["obj_id"], score, box, mask))
        for _ in range(int(torch.poisson(torch.tensor(config.false_positives), generator=rng))):
            obj_id = int(torch.randint(1, num_objects + 1, (), generator=rng))
            box = _random_box(size, rng)
            mask = _ellipse(box, size) if (scene / "mask_visib").is_dir() else None
            found.append(
                _detection(scene, key, obj_id, 0.05 + 0.6 * float(torch.rand((), generator=rng)), box, mask)
            )
        out += sorted(found, key=lambda item: -item.score)
    return out


def _detection(
    scene: Path, key: str, obj_id: int, score: float, box: Sequence[float], mask: NDArray[Any] | None
) -> BopDetection:
    x0, y0, x1, y1 = (round(float(v), 2) for v in box)
    rle = None if mask is None else encode_mask(mask)
    return BopDetection(int(scene.name), int(key), obj_id, round(score, 4), (x0, y0, x1, y1), 0.0, rle)


def _jittered(bbox: Sequence[int], offsets: torch.Tensor, size: tuple[int, int]) -> Box:
    """A visible part's box x, y, w, h (w = xmax - xmin) as x0, y0, x1, y1, its sides moved by parts of its size."""
    x, y, width, height = bbox
    sides = np.array([x - 0.5, y - 0.5, x + width + 0.5, y + height + 0.5])
    moved = sides + offsets.double().numpy() * np.tile([width + 1, height + 1], 2)
    return _clipped(moved, size)


def _clipped(sides: NDArray[np.float64], size: tuple[int, int]) -> Box:
    low, high = np.full(4, -0.5), np.tile([size[1] - 0.5, size[0] - 0.5], 2)
    x0, y0, x1, y1 = np.clip(sides, low, high).tolist()
    return x0, y0, x1, y1


def _random_box(size: tuple[int, int], rng: torch.Generator) -> Box:
    height, width = size
    half = np.array([width, height]) * uniform((2,), 0.05, 0.17, rng).double().numpy()
    middle = np.array([width, height]) * uniform((2,), 0.05, 0.95, rng).double().numpy()
    return _clipped(np.concatenate([middle - half, middle + half]), size)


def _ellipse(box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
    mask = np.zeros(size, np.uint8)
    centre = (round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2))
    cv2.ellipse(
        mask, centre, (int((box[2] - box[0]) / 2), int((box[3] - box[1]) / 2)), 0, 0, 360, 1, thickness=-1
    )
    return mask


def _read_mask(path: Path) -> NDArray[Any] | None:
    if not path.parent.is_dir():
        return None
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise OSError(f"{path} cannot be read: remove the data set's folder and run again")
    return mask


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
