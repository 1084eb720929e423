"""`mrc-net diagnose`: where a bundle's errors come from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mrc_core.cli.calibrate import scenes_of
from mrc_core.cli.scene_setup import make_generator
from mrc_core.data.atomic_files import write_bytes
from mrc_core.data.scenes import SceneBatch
from mrc_core.inference.bundle import Bundle
from mrc_core.inference.render_look import renderer_for
from mrc_core.model.conventions import OURS
from mrc_core.model.two_stage import TwoStage
from mrc_core.training.attribution import FROM_TRUTH, Attribution, attribute

DESCRIPTION = """\
Estimates poses in fresh synthetic scenes and says what keeps them from being right: parts of each estimate are
replaced by the truth, and the share of right poses (ADD(-S) below a tenth of the diameter) is taken again. If the true
rotation helps little and the true depth much, depth is what to work on. "Stage 2 from the truth" is what stage 2 makes
of the true pose: the best that more accurate coarse poses could bring.

example:
  mrc-net diagnose --bundle demo/bundle --samples 512
"""
DEFAULT_SEED = 90_001
BATCH = 16


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "diagnose",
        help="where a bundle's errors come from",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", required=True, metavar="DIR", help="folder with bundle.yaml")
    parser.add_argument("--samples", type=int, default=512, metavar="N", help="scenes; default %(default)s")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, metavar="N", help="of the scenes; default %(default)s"
    )
    parser.add_argument(
        "--config", metavar="YAML", help="training settings whose scenes are taken instead of the bundle's"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: CUDA where present"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Diagnoses; returns the exit status."""
    if arguments.samples < 1:
        raise ValueError(f"--samples must be 1 or more, not {arguments.samples}")
    bundle = Bundle.load(arguments.bundle)
    if bundle.conventions != OURS:
        raise ValueError(
            "this bundle's weights were trained elsewhere, on crops that are made otherwise than our scenes': "
            "`mrc-net evaluate` judges it on a data set"
        )
    wanted = arguments.device
    device = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
    two_stage = TwoStage(bundle.network(device), bundle.codec(device), renderer_for(bundle, "warp", device))
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    found = attribute(two_stage, bundle.objects, _batches(bundle, arguments, device, console))
    report = figures(found, bundle.class_ids)
    print_figures(console, report)
    if arguments.json:
        path = Path(arguments.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    return 0


def figures(found: Attribution, class_ids: list[str]) -> dict[str, Any]:
    """By variant: recall of all and by object, the median angle, and of the depth median error, bias and scatter."""
    variants = {}
    for name, depth in found.depth.items():
        away = (depth - depth.median()).abs()
        variants[name] = {
            "recall": round(found.recall(name), 4),
            "objects": {c: round(found.recall(name, i), 4) for i, c in enumerate(class_ids)},
            "angle_deg": round(float(found.angle_deg[name].median()), 2),
            "depth_percent": round(100 * float(depth.abs().median()), 2),
            "depth_bias_percent": round(100 * float(depth.median()), 2),
            "depth_scatter_percent": round(100 * float(away.quantile(0.68)), 2),
        }
    return {"samples": len(found), "variants": variants}


def print_figures(console: Console, report: dict[str, Any]) -> None:
    """As a table, and what it says of stage 2 in words."""
    first = next(iter(report["variants"].values()))
    columns = ["", "right", *first["objects"], "rotation", "depth", "bias", "scatter"]
    table = Table(*columns, title=f"{report['samples']} scenes", title_justify="left")
    for name, row in report["variants"].items():
        table.add_row(
            name,
            f"{row['recall']:.1%}",
            *("-" if share != share else f"{share:.1%}" for share in row["objects"].values()),
            f"{row['angle_deg']:.1f} deg",
            f"{row['depth_percent']:.1f} %",
            f"{row['depth_bias_percent']:+.1f} %",
            f"{row['depth_scatter_percent']:.1f} %",
        )
    console.print(table)
    moved = report["variants"][FROM_TRUTH]
    console.print(
        "right: ADD(-S) < 0.1 d; rotation, depth: median errors; bias: median of the signed depth errors; scatter: "
        "68 % lie within so much of it.\n"
        f"From the true pose stage 2 moves the depth by {moved['depth_percent']:.1f} % and the rotation by "
        f"{moved['angle_deg']:.1f} deg in the median: what it measures is no better than that.",
        soft_wrap=True,
    )


def _batches(
    bundle: Bundle, arguments: argparse.Namespace, device: str, console: Console
) -> Iterator[SceneBatch]:
    scenes, distractors = scenes_of(bundle, arguments.config)
    size, samples = bundle.config.crop_size, arguments.samples
    generator = make_generator(bundle.objects, distractors, size, scenes, arguments.seed, device)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"estimating poses in {samples} scenes", total=samples)
        for number in range(-(-samples // BATCH)):
            count = min(BATCH, samples - number * BATCH)
            yield generator.batch(number, count)
            progress.advance(task, count)
