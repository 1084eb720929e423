"""A bundle: all that a robot needs to run a trained model, as a folder.

    bundle.yaml            classes, symmetries, depth limits, model sizes, provenance, hashes; conventions of weights
                           that were trained elsewhere
    weights.safetensors    the network's weights
    meshes/                one .glb a class

Nothing is unpickled, and every path stays inside of the folder.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.symmetries import SymmetrySet
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.conventions import OURS, Conventions
from mrc_core.model.network import MRCNet
from mrc_core.model.pose_codec import PoseCodec

FORMAT_VERSION = 1


class BundleError(ValueError):
    """A bundle cannot be used; the message says what is wrong and what to do."""


class _ObjectEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    class_id: str
    mesh: str
    mesh_sha256: str
    diameter_m: float
    tau_z_limits: tuple[float, float]
    symmetries_discrete: list[list[float]] = []
    symmetries_continuous: list[dict[str, list[float]]] = []


class _BundleFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format_version: int
    objects: list[_ObjectEntry]
    model: dict[str, Any]
    weights_sha256: str
    conventions: Conventions = OURS
    provenance: dict[str, Any] = {}


@dataclass(frozen=True)
class Bundle:
    """A trained model in memory; `objects` are in the order of the network's object_index.

    `mesh_files`: where the objects' meshes lie, in the same order; empty if the bundle was not loaded from a folder.
    """

    objects: tuple[ObjectModel, ...]
    config: MRCNetConfig
    depth_limits: Tensor  # (num_objects, 2), tau_z, m per crop px
    weights: dict[str, Tensor]
    provenance: dict[str, Any]
    conventions: Conventions = OURS
    mesh_files: tuple[Path, ...] = ()

    @property
    def class_ids(self) -> list[str]:
        """Names of the classes, in the order of the network's object_index."""
        return [item.class_id for item in self.objects]

    def network(self, device: str | torch.device = "cpu") -> MRCNet:
        """The network with its weights, in evaluation mode, channels-last."""
        network = MRCNet(self.config)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise BundleError(f"the weights do not fit the bundle's model section: {error}") from error
        return network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def codec(self, device: str | torch.device = "cpu") -> PoseCodec:
        """The pose codec that belongs to the network."""
        return codec_for(self.config, self.depth_limits, self.conventions).to(device)

    def network_meshes(self) -> list[Mesh]:
        """The meshes in the frame that the network knows: what is to be rendered."""
        if self.conventions.object_origin == "mesh":
            return [item.mesh for item in self.objects]
        return [item.centred_mesh for item in self.objects]

    def network_from_obj(self) -> Tensor:
        """Transforms (num_objects, 4, 4), float64, from each mesh's own frame to the one that the network knows."""
        if self.conventions.object_origin == "mesh":
            return torch.eye(4, dtype=torch.float64).repeat(len(self.objects), 1, 1)
        return torch.stack([item.centred_from_obj() for item in self.objects])

    def save(self, path: str | Path) -> None:
        """Writes the bundle beside `path`, then puts it in place: an interruption leaves the old one or the new one."""
        target = Path(path)
        path = target.with_name(target.name + ".partial")
        shutil.rmtree(path, ignore_errors=True)
        (path / "meshes").mkdir(parents=True)
        entries = []
        for item, limits in zip(self.objects, self.depth_limits.tolist()):
            mesh_path = path / "meshes" / f"{item.class_id}.glb"
            item.mesh.save(mesh_path)
            entries.append(
                {
                    "class_id": item.class_id,
                    "mesh": f"meshes/{item.class_id}.glb",
                    "mesh_sha256": _sha256(mesh_path),
                    "diameter_m": round(item.diameter, 6),
                    "tau_z_limits": limits,
                    **item.symmetries.to_bop(metres_per_unit=1.0),
                }
            )
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        save_file(weights, path / "weights.safetensors")
        content = {
            "format_version": FORMAT_VERSION,
            "objects": entries,
            "model": self.config.model_dump(mode="json"),
            "weights_sha256": _sha256(path / "weights.safetensors"),
            "provenance": self.provenance,
        }
        if self.conventions != OURS:
            content["conventions"] = self.conventions.model_dump(mode="json")
        _BundleFile.model_validate(content)
        (path / "bundle.yaml").write_text(
            yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)
        )
        old = target.with_name(target.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        path.rename(target)
        shutil.rmtree(old, ignore_errors=True)

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Reads and checks a bundle.

        Raises:
            BundleError: something is missing, altered, cut short or outside of the folder.
        """
        path = Path(path)
        if not (path / "bundle.yaml").is_file():
            raise BundleError(
                f"{path} is not a bundle (no bundle.yaml): pass the folder that `mrc-net train` wrote"
            )
        try:
            content = _BundleFile.model_validate(yaml.safe_load((path / "bundle.yaml").read_text()))
            config = MRCNetConfig(**content.model)
        except (ValidationError, yaml.YAMLError, TypeError, ValueError) as error:
            raise BundleError(f"{path / 'bundle.yaml'} is not valid: {error}") from error
        if content.format_version != FORMAT_VERSION:
            raise BundleError(
                f"{path} has format {content.format_version}, this program reads {FORMAT_VERSION}"
            )
        if len(content.objects) != config.num_objects:
            raise BundleError(
                f"{path}: {len(content.objects)} objects listed, the model has {config.num_objects}"
            )
        weights_path = path / "weights.safetensors"
        _check_hash(weights_path, content.weights_sha256)
        objects = tuple(_load_object(path, entry) for entry in content.objects)
        try:
            weights = load_file(weights_path)
        except Exception as error:  # safetensors raises a type of its own
            raise BundleError(f"{weights_path} cannot be read: {error}") from error
        limits = torch.tensor([entry.tau_z_limits for entry in content.objects])
        mesh_files = tuple((path / entry.mesh).resolve() for entry in content.objects)
        return cls(
            objects, config, limits, weights, content.provenance, content.conventions, mesh_files=mesh_files
        )


def codec_for(config: MRCNetConfig, depth_limits: Tensor, conventions: Conventions = OURS) -> PoseCodec:
    """The pose codec that a network of this configuration speaks."""
    return PoseCodec(
        config.n_side, config.xy_cells, config.depth_bins, depth_limits, config.crop_size, conventions
    )


def _load_object(folder: Path, entry: _ObjectEntry) -> ObjectModel:
    mesh_path = (folder / entry.mesh).resolve()
    if not mesh_path.is_relative_to(folder.resolve()):
        raise BundleError(f"{entry.class_id}: the mesh path {entry.mesh!r} leaves the bundle")
    _check_hash(mesh_path, entry.mesh_sha256)
    try:
        symmetries = SymmetrySet.from_bop(entry.model_dump(), metres_per_unit=1.0)
        return ObjectModel(entry.class_id, Mesh.load(mesh_path), symmetries)
    except (ValueError, KeyError) as error:
        raise BundleError(f"{entry.class_id}: {error}") from error


def _check_hash(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing: copy the whole bundle folder again")
    if _sha256(path) != expected:
        raise BundleError(
            f"{path} was altered or cut short (its hash differs): copy the whole bundle folder again"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_bundle(
    objects: Sequence[ObjectModel],
    network: MRCNet,
    depth_limits: Tensor,
    weights: dict[str, Tensor],
    provenance: dict[str, Any],
) -> Bundle:
    """A bundle of a trained network; `weights` may be an average of its weights."""
    return Bundle(tuple(objects), network.config, depth_limits.cpu(), weights, provenance)
