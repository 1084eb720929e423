"""Where a mesh came from: the files that it was read from, by name and hash, so that another copy can be told."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from mrc_core.geometry.mesh import METRES_PER_UNIT

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 22


class MeshSource(BaseModel):
    """The files of a mesh.

    Attributes:
        file: name of the mesh file, without a folder.
        unit: of its coordinates.
        sha256: hash of every file that was read for it, materials and textures included, by its path relative to the
            mesh's folder, with slashes. None leaves that folder.
        origin: where to get the files, in words or as an address; empty where nobody said.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    unit: str
    sha256: dict[str, str]
    origin: str = ""

    @field_validator("unit")
    @classmethod
    def _is_a_unit(cls, unit: str) -> str:
        if unit not in METRES_PER_UNIT:
            raise ValueError(f"unit {unit!r} is not one of {', '.join(METRES_PER_UNIT)}")
        return unit

    @field_validator("origin")
    @classmethod
    def _is_one_line(cls, origin: str) -> str:
        if not origin.isprintable():  # it is shown on terminals
            raise ValueError("the origin is one line of text without control characters")
        return origin

    @model_validator(mode="after")
    def _names_are_inside(self) -> MeshSource:
        for name, digest in self.sha256.items():
            if not _is_inside(name):
                raise ValueError(f"the file name {name!r} is no plain path inside of the mesh's folder")
            if not _SHA256.fullmatch(digest):
                raise ValueError(f"{name}: {digest!r} is no SHA-256")
        if self.file not in self.sha256 or "/" in self.file:
            raise ValueError(f"the mesh file {self.file!r} has no hash, or a folder in its name")
        return self


def source_of(path: Path, unit: str, origin: str = "", opened: Sequence[str] | None = None) -> MeshSource:
    """Names and hashes of all files that reading a mesh needs.

    Args:
        opened: the files beside it, as `Mesh.load` told them; None: the mesh is read to find out.

    Raises:
        FileNotFoundError, ValueError: the mesh cannot be read; see `load_parts`.
    """
    if opened is None:
        # here, as in Mesh.load: few who know a source read its files
        from mrc_core.geometry.mesh_loading import load_parts

        found: list[str] = []
        load_parts(path, found)
        opened = found
    hashes = {name: file_sha256(path.parent / name) for name in (path.name, *opened)}
    return MeshSource(file=path.name, unit=unit, origin=origin, sha256=hashes)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _is_inside(name: str) -> bool:
    """Whether a name is a plain relative path, on every system: no drive, no backslash, nothing above."""
    return (
        bool(name)
        and name.isprintable()
        and "\\" not in name
        and name[1:2] != ":"
        and not posixpath.isabs(name)
        and posixpath.normpath(name) == name
        and name.split("/")[0] not in ("..", ".")
    )
