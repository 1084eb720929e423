"""The training of an onboarding: settings for the time that is there, and the run itself."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from safetensors import safe_open

from mrc_core.cli import train
from mrc_core.cli.own_processes import environment_of_one_core
from mrc_core.data.atomic_files import write_bytes
from mrc_core.inference.bundle import Bundle
from mrc_core.model.conventions import OURS
from mrc_core.training.config import TrainConfig
from mrc_core.training.trainer import CHECKPOINT

BUDGETS_MIN = {"quick": 15.0, "normal": 90.0, "long": 600.0}
SPEED_STEPS = 16  # of the trial that measures how fast this machine trains; the first half is not counted
FEWEST_STEPS = 20
POLL_S = 0.2
VALIDATIONS, FEWEST_BETWEEN = 8, 50  # over a run; steps between two of them, at least
CHECKPOINT_MIN = 3.0  # between two checkpoints, about

# config/train/small.yaml but for its steps: an installed package has no config/. A test holds the two together.
RECOMMENDED: dict[str, Any] = {
    "flavour": "small",
    "batch_size": 16,
    "learning_rate": 1.0e-3,
    "warmup_steps": 300,
    "ema_decay": 0.998,
    "precision": "bf16",
    "rotation_label_scale": 0.06,
    "coarse_noise_start": 1.0,
    "coarse_noise_end": 0.25,
    "losses": {
        "rotation_class": 1.5,
        "cell_class": 1.0,
        "depth_class": 2.0,
        "rotation": 1.0,
        "xy": 0.5,
        "z": 1.0,
        "mask": 4.0,
        "surface": 8.0,
    },
}
# A bundle that works is changed with care: its features are good, and so are most of its coarse poses.
FINE_TUNING = {"learning_rate": 4.0e-4, "warmup_steps": 100, "coarse_noise_start": 0.5}


def base_config(
    config: str | None, known: Bundle | None, new: Sequence[str], init: Bundle | None = None
) -> TrainConfig:
    """Settings before the time is known: those of a file, or recommended ones.

    The network is that of the bundle to add to or to start from, where there is one; a file may name another rotation
    grid. New objects of a bundle to add to are drawn as often, all together, as the old ones.

    Args:
        known: the bundle to add to.
        init: the bundle to start from, without its objects; the run is a fresh one but for its weights.

    Raises:
        ValueError: the file is wrong, or the bundle cannot be trained further.
    """
    settings = TrainConfig.load(config).model_dump() if config else dict(RECOMMENDED)
    start, option = (known, "--add-to") if known is not None else (init, "--init")
    if start is not None:
        if not start.conventions.can_be_trained:
            raise ValueError(f"{option}: weights that were imported from elsewhere cannot be trained further")
        grid = {k: v for k, v in settings.get("model", {}).items() if k == "n_side"}
        theirs = {k: v for k, v in start.config.model_dump().items() if k != "num_objects"}
        settings["model"] = {**theirs, **grid}  # buckets of another grid start from the nearest ones
        settings["render_look"] = "textured" if start.conventions == OURS else "grey"
    if known is not None:
        weight = max(1.0, len(known.objects) / len(new))
        weights = {**dict.fromkeys(new, weight), **settings.get("object_weights", {})}
        settings |= {"object_weights": weights, **({} if config else FINE_TUNING)}
    return TrainConfig.model_validate(settings)


def for_time(base: TrainConfig, minutes: float, samples_per_second: float, processes: int) -> TrainConfig:
    """Settings of a run that takes so many minutes at that speed; its schedule ends with it."""
    a_step = base.batch_size * base.accumulate * processes
    steps = max(FEWEST_STEPS, int(60 * minutes * samples_per_second / a_step))
    steps_a_minute = samples_per_second * 60 / a_step
    return base.model_copy(
        update={
            "steps": steps,
            "warmup_steps": min(base.warmup_steps, steps // 10),
            "coarse_noise_steps": max(1, steps // 2),
            "checkpoint_every": max(1, min(steps, round(CHECKPOINT_MIN * steps_a_minute))),
            "validate_every": max(math.ceil(steps / VALIDATIONS), min(steps, FEWEST_BETWEEN)),
            "log_every": max(1, min(base.log_every, round(steps_a_minute))),
        }
    )


class RunOptions:
    """What all trainings of an onboarding have in common."""

    def __init__(self, objects: Path, processes: int, device: str, init: str | None) -> None:
        self.objects, self.processes, self.device, self.init = objects, processes, device, init

    def argv(self, config: Path, output: Path, resume: bool) -> list[str]:
        """Arguments of `mrc-net train`."""
        start = ["--resume"] if resume else ["--init", self.init] if self.init else []
        where = ["--objects", str(self.objects), "--output", str(output), "--device", self.device]
        return ["--config", str(config), *where, *start]


def measure_speed(
    console: Console, base: TrainConfig, options: RunOptions, folder: Path, steps: int = SPEED_STEPS
) -> float:
    """Samples a second that training makes here, over all processes, from a short trial in a folder of its own.

    The first half of the steps is not counted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    trial = base.model_copy(
        update={
            "steps": steps,
            "log_every": steps // 2,
            "checkpoint_every": 10**6,
            "validate_every": 10**6,
            "validation_samples": 1,
        }
    )
    console.print(f"a trial of {steps} steps tells how fast this machine trains")
    config = folder.with_suffix(".yaml")
    write_config(config, trial)
    run_training(options.argv(config, folder, resume=False), options.processes)
    rows = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    if len(rows) < 2:  # Ctrl-C ended it: training takes that for a wish to stop
        raise KeyboardInterrupt
    shutil.rmtree(folder)
    config.unlink()
    return float(json.loads(rows[-1])["samples_per_second"])


