#!/usr/bin/env python3
"""Make a test set of pictures that no training run sees: drawn here, rendered by Blender's Cycles, as BOP has it.

    PYTHONPATH=. .venv/bin/python demo/make_test_pictures.py --blender-python ~/blender-env/bin/python

A picture that is rendered is kept; the same command goes on where it was interrupted. The same seed gives the same
scenes. Blender lives in an environment of its own (see demo/README.md); without it, whatever is rendered already is
assembled if nothing is missing.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from mrc_core.data.object_set import load_objects
from mrc_core.geometry.objects import ObjectModel

DEMO = Path(__file__).resolve().parent


def main() -> int:
    """Draw, render what is missing, assemble; returns the exit status."""
    args = parse_arguments()
    from pictures.assembling import assemble
    from pictures.describing import write_descriptions

    objects = load_objects(args.objects)
    source = args.output / "source"
    stored = write_descriptions(source, draw(objects, args))
    missing = sum(not item.raw.exists() for item in stored)
    print(
        f"{len(stored)} pictures are described in {source}; {missing} of them are to be rendered", flush=True
    )
    if missing and not render(args.blender_python, source, args.samples, args.threads):
        return 1
    if args.render_only:
        return 0
    print("assembling", flush=True)
    targets, detections = assemble(args.output, objects, stored, args.box_noise, args.seed)
    print(f"{args.output} is complete: {len(stored)} pictures, {targets} targets, {detections} detections")
    found = args.output / "detections" / "synthetic_test.json"
    print(f"next:\n  mrc-net evaluate --dataset {args.output} --bundle demo/bundle --detections {found}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=Path, default=DEMO / "objects", help="folder with objects.yaml")
    parser.add_argument(
        "--output", type=Path, default=DEMO.parent / "runs" / "pictures", help="the data set's folder"
    )
    parser.add_argument("--scenes", type=int, default=5, help="each has a camera and a place of its own")
    parser.add_argument("--images", type=int, default=20, help="in each scene")
    parser.add_argument("--width", type=int, default=640, help="px")
    parser.add_argument("--height", type=int, default=480, help="px")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument(
        "--box-noise", type=float, default=0.07, help="of the detections, part of a box's side"
    )
    parser.add_argument(
        "--blender-python",
        type=Path,
        default=Path("~/blender-env/bin/python"),
        help="the Python in whose environment bpy is installed",
    )
    parser.add_argument("--samples", type=int, default=14, help="Cycles samples a pixel, then denoised")
    parser.add_argument("--threads", type=int, default=2, help="threads for rendering")
    parser.add_argument("--render-only", action="store_true", help="do not assemble the data set")
    return parser.parse_args()


def draw(objects: list[ObjectModel], args: argparse.Namespace) -> Iterator:
    """All pictures, scene by scene."""
    from pictures.drawing import draw_picture

    start, count = time.monotonic(), 0
    for scene_id in range(1, args.scenes + 1):
        for image_id in range(args.images):
            yield draw_picture(objects, scene_id, image_id, (args.height, args.width), args.seed)
            count += 1
        print(f"scene {scene_id} drawn: {count} pictures after {time.monotonic() - start:.0f} s", flush=True)


def render(python: Path, source: Path, samples: int, threads: int) -> bool:
    """Renders what is missing, in Blender's environment; False, with the remedy printed, where that fails."""
    python = python.expanduser().absolute()  # not resolved: a virtual environment's Python is a link
    if not python.exists():
        print(
            f"{python} does not exist: set up Blender's environment as in demo/README.md, give --blender-python"
        )
        return False
    command = [str(python), "-m", "blender.described", str(source.absolute())]
    command += ["--samples", str(samples), "--threads", str(threads)]
    status = subprocess.run(command, cwd=DEMO).returncode
    if status != 0:
        print(f"rendering ended with status {status}: the same command goes on where it stopped")
    return status == 0


if __name__ == "__main__":
    raise SystemExit(main())
