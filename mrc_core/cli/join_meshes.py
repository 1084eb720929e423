"""`mrc-net join-meshes`: a user's own copies of the meshes into a bundle that comes without them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrc_core.cli.mesh_report import problem_lines
from mrc_core.inference.bundle_file import read_bundle_file
from mrc_core.inference.bundle_meshes import find_copies, join_meshes
from mrc_core.inference.mesh_copies import SIZE_TOLERANCE, MeshCopy

DESCRIPTION = f"""\
Puts your own copies of the meshes into a bundle that comes without them. They are looked for in the given folders and
below, by the mesh file's name, and told by their hashes: the folders may have any names. What is found goes through the
same conversion as when the bundle was made, and must have the same geometry.

example:
  mrc-net info --bundle demo/ycb6                                # which files, and where to get them
  mrc-net join-meshes demo/ycb6 --meshes ~/ycb --output runs/ycb6

With --allow-other-meshes, another mesh of the same object (another scan resolution, say) is taken with a warning: one
of the same name, in a folder that is named after the class, whose diameter and bounding box are the same within
{100 * SIZE_TOLERANCE:.0f} % of the diameter.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "join-meshes",
        help="put your copies of the meshes into a bundle without them",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="folder with bundle.yaml")
    parser.add_argument("--meshes", required=True, nargs="+", metavar="DIR", help="folders to search")
    parser.add_argument("--output", required=True, metavar="DIR", help="the complete bundle's folder")
    parser.add_argument(
        "--allow-other-meshes", action="store_true", help="take a mesh of the same size that has another hash"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Joins; returns the exit status."""
    path, output = Path(arguments.bundle), Path(arguments.output)
    if output.exists():
        raise ValueError(f"{output} is there already: choose another --output, or remove it")
    if not read_bundle_file(path).without_mesh:
        raise ValueError(f"{path} has its meshes: it can be used as it is")
    copies = find_copies(path, arguments.meshes)
    check(copies, arguments.allow_other_meshes)
    for copy in copies:
        print(f"{copy.entry.class_id}: {copy.path}")
        if not copy.is_same:
            print(
                f"mrc-net: warning: {copy.entry.class_id} is not the mesh that the network was trained with "
                f"({copy.problem}): poses may be less accurate",
                file=sys.stderr,
            )
    join_meshes(path, copies, output)
    print(f"bundle: {output}")
    return 0


def check(copies: Sequence[MeshCopy], allow_other: bool) -> None:
    """Sees that there is a mesh for every object.

    Raises:
        ValueError: there is not; the message lists what is missing or differs.
    """
    wrong = [copy for copy in copies if copy.mesh is None or not (copy.is_same or allow_other)]
    if not wrong:
        return
    lines = [f"{len(wrong)} of {len(copies)} meshes cannot be joined:"]
    lines += [f"  {line}" for copy in wrong for line in problem_lines(copy)]
    if any(copy.mesh is not None for copy in wrong):
        names = ", ".join(copy.entry.class_id for copy in wrong if copy.mesh is not None)
        lines.append(
            f"{names}: the size is right; --allow-other-meshes takes it, and poses may be less accurate"
        )
    raise ValueError("\n".join(lines))
