"""Names of objects, from the names of their mesh files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mrc_core.geometry.objects import CLASS_ID

# What tools call every mesh: there the folder tells the object.
SAY_NOTHING = {"textured", "model", "mesh", "object", "scene", "untitled", "nontextured"}


def mesh_names(paths: Sequence[str]) -> list[str]:
    """A class for each file, after the file or, where that says nothing or the same twice, after its folder.

    Raises:
        ValueError: two files have the same name after all, or one of no use.
    """
    stems = [Path(path).stem for path in paths]
    if len(set(stems)) < len(stems) or SAY_NOTHING & {stem.lower() for stem in stems}:
        stems = [Path(path).resolve().parent.name for path in paths]
    names = [class_of(stem) for stem in stems]
    if len(set(names)) < len(names):
        raise ValueError(f"two files would be the same class, rename one: {', '.join(map(str, paths))}")
    return names


def class_of(stem: str) -> str:
    """A class's name from a file's.

    Raises:
        ValueError: nothing of it can be used.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("._-")
    if not CLASS_ID.fullmatch(name):
        raise ValueError(f"no class can be named after {stem!r}: rename the file")
    return name
