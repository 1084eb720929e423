"""True poses from a BOP scene_gt.json (millimetres), with scene_gt_info.json beside it for the visible shares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrc_core.data.bop_files import BopDataError, read_json
from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.bags.truth import TrueObject


class BopTruth:
    """A scene's annotations.

    Args:
        path: scene_gt.json, or its folder.
        by_stamp: keys are the images' stamps [ns]; else the bag's n-th image belongs to the n-th smallest key, whatever
            part of the bag is evaluated.
        classes: class of each obj_id.
        images: number of images in the bag.

    Raises:
        BagError: a file is missing or damaged, names an unknown obj_id, or has another number of images than the bag.
    """

    def __init__(self, path: Path, by_stamp: bool, classes: Mapping[int, str], images: int) -> None:
        path = path / "scene_gt.json" if path.is_dir() else path
        info_path = path.with_name(path.name.replace("scene_gt", "scene_gt_info"))
        try:
            scene = {int(key): entries for key, entries in read_json(path).items()}
            info = (
                {int(k): v for k, v in read_json(info_path).items()}
                if info_path.is_file() and info_path != path
                else {}
            )
            found = {
                key: [_true_object(e, i, classes, info.get(key)) for i, e in enumerate(entries)]
                for key, entries in scene.items()
            }
        except (BopDataError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BagError(f"'{path}' cannot be used as ground truth: {error}") from error
        if not by_stamp and len(found) != images:
            raise BagError(
                f"'{path}' has {len(found)} images, but the bag has {images}: they are joined by their order, so the "
                "numbers must agree; with stamps [ns] as keys use --gt bop_stamp:PATH"
            )
        self.description = f"{path.name}, by {'stamp' if by_stamp else 'image order'}"
        self._by_stamp = found if by_stamp else None
        self._in_order = [found[key] for key in sorted(found)]

    def objects(self, frame: ReplayedFrame) -> list[TrueObject] | None:
        """The image's annotations."""
        if self._by_stamp is not None:
            return self._by_stamp.get(frame.stamp_ns)
        return self._in_order[frame.image_index]

    def follows_detections(self, frame: ReplayedFrame) -> bool:
        """Annotations do not know the detector's order."""
        return False


def classes_by_obj_id(class_ids: Sequence[str], given: Mapping[str, str]) -> dict[int, str]:
    """The class of each obj_id: as given ('1' -> class), else by the number that a class id ends with (obj_000001).

    Raises:
        BagError: a given class is not in the bundle.
    """
    classes: dict[int, str] = {}
    for class_id in class_ids:
        number = re.fullmatch(r"(?:obj_?)?0*(\d+)", class_id)
        if number:
            classes[int(number[1])] = class_id
    for obj_id, class_id in given.items():
        if class_id not in class_ids or not obj_id.isdigit():
            raise BagError(
                f"--gt-class {obj_id}:{class_id} must be a number of scene_gt.json and a class of the bundle, which "
                f"has: {', '.join(class_ids)}"
            )
        classes[int(obj_id)] = class_id
    return classes


def _true_object(
    entry: Mapping[str, Any], place: int, classes: Mapping[int, str], info: Sequence[Mapping[str, Any]] | None
) -> TrueObject:
    obj_id = int(entry["obj_id"])
    if obj_id not in classes:
        raise ValueError(f"the class of obj_id {obj_id} is not known: say it with --gt-class {obj_id}:CLASS")
    pose = np.eye(4)
    pose[:3, :3] = np.asarray(entry["cam_R_m2c"], dtype=np.float64).reshape(3, 3)
    pose[:3, 3] = np.asarray(entry["cam_t_m2c"], dtype=np.float64) * 1e-3
    visible = float(info[place]["visib_fract"]) if info is not None else None
    return TrueObject(classes[obj_id], None, pose, visible)
