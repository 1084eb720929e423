"""Symmetries of new objects: proposed, shown, and confirmed by a person or by an option."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError
from rich.console import Console

from mrc_core.cli.symmetry_report import print_proposals, write_pictures
from mrc_core.data.object_set import METRES_PER_UNIT, ObjectEntry
from mrc_core.geometry import ObjectModel, SymmetrySet
from mrc_core.geometry.symmetry_proposals import ACCEPT, SymmetryProposal, symmetry_set
from mrc_core.geometry.symmetry_search import find_symmetries
from mrc_core.rendering import create_renderer


def check_choice(choice: str, yes: bool) -> None:
    """Says now, and not when it comes to it, that nobody can be asked.

    Raises:
        ValueError: proposals are to be confirmed, and there is no terminal.
        FileNotFoundError: a file is named that is not there.
    """
    if choice == "proposed" and not yes and not sys.stdin.isatty():
        raise ValueError(
            "there is no terminal to confirm symmetries on: add --yes to take the proposed ones, or say "
            "--symmetries none|FILE"
        )
    if choice not in ("proposed", "none") and not Path(choice).is_file():
        raise FileNotFoundError(f"--symmetries {choice}: neither none nor proposed, and no such file")


def choose_symmetries(
    console: Console, objects: Sequence[ObjectModel], choice: str, yes: bool, folder: Path
) -> dict[str, SymmetrySet]:
    """Symmetries by class.

    Args:
        choice: none, proposed, or an objects.yaml that has them (its meshes are not read).
        yes: take what is proposed without asking.
        folder: for pictures.

    Raises:
        ValueError: the file cannot be used.
    """
    if choice == "none":
        return {item.class_id: SymmetrySet() for item in objects}
    if choice != "proposed":
        return read_symmetries(Path(choice), [item.class_id for item in objects])
    chosen = {}
    for item in objects:
        found = find_symmetries(item.mesh)
        renderer = create_renderer("warp", [item.mesh], supersample=2)
        pictures = write_pictures(folder, item.class_id, item.mesh, found, renderer)
        print_proposals(console, item.class_id, found, pictures)
        if pictures:
            console.print(f"  pictures: {folder}", soft_wrap=True)
        accepted = [one for one in found if one.verdict == ACCEPT]
        chosen[item.class_id] = symmetry_set(accepted) if yes or not found else _ask(console, found)
    return chosen


def _ask(console: Console, found: Sequence[SymmetryProposal]) -> SymmetrySet:
    """What a person takes of the proposals; asked again until it makes sense."""
    accepted = [number for number, one in enumerate(found, start=1) if one.verdict == ACCEPT]
    default = ", ".join(map(str, accepted)) or "none"
    while True:
        answer = input(f"  take {default}? [Enter: yes; n: none; or numbers] ").strip().lower()
        try:
            if answer in ("", "y", "yes"):
                numbers = accepted
            elif answer in ("n", "no", "none"):
                numbers = []
            else:
                numbers = [int(part) for part in answer.replace(",", " ").split()]
            if not all(1 <= number <= len(found) for number in numbers):
                raise ValueError(f"numbers from 1 to {len(found)}, please")
            return symmetry_set([found[number - 1] for number in numbers])
        except ValueError as error:
            console.print(f"  {error}")


def read_symmetries(path: Path, class_ids: Sequence[str]) -> dict[str, SymmetrySet]:
    """Symmetries of some classes from an objects.yaml, in metres.

    Raises:
        ValueError: the file is no objects.yaml, or lacks a class.
    """
    try:
        entries = [
            ObjectEntry.model_validate(entry)
            for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["objects"]
        ]
        there = {entry.class_id: entry for entry in entries}
        missing = [name for name in class_ids if name not in there]
        if missing:
            raise ValueError(f"it has no class {', '.join(missing)}")
        return {
            name: SymmetrySet.from_bop(there[name].model_dump(), METRES_PER_UNIT[there[name].unit])
            for name in class_ids
        }
    except (ValidationError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"--symmetries {path} cannot be used: {error}") from error
