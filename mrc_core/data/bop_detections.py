"""Detections in the format of BOP's default detection files, with masks or without.

A JSON list of {scene_id, image_id, category_id, score, bbox [x, y, w, h], segmentation RLE, time}. In memory a box is
x0, y0, x1, y1 with x1 = x + w.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_core.data.atomic_files import write_json
from mrc_core.data.rle import check_rle, decode_mask


@dataclass(frozen=True)
class BopDetection:
    """One detected object in one image of a data set.

    Attributes:
        scene_id, image_id: where.
        obj_id: the object's number in the data set.
        score: the detector's confidence, finite.
        box_xyxy_px: x0, y0, x1, y1 in image pixels; the centre of pixel (c, r) is at (c, r).
        time_s: what the detector took for the whole image; -1 is unknown.
        mask_rle: the visible part, run-length encoded (see `rle`), or None.
    """

    scene_id: int
    image_id: int
    obj_id: int
    score: float
    box_xyxy_px: tuple[float, float, float, float]
    time_s: float = -1.0
    mask_rle: dict[str, Any] | None = None

    def mask(self) -> NDArray[np.bool_] | None:
        """The mask (H, W), bool, or None where the detector gave none.

        Raises:
            ValueError: the encoding is damaged; `read_bop_detections` lets none such through.
        """
        return None if self.mask_rle is None else decode_mask(self.mask_rle)


def read_bop_detections(path: str | Path) -> tuple[list[BopDetection], list[str]]:
    """Detections of a file, and its problems: one line for each entry that is left out, with its number and the reason.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or not a list.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: pass a BOP detection file (a JSON list)")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, list):
        raise ValueError(
            f"{path} holds no list: BOP's detections are a JSON list, one object for each detection"
        )
    detections, problems = [], []
    for number, entry in enumerate(content):
        try:
            detections.append(_detection(entry))
        except ValueError as error:
            problems.append(f"{path}, entry {number}: {error}")
    return detections, problems


def write_bop_detections(path: str | Path, detections: Iterable[BopDetection]) -> None:
    """Writes a file that `read_bop_detections` gives back; an interruption leaves the old file or the new one, whole.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    rows = []
    for item in detections:
        x0, y0, x1, y1 = item.box_xyxy_px
        row: dict[str, Any] = {
            "scene_id": item.scene_id,
            "image_id": item.image_id,
            "category_id": item.obj_id,
            "score": item.score,
            "bbox": [x0, y0, round(x1 - x0, 6), round(y1 - y0, 6)],
        }
        if item.mask_rle is not None:
            row["segmentation"] = item.mask_rle
        rows.append(row | {"time": item.time_s})
    write_json(Path(path), rows)


def _detection(entry: Any) -> BopDetection:
    if not isinstance(entry, dict):
        raise ValueError(f"an object with scene_id, image_id, ... is needed, not {type(entry).__name__}")
    x, y, width, height = _box(_needed(entry, "bbox"))
    rle = entry.get("segmentation")
    if rle is not None:
        check_rle(rle)  # kept as it is: a compressed string takes a tenth of the memory of its numbers
    return BopDetection(
        scene_id=_whole(entry, "scene_id"),
        image_id=_whole(entry, "image_id"),
        obj_id=_whole(entry, "category_id"),
        score=_number(_needed(entry, "score"), "score"),
        box_xyxy_px=(x, y, x + width, y + height),
        time_s=_number(entry.get("time", -1.0), "time"),
        mask_rle=rle,
    )


def _needed(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise ValueError(f"{key} is missing")
    return entry[key]


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key} is {value!r}, which is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{key} is {number}: a finite number is needed")
    return number


def _whole(entry: dict[str, Any], key: str) -> int:
    number = _number(_needed(entry, key), key)
    if number != int(number) or number < 0:
        raise ValueError(f"{key} is {entry[key]!r}: a whole number from 0 on is needed")
    return int(number)


def _box(value: Any) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(f"bbox is {value!r}: four numbers x, y, width, height are needed")
    x, y, width, height = (_number(v, "bbox") for v in value)
    if width <= 0 or height <= 0:
        raise ValueError(f"bbox {value} has no area: width and height must be above 0")
    return x, y, width, height
