"""`mrc-net symmetries`: which symmetries a mesh has, by shape and by appearance, with pictures to confirm."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mrc_core.cli.mesh_names import mesh_names
from mrc_core.cli.objects_file import write_symmetries
from mrc_core.cli.symmetry_report import print_proposals, write_pictures
from mrc_core.data.object_set import load_objects
from mrc_core.geometry import Mesh, ObjectModel, SymmetrySet
from mrc_core.geometry.mesh import METRES_PER_UNIT
from mrc_core.geometry.symmetry_proposals import ACCEPT, symmetry_set
from mrc_core.geometry.symmetry_search import COLOUR_TOLERANCE, MAX_ORDER, SHAPE_TOLERANCE, find_symmetries
from mrc_core.rendering import create_renderer

SAME = 0.06  # of the diameter: symmetries whose points are nearer than that are the same

DESCRIPTION = """\
Proposes the symmetries of meshes, by shape and by appearance: a turn is accepted if neither tells it, `shape only` if
the colours do, and listed as rejected if the shape nearly repeats. Look at the pictures before you believe it.

examples:
  mrc-net symmetries --objects demo/objects            # compares with what objects.yaml declares
  mrc-net symmetries --objects my_objects --write      # puts the accepted ones into objects.yaml
  mrc-net symmetries --mesh mug.glb drill.obj --unit mm

A misfit has a mean and a far end, within which 99 % of the surface (95 % of it for colours) is; the mean may be as
large as the tolerance, the far end three times that. --write keeps everything else in the file as it is, and the file
as it was as objects.yaml.bak (.bak2 ...).
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "symmetries",
        help="propose the symmetries of meshes",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--objects", metavar="PATH", help="an objects.yaml, or a folder that holds one")
    what.add_argument("--mesh", nargs="+", metavar="FILE", help="ply, obj, glb or stl files")
    parser.add_argument("--unit", default="m", choices=tuple(METRES_PER_UNIT), help="of --mesh; default m")
    parser.add_argument(
        "--output", metavar="DIR", default="out/symmetries", help="for pictures; default %(default)s"
    )
    parser.add_argument("--write", action="store_true", help="put the accepted ones into objects.yaml")
    add_tolerances(parser)
    parser.set_defaults(run=run)


def add_tolerances(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the search."""
    parser.add_argument(
        "--shape-tolerance",
        type=float,
        default=SHAPE_TOLERANCE,
        metavar="X",
        help="mean distance of surfaces that passes, in diameters; default %(default)s",
    )
    parser.add_argument(
        "--colour-tolerance",
        type=float,
        default=COLOUR_TOLERANCE,
        metavar="X",
        help="mean difference of colours that passes, 0 to 1; default %(default)s",
    )
    parser.add_argument(
        "--max-order",
        type=int,
        default=MAX_ORDER,
        metavar="N",
        help="finest turn that is looked for is 1/N; default %(default)s",
    )


def run(arguments: argparse.Namespace) -> int:
    """Searches, prints, draws; returns the exit status."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    if arguments.write and not arguments.objects:
        raise ValueError("--write needs --objects: it is an objects.yaml that it writes to")
    if arguments.objects:
        named = [(item.class_id, item) for item in load_objects(arguments.objects)]
        meshes = [(name, item.mesh) for name, item in named]
    else:
        named = []
        names = mesh_names(arguments.mesh)
        meshes = [(name, Mesh.load(path, arguments.unit)) for name, path in zip(names, arguments.mesh)]
    declared: dict[str, ObjectModel] = dict(named)
    accepted: dict[str, SymmetrySet] = {}
    for name, mesh in meshes:
        found = find_symmetries(
            mesh, arguments.shape_tolerance, arguments.colour_tolerance, arguments.max_order
        )
        renderer = create_renderer("warp", [mesh], supersample=2)
        print_proposals(
            console, name, found, write_pictures(Path(arguments.output), name, mesh, found, renderer)
        )
        accepted[name] = symmetry_set([one for one in found if one.verdict == ACCEPT])
        if name in declared:
            _compare(console, declared[name], accepted[name])
    console.print(f"pictures: {arguments.output}")
    if arguments.write:
        path = Path(arguments.objects)
        path = path / "objects.yaml" if path.is_dir() else path
        copy = write_symmetries(path, accepted)
        console.print(f"accepted symmetries written to {path}; as it was: {copy}")
    return 0


def _compare(console: Console, item: ObjectModel, accepted: SymmetrySet) -> None:
    if is_same(item, accepted):
        words = "none either" if accepted.is_trivial else "the same symmetries"
        console.print(f"  objects.yaml declares {words}")
    else:
        console.print("  [yellow]objects.yaml declares other symmetries[/yellow] than the accepted ones")


def is_same(item: ObjectModel, other: SymmetrySet) -> bool:
    """Whether an object's declared symmetries and others are the same turns, up to a few degrees."""
    ours, theirs = (s.centred(item.centre).transforms(steps=36) for s in (item.symmetries, other))
    if len(ours) != len(theirs):
        return False
    gap = (ours[:, None] - theirs[None])[..., :3, :]  # (A, B, 3, 4)
    distance = torch.einsum("abij,jk,abik->ab", gap, item.moment, gap).clamp(min=0).sqrt()
    return bool(max(distance.amin(dim=0).max(), distance.amin(dim=1).max()) < SAME * item.diameter)
