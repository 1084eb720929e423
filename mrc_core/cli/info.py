"""`mrc-net info`: what a bundle holds and where it came from."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from mrc_core.inference.bundle import Bundle

DESCRIPTION = """\
Shows what a bundle holds: its objects with size and symmetries, the network, and how it was trained.
Checks every hash on the way: a bundle that was altered or cut short is an error.

example:
  mrc-net info --bundle demo/bundle
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
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints; returns the exit status."""
    bundle = Bundle.load(arguments.bundle)
    facts = describe(bundle)
    if arguments.json:
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
    console.print(f"calibration: {_calibration_words(bundle)}")
    return 0


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
    return {
        "objects": objects,
        "model": bundle.config.model_dump(mode="json"),
        "parameters": sum(t.numel() for t in bundle.weights.values()),
        "rotations": bundle.config.num_rotations,
        "provenance": bundle.provenance,
        "calibration": None if bundle.calibration is None else bundle.calibration.measured,
    }


def _calibration_words(bundle: Bundle) -> str:
    if bundle.calibration is None:
        return "none; run `mrc-net calibrate` for scores that are probabilities, and covariances"
    measured = bundle.calibration.measured.get("detected", {})
    words = f"on {bundle.calibration.samples} scenes, seed {bundle.calibration.seed}"
    return words + "".join(f", {key.upper()} {measured[key]}" for key in ("auroc", "ece") if key in measured)


def _symmetry_words(discrete: int, continuous: int) -> str:
    words = [f"{discrete}-fold"] if discrete > 1 else []
    words += ["about an axis"] * bool(continuous)
    return ", ".join(words) or "none"
