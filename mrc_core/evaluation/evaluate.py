"""Scores pose estimates on a BOP data set: results in, errors of every target out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrc_core.data.bop_dataset import BopDataset, BopImage, Target
from mrc_core.data.bop_files import BopDataError
from mrc_core.data.bop_objects import BopObject
from mrc_core.evaluation.error_parts import ErrorParts
from mrc_core.evaluation.pairing import pair_scene
from mrc_core.evaluation.point_errors import PointErrors
from mrc_core.evaluation.result_checks import check_against_dataset
from mrc_core.evaluation.results_file import PoseResult
from mrc_core.evaluation.surface_errors import MakeRenderer, SurfaceErrors
from mrc_core.evaluation.target_errors import TargetErrors

VSD_DELTA_M = 0.015
VSD_DELTA_BY_DATASET_M = {"itodd": 0.005}

Progress = Callable[[int, int], None]
"""Told how many of how many instances are done."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Errors of one method's results on one data set.

    Attributes:
        method: a name for tables.
        targets: every object of every image that was looked at; those with `count` 0 are seen by detection alone.
        objects: the data set's, by number.
        problems: what is wrong with results or data, in words; nothing was left out without one.
        left_out: instances of the target list that could not be scored (a scene that is missing, say).
        results: all estimates that were handed in and could be read.
        delta_m: tolerance of VSD's visibility test.
        with_vsd: whether VSD was asked for.
        scored_images: scene and image of each that was looked at.
    """

    method: str
    dataset_name: str
    split: str
    targets: list[TargetErrors]
    objects: dict[int, BopObject]
    problems: list[str]
    left_out: int
    results: list[PoseResult]
    delta_m: float
    with_vsd: bool
    scored_images: set[tuple[int, int]]

    @property
    def is_complete(self) -> bool:
        """Whether every instance of the target list was scored by every error that was asked for."""
        return self.left_out == 0 and not (
            self.with_vsd and any(one.vsd is None for one in self.targets if one.count)
        )


def evaluate(
    dataset: BopDataset,
    results: Sequence[PoseResult],
    *,
    method: str = "ours",
    targets: Sequence[Target] | None = None,
    make_renderer: MakeRenderer | None = None,
    delta_m: float | None = None,
    parts: Path | None = None,
    device: str = "cpu",
    known_problems: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Errors of results on a data set; `summarise` makes scores of them.

    Args:
        results: of any images and objects, in any order; poses in metres.
        targets: what was to be found; the data set's own list unless given.
        make_renderer: makes a renderer of given meshes; without one VSD, and with it AR, is not computed.
        delta_m: tolerance of VSD's visibility test, metres; 15 mm, for ITODD 5 mm, unless given.
        parts: a folder where each scene's errors are kept as soon as they are known; an interrupted evaluation goes
            on from there.
        known_problems: of reading the results; they stand first in the evaluation's.
        progress: told at the beginning and after each scene.

    Raises:
        BopDataError: not one target could be scored.
    """
    wanted = list(dataset.targets() if targets is None else targets)
    delta = VSD_DELTA_BY_DATASET_M.get(dataset.name, VSD_DELTA_M) if delta_m is None else delta_m
    problems = [*known_problems]
    folder = next(iter(dataset.objects.values())).path.parent.name if dataset.objects else "models_eval"
    if folder != "models_eval":
        problems.append(f"there is no models_eval/: errors are measured on {folder}/, and do not compare with others'")
    scenes, left_out = _scenes(dataset, wanted, problems)
    problems += check_against_dataset(dataset, scenes, results)
    by_scene: dict[int, list[PoseResult]] = defaultdict(list)
    for row in results:
        by_scene[row.scene_id].append(row)
    shown = sorted({t.obj_id for images, _ in scenes.values() for i in images.values() for t in i.ground_truth})
    with_model = set(shown) | {one.obj_id for one in wanted}
    with_model -= set(_unusable_models(dataset, sorted(with_model)))
    points = PointErrors(dataset, device)
    settings = {"vsd": make_renderer is not None, "delta_m": delta}
    kept = ErrorParts(parts, dataset, settings) if parts is not None else None
    surfaces: SurfaceErrors | None = None
    done: list[TargetErrors] = []
    total = sum(target.count for _, mine in scenes.values() for target in mine)
    if progress:
        progress(0, total)
    for scene_id, (images, mine) in scenes.items():
        pairings = pair_scene(images, mine, by_scene[scene_id], with_model)
        found = kept.load(scene_id, pairings) if kept else None
        if found is None:
            errors = points.of_scene(pairings)
            scene_problems: list[str] = []
            if make_renderer is not None:
                surfaces = surfaces or SurfaceErrors(dataset, _objects_of(scenes), make_renderer, delta)
                errors, scene_problems = surfaces.of_scene(errors)
            found = errors, scene_problems
            if kept:
                kept.save(scene_id, pairings, *found)
        done += found[0]
        problems += found[1]
        if progress:
            progress(sum(one.count for one in done), total)
    return Evaluation(
        method=method,
        dataset_name=dataset.name,
        split=dataset.split,
        targets=done,
        objects=dataset.objects,
        problems=problems,
        left_out=left_out,
        results=list(results),
        delta_m=delta,
        with_vsd=make_renderer is not None,
        scored_images={(one.scene_id, one.image_id) for one in done},
    )


