"""A tiny training run, for several test modules."""

from pathlib import Path

import yaml
from conftest import wedge_mesh

from mrc_core.cli.training_setup import build_trainer
from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry import ObjectModel, SymmetrySet
from mrc_core.training.config import TrainConfig
from mrc_core.training.trainer import Trainer

TINY_MODEL = {
    "crop_size": 64,
    "stem_channels": 16,
    "layer_channels": (16, 16, 32, 32),
    "bottleneck_channels": 32,
    "aspp_dilations": (1, 2),
    "aspp_branch_channels": 16,
    "decoder_lateral_channels": (32, 16, 16),
    "decoder_channels": (32, 16),
    "feature_channels": 16,
    "pyramid_channels": 32,
    "fusion_channels": (32, 64, 64),
    "xy_cells": 16,
    "depth_bins": 16,
    "norm_group_channels": 4,
}
SETTINGS = {
    "model": TINY_MODEL,
    "steps": 6,
    "batch_size": 4,
    "log_every": 2,
    "checkpoint_every": 2,
    "validate_every": 100,
    "validation_samples": 4,
    "distractors": 2,
    "warmup_steps": 2,
    "precision": "fp32",
    "losses": {"surface": 1.0},
}
# Stage 2 starts from the truth: of two classes that score alike, the order of additions chooses the coarse pose.
FROM_TRUTH = {
    "coarse_noise_start": 1.0,
    "coarse_noise_end": 1.0,
    "coarse_noise_angle_deg": 0.0,
    "coarse_noise_shift": 0.0,
    "coarse_noise_depth": 0.0,
}
WEDGE = ObjectModel("wedge", wedge_mesh(), SymmetrySet())


def tiny_trainer(output: Path, objects=(WEDGE,), log=lambda line: None, workers=None, init=None, **changes) -> Trainer:
    """A trainer of the smallest network; `changes` are settings."""
    config = TrainConfig.model_validate({**SETTINGS, **changes})
    return build_trainer(config, list(objects), output, "cpu", log, workers, init)


def step(run: Trainer, *batches: SceneBatch) -> dict[str, float]:
    """One optimiser step on given batches, taken in as the loop does; returns the loss terms."""
    result = run.learner.step(batches, run.state.step)
    run._take_in(result)
    return result.terms


def rows(batch: SceneBatch, start: int, stop: int) -> SceneBatch:
    """Some samples of a batch."""
    return SceneBatch(**{name: value[start:stop] for name, value in vars(batch).items()})


def with_nan(batch: SceneBatch) -> SceneBatch:
    """A batch that spoils every loss and gradient."""
    return SceneBatch(**{**vars(batch), "image": batch.image * float("nan")})


def write_run(folder: Path, **changes) -> list[str]:
    """Writes mesh, objects.yaml and config.yaml into a folder; returns the options of `mrc-net train` for it."""
    WEDGE.mesh.save(folder / "wedge.glb")
    entry = {"class_id": "wedge", "mesh": "wedge.glb"}
    (folder / "objects.yaml").write_text(yaml.safe_dump({"objects": [entry]}))
    config = TrainConfig.model_validate({**SETTINGS, **changes}).model_dump(mode="json")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return ["--config", str(folder / "config.yaml"), "--objects", str(folder), "--device", "cpu"]
