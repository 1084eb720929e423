"""bundle.yaml: what stands in it, and how a bundle's folder is replaced as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.mesh_hash import mesh_hash
from mrc_core.geometry.mesh_source import MeshSource, file_sha256
from mrc_core.geometry.objects import CLASS_ID
from mrc_core.inference.calibration import Calibration
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.conventions import OURS, Conventions

FORMAT_VERSION = 1
FILE = "bundle.yaml"


class BundleError(ValueError):
    """A bundle cannot be used; the message says what is wrong and what to do."""


class MeshShape(BaseModel):
    """What a mesh that is not in the bundle must be: its geometry's hash, triangles and bounding box, metres."""

    model_config = ConfigDict(extra="forbid")
    sha256: str
    triangles: int
    bounds_m: tuple[tuple[float, float, float], tuple[float, float, float]]


class ObjectEntry(BaseModel):
    """One object.

    `mesh_sha256` is that of the glb in the bundle, None where the mesh was taken out: `shape` and `source` then tell
    what has to be put back.
    """

    model_config = ConfigDict(extra="forbid")
    class_id: str
    mesh: str
    mesh_sha256: str | None = None
    diameter_m: float
    tau_z_limits: tuple[float, float]
    symmetries_discrete: list[list[float]] = []
    symmetries_continuous: list[dict[str, list[float]]] = []
    shape: MeshShape | None = None
    source: MeshSource | None = None

    @model_validator(mode="after")
    def _can_be_completed(self) -> ObjectEntry:
        if not CLASS_ID.fullmatch(self.class_id):
            raise ValueError(f"class_id {self.class_id!r} cannot be used")
        if self.mesh_sha256 is None and (self.shape is None or self.source is None):
            raise ValueError(f"{self.class_id} has neither a mesh nor shape and source of one")
        return self


class BundleFile(BaseModel):
    """The whole of bundle.yaml."""

    model_config = ConfigDict(extra="forbid")
    format_version: int
    objects: list[ObjectEntry]
    model: dict[str, Any]
    weights_sha256: str
    conventions: Conventions = OURS
    provenance: dict[str, Any] = {}
    calibration: Calibration | None = None

    @property
    def config(self) -> MRCNetConfig:
        """The network's sizes."""
        return MRCNetConfig(**self.model)

    @property
    def without_mesh(self) -> list[ObjectEntry]:
        """The objects whose meshes were taken out."""
        return [entry for entry in self.objects if entry.mesh_sha256 is None]


def read_bundle_file(folder: Path) -> BundleFile:
    """Reads and checks bundle.yaml alone.

    Raises:
        BundleError: it is missing, damaged, or of another format.
    """
    path = folder / FILE
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a bundle (no bundle.yaml): pass the folder that `mrc-net train` wrote"
        )
    try:
        content = BundleFile.model_validate(yaml.safe_load(path.read_text()))
        config = content.config
    except (ValidationError, yaml.YAMLError, TypeError, ValueError) as error:
        raise BundleError(f"{path} is not valid: {error}") from error
    if content.format_version != FORMAT_VERSION:
        raise BundleError(
            f"{folder} has format {content.format_version}, this program reads {FORMAT_VERSION}"
        )
    if len(content.objects) != config.num_objects:
        raise BundleError(
            f"{folder}: {len(content.objects)} objects listed, the model has {config.num_objects}"
        )
    _check_calibration(folder, content)
    return content


def write_bundle_file(folder: Path, content: dict[str, Any]) -> None:
    """Writes bundle.yaml, after a check that it can be read again.

    Raises:
        BundleError: the calibration was fitted for other weights or objects.
    """
    _check_calibration(folder, BundleFile.model_validate(content))
    partial = folder / (FILE + ".partial")
    partial.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110))
    partial.replace(folder / FILE)


def store_calibration(folder: Path, calibration: Calibration) -> None:
    """Puts a calibration into a bundle's folder, in the place of an older one; all other files stay as they are.

    The bundle's rounds of stage 2 become those that were calibrated.

    Raises:
        BundleError: it was fitted for other weights or objects.
    """
    content = yaml.safe_load((folder / FILE).read_text())
    sizes = BundleFile.model_validate(content).config.model_dump(mode="json")
    model = MRCNetConfig(**{**sizes, "rounds": calibration.rounds}).model_dump(mode="json")
    changed = {"model": model, "calibration": calibration.model_dump(mode="json")}
    write_bundle_file(folder, {**content, **changed})


def _check_calibration(folder: Path, content: BundleFile) -> None:
    if content.calibration is not None:
        names = [entry.class_id for entry in content.objects]
        problem = content.calibration.problem(names, content.weights_sha256, content.config.rounds)
        if problem is not None:
            raise BundleError(f"{folder}: {problem}")


def shape_of(mesh: Mesh) -> MeshShape:
    """The shape that another copy of a mesh has to have."""
    low, high = (tuple(round(float(v), 6) for v in corner) for corner in bounds(mesh))
    return MeshShape.model_validate(
        {"sha256": mesh_hash(mesh), "triangles": len(mesh.faces), "bounds_m": (low, high)}
    )


def bounds(mesh: Mesh) -> tuple[list[float], list[float]]:
    """Lower and upper corner of the bounding box, metres, in the mesh's frame."""
    return mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()


def check_hash(path: Path, expected: str) -> None:
    """Checks a file of a bundle.

    Raises:
        BundleError: it is missing or another one.
    """
    if not path.is_file():
        raise BundleError(f"{path} is missing: copy the whole bundle folder again")
    if file_sha256(path) != expected:
        raise BundleError(
            f"{path} was altered or cut short (its hash differs): copy the whole bundle folder again"
        )


def inside(folder: Path, entry: ObjectEntry) -> Path:
    """Where an object's mesh lies.

    Raises:
        BundleError: outside of the bundle.
    """
    path = (folder / entry.mesh).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BundleError(f"{entry.class_id}: the mesh path {entry.mesh!r} leaves the bundle")
    return path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which then takes the place of `target`: an interruption leaves the old one or the new."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
