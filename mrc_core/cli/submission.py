"""Runs a bundle on the images of a BOP data set: detections in, a result file's poses out."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrc_core.data.bop_dataset import BopDataset, Target
from mrc_core.data.bop_detections import BopDetection
from mrc_core.data.bop_files import BopDataError, find_picture
from mrc_core.data.bop_matching import TOLERANCE, bounding_box_gap, object_names
from mrc_core.data.scene_parts import SceneParts
from mrc_core.evaluation.results_file import PoseResult
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference import Bundle, Detection, PoseEstimator


def class_of_objects(bundle: Bundle, dataset: BopDataset, given: dict[str, int]) -> dict[int, str]:
    """Which class of the bundle each object of the data set is.

    A class is told by the object's name, by obj_000001 or by 1; `given` (class: number) goes before.

    Raises:
        ValueError: `given` names what is not there, or no class is an object of the data set.
    """
    for class_id, obj_id in given.items():
        if class_id not in bundle.class_ids or obj_id not in dataset.objects:
            raise ValueError(
                f"--class-map {class_id}={obj_id}: the bundle has {', '.join(bundle.class_ids)}; the data set has "
                f"objects {', '.join(map(str, dataset.objects))}"
            )
    out = {}
    for obj_id, item in dataset.objects.items():
        for class_id in bundle.class_ids:
            by_name = class_id not in given and class_id in object_names(item)
            if given.get(class_id) == obj_id or by_name:
                out[obj_id] = class_id
    if not out:
        numbered = ", ".join(f"{i} ({item.name})" for i, item in dataset.objects.items())
        raise ValueError(
            f"no class of the bundle ({', '.join(bundle.class_ids)}) is an object of the data set ({numbered}): "
            "say which is which with --class-map CLASS=NUMBER"
        )
    return out


def shape_problems(bundle: Bundle, dataset: BopDataset, classes: dict[int, str]) -> list[str]:
    """Classes whose mesh is not the data set's model: their poses may be of another frame."""
    by_class: dict[str, ObjectModel] = {item.class_id: item for item in bundle.objects}
    problems = []
    for obj_id, class_id in classes.items():
        model, mesh = dataset.objects[obj_id], by_class[class_id].mesh
        try:
            off = bounding_box_gap(mesh, model)
        except BopDataError:
            continue  # named where it is scored
        if off > TOLERANCE * model.diameter:
            problems.append(
                f"object {obj_id}: the mesh of class {class_id!r} is not the data set's model: their boxes are "
                f"up to {off * 1000:.0f} mm apart. If origin or axes differ, every pose counts as wrong: train with "
                f"{model.path.parent}"
            )
    return problems


