"""Puts a trainer together: meshes, renderers, sources of samples, depth limits, network."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrc_core import __version__
from mrc_core.cli.scene_setup import make_generator
from mrc_core.data.bop_source import BopSource, BopSourceConfig
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.bundle import Bundle
from mrc_core.inference.render_look import look_renderer
from mrc_core.training.config import TrainConfig
from mrc_core.training.depth_limits import DepthSamples, limits_of, sample_depths
from mrc_core.training.imagenet_start import ImageNetStart
from mrc_core.training.learner import Learner
from mrc_core.training.memory import keep_freed_memory
from mrc_core.training.sources import MixedSource, SampleSource
from mrc_core.training.trainer import Trainer
from mrc_core.training.validator import Validator
from mrc_core.training.warm_start import match_bundle
from mrc_core.training.workers import Workers

Log = Callable[[str], None]


def build_trainer(
    config: TrainConfig,
    objects: list[ObjectModel],
    output: Path,
    device: str,
    log: Log,
    workers: Workers | None = None,
    init: Bundle | None = None,
    imagenet: ImageNetStart | None = None,
) -> Trainer:
    """Wires renderers, sources and trainer together.

    Args:
        config: the run's settings.
        objects: what is learnt, in the order of object_index.
        output: the run's folder.
        device: auto, cpu or cuda.
        log: prints one line.
        workers: the processes that train together; this one alone by default.
        init: the bundle whose weights the run starts from.
        imagenet: weights that the encoder's trunk starts from; not with `init`.

    Raises:
        ValueError: a setting does not fit the objects, the data sets or `init`; the message says which.
    """
    keep_freed_memory()
    workers = workers or Workers()
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen == "cuda":
        chosen = f"cuda:{workers.local_rank}"
    log(
        f"{len(objects)} objects: " + ", ".join(f"{o.class_id} ({o.diameter * 1000:.0f} mm)" for o in objects)
    )
    network_config = config.network_config(len(objects))
    warm = None if init is None else match_bundle(init, objects, network_config, config.conventions)
    renderer = look_renderer([item.centred_mesh for item in objects], config.conventions, "warp", chosen)
    training, validation = open_sources(config, objects, chosen, output, workers, log)
    samples = sample_depths(training, len(objects))
    limits = _limits(samples, objects)
    if warm is not None:
        limits = warm.depth_limits(samples, limits)
    learner = Learner(config, objects, renderer, limits, torch.device(chosen), workers)
    provenance = _provenance(config)
    trainer = Trainer(
        config,
        objects,
        learner,
        _mix(training, config),
        Validator(config, objects, _mix(validation, config), output, provenance),
        output,
        log,
        workers,
    )
    if warm is not None:
        warm.load_into(learner)
        trainer.state.init = warm.provenance()
        log(warm.describe())
    if imagenet is not None:
        trainer.state.init = imagenet.load_into(learner)
        log(f"the encoder's trunk starts from {imagenet.name}; not used: {trainer.state.init['left_out']}")
    parameters = sum(p.numel() for p in learner.network.parameters())
    log(
        f"{parameters / 1e6:.2f} M parameters, {config.steps} steps of "
        f"{config.batch_size * config.accumulate * workers.count} samples on {chosen}"
    )
    return trainer


def open_sources(
    config: TrainConfig,
    objects: Sequence[ObjectModel],
    device: str,
    output: Path,
    workers: Workers,
    log: Log,
) -> tuple[list[SampleSource], list[SampleSource]]:
    """The sources of training and of validation samples, in the order of `config.sources`.

    Args:
        device: where scenes are rendered.
        output: the run's folder; indices of data sets are kept in its folder index/.

    Raises:
        ValueError: a data set cannot be used; see `BopSource`.
    """
    training: list[SampleSource] = []
    validation: list[SampleSource] = []
    size = config.network_config(len(objects)).crop_size
    for item in config.sources:
        if isinstance(item, BopSourceConfig):
            seen, held_out = workers.in_turns(partial(_open_bop, item, objects, size, config.seed, output, log))
            log(f"{item.dataset} {', '.join(item.splits)}: {len(seen)} instances, {len(held_out)} more for validation")
            training.append(seen)
            validation.append(held_out)
        else:
            generator = make_generator(objects, config.distractors, size, config.scenes, config.seed, device)
            training.append(generator)
            validation.append(generator)  # its batch numbers of validation are never reached by training
    return training, validation


def _open_bop(
    item: BopSourceConfig, objects: Sequence[ObjectModel], size: int, seed: int, output: Path, log: Log
) -> tuple[BopSource, BopSource]:
    """The images to train on and those that are held out."""
    cache = output / "index"
    training = BopSource(item, objects, size, seed, "training", cache, log)
    return training, BopSource(item, objects, size, seed, "validation", cache, log)


def _mix(sources: list[SampleSource], config: TrainConfig) -> SampleSource:
    if len(sources) == 1:
        return sources[0]
    return MixedSource(sources, [item.weight for item in config.sources], config.seed)


def _limits(samples: DepthSamples, objects: Sequence[ObjectModel]) -> Tensor:
    limits = limits_of(samples, len(objects))
    missing = [item.class_id for item, (low, high) in zip(objects, limits.tolist()) if not low < high]
    if missing:
        raise ValueError(
            f"no source shows {', '.join(missing)} (often enough): name them under `classes` of a data set, or add "
            "`kind: synthetic` to `sources`"
        )
    return limits


def _provenance(config: TrainConfig) -> dict[str, Any]:
    """Which code trained this, on what: version, and commit where there is one."""
    commit = "unknown"
    try:
        here = Path(__file__).resolve().parent
        asked = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
        )
        commit = asked.stdout.strip() or commit
    except (OSError, subprocess.TimeoutExpired):
        pass
    return {
        "version": __version__,
        "commit": commit,
        "torch": str(torch.__version__),
        "data": [_source_name(item) for item in config.sources],
    }


def _source_name(item: Any) -> str:
    if isinstance(item, BopSourceConfig):
        name = f"{Path(item.dataset).name} {', '.join(item.splits)}"
    else:
        name = "synthetic scenes rendered on the fly from the meshes"
    return f"{name} (weight {item.weight:g})"
