"""Errors of finished scenes on disk, so that an interrupted evaluation goes on where it stopped.

A changed result file, data set, model or setting does not meet old errors: all of them are in a scene's key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_files import BopDataError, find_depth
from mrc_core.data.scene_parts import SceneParts
from mrc_core.evaluation.pairing import Pairing
from mrc_core.evaluation.point_errors import make_target
from mrc_core.evaluation.target_errors import VSD_TAUS, TargetErrors

FORMAT = 1  # goes up when errors are computed in another way
_ERRORS = ("mssd", "mspd", "add", "add_s")


class ErrorParts:
    """Keeps scenes' errors in a folder.

    Args:
        folder: made when it is first needed.
        settings: JSON-able values that errors depend on.
    """

    def __init__(self, folder: Path, dataset: BopDataset, settings: dict[str, Any]) -> None:
        self._parts, self._dataset, self._settings = SceneParts(folder), dataset, settings
        self._models: dict[int, str] = {}

    def load(self, scene_id: int, pairings: Sequence[Pairing]) -> tuple[list[TargetErrors], list[str]] | None:
        """A scene's errors and problems, or None where there are none of just this input."""
        content = self._parts.load(scene_id, self._key(scene_id, pairings))
        if content is None:
            return None
        return [self._target(one, row) for one, row in zip(pairings, content["targets"])], content["problems"]

    def save(
        self, scene_id: int, pairings: Sequence[Pairing], targets: Sequence[TargetErrors], problems: Sequence[str]
    ) -> None:
        """Writes a scene's errors."""
        rows = []
        for one in targets:
            row: dict[str, Any] = {key: getattr(one, key).tolist() for key in _ERRORS}
            if one.vsd is not None and one.model_gap is not None:
                row |= {"vsd": one.vsd.tolist(), "model_gap": one.model_gap.tolist()}
            rows.append(row)
        content = {"problems": list(problems), "targets": rows}
        self._parts.save(scene_id, self._key(scene_id, pairings), content)

    def _target(self, one: Pairing, row: dict[str, Any]) -> TargetErrors:
        e, g = len(one.estimates), len(one.truths)
        counted = (min(e, one.count), min(g, one.count))
        shapes = {"mssd": (e, g), "mspd": (e, g), "add": counted, "add_s": counted}
        arrays = {key: np.array(row[key], dtype=np.float64).reshape(shapes[key]) for key in _ERRORS}
        target = make_target(one, self._dataset.objects[one.obj_id].diameter, arrays)
        if "vsd" not in row:
            return target
        vsd = np.array(row["vsd"], dtype=np.float64).reshape(*counted, len(VSD_TAUS))
        return replace(target, vsd=vsd, model_gap=np.array(row["model_gap"], dtype=np.float64))

    def _key(self, scene_id: int, pairings: Sequence[Pairing]) -> str:
        digest = hashlib.sha256(json.dumps([FORMAT, self._settings, scene_id], sort_keys=True).encode())
        for one in pairings:
            item = self._dataset.objects[one.obj_id]
            facts: list[Any] = [one.image.image_id, one.image.depth_scale, one.obj_id, one.count]
            facts += [item.diameter, one.detected, item.symmetries.to_bop()]
            facts += [self._model(one.obj_id), self._picture(scene_id, one.image.image_id)]
            digest.update(json.dumps(facts).encode())
            digest.update(one.image.K.tobytes())
            for row in one.estimates:
                digest.update(row.cam_from_obj.tobytes() + np.float64(row.score).tobytes())
            for truth in one.truths:
                digest.update(truth.cam_from_obj.tobytes() + np.float64(truth.visib_fract).tobytes())
        return digest.hexdigest()

    def _model(self, obj_id: int) -> str:
        if obj_id not in self._models:
            points = self._dataset.objects[obj_id].points
            self._models[obj_id] = hashlib.sha256(points.tobytes()).hexdigest()
        return self._models[obj_id]

    def _picture(self, scene_id: int, image_id: int) -> list[int]:
        """Size and time of change of the depth picture: it decides VSD, and hashing all of them would take long."""
        try:
            status = find_depth(self._dataset.scene_folder(scene_id), image_id).stat()
            return [status.st_size, status.st_mtime_ns]
        except (BopDataError, OSError):
            return []
