"""Which estimates are compared with which ground truths: by image and object, in the benchmark's order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mrc_core.data.bop_dataset import BopImage, GroundTruth, Target
from mrc_core.evaluation.average_precision import MAX_ESTIMATES_PER_IMAGE
from mrc_core.evaluation.results_file import PoseResult


@dataclass(frozen=True, eq=False)
class Pairing:
    """One object in one image: estimates by falling score, ground truths by falling visibility; see `TargetErrors`."""

    image: BopImage
    obj_id: int
    count: int
    estimates: tuple[PoseResult, ...]
    detected: tuple[bool, ...]
    truths: tuple[GroundTruth, ...]


def pair_scene(
    images: dict[int, BopImage], targets: Sequence[Target], results: Iterable[PoseResult], known: set[int]
) -> list[Pairing]:
    """Pairings of a scene, in the order of images and objects.

    Args:
        images: of the scene.
        targets: of the scene; only their images are looked at, and in them every object that is shown.
        results: estimates of the scene.
        known: objects that there is a model of.
    """
    counts = {(one.image_id, one.obj_id): one.count for one in targets}
    estimates: dict[int, list[PoseResult]] = defaultdict(list)
    for row in results:
        estimates[row.image_id].append(row)
    out = []
    for image_id in sorted({one.image_id for one in targets}):
        image = images[image_id]
        # sorted() keeps the file's order among equal scores, as the benchmark does
        ranked = sorted(estimates[image_id], key=lambda row: row.score, reverse=True)
        best = {id(row) for row in ranked[:MAX_ESTIMATES_PER_IMAGE]}
        shown = {truth.obj_id for truth in image.ground_truth}
        wanted = {obj_id for i, obj_id in counts if i == image_id}
        for obj_id in sorted((shown | wanted) & known):
            count = counts.get((image_id, obj_id), 0)
            mine = [row for row in ranked if row.obj_id == obj_id]
            kept = [row for rank, row in enumerate(mine) if rank < count or id(row) in best]
            truths = sorted(
                (truth for truth in image.ground_truth if truth.obj_id == obj_id),
                key=lambda truth: truth.visib_fract,
                reverse=True,
            )
            detected = tuple(id(row) in best for row in kept)
            out.append(Pairing(image, obj_id, count, tuple(kept), detected, tuple(truths)))
    return out


def poses_of(items: Sequence[PoseResult] | Sequence[GroundTruth]) -> np.ndarray:
    """Their poses (n, 4, 4)."""
    return np.stack([item.cam_from_obj for item in items]) if items else np.zeros((0, 4, 4))
