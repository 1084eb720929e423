"""How good an onboarding's bundle is, on scenes that training never drew."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from mrc_core.cli import calibrate, evaluate, synthesize

SEED = (
    7001  # of the scenes; they are drawn by another program than training's, so none of them can be the same
)
SPLIT = "test"
IMAGES_A_SCENE = 25
BANDS = ((0.8, 1.01, "visible > 80 %"), (0.5, 0.8, "50 to 80 %"), (0.0, 0.5, "< 50 %"))
FLIPPED_DEG, MANY_FLIPPED = 120.0, 0.2


@dataclass(frozen=True)
class Row:
    """An instance that was to be found: class, visible part, errors (inf where missed), whether ADD(-S) < 0.1 d."""

    class_id: str
    visible: float
    rotation_deg: float
    translation_m: float
    is_right: bool


def make_scenes(objects: Path, folder: Path, num_objects: int, instances: int) -> None:
    """Renders a BOP data set in which every object is seen about `instances` times; goes on after an interruption.

    Raises:
        ValueError: the folder holds another data set.
    """
    scenes, images = scene_counts(num_objects, instances)
    size = ["--scenes", str(scenes), "--images", str(images), "--seed", str(SEED), "--no-masks"]
    _command(synthesize.add_parser, ["synthesize", "--objects", str(objects), "--output", str(folder), *size])


def scene_counts(num_objects: int, instances: int) -> tuple[int, int]:
    """Scenes, and images in each, of `mrc-net synthesize` that show every object about `instances` times."""
    an_image = (min(3, num_objects) + min(8, num_objects)) / 2
    images = math.ceil(instances * num_objects / an_image)
    scenes = max(1, round(images / IMAGES_A_SCENE))
    return scenes, math.ceil(images / scenes)


def run_bundle(
    bundle: Path, scenes: Path, folder: Path, device: str, report: bool, turns: int = 1, vsd: bool = False
) -> list[Row]:
    """Estimates and scores every instance of the scenes; with `report`, folder/report.html is written."""
    detections = scenes / "detections" / f"synthetic_{SPLIT}.json"
    what = ["--dataset", str(scenes), "--bundle", str(bundle), "--detections", str(detections)]
    options = ["--output", str(folder), "--device", device, "--turns", str(turns)]
    options += [*([] if report else ["--no-report"]), *([] if vsd else ["--no-vsd"])]
    with contextlib.redirect_stdout(io.StringIO()):  # its table is for benchmarks; problems go to stderr
        _command(evaluate.add_parser, ["evaluate", *what, *options])
    return read_rows(folder / "instances.csv")


def calibrate_bundle(bundle: Path, folder: Path, samples: int, device: str) -> None:
    """Fits scores and covariances of the bundle on `samples` scenes for each object, and prints how well they hold."""
    options = ["--samples", str(samples), "--output", str(folder), "--device", device]
    _command(calibrate.add_parser, ["calibrate", "--bundle", str(bundle), *options])


def read_rows(path: Path) -> list[Row]:
    """The instances of an evaluation."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                one["name"],
                float(one["visib_fract"]),
                float(one["rotation_deg"]),
                float(one["translation_m"]),
                one["is_right"] == "1",
            )
            for one in csv.DictReader(file)
        ]


def print_accuracy(console: Console, rows: Sequence[Row], before: Sequence[Row] | None) -> None:
    """One row a class: recall, medians, recall by visibility; `before` are the older bundle's on the same scenes."""
    table = Table("class", title="accuracy on scenes that training never drew", title_justify="left")
    headings = [
        "instances",
        "ADD(-S) < 0.1 d",
        *(["before"] if before is not None else []),
        "rotation",
        "translation",
    ]
    for heading in [*headings, *(name for _, _, name in BANDS)]:
        table.add_column(heading, justify="right")
    old_classes = {one.class_id for one in before or () if math.isfinite(one.rotation_deg)}
    for class_id in [*dict.fromkeys(sorted(one.class_id for one in rows)), None]:
        mine = [one for one in rows if class_id in (None, one.class_id)]
        older = [one for one in before or () if one.class_id == class_id and class_id in old_classes]
        cells = [str(len(mine)), recall(mine), *([recall(older)] if before is not None else [])]
        cells += [f"{median(one.rotation_deg for one in mine):.1f} deg"]
        cells += [f"{1000 * median(one.translation_m for one in mine):.1f} mm"]
        for low, high, _ in BANDS:
            part = [one for one in mine if low <= one.visible < high]
            cells.append(f"{recall(part)} (of {len(part)})" if part else "-")
        if class_id is None:
            table.add_section()
        table.add_row(class_id or "all", *cells)
    console.print(table)
    for class_id in sorted({one.class_id for one in rows}):
        flipped = [one.rotation_deg > FLIPPED_DEG for one in rows if one.class_id == class_id]
        if sum(flipped) > MANY_FLIPPED * len(flipped):
            console.print(
                f"! {100 * sum(flipped) / len(flipped):.0f} % of the estimates of {class_id} are turned by more than "
                f"{FLIPPED_DEG:.0f} degrees: was it trained too short, or does objects.yaml lack a symmetry?"
            )


def recall(rows: Sequence[Row]) -> str:
    """Share of right ones in percent."""
    return f"{100 * sum(one.is_right for one in rows) / len(rows):.0f} %" if rows else "-"


def copy_report(folder: Path, target: Path) -> None:
    """The report, which needs no file beside it, where it is found."""
    partial = target.with_name(target.name + ".partial")
    shutil.copyfile(folder / "report.html", partial)
    partial.replace(target)


def _command(add_parser: Callable[[Any], None], argv: Sequence[str]) -> None:
    """Runs one of our own commands; its errors are ours."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