Scenes = dict[int, tuple[dict[int, BopImage], list[Target]]]


def _scenes(dataset: BopDataset, targets: Sequence[Target], problems: list[str]) -> tuple[Scenes, int]:
    """Images and targets of each scene that can be scored; what cannot is added to the problems and counted."""
    by_scene: dict[int, list[Target]] = defaultdict(list)
    for one in targets:
        by_scene[one.scene_id].append(one)
    out: Scenes = {}
    left_out = 0
    lacks: Counter[str] = Counter()  # instances by what they lack
    unusable = _unusable_models(dataset, sorted({one.obj_id for one in targets}))
    for scene_id, mine in sorted(by_scene.items()):
        instances = sum(one.count for one in mine)
        try:
            images = dataset.images(scene_id)
        except BopDataError as error:
            problems.append(f"scene {scene_id}: {error}; its {instances} instances are not scored")
            left_out += instances
            continue
        if not dataset.has_ground_truth(scene_id):
            problems.append(
                f"scene {scene_id}: there is no scene_gt.json (not unpacked, or not public); its {instances} instances "
                "are not scored"
            )
            left_out += instances
            continue
        good = []
        for one in mine:
            lack = unusable.get(one.obj_id) or _what_lacks(images, one)
            if lack:
                lacks[lack] += one.count
                left_out += one.count
            else:
                good.append(one)
        if good:
            out[scene_id] = ({i: images[i] for i in sorted({one.image_id for one in good})}, good)
    problems += [f"{lack}: {number} instances are not scored" for lack, number in lacks.items()]
    if not out:
        raise BopDataError(f"no target can be scored: {problems[-1] if problems else 'the list is empty'}")
    return out, left_out


def _unusable_models(dataset: BopDataset, obj_ids: Sequence[int]) -> dict[int, str]:
    """Objects of targets that there is no model of, with the reason."""
    out = {}
    for obj_id in obj_ids:
        if obj_id not in dataset.objects:
            out[obj_id] = f"a target, but models_info.json has no object {obj_id}"
            continue
        try:
            _ = dataset.objects[obj_id].points
        except BopDataError as error:
            out[obj_id] = f"object {obj_id}: {error}"
    return out


def _what_lacks(images: dict[int, BopImage], one: Target) -> str | None:
    where = f"scene {one.scene_id}, image {one.image_id}"
    if one.image_id not in images:
        return f"{where}: a target, but scene_camera.json has no such image"
    if all(truth.obj_id != one.obj_id for truth in images[one.image_id].ground_truth):
        return f"{where}: object {one.obj_id} is a target, but scene_gt.json does not show it"
    return None


def _objects_of(scenes: Scenes) -> list[int]:
    return sorted({one.obj_id for _, mine in scenes.values() for one in mine})
