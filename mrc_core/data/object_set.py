"""Reads the objects that a user wants to train: an `objects.yaml`, or the models of a BOP data set."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mrc_core.data.bop_files import BopDataError, read_json
from mrc_core.data.bop_objects import load_objects_info
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.mesh_source import MeshSource
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.symmetries import SymmetrySet

METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}


class _ContinuousEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    axis: tuple[float, float, float]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


class ObjectEntry(BaseModel):
    """One object of an objects.yaml. Symmetries are written as in BOP's models_info, in the mesh's unit.

    `source` are the files that the mesh was converted from, where it was: it goes into the bundle.
    """

    model_config = ConfigDict(extra="forbid")
    class_id: str
    mesh: str
    unit: str = "m"
    source: MeshSource | None = None
    symmetries_discrete: list[list[float]] = []
    symmetries_continuous: list[_ContinuousEntry] = []


class _ObjectFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    objects: list[ObjectEntry]


def load_objects(path: str | Path) -> list[ObjectModel]:
    """Loads every object of an objects.yaml, or of a folder that holds one; or the models of a BOP data set.

    Args:
        path: the file or its folder; or a data set's folder of models (T-LESS's models_cad, say), without objects.yaml.

    Raises:
        FileNotFoundError: no such file, or a mesh is missing.
        ValueError: a key is unknown or wrong, a class is named twice, a mesh cannot be used.
    """
    path = Path(path)
    if (path / "models_info.json").is_file() and not (path / "objects.yaml").is_file():
        return load_bop_models(path)
    path = path / "objects.yaml" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: pass an objects.yaml or a folder that holds one")
    try:
        entries = _ObjectFile.model_validate(yaml.safe_load(path.read_text())).objects
    except (ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is not a valid objects.yaml: {error}") from error
    names = [entry.class_id for entry in entries]
    if not names:
        raise ValueError(f"{path} lists no object")
    if len(set(names)) < len(names):
        raise ValueError(
            f"{path} names a class_id twice: {sorted(n for n in set(names) if names.count(n) > 1)}"
        )
    return [_load(entry, path.parent) for entry in entries]


def load_bop_models(folder: Path) -> list[ObjectModel]:
    """The objects of a BOP data set's folder of models, named as a report names them, with its symmetries.

    Raises:
        FileNotFoundError, ValueError: a mesh or models_info.json is missing or damaged.
    """
    named = load_objects_info(folder.parent, folder.resolve().parent.name)
    out = []
    for key, entry in sorted(read_json(folder / "models_info.json").items(), key=lambda item: int(item[0])):
        mesh = Mesh.load(folder / f"obj_{int(key):06d}.ply", unit="mm")
        try:
            symmetries = SymmetrySet.from_bop(entry)
        except (ValueError, AttributeError, TypeError) as error:
            raise BopDataError(f"{folder / 'models_info.json'}, object {key}: {error}") from error
        name = named[int(key)].name if int(key) in named else f"obj_{int(key):06d}"
        out.append(ObjectModel(name, mesh, symmetries))
    return out


def _load(entry: ObjectEntry, folder: Path) -> ObjectModel:
    if entry.unit not in METRES_PER_UNIT:
        raise ValueError(f"{entry.class_id}: unit {entry.unit!r} is not one of {', '.join(METRES_PER_UNIT)}")
    mesh = Mesh.load(folder / entry.mesh, unit=entry.unit)
    try:
        symmetries = SymmetrySet.from_bop(entry.model_dump(), METRES_PER_UNIT[entry.unit])
    except ValueError as error:
        raise ValueError(f"{entry.class_id}: {error}") from error
    return ObjectModel(entry.class_id, mesh, symmetries, entry.source)
