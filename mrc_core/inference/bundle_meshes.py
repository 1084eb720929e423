"""Meshes out of a bundle, where they may not be passed on, and a user's own copies into it again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from mrc_core.geometry.mesh_source import source_of
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.bundle import WEIGHTS, Bundle, load_object, object_of, with_objects
from mrc_core.inference.bundle_file import (
    FILE,
    BundleError,
    ObjectEntry,
    inside,
    read_bundle_file,
    shape_of,
    whole_folder,
    write_bundle_file,
)
from mrc_core.inference.mesh_copies import MeshCopy, MeshFolders, find_copy


def strip_meshes(path: Path, output: Path, keep: Sequence[str] = ()) -> list[str]:
    """Writes a bundle without its meshes, but with what it takes to tell a user's copies of them.

    Args:
        path: the bundle.
        output: the new bundle's folder.
        keep: classes whose meshes stay in.

    Returns:
        The classes whose meshes were taken out.

    Raises:
        BundleError: the bundle cannot be used, has no such class, or does not know where a mesh came from.
    """
    bundle = Bundle.load(path)
    unknown = sorted(set(keep) - set(bundle.class_ids))
    if unknown:
        raise BundleError(f"{path} has no class {', '.join(unknown)}; it has {', '.join(bundle.class_ids)}")
    without = [item.class_id for item in bundle.objects if item.source is None and item.class_id not in keep]
    if without:
        raise BundleError(
            f"{path} does not say from which files the meshes of {', '.join(without)} came, so that nobody could put "
            "them in again: onboard them with this version, which records it, or leave their meshes in with --keep"
        )
    content = yaml.safe_load((path / FILE).read_text())
    with whole_folder(output) as folder:
        shutil.copyfile(path / WEIGHTS, folder / WEIGHTS)
        for item, entry in zip(bundle.objects, content["objects"]):
            if item.class_id in keep:
                mesh = inside(folder, ObjectEntry.model_validate(entry))
                mesh.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path / entry["mesh"], mesh)
            else:
                del entry["mesh_sha256"]  # of a glb that another version may write with other bytes
                entry["shape"] = shape_of(item.mesh).model_dump(mode="json")
        write_bundle_file(folder, content)
    return [item.class_id for item in bundle.objects if item.class_id not in keep]


def find_copies(path: Path, folders: Sequence[str | Path]) -> list[MeshCopy]:
    """The user's copies of all meshes that a bundle comes without.

    Raises:
        BundleError: the bundle cannot be read.
        FileNotFoundError: a folder is not there.
    """
    missing = read_bundle_file(path).without_mesh
    places = MeshFolders(folders)
    return [find_copy(entry, places) for entry in missing]


def join_meshes(path: Path, copies: Sequence[MeshCopy], output: Path) -> None:
    """Writes the complete bundle.

    The glb files are written anew, and bundle.yaml has their hashes. A copy that is not the same as the mesh of the
    training is recorded as what it is, and named under `other_meshes` in the provenance.

    Args:
        copies: of all missing meshes, each with a mesh.
    """
    content = read_bundle_file(path)
    found = {copy.entry.class_id: copy for copy in copies}
    objects = [
        load_object(path, entry) if entry.mesh_sha256 is not None else _joined(found[entry.class_id])
        for entry in content.objects
    ]
    bundle = with_objects(path, content, objects)
    others = [copy.entry.class_id for copy in copies if not copy.is_same]
    if others:
        bundle = replace(bundle, provenance={**bundle.provenance, "other_meshes": others})
    bundle.save(output)


def _joined(copy: MeshCopy) -> ObjectModel:
    source = copy.entry.source
    assert copy.mesh is not None
    assert copy.path is not None
    assert source is not None
    # named as in the bundle that was stripped, so that the same libraries write the same bytes
    item = object_of(copy.entry, replace(copy.mesh, name=copy.entry.class_id))
    return item if copy.is_same else replace(item, source=source_of(copy.path, source.unit, source.origin))