def write_config(path: Path, config: TrainConfig) -> None:
    """Writes settings so that `mrc-net train --config` reads them."""
    text = yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    write_bytes(
        path,
        ("# Settings of this run; every key is explained in mrc_core/training/config.py.\n" + text).encode(),
    )


def run_training(argv: Sequence[str], processes: int) -> None:
    """Runs `mrc-net train`, here or in processes of their own. It may end early, at Ctrl-C.

    Raises:
        ValueError, RuntimeError: training failed.
        KeyboardInterrupt: the processes were interrupted; their checkpoint is written.
    """
    if processes == 1:
        parser = argparse.ArgumentParser()
        train.add_parser(parser.add_subparsers())
        arguments = parser.parse_args(["train", *argv])
        arguments.run(arguments)
        return
    run_group(["-m", "mrc_core.cli", "train", *argv], processes)


def run_group(arguments: Sequence[str], processes: int) -> None:
    """Runs Python processes that train together to their end.

    Raises:
        RuntimeError: one of them failed; the others are ended.
        KeyboardInterrupt: after they were interrupted too, and have ended.
    """
    group = _start_group(arguments, processes)
    try:
        while any(status is None for status in (one.poll() for one in group)):
            if any(one.poll() for one in group):  # its fellows would wait for it for ever
                raise RuntimeError("training failed, see above")
            time.sleep(POLL_S)
        if any(one.returncode for one in group):
            raise RuntimeError("training failed, see above")
    except KeyboardInterrupt:
        for one in group:
            one.send_signal(signal.SIGINT)
        for one in group:
            one.wait()
        raise
    finally:
        for one in group:
            one.kill()


def _start_group(arguments: Sequence[str], count: int) -> list[subprocess.Popen[bytes]]:
    """Processes that train together. As under torchrun, but what Ctrl-C reaches is the training, not a launcher."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **environment_of_one_core(),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
    }
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            start_new_session=True,  # so that Ctrl-C reaches them once, through us
        )
        for rank in range(count)
    ]


def steps_done(folder: Path) -> int:
    """Steps of a run's checkpoint, 0 where there is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            return int(json.loads((file.metadata() or {})["state"])["step"])
    except Exception as error:  # safetensors raises a type of its own
        raise ValueError(f"{path} is damaged ({error}): delete {folder} to train anew") from error
