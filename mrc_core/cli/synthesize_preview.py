"""The contact sheet of `mrc-net synthesize`: what is on disk, drawn over its pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_core.data.bop_detections import BopDetection
from mrc_core.data.bop_writer import MIN_VISIBLE_OF_TARGETS
from mrc_core.visualisation.overlay import MaskRenderer, draw_overlay, object_colours

COLUMNS, ROWS = 3, 3
AXIS_LENGTH_M = 0.04


@dataclass(frozen=True)
class _Posed:
    class_id: str
    cam_from_obj: NDArray[np.float64]


def write_preview(
    path: Path,
    scenes: Sequence[Path],
    class_ids: Sequence[str],
    detections: Sequence[BopDetection],
    renderer: MaskRenderer,
) -> None:
    """Writes some images of all scenes in a grid, with detections' boxes and the targets' outlines and axes.

    The outlines are rendered from the poses in the files: they lie on the objects if all conventions hold.

    Args:
        path: a .jpg or .png file.
        scenes: the scenes' folders.
        class_ids: of the data set's objects, in the order of their numbers.
        detections: of the whole split.
        renderer: of the objects' meshes, in their own frames.

    Raises:
        OSError: a picture cannot be read, or the sheet not written.
    """
    every = [(scene, key) for scene in scenes for key in json.loads((scene / "scene_gt.json").read_text())]
    count = min(COLUMNS * ROWS, len(every))
    chosen = [every[i * len(every) // count] for i in range(count)]
    tiles = [_tile(scene, key, class_ids, detections, renderer) for scene, key in chosen]
    columns = min(COLUMNS, count)
    tiles += [np.zeros_like(tiles[0])] * (-count % columns)
    sheet = np.concatenate(
        [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    )
    temporary = path.with_name(f"{path.stem}.partial{path.suffix}")
    if not cv2.imwrite(str(temporary), sheet[..., ::-1]):
        raise OSError(f"{path} cannot be written: is the disk full?")
    os.replace(temporary, path)


def _tile(
    scene: Path,
    key: str,
    class_ids: Sequence[str],
    detections: Sequence[BopDetection],
    renderer: MaskRenderer,
) -> NDArray[np.uint8]:
    """One image (H, W, 3), RGB, with what is known of it."""
    picture = cv2.imread(str(scene / "rgb" / f"{int(key):06d}.png"), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"{scene / 'rgb'} lacks picture {key}: remove the data set's folder and run again")
    truths, infos, cameras = (
        json.loads((scene / f"{name}.json").read_text())[key]
        for name in ("scene_gt", "scene_gt_info", "scene_camera")
    )
    posed = []
    for truth, info in zip(truths, infos):
        if info["visib_fract"] >= MIN_VISIBLE_OF_TARGETS:
            pose = np.eye(4)
            pose[:3, :3] = np.reshape(truth["cam_R_m2c"], (3, 3))
            pose[:3, 3] = np.asarray(truth["cam_t_m2c"]) / 1000
            posed.append(_Posed(class_ids[truth["obj_id"] - 1], pose))
    index = {name: i for i, name in enumerate(class_ids)}
    K = np.reshape(cameras["cam_K"], (3, 3)).astype(np.float64)
    rgb = np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)
    canvas = draw_overlay(rgb, K, posed, renderer, index, AXIS_LENGTH_M)
    colours = object_colours(len(class_ids))
    for item in detections:
        if (item.scene_id, item.image_id) == (int(scene.name), int(key)):
            x0, y0, x1, y1 = (round(v) for v in item.box_xyxy_px)
            cv2.rectangle(canvas, (x0, y0), (x1, y1), colours[item.obj_id - 1], 1, cv2.LINE_AA)
    return canvas
