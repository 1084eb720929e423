"""A bundle: all that a robot needs to run a trained model, as a folder.

    bundle.yaml            classes, symmetries, depth limits, model sizes, provenance, hashes; conventions where they
                           are not our usual ones; the calibration, once there is one
    weights.safetensors    the network's weights
    meshes/                one .glb a class

Meshes that may not be passed on can be taken out: bundle.yaml then says which files they came from, and
`mrc-net join-meshes` puts a user's own copies in (bundle_meshes.py).

Nothing is unpickled, and every path stays inside of the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.mesh_source import file_sha256
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.symmetries import SymmetrySet
from mrc_core.inference.bundle_file import (
    FORMAT_VERSION,
    BundleError,
    BundleFile,
    ObjectEntry,
    check_hash,
    inside,
    read_bundle_file,
    whole_folder,
    write_bundle_file,
)
from mrc_core.inference.calibration import Calibration
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.conventions import OURS, Conventions
from mrc_core.model.network import MRCNet
from mrc_core.model.pose_codec import PoseCodec

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A trained model in memory; `objects` are in the order of the network's object_index.

    The calibration belongs to these weights and no others.
    `mesh_files`: where the objects' meshes lie, in the same order; empty if the bundle was not loaded from a folder.
    """

    objects: tuple[ObjectModel, ...]
    config: MRCNetConfig
    depth_limits: Tensor  # (num_objects, 2), tau_z, m per crop px
    weights: dict[str, Tensor]
    provenance: dict[str, Any]
    conventions: Conventions = OURS
    calibration: Calibration | None = None
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
        """Writes the bundle beside `path`, then puts it in place: an interruption leaves the old one or the new one.

        Raises:
            BundleError: the calibration was fitted for other weights or objects.
        """
        with whole_folder(Path(path)) as folder:
            (folder / "meshes").mkdir()
            entries = []
            for item, limits in zip(self.objects, self.depth_limits.tolist()):
                mesh_path = folder / "meshes" / f"{item.class_id}.glb"
                item.mesh.save(mesh_path)
                entry = {
                    "class_id": item.class_id,
                    "mesh": f"meshes/{item.class_id}.glb",
                    "mesh_sha256": file_sha256(mesh_path),
                    "diameter_m": round(item.diameter, 6),
                    "tau_z_limits": limits,
                    **item.symmetries.to_bop(metres_per_unit=1.0),
                }
                if item.source is not None:
                    entry["source"] = item.source.model_dump(exclude_defaults=True)
                entries.append(entry)
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
            save_file(weights, folder / WEIGHTS)
            content = {
                "format_version": FORMAT_VERSION,
                "objects": entries,
                "model": self.config.model_dump(mode="json"),
                "weights_sha256": file_sha256(folder / WEIGHTS),
                "provenance": self.provenance,
            }
            if self.conventions != OURS:
                content["conventions"] = self.conventions.model_dump(mode="json")
            if self.calibration is not None:
                content["calibration"] = self.calibration.model_dump(mode="json")
            write_bundle_file(folder, content)

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Reads and checks a bundle.

        Raises:
            BundleError: something is missing, altered, cut short or outside of the folder.
        """
        path = Path(path)
        content = read_bundle_file(path)
        if content.without_mesh:
            names = ", ".join(entry.class_id for entry in content.without_mesh)
            raise BundleError(
                f"{path} comes without the meshes of {names}: put your own copies in with `{join_command(path)}`; "
                f"`mrc-net info --bundle {path}` says which files they are and where to get them"
            )
        loaded = with_objects(path, content, [load_object(path, entry) for entry in content.objects])
        return replace(loaded, mesh_files=tuple(inside(path, entry) for entry in content.objects))


def join_command(path: Path) -> str:
    """What completes a bundle without meshes."""
    return f"mrc-net join-meshes {path} --meshes FOLDER --output {path.name}_complete"


def with_objects(path: Path, content: BundleFile, objects: Sequence[ObjectModel]) -> Bundle:
    """The bundle in a folder, with objects that were read from it or put together otherwise.

    Raises:
        BundleError: the weights are missing or altered.
    """
    limits = torch.tensor([entry.tau_z_limits for entry in content.objects])
    return Bundle(
        tuple(objects),
        content.config,
        limits,
        load_weights(path, content),
        content.provenance,
        content.conventions,
        content.calibration,
    )


def load_weights(path: Path, content: BundleFile) -> dict[str, Tensor]:
    """The network's weights in a bundle's folder.

    Raises:
        BundleError: they are missing or altered.
    """
    check_hash(path / WEIGHTS, content.weights_sha256)
    try:
        return load_file(path / WEIGHTS)
    except Exception as error:  # safetensors raises a type of its own
        raise BundleError(f"{path / WEIGHTS} cannot be read: {error}") from error


def load_object(folder: Path, entry: ObjectEntry) -> ObjectModel:
    """An object whose mesh is in the bundle.

    Raises:
        BundleError: the mesh is missing, altered, outside of the bundle or unusable.
    """
    path = inside(folder, entry)
    check_hash(path, str(entry.mesh_sha256))
    try:
        return object_of(entry, Mesh.load(path))
    except (ValueError, KeyError) as error:
        raise BundleError(f"{entry.class_id}: {error}") from error


def object_of(entry: ObjectEntry, mesh: Mesh) -> ObjectModel:
    """An object as bundle.yaml has it, with a mesh in metres."""
    symmetries = SymmetrySet.from_bop(entry.model_dump(), metres_per_unit=1.0)
    return ObjectModel(entry.class_id, mesh, symmetries, entry.source)


def codec_for(config: MRCNetConfig, depth_limits: Tensor, conventions: Conventions = OURS) -> PoseCodec:
    """The pose codec that a network of this configuration speaks."""
    return PoseCodec(
        config.n_side,
        config.xy_cells,
        config.depth_bins,
        depth_limits,
        config.crop_size,
        conventions,
        config.depth_residual,
    )


def make_bundle(
    objects: Sequence[ObjectModel],
    network: MRCNet,
    depth_limits: Tensor,
    weights: dict[str, Tensor],
    provenance: dict[str, Any],
    conventions: Conventions = OURS,
) -> Bundle:
    """A bundle of a trained network; `weights` may be an average of its weights."""
    return Bundle(tuple(objects), network.config, depth_limits.cpu(), weights, provenance, conventions)
