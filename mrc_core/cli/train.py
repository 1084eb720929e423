"""`mrc-net train`: from meshes to a bundle."""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from mrc_core import __version__
from mrc_core.data.distractors import make_distractors
from mrc_core.data.object_set import load_objects
from mrc_core.data.scenes import SceneGenerator
from mrc_core.geometry.objects import ObjectModel
from mrc_core.rendering import create_renderer
from mrc_core.training.config import TrainConfig
from mrc_core.training.depth_limits import measure_depth_limits
from mrc_core.training.memory import keep_freed_memory
from mrc_core.training.trainer import Trainer
from mrc_core.training.workers import Workers

DESCRIPTION = """\
Trains one network on your objects and writes a bundle that `mrc-net estimate` and the ROS node load.
No data set is needed: scenes are rendered on the fly from the meshes.

example:
  mrc-net train --config config/train/small.yaml --objects demo/objects --output runs/first

On several CPU cores or GPUs, one process each (batch_size counts for each):
  OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m mrc_core.cli train --config ... --objects ... --output ...

The output folder holds checkpoint.safetensors, train.log, validation.jsonl, bundle/ (the latest) and best_bundle/.
Ctrl-C ends training after the current step with all of these written; --resume goes on from there.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "train",
        help="train a network on your objects",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", required=True, metavar="YAML", help="settings of the run; see config/train/"
    )
    parser.add_argument(
        "--objects", required=True, metavar="PATH", help="an objects.yaml, or a folder that holds one"
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder for everything that the run writes"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in the output folder"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="number of steps, instead of the configuration's"
    )
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: CUDA where present"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains; returns the exit status."""
    config = TrainConfig.load(arguments.config)
    if arguments.steps is not None:
        if arguments.steps < 1:
            raise ValueError(f"--steps must be 1 or more, not {arguments.steps}")
        config = config.model_copy(update={"steps": arguments.steps})
    objects = load_objects(arguments.objects)
    output = Path(arguments.output)
    checkpoint = output / "checkpoint.safetensors"
    if checkpoint.exists() and not arguments.resume:
        raise ValueError(
            f"{output} already holds a run: add --resume to go on with it, or choose another --output"
        )
    if arguments.resume and not checkpoint.exists():
        raise FileNotFoundError(f"there is no checkpoint in {output} to resume from: leave --resume out")
    output.mkdir(parents=True, exist_ok=True)
    with open(output / "train.log", "a", buffering=1) as file:

        def log(line: str) -> None:
            stamped = f"{time.strftime('%H:%M:%S')}  {line}"
            print(stamped, flush=True)
            file.write(stamped + "\n")

        workers = Workers("nccl" if arguments.device != "cpu" and torch.cuda.is_available() else "gloo")
        quiet = log if workers.is_first else lambda line: None
        trainer = build_trainer(config, objects, output, arguments.device, quiet, workers)
        if arguments.resume:
            trainer.resume()
        trainer.train()
        quiet(f"bundle: {output / 'bundle'}")
        workers.close()
    return 0


def build_trainer(
    config: TrainConfig,
    objects: list[ObjectModel],
    output: Path,
    device: str,
    log: Any,
    workers: Workers | None = None,
) -> Trainer:
    """Wires renderer, generator and trainer together."""
    keep_freed_memory()
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen == "cuda" and workers is not None:
        chosen = f"cuda:{workers.local_rank}"
    diameters = torch.tensor([item.diameter for item in objects])
    meshes = [item.centred_mesh for item in objects]
    meshes += make_distractors(config.distractors, float(diameters.mean()), seed=config.seed)
    renderer = create_renderer("warp", meshes, device=chosen)
    radius = torch.tensor([float(abs(torch.as_tensor(m.vertices)).norm(dim=1).max()) for m in meshes])
    size = config.network_config(len(objects)).crop_size
    smooth = create_renderer("warp", meshes, device=chosen, supersample=2)
    generator = SceneGenerator(renderer, smooth, diameters, radius, size, config.scenes, config.seed)
    log(
        f"{len(objects)} objects: " + ", ".join(f"{o.class_id} ({o.diameter * 1000:.0f} mm)" for o in objects)
    )
    limits = measure_depth_limits(generator)
    trainer = Trainer(
        config,
        objects,
        generator,
        renderer,
        limits,
        output,
        torch.device(chosen),
        _provenance(),
        log,
        workers,
    )
    parameters = sum(p.numel() for p in trainer.network.parameters())
    log(f"{parameters / 1e6:.2f} M parameters, {config.steps} steps of {config.batch_size} on {chosen}")
    return trainer


def _provenance() -> dict[str, Any]:
    """Which code trained this: version, and commit where there is one."""
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
        "data": "synthetic scenes rendered on the fly from the meshes",
    }