class Submission:
    """Estimates poses scene by scene; finished scenes are kept in a folder, and not computed again.

    Args:
        estimator: of the bundle.
        classes: see `class_of_objects`.
        detections: of the data set.
        every_detection: use all of them (6D detection), not only, of each target, as many as it has instances.
        facts: JSON-able values that poses depend on beside these (the bundle's hash, precision).
        folder: for the finished scenes.
    """

    def __init__(
        self,
        dataset: BopDataset,
        estimator: PoseEstimator,
        classes: dict[int, str],
        detections: Sequence[BopDetection],
        every_detection: bool,
        facts: dict[str, Any],
        folder: Path,
    ) -> None:
        self._dataset, self._estimator, self._classes = dataset, estimator, classes
        self._every, self._facts = every_detection, facts
        self._parts = SceneParts(folder)
        self._by_image: dict[tuple[int, int], list[BopDetection]] = defaultdict(list)
        for one in detections:
            if one.obj_id in classes:
                self._by_image[one.scene_id, one.image_id].append(one)

    def run(
        self, targets: Sequence[Target], progress: Callable[[int, int], None] | None = None
    ) -> tuple[list[PoseResult], list[str]]:
        """Poses of the images that the targets name, and what went wrong on the way."""
        scenes: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
        for one in targets:
            scenes[one.scene_id][one.image_id][one.obj_id] = one.count
        total, done = sum(map(len, scenes.values())), 0
        if progress:
            progress(0, total)
        results: list[PoseResult] = []
        problems: list[str] = []
        for scene_id, images in sorted(scenes.items()):
            chosen = {i: self._chosen(scene_id, i, counts) for i, counts in sorted(images.items())}
            key = self._key(scene_id, chosen)
            content = self._parts.load(scene_id, key)
            if content is None:
                content = self._scene(scene_id, chosen)
                self._parts.save(scene_id, key, content)
            results += [_result(scene_id, row) for row in content["rows"]]
            problems += content["problems"]
            done += len(images)
            if progress:
                progress(done, total)
        return results, problems

    def _chosen(self, scene_id: int, image_id: int, counts: dict[int, int]) -> list[BopDetection]:
        ranked = sorted(self._by_image[scene_id, image_id], key=lambda one: one.score, reverse=True)
        if self._every:
            return ranked
        taken: dict[int, int] = defaultdict(int)
        out = []
        for one in ranked:
            taken[one.obj_id] += 1
            if taken[one.obj_id] <= counts.get(one.obj_id, 0):
                out.append(one)
        return out

    def _scene(self, scene_id: int, chosen: dict[int, list[BopDetection]]) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        problems: list[str] = []
        for image_id, detections in chosen.items():
            if not detections:
                continue
            try:
                started = time.perf_counter()
                image = self._dataset.images(scene_id)[image_id]
                picture = self._dataset.rgb(scene_id, image_id)
                poses = self._estimate(picture, image.K, detections, f"scene {scene_id}, image {image_id}", problems)
                seconds = time.perf_counter() - started
            except (BopDataError, KeyError) as error:
                problems.append(f"scene {scene_id}, image {image_id}: {error}; it gets no poses")
                continue
            seconds += max(max(one.time_s for one in detections), 0.0)
            for one, pose in poses:
                rows.append(
                    {"image_id": image_id, "obj_id": one.obj_id, "score": one.score}
                    | {"cam_from_obj": pose.tolist(), "time_s": seconds}
                )
        return {"rows": rows, "problems": problems}

    def _estimate(
        self, picture: np.ndarray, K: np.ndarray, detections: Sequence[BopDetection], where: str, problems: list[str]
    ) -> list[tuple[BopDetection, np.ndarray]]:
        """Detections with their poses; one that the estimator refuses (a box outside of the image) is named."""
        wanted = [Detection(self._classes[one.obj_id], one.box_xyxy_px, one.score) for one in detections]
        try:
            return [(one, p.cam_from_obj) for one, p in zip(detections, self._estimator.estimate(picture, K, wanted))]
        except ValueError:
            good = []
            for one, detection in zip(detections, wanted):
                try:
                    good.append((one, self._estimator.estimate(picture, K, [detection])[0].cam_from_obj))
                except ValueError as error:
                    problems.append(f"{where}: {error}; this detection gets no pose")
            return good

    def _key(self, scene_id: int, chosen: dict[int, list[BopDetection]]) -> str:
        images = {}
        for image_id, detections in chosen.items():
            try:
                status = find_picture(self._dataset.scene_folder(scene_id), image_id).stat()
                picture = [status.st_size, status.st_mtime_ns]
            except (BopDataError, OSError):
                picture = []
            rows = [[one.obj_id, one.score, one.box_xyxy_px, one.time_s] for one in detections]
            images[image_id] = [picture, rows]
        facts = [self._facts, sorted(self._classes.items()), images]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _result(scene_id: int, row: dict[str, Any]) -> PoseResult:
    pose = np.array(row["cam_from_obj"], dtype=np.float64)
    return PoseResult(scene_id, row["image_id"], row["obj_id"], row["score"], pose, row["time_s"])
