"""`mrc-net calibrate`: fits how sure a bundle may be of its poses, and puts it into the bundle."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mrc_core.calibration.figures import Judged, figures, judge_across
from mrc_core.calibration.fit import FEW, fit_channel
from mrc_core.calibration.seeds import DEFAULT_SEED, check_seed
from mrc_core.calibration.trials import BATCH, Trials, collect
from mrc_core.cli.scene_setup import make_generator
from mrc_core.data.atomic_files import write_bytes
from mrc_core.data.scene_config import SceneConfig
from mrc_core.evaluation.reliability import reliability_bins
from mrc_core.inference.bundle import Bundle
from mrc_core.inference.bundle_file import read_bundle_file, store_calibration
from mrc_core.inference.calibration import EVIDENCE, Calibration
from mrc_core.inference.render_look import renderer_for
from mrc_core.model.config import MOST_ROUNDS
from mrc_core.model.conventions import OURS
from mrc_core.model.two_stage import TwoStage
from mrc_core.reporting.plotting import require_matplotlib
from mrc_core.reporting.reliability_chart import write_reliability_chart
from mrc_core.training.config import TrainConfig

DESCRIPTION = """\
Estimates poses in fresh synthetic scenes, and fits on them what the scores and covariances of this bundle's poses are:
the score becomes the probability that ADD(-S) is below a tenth of the diameter, the covariance one whose 90 % region
holds the true pose in 90 % of the cases. Both go into bundle.yaml; the weights and meshes stay as they are.

examples:
  mrc-net calibrate --bundle demo/bundle
  mrc-net calibrate --bundle demo/bundle --rounds 2
  mrc-net calibrate --bundle runs/kitchen/bundle --samples 150 --output out/kitchen_calibration

