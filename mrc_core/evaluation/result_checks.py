"""What a result file's poses say beside a data set: wrong units, unknown objects, other images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mrc_core.data.bop_dataset import BopDataset, BopImage, Target
from mrc_core.evaluation.results_file import PoseResult

METRES_FOR_MILLIMETRES = (1e-4, 1e-2)  # how much nearer than the truth such poses seem to be, at least and at most
ALL_AT_ONE = 5  # of a kind named one by one


def check_against_dataset(
    dataset: BopDataset,
    scenes: dict[int, tuple[dict[int, BopImage], list[Target]]],
    results: Sequence[PoseResult],
) -> list[str]:
    """Problems in words. None of them changes a pose; what is not scored is named."""
    problems = []
    unknown = Counter(row.obj_id for row in results if row.obj_id not in dataset.objects)
    for obj_id, number in sorted(unknown.items()):
        problems.append(
            f"object {obj_id} is not in models_info.json ({_span(sorted(dataset.objects))}): "
            f"its {number} estimates are not scored"
        )
    scored = {(scene_id, image_id) for scene_id, (images, _) in scenes.items() for image_id in images}
    elsewhere = sorted({(row.scene_id, row.image_id) for row in results} - scored)
    if elsewhere:
        number = sum((row.scene_id, row.image_id) not in scored for row in results)
        names = ", ".join(f"scene {s} image {i}" for s, i in elsewhere[:ALL_AT_ONE])
        more = f" and {len(elsewhere) - ALL_AT_ONE} more" if len(elsewhere) > ALL_AT_ONE else ""
        problems.append(f"{number} estimates are of images without a target, and not scored: {names}{more}")
    lines = Counter(
        (row.scene_id, row.image_id, row.obj_id, row.score, row.cam_from_obj.tobytes()) for row in results
    )
    repeated = sum(number - 1 for number in lines.values())
    if repeated:
        problems.append(f"{repeated} estimates are there more than once, to the last digit: detection AP counts each")
    without = len(scored - {(row.scene_id, row.image_id) for row in results})
    if without:
        problems.append(f"{without} of {len(scored)} images with targets have no estimate at all: all of it is missed")
    unit = _unit_problem(scenes, results)
    return problems + ([unit] if unit else [])


def _unit_problem(
    scenes: dict[int, tuple[dict[int, BopImage], list[Target]]], results: Sequence[PoseResult]
) -> str | None:
    """Poses that are a thousand times too near were written in metres."""
    ratios = []
    for row in results:
        image = scenes.get(row.scene_id, ({}, []))[0].get(row.image_id)
        truths = [t for t in image.ground_truth if t.obj_id == row.obj_id] if image else []
        if truths:
            distances = [float(np.linalg.norm(t.cam_from_obj[:3, 3])) for t in truths]
            ratios.append(float(np.linalg.norm(row.cam_from_obj[:3, 3])) / max(min(distances), 1e-9))
    if not ratios:
        return None
    low, high = METRES_FOR_MILLIMETRES
    ratio = float(np.median(ratios))
    if low < ratio < high:
        return (
            f"the translations look like metres: they are {1 / ratio:.0f} times shorter than the true ones (median of "
            f"{len(ratios)}). The format wants millimetres: multiply t by 1000. Scored as they are"
        )
    return None


def _span(numbers: Sequence[int]) -> str:
    return f"which has {numbers[0]} to {numbers[-1]}" if numbers else "which has none"
