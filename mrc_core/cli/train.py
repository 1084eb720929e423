"""`mrc-net train`: from meshes to a bundle."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mrc_core.cli.training_setup import build_trainer
from mrc_core.data.object_set import load_objects
from mrc_core.inference.bundle import Bundle
from mrc_core.training.config import TrainConfig
from mrc_core.training.imagenet_start import ImageNetStart, with_imagenet_scaling
from mrc_core.training.trainer import CHECKPOINT
from mrc_core.training.workers import Workers

DESCRIPTION = """\
Trains one network on your objects and writes a bundle that `mrc-net estimate` and the ROS node load.
No data set is needed: scenes are rendered on the fly from the meshes. Pictures of BOP data sets can be mixed in.

example:
  mrc-net train --config config/train/small.yaml --objects demo/objects --output runs/first

On several CPU cores or GPUs, one process each (batch_size counts for each):
  OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m mrc_core.cli train --config ... --objects ... --output ...

The output folder holds checkpoint.safetensors, bundle/ (the latest), best_bundle/, train.log, figures in train.jsonl
and validation.jsonl, validation.png and, where tensorboard is installed, tensorboard/ with curves and pictures.
Ctrl-C ends training after the current step with all of these written; --resume goes on from there. docs/training.md
explains everything that a run can do.
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
        "--objects",
        required=True,
        metavar="PATH",
        help="an objects.yaml, or a folder that holds one; or a BOP data set's folder of models",
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder for everything that the run writes"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in the output folder"
    )
    parser.add_argument(
        "--init",
        metavar="BUNDLE",
        help="start from this bundle's weights: objects that it knows keep their decoder",
    )
    parser.add_argument(
        "--imagenet",
        metavar="FILE",
        help="start the encoder's trunk from torchvision's resnet34 or resnet18 (.safetensors, or .pth read by the "
        "restricted unpickler); needs the paper's widths. Repeat it with --resume: the input's scaling depends on it",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="MINUTES",
        help="end after so much time as Ctrl-C does; the last validation comes on top",
    )
    parser.add_argument(
        "--backgrounds",
        metavar="DIR",
        help="pictures for the scenes' backgrounds, instead of the configuration's scenes.backgrounds",
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
    started = time.monotonic()
    config = TrainConfig.load(arguments.config)
    if arguments.steps is not None:
        if arguments.steps < 1:
            raise ValueError(f"--steps must be 1 or more, not {arguments.steps}")
        config = config.model_copy(update={"steps": arguments.steps})
    if arguments.backgrounds:
        scenes = config.scenes.model_copy(update={"backgrounds": arguments.backgrounds})
        config = config.model_copy(update={"scenes": scenes})
    if arguments.time_limit is not None and arguments.time_limit <= 0:
        raise ValueError(f"--time-limit must be more than 0 minutes, not {arguments.time_limit}")
    if arguments.init and arguments.resume:
        raise ValueError("--init starts a new run: leave it out with --resume, the checkpoint has what came of it")
    if arguments.imagenet:
        if arguments.init:
            raise ValueError("--init and --imagenet are two starts: choose one")
        config = with_imagenet_scaling(config)
    fresh = bool(arguments.imagenet) and not arguments.resume  # a checkpoint has what came of these weights
    imagenet = ImageNetStart.read(Path(arguments.imagenet), config) if fresh else None
    objects = load_objects(arguments.objects)
    init = Bundle.load(arguments.init) if arguments.init else None
    on_gpu = arguments.device != "cpu" and torch.cuda.is_available()
    workers = Workers("nccl" if on_gpu else "gloo")
    with _log_file(Path(arguments.output), arguments.resume, workers) as log:
        output = Path(arguments.output)
        trainer = build_trainer(config, objects, output, arguments.device, log, workers, init, imagenet)
        if arguments.resume:
            trainer.resume()
        deadline = None if arguments.time_limit is None else started + 60 * arguments.time_limit
        trainer.train(deadline)
        log(f"bundle: {output / 'bundle'}")
    workers.close()
    return 0


@contextmanager
def _log_file(output: Path, resume: bool, workers: Workers) -> Iterator[Callable[[str], None]]:
    """A function that prints lines and keeps them in train.log; in all processes but the first it does nothing.

    Raises:
        ValueError, FileNotFoundError: the folder holds a run that is not to be resumed, or none that could be.
    """
    if not workers.is_first:
        yield lambda line: None
        return
    checkpoint = output / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ValueError(
            f"{output} already holds a run: add --resume to go on with it, or choose another --output"
        )
    if resume and not checkpoint.exists():
        raise FileNotFoundError(f"there is no checkpoint in {output} to resume from: leave --resume out")
    output.mkdir(parents=True, exist_ok=True)
    with open(output / "train.log", "a", buffering=1, encoding="utf-8") as file:

        def log(line: str) -> None:
            stamped = f"{time.strftime('%H:%M:%S')}  {line}"
            print(stamped, flush=True)
            file.write(stamped + "\n")

        yield log
