"""`mrc-net strip-meshes`: a bundle without the meshes, which may not be passed on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mrc_core.cli.mesh_report import needed_lines
from mrc_core.inference.bundle_file import read_bundle_file
from mrc_core.inference.bundle_meshes import strip_meshes

DESCRIPTION = """\
Takes the meshes out of a bundle, for meshes that may not be passed on. weights.safetensors and bundle.yaml are left;
bundle.yaml has names and hashes of the files that each mesh was read from, the hash of its geometry, and where to get
it. Whoever has these files puts them in again with `mrc-net join-meshes`.

example:
  mrc-net strip-meshes runs/ycb/bundle --output ycb_without_meshes

The weights still know the objects: whether they may be passed on is for you to find out.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "strip-meshes",
        help="take the meshes out of a bundle",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="folder with bundle.yaml and meshes/")
    parser.add_argument("--output", required=True, metavar="DIR", help="the new bundle's folder")
    parser.add_argument(
        "--keep", nargs="+", default=[], metavar="CLASS", help="objects whose meshes stay in the bundle"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Strips; returns the exit status."""
    output = Path(arguments.output)
    if output.exists():
        raise ValueError(f"{output} is there already: choose another --output, or remove it")
    strip_meshes(Path(arguments.bundle), output, arguments.keep)
    missing = read_bundle_file(output).without_mesh
    print(f"{output}: without the meshes of")
    for entry in missing:
        print("\n".join([entry.class_id, *needed_lines(entry)]))
        if entry.source is not None and not entry.source.origin:
            print("  ! nobody said where to get it: `mrc-net onboard --origin` does")
    return 0
