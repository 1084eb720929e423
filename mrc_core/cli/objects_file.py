"""Edits of an objects.yaml: what a person wrote into it, comments among it, stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mrc_core.data.atomic_files import write_bytes
from mrc_core.data.object_set import METRES_PER_UNIT
from mrc_core.geometry import SymmetrySet

DISCRETE, CONTINUOUS = "symmetries_discrete", "symmetries_continuous"


def write_symmetries(path: Path, symmetries: Mapping[str, SymmetrySet]) -> Path:
    """Puts the symmetries of some classes into an objects.yaml, in place of what was declared for them.

    The file as it was is kept beside it, under a name that no file had.

    Args:
        path: the file.
        symmetries: by class, metres; written in the unit of the class's mesh.

    Returns:
        The copy of the file as it was.

    Raises:
        ValueError: the file is not laid out as an objects.yaml, or lacks a class.
    """
    before = path.read_text(encoding="utf-8")
    after = with_symmetries(before, symmetries)
    number = next(n for n in range(1, 10_000) if not _backup(path, n).exists())
    copy = _backup(path, number)
    write_bytes(copy, before.encode("utf-8"))
    write_bytes(path, after.encode("utf-8"))
    return copy


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak{'' if number == 1 else number}")


def with_symmetries(text: str, symmetries: Mapping[str, SymmetrySet]) -> str:
    """The text of an objects.yaml with the symmetries of some classes replaced or added.

    Raises:
        ValueError: see `write_symmetries`.
    """
    try:
        wanted = yaml.safe_load(text)
        entries = {entry["class_id"]: entry for entry in wanted["objects"]}
        nodes = dict(_entry_nodes(yaml.compose(text)))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not laid out as an objects.yaml: {error!r}") from error
    missing = sorted(set(symmetries) - set(nodes))
    if missing:
        raise ValueError(f"the objects.yaml has no class {', '.join(missing)}")
    edits: list[tuple[int, int, str]] = []
    for class_id, found in symmetries.items():
        entry, node = entries[class_id], nodes[class_id]
        values = _in_unit(found, METRES_PER_UNIT[entry.get("unit", "m")])
        entry.update(values)
        edits += _edits(node, values)
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    if yaml.safe_load(text) != wanted:
        raise ValueError(
            "this objects.yaml is laid out in a way that cannot be edited without harm: edit it by hand"
        )
    return text


def _entry_nodes(root: Any) -> Iterator[tuple[str, yaml.MappingNode]]:
    """Classes and their places in the text."""
    for key, value in root.value:
        if key.value == "objects":
            for node in value.value:
                yield next(v.value for k, v in node.value if k.value == "class_id"), node


def _in_unit(symmetries: SymmetrySet, metres_per_unit: float) -> dict[str, Any]:
    """The two lists, numbers rounded to what makes no difference and whole ones without a point."""
    bop = symmetries.to_bop(metres_per_unit)
    return {
        DISCRETE: [[_plain(v) for v in matrix] for matrix in bop[DISCRETE]],
        CONTINUOUS: [
            {key: [_plain(v) for v in part] for key, part in one.items()} for one in bop[CONTINUOUS]
        ],
    }


def _plain(value: float) -> float | int:
    rounded = round(value, 9)
    return int(rounded) if rounded == int(rounded) else rounded


def _edits(node: yaml.MappingNode, values: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    """Replacements (start, end, text) that give an entry its values."""
    there = {key.value: (key, value) for key, value in node.value}
    first, last = node.value[0][0], node.value[-1][1]
    indent = " " * first.start_mark.column
    edits, added = [], []
    for name, value in values.items():
        # a line for each item where the entry has lines at all
        is_short = node.flow_style or not value
        text = (
            f": {_flow(value)}" if is_short else ":" + "".join(f"\n{indent}- {_flow(item)}" for item in value)
        )
        if name in there:
            key, old = there[name]
            edits.append((key.start_mark.index, _end(old), name + text))
        else:
            added.append(name + text)
    if added:
        joint = ", " if node.flow_style else f"\n{indent}"
        at = _end(last)
        edits.append((at, at, "".join(joint + one for one in added)))
    return edits


def _end(node: Any) -> int:
    """Where a node's text ends; PyYAML counts the comments behind a block as the block's."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, yaml.MappingNode) else last)


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**9, sort_keys=False).strip()
