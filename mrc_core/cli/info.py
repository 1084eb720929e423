"""`mrc-net info`: what a bundle holds and where it came from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from mrc_core.cli.mesh_report import needed_lines, problem_lines
from mrc_core.inference.bundle import Bundle, join_command, load_object, load_weights
from mrc_core.inference.bundle_file import BundleFile, ObjectEntry, read_bundle_file
from mrc_core.inference.bundle_meshes import find_copies
from mrc_core.inference.calibration import Calibration
from mrc_core.inference.mesh_copies import MeshCopy
from mrc_core.model.config import MRCNetConfig

DESCRIPTION = """\
Shows what a bundle holds: its objects with size and symmetries, the network, and how it was trained.
Checks every hash on the way: a bundle that was altered or cut short is an error.

Of a bundle that comes without its meshes it tells which files are needed and where to get them; with --meshes, whether
your copies are the right ones.

examples:
  mrc-net info --bundle demo/bundle
  mrc-net info --bundle demo/ycb6 --meshes ~/ycb
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "info",
        help="show what a bundle holds",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", required=True, metavar="DIR", help="folder with bundle.yaml")
    parser.add_argument(
        "--meshes",
        nargs="+",
        metavar="DIR",
        help="folders with your copies of meshes that are not in the bundle",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints; returns the exit status."""
    path = Path(arguments.bundle)
    content = read_bundle_file(path)
    missing = content.without_mesh
    if arguments.meshes and not missing:
        raise ValueError(f"{path} has its meshes: leave --meshes out")
    copies = find_copies(path, arguments.meshes) if arguments.meshes else []
    facts = describe_file(path, content) if missing else describe(Bundle.load(path))
    if arguments.json:
        if arguments.meshes:
            facts["meshes_found"] = {copy.entry.class_id: _found(copy) for copy in copies}
        print(json.dumps(facts, indent=1))
        return 0
    console = Console()
    table = Table("class", "diameter", "triangles", "symmetries", title=f"objects of {arguments.bundle}")
    for item in facts["objects"]:
        size = f"{item['diameter_m'] * 1000:.0f} mm"
        table.add_row(item["class_id"], size, str(item["triangles"]), item["symmetries"])
    console.print(table)
    model = facts["model"]
    console.print(
        f"network: ResNet-{model['backbone']}, {model['crop_size']} px crops, "
        f"{facts['parameters'] / 1e6:.2f} M parameters, {facts['rotations']} rotations, "
        f"{model['xy_cells']}x{model['xy_cells']} cells, {model['depth_bins']} depths"
        + (f", stage 2 runs {model['rounds']} times" if "rounds" in model else "")
    )
    provenance = facts["provenance"]
    for key in ("version", "commit", "data", "step", "samples_seen"):
        if key in provenance:
            console.print(f"{key}: {provenance[key]}")
    measured = provenance.get("validation", {}).get("refined")
    if measured:
        console.print(
            f"on synthetic validation scenes: ADD(-S) < 0.1 d {100 * measured['recall']:.1f} %, median "
            f"{measured['angle_deg']} deg, {measured['shift_mm']} mm"
        )
    console.print(f"calibration: {_calibration_words(content.calibration)}")
    if missing:
        _print_missing(path, missing, copies)
    return 0


def _print_missing(path: Path, missing: list[ObjectEntry], copies: list[MeshCopy]) -> None:
    """Which meshes are missing, or what the user's copies are worth; plain text, to be copied from."""
    print(
        f"without the meshes of {len(missing)} objects; nothing but this command runs it before they are put in:"
    )
    if not copies:
        for entry in missing:
            print("\n".join([f"{entry.class_id}: needed is", *needed_lines(entry)]))
    for copy in copies:
        same = [f"{copy.entry.class_id}: {copy.path} is the right one"]
        print("\n".join(same if copy.is_same else problem_lines(copy)))
    print(f"to put them in: {join_command(path)}")


def _found(copy: MeshCopy) -> dict[str, Any]:
    return {"path": copy.path and str(copy.path), "is_same": copy.is_same, "problem": copy.problem}


def describe_file(path: Path, content: BundleFile) -> dict[str, Any]:
    """As `describe`, of a bundle that comes without meshes; each object also tells what is missing of it."""
    objects = []
    for entry in content.objects:
        there = entry.mesh_sha256 is not None
        words = _symmetry_words(len(entry.symmetries_discrete) + 1, len(entry.symmetries_continuous))
        shape, source = entry.shape, entry.source
        objects.append(
            {
                "class_id": entry.class_id,
                "diameter_m": entry.diameter_m,
                "triangles": shape.triangles if shape else len(load_object(path, entry).mesh.faces),
                "symmetries": words,
                "has_mesh": there,
                "source": source and source.model_dump(),
            }
        )
    return _facts(objects, content.config, load_weights(path, content), content.provenance, content.calibration)


def describe(bundle: Bundle) -> dict[str, Any]:
    """The bundle's facts as JSON-able values."""
    objects = [
        {
            "class_id": item.class_id,
            "diameter_m": round(item.diameter, 6),
            "triangles": len(item.mesh.faces),
            "symmetries": _symmetry_words(len(item.symmetries.discrete), len(item.symmetries.continuous)),
        }
        for item in bundle.objects
    ]
    return _facts(objects, bundle.config, bundle.weights, bundle.provenance, bundle.calibration)


def _facts(
    objects: list[dict[str, Any]],
    config: MRCNetConfig,
    weights: dict[str, Tensor],
    provenance: dict[str, Any],
    calibration: Calibration | None,
) -> dict[str, Any]:
    return {
        "objects": objects,
        "model": config.model_dump(mode="json"),
        "parameters": sum(t.numel() for t in weights.values()),
        "rotations": config.num_rotations,
        "provenance": provenance,
        "calibration": None if calibration is None else calibration.measured,
    }


def _calibration_words(calibration: Calibration | None) -> str:
    if calibration is None:
        return "none; run `mrc-net calibrate` for scores that are probabilities, and covariances"
    measured = calibration.measured.get("detected", {})
    words = f"on {calibration.samples} scenes, seed {calibration.seed}"
    return words + "".join(f", {key.upper()} {measured[key]}" for key in ("auroc", "ece") if key in measured)


def _symmetry_words(discrete: int, continuous: int) -> str:
    words = [f"{discrete}-fold"] if discrete > 1 else []
    words += ["about an axis"] * bool(continuous)
    return ", ".join(words) or "none"
