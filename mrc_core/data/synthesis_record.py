"""What a folder of synthetic data was made from, so that an interrupted run goes on and no other run mixes with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrc_core.data.atomic_files import write_json
from mrc_core.geometry.objects import ObjectModel

SHARED_BY_SPLITS = ("objects", "image_width", "image_height")


def fingerprint(item: ObjectModel) -> str:
    """A hash of all that makes an object: class, geometry, appearance and symmetries."""
    digest = hashlib.sha256(item.class_id.encode())
    mesh = item.mesh
    for array in (mesh.vertices, mesh.faces, mesh.normals, mesh.uv, mesh.texture, mesh.vertex_colors):
        digest.update(b"none" if array is None else str(array.shape).encode() + array.tobytes())
    digest.update(json.dumps(item.symmetries.to_bop()).encode())
    return digest.hexdigest()[:16]


def claim_folder(dataset: Path, split: str, objects: Sequence[ObjectModel], settings: dict[str, Any]) -> bool:
    """Takes a folder for a split of a data set, or finds that it was taken for the same one; True: it goes on.

    Args:
        dataset: the data set's folder; it may be missing, empty, or hold splits of the same objects.
        split: the split's name.
        objects: in the order of their numbers.
        settings: JSON-able; all that the split's scenes depend on, `image_width` and `image_height` among it.

    Raises:
        ValueError: the folder holds something else, or a split of the same name with other settings or objects; the
            message says which.
    """
    wanted = {"objects": {item.class_id: fingerprint(item) for item in objects}} | settings
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as they will be when read
    path = dataset / f"synthesis_{split}.json"
    if dataset.exists() and not dataset.is_dir():
        raise ValueError(f"{dataset} is a file: choose another --output")
    others = sorted(p for p in dataset.glob("synthesis_*.json") if p != path) if dataset.is_dir() else []
    if path.is_file():
        _compare(path, wanted, list(wanted), f"the split {split!r}")
        return True
    if dataset.is_dir() and not others and any(dataset.iterdir()):
        raise ValueError(f"{dataset} already holds something else: choose a new or empty folder as --output")
    if (dataset / split).exists():
        raise ValueError(
            f"{dataset / split} was not written by this command: choose another --split or --output"
        )
    for other in others:
        _compare(other, wanted, SHARED_BY_SPLITS, "all splits of a data set")
    write_json(path, wanted)
    return False


def _compare(path: Path, wanted: dict[str, Any], keys: Sequence[str], what: str) -> None:
    try:
        there = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): choose another --output") from error
    for key in keys:
        if there.get(key) != wanted[key]:
            detail = "" if key == "objects" else f" ({there.get(key)}, not {wanted[key]})"
            raise ValueError(
                f"{path.parent} was made with other {key}{detail}, which must be the same for {what}: give the "
                "options of the first run to go on with it, or choose another --output"
            )
