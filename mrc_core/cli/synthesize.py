"""`mrc-net synthesize`: a small BOP data set of your objects, to try the evaluation on."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mrc_core import __version__
from mrc_core.cli.synthesize_preview import write_preview
from mrc_core.data.bop_detections import write_bop_detections
from mrc_core.data.bop_models import write_models
from mrc_core.data.bop_writer import MIN_VISIBLE_OF_TARGETS, ImageRecord, SplitWriter
from mrc_core.data.dataset_scenes import DatasetSceneConfig, DatasetScenes
from mrc_core.data.distractors import make_distractors
from mrc_core.data.object_set import load_objects
from mrc_core.data.synthesis_record import claim_folder
from mrc_core.data.synthetic_detections import DetectorConfig, detect_scene
from mrc_core.geometry.objects import ObjectModel
from mrc_core.rendering import create_renderer

DISTRACTORS = 10  # different ones in a data set
RESERVED = ("models", "models_eval", "detections")

DESCRIPTION = """\
Renders a small data set of your objects in BOP's layout: piles of objects that hide each other, with pictures, depth,
masks, poses and targets, and detections as a detector might give them. `mrc-net evaluate` takes it as any other data
set, so the whole evaluation can be tried without a download.

example:
  mrc-net synthesize --objects demo/objects --output runs/synthetic