The scenes look like those that the bundle was trained on, with another seed. The output folder gets calibration.json
and reliability.png: figures on samples that the fit did not see. docs/uncertainty.md says what they mean.
"""
CHANNELS = {
    "detected": "detected poses",
    "tracked": "tracked poses, one round",
    "tracked_in_rounds": "tracked poses, all rounds",
}


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "calibrate",
        help="fit scores and covariances of a bundle",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", required=True, metavar="DIR", help="folder with bundle.yaml; is changed")
    parser.add_argument(
        "--samples", type=int, default=400, metavar="N", help="scenes for each object, about; default %(default)s"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="the bundle's stage 2 runs N times from now on, each time from what it said last: slower, and often more "
        "accurate; default: as often as before",
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, metavar="N", help="of the scenes; default %(default)s"
    )
    parser.add_argument(
        "--output", default="out/calibration", metavar="DIR", help="folder of the report; default %(default)s"
    )
    parser.add_argument(
        "--config", metavar="YAML", help="training settings whose scenes are taken instead of the bundle's"
    )
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: CUDA where present"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Calibrates; returns the exit status."""
    started = time.monotonic()
    bundle = with_rounds(Bundle.load(arguments.bundle), arguments.rounds)
    if bundle.conventions != OURS:
        raise ValueError(
            "this bundle's weights were trained elsewhere, on crops that are made otherwise than our scenes': "
            "it cannot be calibrated"
        )
    samples = arguments.samples * len(bundle.objects)
    if samples < 4 * FEW:  # each half is halved again
        raise ValueError(f"--samples {arguments.samples} is too few: {-(-4 * FEW // len(bundle.objects))} or more")
    check_seed(arguments.seed, bundle.provenance, -(-samples // BATCH))
    require_matplotlib()
    wanted = arguments.device
    device = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
    console = Console(width=None if Console().is_terminal else 120, highlight=False)

    found: dict[str, Judged] = {}
    channels, measured = {}, {}
    for name, trials in _collect(bundle, arguments, samples, device, console).items():
        channels[name] = fit_channel(trials, bundle.objects, EVIDENCE[name])
        found[name] = judge_across(trials, bundle.objects, EVIDENCE[name])
        measured[name] = figures(found[name], bundle.objects, with_stage_one=name == "detected")
    calibration = Calibration(
        weights_sha256=read_bundle_file(Path(arguments.bundle)).weights_sha256,
        rounds=bundle.config.rounds,
        seed=arguments.seed,
        samples=samples,
        detected=channels["detected"],
        tracked=channels["tracked"],
        tracked_in_rounds=channels.get("tracked_in_rounds"),
        measured=measured,
    )
    store_calibration(Path(arguments.bundle), calibration)
    folder = Path(arguments.output)
    write_report(folder, found, measured)
    print_report(console, found, measured)
    seconds = time.monotonic() - started
    console.print(f"calibrated in {seconds:.0f} s: {arguments.bundle}\nreport: {folder}", soft_wrap=True)
    return 0


def with_rounds(bundle: Bundle, rounds: int | None) -> Bundle:
    """The bundle with so many rounds of stage 2, and without a calibration that is of another number.

    Raises:
        ValueError: out of range.
    """
    if rounds is None or rounds == bundle.config.rounds:
        return bundle
    if not 1 <= rounds <= MOST_ROUNDS:
        raise ValueError(f"--rounds must be 1 to {MOST_ROUNDS}, not {rounds}")
    return replace(bundle, config=bundle.config.model_copy(update={"rounds": rounds}), calibration=None)


def scenes_of(bundle: Bundle, config_path: str | None) -> tuple[SceneConfig, int]:
    """What the scenes look like and how many kinds of distractors stand in them: as in the bundle's last training."""
    if config_path:
        config = TrainConfig.load(config_path)
        return config.scenes, config.distractors
    history = bundle.provenance.get("history") or [{}]
    last = history[-1].get("config", {})
    scenes = {k: v for k, v in last.get("scenes", {}).items() if k != "backgrounds"}  # a folder of that machine
    return SceneConfig(**scenes), last.get("distractors", TrainConfig().distractors)


def _collect(
    bundle: Bundle, arguments: argparse.Namespace, samples: int, device: str, console: Console
) -> dict[str, Trials]:
    scenes, distractors = scenes_of(bundle, arguments.config)
    size = bundle.config.crop_size
    generator = make_generator(bundle.objects, distractors, size, scenes, arguments.seed, device)
    renderer = renderer_for(bundle, "warp", device)
    two_stage = TwoStage(bundle.network(device), bundle.codec(device), renderer)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"estimating poses in {samples} scenes", total=samples)
        return collect(
            two_stage,
            bundle.objects,
            generator.batch,
            samples,
            arguments.seed,
            lambda done: progress.update(task, completed=done),
        )


def write_report(folder: Path, found: dict[str, Judged], measured: dict[str, Any]) -> None:
    """Writes calibration.json (figures and the tables of the curves) and reliability.png."""
    folder.mkdir(parents=True, exist_ok=True)
    bins = {name: reliability_bins(one.probability, one.is_right) for name, one in found.items()}
    tables = {
        name: [
            {"from": row.low, "below": row.high, "poses": row.number}
            | ({"stated": round(row.stated, 4), "right": round(row.right, 4)} if row.number else {})
            for row in rows
        ]
        for name, rows in bins.items()
    }
    text = json.dumps({"figures": measured, "reliability": tables}, indent=1) + "\n"
    write_bytes(folder / "calibration.json", text.encode("utf-8"))
    write_reliability_chart(folder / "reliability.png", {CHANNELS[name]: rows for name, rows in bins.items()})


def print_report(console: Console, found: dict[str, Judged], measured: dict[str, Any]) -> None:
    """The same as tables, for the terminal."""
    for name, one in found.items():
        title = f"{name}: stated against right"
        table = Table("stated", "poses", "mean", "right", title=title, title_justify="left")
        for row in reliability_bins(one.probability, one.is_right):
            cells = [f"{100 * row.stated:.0f} %", f"{100 * row.right:.0f} %"] if row.number else ["-", "-"]
            table.add_row(f"{100 * row.low:.0f} to {100 * row.high:.0f} %", str(row.number), *cells)
        console.print(table)
        report = measured[name]
        regions = list(report["coverage"])
        columns = ["object", "poses", "right", "AUROC", "ECE", "Brier", *(f"in {r} region" for r in regions)]
        table = Table(*columns, title=f"{CHANNELS[name]}, not fitted on", title_justify="left")
        for class_id, figure in report["objects"].items():
            table.add_row(*_cells(class_id, figure))
        table.add_section()
        table.add_row(*_cells("all", report))
        console.print(table)
    before = measured["detected"]["auroc_stage_one"]
    if before is not None:
        console.print(f"AUROC of the score without calibration (stage 1's own): {before:.3f}")


def _cells(name: str, figure: dict[str, Any]) -> Sequence[str]:
    def text(value: float | None, template: str) -> str:
        return "-" if value is None else template.format(value)

    return [
        name,
        str(figure["count"]),
        text(figure["right"], "{:.1%}"),
        *(text(figure[key], "{:.3f}") for key in ("auroc", "ece", "brier")),
        *(text(value, "{:.1%}") for value in figure["coverage"].values()),
    ]
