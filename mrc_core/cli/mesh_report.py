"""Words on the meshes that a bundle comes without: what is needed, what was found, where to get it."""

from __future__ import annotations

from mrc_core.inference.bundle_file import ObjectEntry
from mrc_core.inference.mesh_copies import MeshCopy


def needed_lines(entry: ObjectEntry, indent: str = "  ") -> list[str]:
    """A line for every file of an object's mesh, and one on where to get them."""
    source = entry.source
    if source is None:
        return []
    lines = [f"{indent}{name}  SHA-256 {digest}" for name, digest in source.sha256.items()]
    return [*lines, f"{indent}from: {source.origin}"] if source.origin else lines


def problem_lines(copy: MeshCopy) -> list[str]:
    """What is wrong with a copy: class, what was found, and what is needed."""
    place = f" in {copy.path.parent}" if copy.path else ""
    return [f"{copy.entry.class_id}: {copy.problem}{place}; needed is", *needed_lines(copy.entry, "    ")]