The same options give the same files to the byte. Ctrl-C interrupts; the same command goes on after the last whole
scene. A second run with another --split adds that split; one with other detection options (--box-noise, --miss-rate,
--false-positives) writes the detections anew and keeps the rest.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "synthesize",
        help="render a BOP data set of your objects",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--objects", required=True, metavar="PATH", help="an objects.yaml, or a folder that holds one"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the data set's folder, new or empty")
    parser.add_argument("--split", default="test", metavar="NAME", help="default: test")
    parser.add_argument(
        "--scenes", type=int, default=3, metavar="N", help="each has a camera of its own; default 3"
    )
    parser.add_argument("--images", type=int, default=20, metavar="N", help="in each scene, default 20")
    parser.add_argument(
        "--objects-per-image",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="default 3 8, or as many as there are",
    )
    parser.add_argument(
        "--instances", type=int, default=1, metavar="N", help="of one object in an image, at most; default 1"
    )
    parser.add_argument("--width", type=int, default=640, metavar="PX", help="default 640")
    parser.add_argument("--height", type=int, default=480, metavar="PX", help="default 480")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything drawn, default 0")
    parser.add_argument(
        "--no-masks", action="store_true", help="neither mask pictures nor masks in detections"
    )
    parser.add_argument(
        "--box-noise",
        type=float,
        default=0.07,
        metavar="X",
        help="sides of boxes are off by up to X of their length",
    )
    parser.add_argument(
        "--miss-rate",
        type=float,
        default=0.0,
        metavar="X",
        help="share of objects without a detection, default 0",
    )
    parser.add_argument(
        "--false-positives",
        type=float,
        default=0.0,
        metavar="X",
        help="false detections an image (mean), default 0",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Renders and writes; returns the exit status."""
    started = time.monotonic()
    console = Console(width=None if Console().is_terminal else 120, highlight=False, soft_wrap=True)
    objects = load_objects(arguments.objects)
    config, detector = _settings(arguments, len(objects))
    dataset, split = Path(arguments.output), arguments.split
    meshes = [item.mesh for item in objects]
    mean_diameter = sum(item.diameter for item in objects) / len(objects)
    meshes += make_distractors(DISTRACTORS, mean_diameter, seed=arguments.seed)
    probe = create_renderer("warp", meshes)
    scenes = DatasetScenes(
        probe,
        create_renderer("warp", meshes, supersample=2),
        meshes,
        len(objects),
        config,
        f"{arguments.seed}/{split}",
    )
    settings = config.model_dump() | {
        "version": __version__,
        "seed": arguments.seed,
        "scenes": arguments.scenes,
        "images": arguments.images,
        "masks": not arguments.no_masks,
    }
    goes_on = claim_folder(dataset, split, objects, settings)
    write_models(dataset, objects)
    writer = SplitWriter(dataset, split, masks=not arguments.no_masks)
    numbers = range(1, arguments.scenes + 1)
    if goes_on:
        console.print(f"{sum(map(writer.is_finished, numbers))} of {len(numbers)} scenes are there already")
    _render(writer, scenes, numbers, arguments.images, console)
    targets = writer.finish(numbers, scenes.size)
    detections = [
        found
        for number in numbers
        for found in detect_scene(
            writer.scene_folder(number), len(objects), scenes.size, detector, scenes.seed
        )
    ]
    detections_path = dataset / "detections" / f"synthetic_{split}.json"
    write_bop_detections(detections_path, detections)
    folders = [writer.scene_folder(number) for number in numbers]
    write_preview(dataset / "preview.jpg", folders, [item.class_id for item in objects], detections, probe)
    _summarise(console, objects, folders, sum(item["inst_count"] for item in targets), len(detections))
    console.print(
        f"{dataset} is complete after {time.monotonic() - started:.0f} s; look at {dataset / 'preview.jpg'}"
    )
    console.print(
        "next, with a bundle that knows these objects:\n"
        f"  mrc-net evaluate --bundle DIR --dataset {dataset} --split {split} --detections {detections_path}"
    )
    return 0


def _settings(arguments: argparse.Namespace, num_objects: int) -> tuple[DatasetSceneConfig, DetectorConfig]:
    """Checked settings of scenes and detector."""
    for key in ("scenes", "images", "instances"):
        if getattr(arguments, key) < 1:
            raise ValueError(f"--{key} must be 1 or more, not {getattr(arguments, key)}")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", arguments.split) or arguments.split in RESERVED:
        raise ValueError(f"--split {arguments.split!r} cannot be a folder beside {', '.join(RESERVED)}")
    most = num_objects * arguments.instances
    low, high = arguments.objects_per_image or (min(3, most), min(8, most))
    try:
        scenes = DatasetSceneConfig(
            image_width=arguments.width,
            image_height=arguments.height,
            objects_per_image=(low, high),
            max_instances=arguments.instances,
        )
        detector = DetectorConfig(
            box_noise=arguments.box_noise,
            miss_rate=arguments.miss_rate,
            false_positives=arguments.false_positives,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"])) or "the settings"
        raise ValueError(f"{name}: {problem['msg']} (given: {problem['input']})") from error
    return scenes, detector


def _render(
    writer: SplitWriter, scenes: DatasetScenes, numbers: Sequence[int], images: int, console: Console
) -> None:
    """Writes the scenes that are not there yet."""
    missing = [number for number in numbers if not writer.is_finished(number)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not missing) as progress:
        task = progress.add_task("images", total=len(missing) * images)

        def shots(scene_id: int) -> Iterator[ImageRecord]:
            for image_id in range(images):
                yield scenes.image(scene_id, image_id)
                progress.advance(task)

        for number in missing:
            writer.write_scene(number, shots(number))
            progress.console.print(f"scene {number:06d}: {images} images")


def _summarise(
    console: Console, objects: Sequence[ObjectModel], folders: Sequence[Path], targets: int, detections: int
) -> None:
    """Prints how much of the objects can be seen, by class."""
    seen: list[list[float]] = [[] for _ in objects]
    for folder in folders:
        truths, infos = (
            json.loads((folder / name).read_text()) for name in ("scene_gt.json", "scene_gt_info.json")
        )
        for key, truth in truths.items():
            for item, info in zip(truth, infos[key]):
                seen[item["obj_id"] - 1].append(info["visib_fract"])
    table = Table("class", title=f"{targets} targets, {detections} detections", title_justify="left")
    for heading in ("instances", "visible >= 95 %", "partly", "< 10 % (no target)", "median visible"):
        table.add_column(heading, justify="right")
    rows = [(item.class_id, fractions) for item, fractions in zip(objects, seen)]
    for name, fractions in [*rows, ("all", [v for part in seen for v in part])]:
        clear = sum(v >= 0.95 for v in fractions)
        hidden = sum(v < MIN_VISIBLE_OF_TARGETS for v in fractions)
        middle = f"{100 * float(torch.tensor(fractions).median()):.0f} %" if fractions else "-"
        table.add_row(
            name, *map(str, (len(fractions), clear, len(fractions) - clear - hidden, hidden)), middle
        )
    console.print(table)
