"""A user's own copies of the meshes that a bundle comes without: found by name, told by hash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.mesh_hash import mesh_hash
from mrc_core.geometry.mesh_source import file_sha256
from mrc_core.inference.bundle_file import MeshShape, ObjectEntry, bounds

SIZE_TOLERANCE = 0.03  # of the diameter: as much may another scan differ


class MeshFolders:
    """The files in a user's folders and below, by name.

    Args:
        folders: where to look; links to folders below them are not followed.

    Raises:
        FileNotFoundError: one is not there.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self.folders = [Path(folder) for folder in folders]
        self._places: dict[str, list[Path]] = {}
        self._hashes: dict[Path, str] = {}
        for folder in self.folders:
            if not folder.is_dir():
                raise FileNotFoundError(f"--meshes {folder}: there is no such folder")
            for place, below, names in os.walk(folder):
                below.sort()
                for name in names:
                    self._places.setdefault(name, []).append(Path(place) / name)

    def named(self, name: str) -> list[Path]:
        """Files of this name."""
        return self._places.get(name, [])

    def sha256(self, path: Path) -> str | None:
        """A file's hash, computed once; None where it is not there or cannot be read."""
        if path not in self._hashes:
            try:
                self._hashes[path] = file_sha256(path)
            except OSError:
                return None
        return self._hashes[path]


@dataclass(frozen=True)
class MeshCopy:
    """What was found of one object's mesh.

    Attributes:
        entry: the object.
        path: the copy; None where none of it was found.
        mesh: read from it, in metres; None where it cannot be taken.
        problem: what speaks against it; empty where it is the same in every file and in its geometry.
    """

    entry: ObjectEntry
    path: Path | None
    mesh: Mesh | None
    problem: str

    @property
    def is_same(self) -> bool:
        """Whether it is what the bundle was trained with."""
        return not self.problem


def find_copy(entry: ObjectEntry, folders: MeshFolders) -> MeshCopy:
    """The best copy of an object's mesh.

    Folders may have any names: a copy whose files all have the recorded hashes is the one. Where there is none, a file
    of the right name counts that has the mesh's hash (another texture, say), or lies in a folder named after the class;
    it has a mesh where its size agrees.
    """
    source = entry.source
    assert source is not None  # as every entry without a mesh has one
    candidates = folders.named(source.file)
    likely = []
    for path in candidates:
        differing = _differing(path, source.sha256, folders)
        if not differing:
            return _read(entry, path, "")
        is_mesh, is_named = source.file not in differing, _is_named_after(path, entry.class_id, folders)
        if is_mesh or is_named:
            likely.append(((not is_mesh, len(differing)), path, differing))
    if not likely:
        where = ", ".join(map(str, folders.folders))
        found = (
            f"{len(candidates)} files of that name in {where} have other hashes, none in a folder {entry.class_id}"
            if candidates
            else f"there is no {source.file} in {where}"
        )
        return MeshCopy(entry, None, None, found)
    best = None
    for _, path, differing in sorted(likely, key=lambda one: one[0]):
        copy = _read(entry, path, "; ".join(differing.values()))
        if copy.mesh is not None:
            return copy
        best = best or copy
    assert best is not None
    return best


def _differing(path: Path, expected: dict[str, str], folders: MeshFolders) -> dict[str, str]:
    """Names of the files beside a candidate that are not the recorded ones, with words on each."""
    words = {}
    for name, digest in expected.items():
        there = folders.sha256(path.parent / name)
        if there != digest:
            words[name] = f"{name} is {'missing' if there is None else f'another file (SHA-256 {there})'}"
    return words


def _is_named_after(path: Path, class_id: str, folders: MeshFolders) -> bool:
    """Whether a folder on the way to a file has the class's name; the folders that a user named count too."""
    parts = {part.casefold() for folder in folders.folders for part in _below(path, folder)}
    return class_id.casefold() in parts


def _below(path: Path, folder: Path) -> tuple[str, ...]:
    if not path.is_relative_to(folder):
        return ()
    return (folder.resolve().name, *path.parent.relative_to(folder).parts)


def _read(entry: ObjectEntry, path: Path, problem: str) -> MeshCopy:
    """Reads a copy as the onboarding did, and compares what came of it."""
    source, shape = entry.source, entry.shape
    assert source is not None
    assert shape is not None
    try:
        mesh = Mesh.load(path, source.unit)
    except (OSError, ValueError) as error:
        return MeshCopy(entry, path, None, "; ".join(filter(None, (problem, str(error)))))
    if not problem and mesh_hash(mesh) != shape.sha256:
        problem = (
            "the files are the same, but are read here into another geometry (another version of trimesh?)"
        )
    size = size_difference(mesh, shape, entry.diameter_m)
    if problem and not size <= SIZE_TOLERANCE:
        problem += (
            f"; its size or place differs by {100 * size:.0f} % of the diameter, it cannot be the same object"
        )
        return MeshCopy(entry, path, None, problem)
    return MeshCopy(entry, path, mesh, problem)


def size_difference(mesh: Mesh, shape: MeshShape, diameter_m: float) -> float:
    """How far diameter and corners of the bounding box are from those that were recorded, over the diameter."""
    corners = np.abs(np.asarray(bounds(mesh)) - np.asarray(shape.bounds_m)).max()
    return float(max(abs(mesh.diameter - diameter_m), corners) / diameter_m)
