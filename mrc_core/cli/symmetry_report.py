"""What the commands show of proposed symmetries: a table, and pictures to confirm by eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

from mrc_core.geometry import Mesh
from mrc_core.geometry.symmetry_proposals import ACCEPT, REJECT, SymmetryProposal
from mrc_core.rendering import Renderer
from mrc_core.visualisation.symmetry_picture import draw_symmetry

COLOURS = {ACCEPT: "green", REJECT: "red"}


def print_proposals(
    console: Console, name: str, found: Sequence[SymmetryProposal], pictures: Sequence[Path]
) -> None:
    """One row a proposal; lengths in mm, misfits in percent of the diameter and of the largest difference of colour."""
    if not found:
        console.print(f"{name}: no symmetry, and nothing like one")
        return
    table = Table("", "turn", "axis", "through, mm", title=name, title_justify="left")
    for heading in ("shape off by, mean / far %", "colour off by, mean / far %"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    table.add_column("picture", overflow="fold")
    for number, (one, picture) in enumerate(zip(found, pictures), start=1):
        colour = COLOURS.get(one.verdict, "yellow")
        table.add_row(
            str(number),
            one.words,
            ", ".join(f"{v:.3g}" for v in _rounded(one.axis, 3)),
            ", ".join(f"{v:g}" for v in _rounded([1000 * v for v in one.offset], 1)),
            f"{100 * one.shape.mean:.2f} / {100 * one.shape.far:.2f}",
            f"{100 * one.colour.mean:.0f} / {100 * one.colour.far:.0f}",
            f"[{colour}]{one.verdict}[/{colour}]",
            picture.name,
        )
    console.print(table)
    for number, one in enumerate(found, start=1):
        if one.verdict != ACCEPT:
            console.print(f"  {number}: {one.reason}")


def write_pictures(
    folder: Path, name: str, mesh: Mesh, found: Sequence[SymmetryProposal], renderer: Renderer
) -> list[Path]:
    """A picture of each proposal, NAME_1.png and so on; pictures of an earlier run of this object go.

    Args:
        renderer: of this mesh alone, in its own frame, on the CPU.

    Raises:
        OSError: a picture cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        if old.stem.rpartition("_")[0] == name and old.stem.rpartition("_")[2].isdigit():
            old.unlink()
    paths = []
    for number, one in enumerate(found, start=1):
        angle = one.shown_angle
        axis = ", ".join(f"{v:.3g}" for v in _rounded(one.axis, 3))
        lines = [
            f"{name}: {one.words}, here {math.degrees(angle):.0f} deg, about ({axis})",
            f"{one.verdict}: {one.reason}",
        ]
        picture = draw_symmetry(
            renderer, 0, mesh.vertices, one.axis, one.offset, one.turn(angle).numpy(), lines
        )
        path = folder / f"{name}_{number}.png"
        if not cv2.imwrite(str(path), picture[..., ::-1]):
            raise OSError(f"{path} cannot be written")
        paths.append(path)
    return paths


def _rounded(values: Sequence[float], digits: int) -> list[float]:
    return [round(v, digits) + 0.0 for v in values]  # + 0.0: no -0
