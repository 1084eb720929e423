"""Validation during training: accuracy of the averaged weights, pictures, and the bundles that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.bundle import make_bundle
from mrc_core.training.config import TrainConfig
from mrc_core.training.learner import Learner
from mrc_core.training.pictures import choose_cases, picture_cases
from mrc_core.training.sources import SampleSource
from mrc_core.training.state import RunState
from mrc_core.training.validation import pose_errors, summarise

FIRST_BATCH = 10**9  # batch numbers that no training run reaches
BATCH = 16  # whatever the training's, so that its change leaves the validation's samples as they are


class Validator:
    """Validates on samples that training never sees, and writes bundle/ (the latest) and best_bundle/.

    Args:
        config: the run's settings.
        objects: what is learnt.
        source: makes the samples.
        folder: the run's.
        provenance: facts about this run that go into the bundles.
    """

    def __init__(
        self,
        config: TrainConfig,
        objects: Sequence[ObjectModel],
        source: SampleSource,
        folder: Path,
        provenance: dict[str, Any],
    ) -> None:
        self.config, self.objects, self.source = config, list(objects), source
        self.folder, self.provenance = folder, provenance
        self._batches: list[SceneBatch] = []

    def __call__(self, learner: Learner, state: RunState) -> tuple[dict[str, Any], Tensor]:
        """Returns the report and its picture (see pictures.py); writes the bundles and validation.png.

        The report is that of `summarise` with the step, the samples seen and the seed.
        """
        batches = self._held_out()
        with learner.averaged() as two_stage:
            errors = pose_errors(two_stage, self.objects, (batch.to(learner.device) for batch in batches))
            cases, error = choose_cases(batches, errors)
            picture = picture_cases(two_stage, cases.to(learner.device), error)
        report = {
            "step": state.step,
            "samples_seen": state.samples_seen,
            "seed": self.config.seed,
            **summarise(errors, self.objects),
        }
        temporary = self.folder / "validation.partial.png"
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(temporary)
        temporary.replace(self.folder / "validation.png")
        self.export(self.folder / "bundle", learner, state, report)
        if report["refined"]["recall"] > state.best:
            state.best = report["refined"]["recall"]
            self.export(self.folder / "best_bundle", learner, state, report)
        return report, picture

    def export(self, path: Path, learner: Learner, state: RunState, report: dict[str, Any]) -> None:
        """Writes a bundle of the averaged weights."""
        provenance = {
            **self.provenance,
            "step": state.step,
            "samples_seen": state.samples_seen,
            "history": state.history,
            "validation": report,
        }
        if state.init is not None:
            provenance["init"] = state.init
        limits = learner.codec.depth_limits
        conventions = self.config.conventions
        make_bundle(self.objects, learner.network, limits, learner.average, provenance, conventions).save(path)

    def _held_out(self) -> list[SceneBatch]:
        """The samples, made once and kept in the machine's memory."""
        left = self.config.validation_samples
        while sum(len(b.object_index) for b in self._batches) < left:
            number = len(self._batches)
            size = min(BATCH, left - number * BATCH)
            self._batches.append(self.source.batch(FIRST_BATCH + number, size).to(torch.device("cpu")))
        return self._batches


def exported_step(folder: Path) -> int | None:
    """The step that a run's bundle/ is of; None where there is none."""
    path = folder / "bundle" / "bundle.yaml"
    if not path.is_file():
        return None
    step = yaml.safe_load(path.read_text(encoding="utf-8")).get("provenance", {}).get("step")
    return None if step is None else int(step)
