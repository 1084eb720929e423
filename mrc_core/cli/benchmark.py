"""`mrc-net benchmark`: renderers, correlation and the estimator's stages, side by side in one run."""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from mrc_core.benchmarks.correlation import measure_correlation
from mrc_core.benchmarks.evaluation import measure_evaluation
from mrc_core.benchmarks.generator import measure_generator
from mrc_core.benchmarks.rendering import measure_renderers
from mrc_core.benchmarks.stages import measure_stages
from mrc_core.benchmarks.tracking import measure_tracking
from mrc_core.benchmarks.training_memory import measure_training_memory
from mrc_core.cli.onboarding_training import RunOptions, measure_speed
from mrc_core.cli.training_setup import build_trainer
from mrc_core.data.object_set import load_objects
from mrc_core.data.scenes import SceneBatch
from mrc_core.training.batches import prefetch
from mrc_core.training.config import TrainConfig

DESCRIPTION = """\
Measures this machine: renderer crops/s (Warp against pyrender, 5k triangles, 256 px), the correlation layer against
its plain twin, and the latency of every stage of the estimator for 1, 4 and 16 detections in a 640x480 image.
Networks have random weights: time does not depend on them. Figures are medians; compare those of one run alone.

example:
  mrc-net benchmark                      # everything, small and paper flavours
  mrc-net benchmark --flavour small --detections 1 --json out/benchmark.json
  mrc-net benchmark --tracking           # only tracked frames beside detected ones
  mrc-net benchmark --generator --threads 1 --processes 1 2
                                         # only training: samples made, learnt from, both; scaling over processes
  mrc-net benchmark --evaluation 6000    # only `mrc-net evaluate`: seconds and memory for so many instances
  mrc-net benchmark --training-memory 16 # only the memory of a training step with batches of 16
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "benchmark",
        help="measure this machine",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--flavour", choices=("small", "paper", "all"), default="all")
    parser.add_argument(
        "--detections", type=int, nargs="+", default=[1, 4, 16], metavar="N", help="default: 1 4 16"
    )
    parser.add_argument(
        "--repeats", type=int, default=10, metavar="N", help="runs of each figure, default 10"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads for torch; default: all cores")
    parser.add_argument("--skip-renderers", action="store_true", help="leave the renderers out")
    parser.add_argument(
        "--evaluation", type=int, metavar="N", help="measure only how long scoring N instances takes (minutes)"
    )
    parser.add_argument(
        "--tracking", action="store_true", help="measure only what tracked frames cost beside detected ones"
    )
    parser.add_argument(
        "--generator", action="store_true", help="measure only training: samples made, samples learnt from"
    )
    parser.add_argument(
        "--processes",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="with --generator: also whole trainings in so many processes, of one thread each on a CPU",
    )
    parser.add_argument(
        "--config",
        default="config/train/small.yaml",
        metavar="YAML",
        help="with --generator; default: config/train/small.yaml",
    )
    parser.add_argument(
        "--objects",
        default="demo/objects",
        metavar="PATH",
        help="with --evaluation and --generator; default: demo/objects",
    )
    parser.add_argument(
        "--training-memory", type=int, metavar="N", help="only the memory of a training step, bf16, batches of N"
    )
    parser.add_argument("--json", metavar="FILE", help="also write every figure as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measures and prints; returns the exit status."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width; eighty columns would cut the tables
        console = Console(width=120)
    facts = {"processor": _processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    facts["cuda"] = torch.cuda.get_device_name() if len(devices) > 1 else None
    console.print("  ".join(f"{key}: {value}" for key, value in facts.items() if value))
    figures: dict[str, Any] = {"machine": facts}
    if arguments.evaluation:
        objects = load_objects(arguments.objects)
        vertices = ", ".join(f"{item.class_id} {len(item.mesh.vertices)}" for item in objects)
        console.print(f"vertices: {vertices}")
        figures["evaluation"] = measure_evaluation(objects, arguments.evaluation, console.print)
        _print(console, "mrc-net evaluate, whole process", figures["evaluation"])
        return _finish(arguments, figures, console)
    if arguments.training_memory:
        for flavour in ("small", "paper") if arguments.flavour == "all" else (arguments.flavour,):
            rows = measure_training_memory(flavour, arguments.training_memory, devices[-1])
            figures[f"training_memory_{flavour}"] = rows
            _print(console, f"one training step, {flavour} flavour, bf16, batch {arguments.training_memory}", rows)
        return _finish(arguments, figures, console)
    if arguments.generator:
        figures["generator"] = _measure_generator(arguments, devices[-1], console)
        _print(console, f"training, {arguments.config}, {devices[-1]}", figures["generator"])
        if arguments.processes:
            figures["scaling"] = _measure_scaling(arguments, devices[-1], console)
            _print(console, f"mrc-net train, {arguments.config}, {devices[-1]}", figures["scaling"])
        return _finish(arguments, figures, console)
    if arguments.tracking:
        for device in devices:
            for flavour in ("small", "paper") if arguments.flavour == "all" else (arguments.flavour,):
                rows = measure_tracking(flavour, device, arguments.detections, arguments.repeats)
                figures[f"tracking_{flavour}_{device}"] = rows
                _print(console, f"detected and tracked frames, {flavour} flavour, {device}", rows)
        return _finish(arguments, figures, console)
    for device in devices:
        if not arguments.skip_renderers:
            rows = measure_renderers(device, time_call, arguments.repeats)
            figures[f"renderers_{device}"] = rows
            _print(console, f"renderers, 256x256 crops of 5k triangles, {device}", rows)
        rows = measure_correlation(device, time_call, arguments.repeats)
        figures[f"correlation_{device}"] = rows
        _print(console, f"correlation 11x11, forward and backward, {device}", rows)
        for flavour in ("small", "paper") if arguments.flavour == "all" else (arguments.flavour,):
            rows = measure_stages(flavour, device, arguments.detections, time_call, arguments.repeats)
            figures[f"stages_{flavour}_{device}"] = rows
            _print(console, f"estimator, {flavour} flavour, {device}, ms", rows)
    return _finish(arguments, figures, console)


def _measure_generator(arguments: argparse.Namespace, device: str, console: Console) -> list[dict[str, Any]]:
    """Training as `mrc-net train` wires it, in a folder that is thrown away."""
    config = TrainConfig.load(arguments.config)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            config, load_objects(arguments.objects), Path(folder), device, console.print
        )
        step = itertools.count()
        first = 10_000  # a number that the measurement of depth limits and the single batches do not reach

        def make_batch(number: int) -> SceneBatch:
            return trainer.source.batch(number, config.batch_size)

        return measure_generator(
            make_batch,
            lambda batch: trainer.learner.step([batch], next(step)),
            lambda count: prefetch(make_batch, first, first + count, config.prefetch_workers),
            config.batch_size,
            torch.cuda.synchronize if device == "cuda" else lambda: None,
            device,
            arguments.repeats,
        )


def _measure_scaling(arguments: argparse.Namespace, device: str, console: Console) -> list[dict[str, Any]]:
    """Whole trainings, one after the other, each with so many processes; equal batches for each process."""
    config = TrainConfig.load(arguments.config)
    rows: list[dict[str, Any]] = []
    for processes in arguments.processes:
        options = RunOptions(Path(arguments.objects), processes, device, None)
        with tempfile.TemporaryDirectory() as folder:
            speed = measure_speed(console, config, options, Path(folder) / "trial", steps=4 * arguments.repeats)
        first = rows[0]["samples/s"] if rows else speed
        rows.append({"processes": processes, "samples/s": speed, "times the first": speed / first})
    return rows


def _finish(arguments: argparse.Namespace, figures: dict[str, Any], console: Console) -> int:
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n")
        console.print(f"written to {arguments.json}")
    return 0


def time_call(call: Callable[[], Any], repeats: int, device: str) -> float:
    """Median seconds of `call` after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return median(seconds[1:])


def _print(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()])
    console.print(table)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
