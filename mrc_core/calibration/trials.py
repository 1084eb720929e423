"""Poses with known truth: what the network said about each, and how far off it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrc_core.calibration.starts import tracked_starts
from mrc_core.data.scenes import SceneBatch
from mrc_core.evaluation.pose_deviation import pose_deviation
from mrc_core.evaluation.pose_judge import RECALL_THRESHOLD, PoseJudge
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.calibration import EVIDENCE
from mrc_core.inference.evidence import BucketSpread, detected_evidence, tracked_evidence
from mrc_core.model.two_stage import Crops, TwoStage

Array = NDArray[np.float64]

BATCH = 16


@dataclass(frozen=True)
class Trials:
    """N estimated poses of centred objects.

    object_index (N,); evidence (N, E); stage_one (N,), how sure stage 1 was of its bucket; is_right (N,);
    cam_from_obj (N, 4, 4); deviation (N, 6), m and rad, see `pose_deviation`.
    """

    object_index: NDArray[np.int64]
    evidence: Array
    stage_one: Array
    is_right: NDArray[np.bool_]
    cam_from_obj: Array
    deviation: Array

    def __len__(self) -> int:
        return len(self.object_index)

    def take(self, rows: NDArray[np.bool_]) -> Trials:
        """Those that `rows` (N,) says."""
        return Trials(*(column[rows] for column in self._columns()))

    @classmethod
    def join(cls, parts: Sequence[Trials]) -> Trials:
        """All of them, in their order."""
        return cls(*(np.concatenate(column) for column in zip(*(part._columns() for part in parts))))

    def _columns(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


@torch.inference_mode()
def collect(
    two_stage: TwoStage,
    objects: Sequence[ObjectModel],
    make_batch: Callable[[int, int], SceneBatch],
    samples: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Trials]:
    """Poses of `samples` scenes by the channels of a `Calibration`, one of each a scene.

    Tracked ones start alike: `tracked` has stage 2's first round, `tracked_in_rounds` its last, if there are several.

    Args:
        two_stage: its renderer draws the centred objects.
        make_batch: number and size to a batch.
        seed: of the poses that tracking starts from.
        progress: is told how many scenes are done.
    """
    trial = _Trier(objects)
    spread = BucketSpread(objects, two_stage.codec.grid)
    diameters = torch.tensor([item.diameter for item in objects])
    rounds = two_stage.network.config.rounds
    found: dict[str, list[Trials]] = {name: [] for name in EVIDENCE if rounds > 1 or name != "tracked_in_rounds"}
    for number in range(-(-samples // BATCH)):
        batch = make_batch(number, min(BATCH, samples - number * BATCH))
        crops, index = Crops(batch.image, batch.K, batch.object_index), batch.object_index
        output = two_stage(crops)
        sure = output.logits.rotation.sigmoid().amax(dim=1)
        evidence = detected_evidence(output, index, spread)
        found["detected"].append(trial(batch, output.pose, evidence, sure))

        rng = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
        starts = tracked_starts(batch.cam_from_obj, output.pose, diameters[index.cpu()], rng)
        refinement = two_stage.refine(crops, output.real, starts)
        evidence = tracked_evidence(output.real.mask_logit, refinement)
        found["tracked"].append(trial(batch, refinement.pose, evidence, sure))
        if rounds > 1:
            for _ in range(rounds - 1):
                refinement = two_stage.refine(crops, output.real, refinement.pose)
            evidence = tracked_evidence(output.real.mask_logit, refinement)
            found["tracked_in_rounds"].append(trial(batch, refinement.pose, evidence, sure))
        progress(min(samples, (number + 1) * BATCH))
    return {name: Trials.join(parts) for name, parts in found.items()}


class _Trier:
    """Makes trials of the poses of a batch by comparing them with the truth."""

    def __init__(self, objects: Sequence[ObjectModel]) -> None:
        self._objects, self._judge = objects, PoseJudge(objects)

    def __call__(self, batch: SceneBatch, pose: Tensor, evidence: Tensor, stage_one: Tensor) -> Trials:
        deviation = torch.zeros(len(pose), 6, dtype=torch.float64)
        for i, item in enumerate(self._objects):
            at = (batch.object_index == i).nonzero().squeeze(1)
            if len(at):
                est, true = pose[at].float(), batch.cam_from_obj[at]
                deviation[at.cpu()] = pose_deviation(est, true, item.centred_symmetries, item.moment).cpu()
        return Trials(
            batch.object_index.cpu().numpy(),
            evidence.double().cpu().numpy(),
            stage_one.double().cpu().numpy(),
            (self._judge(pose.float(), batch)[:, 0] < RECALL_THRESHOLD).numpy(),
            pose.double().cpu().numpy(),
            deviation.numpy(),
        )
