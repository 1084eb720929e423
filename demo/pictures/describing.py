"""A picture's description on disk: JSON that names its meshes, which many pictures share.

    FOLDER/descriptions/000001_000003.json
    FOLDER/shapes/0123456789abcdef.npz      vertices, normals, faces, and uv with texture, or colors
    FOLDER/raw/000001_000003_89abcdef.tif   what Blender makes of it: 16 bits, linear, 65535 is RAW_WHITE

A raw picture's name ends in a hash of all that it depends on, so that one of another description is not taken for it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from objects.source.surface import Surface

from mrc_core.data.atomic_files import write_bytes

from .drawing import Picture
from .things import Part, Placed, Prop

RAW_WHITE = 8.0  # linear value; brighter is clipped


@dataclass(frozen=True)
class Stored:
    """Where a described picture's files are; the raw one may not be there yet."""

    scene_id: int
    description: Path
    raw: Path


def write_descriptions(folder: Path, pictures: Iterable[Picture]) -> list[Stored]:
    """Writes descriptions with their shapes and gives their places; descriptions of other pictures go away."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    known = {path.stem for path in (folder / "shapes").glob("*.npz")}
    stored = []
    for picture in pictures:
        content = describe(picture)
        for part, entry in zip(_parts(picture), content["things"]):
            if entry["shape"] not in known:
                write_bytes(folder / "shapes" / f"{entry['shape']}.npz", _packed(part))
                known.add(entry["shape"])
        name = f"{picture.scene_id:06d}_{picture.image_id:06d}"
        path = folder / "descriptions" / f"{name}.json"
        write_bytes(path, (json.dumps(content) + "\n").encode())
        stored.append(Stored(picture.scene_id, path, folder / content["raw"]))
    for path in set((folder / "descriptions").glob("*.json")) - {item.description for item in stored}:
        path.unlink()
    return stored


def describe(picture: Picture) -> dict[str, Any]:
    """The description as JSON has it. A thing's `group` counts the props, of which each may have several parts."""
    things = []
    for group, placed in enumerate(picture.things):
        for part in placed.prop.parts:
            things.append(
                {
                    "name": placed.prop.kind,
                    "shape": _shape_name(part),
                    "material": part.material,
                    "world_from_thing": placed.world_from_prop.tolist(),
                    "group": group,
                    "obj_id": placed.obj_id,
                }
            )
    content: dict[str, Any] = {
        "size": list(picture.size),
        "K": picture.K.tolist(),
        "cam_from_world": picture.cam_from_world.tolist(),
        "lights": list(picture.lights),
        "lens": picture.lens,
        "motion": picture.motion,
        "seed": picture.seed,
        "raw_white": RAW_WHITE,
        "things": things,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    name = f"raw/{picture.scene_id:06d}_{picture.image_id:06d}_{digest}.tif"
    # developing comes after rendering: the raw picture does not depend on it
    return content | {
        "scene_id": picture.scene_id,
        "image_id": picture.image_id,
        "raw": name,
        "sensor": picture.sensor,
    }


def read_description(path: Path) -> Picture:
    """The picture of a description.

    Raises:
        FileNotFoundError: a shape is missing.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    things: list[Placed] = []
    groups: dict[int, list[dict[str, Any]]] = {}
    for entry in content["things"]:
        groups.setdefault(entry["group"], []).append(entry)
    for entries in groups.values():
        parts = tuple(_unpacked(path.parent.parent, entry) for entry in entries)
        first = entries[0]
        pose = np.array(first["world_from_thing"])
        things.append(Placed(Prop(first["name"], parts), pose, first["obj_id"]))
    return Picture(
        content["scene_id"],
        content["image_id"],
        (content["size"][0], content["size"][1]),
        np.array(content["K"]),
        np.array(content["cam_from_world"]),
        tuple(things),
        tuple(content["lights"]),
        content["lens"],
        content["motion"],
        content["seed"],
        content["sensor"],
    )


def _parts(picture: Picture) -> list[Part]:
    return [part for placed in picture.things for part in placed.prop.parts]


def _arrays(part: Part) -> dict[str, NDArray[Any]]:
    """A part's arrays as they are stored."""
    surface = part.surface
    kinds = {
        "vertices": np.float32,
        "normals": np.float32,
        "faces": np.int32,
        "uv": np.float32,
        "colors": np.uint8,
    }
    arrays = {key: getattr(surface, key) for key in kinds}
    stored = {
        key: np.ascontiguousarray(array, kinds[key]) for key, array in arrays.items() if array is not None
    }
    return stored if part.texture is None else stored | {"texture": np.ascontiguousarray(part.texture)}


def _shape_name(part: Part) -> str:
    """A hash of a part's shape and texture."""
    digest = hashlib.sha256()
    for key, array in _arrays(part).items():
        digest.update(f"{key} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def _packed(part: Part) -> bytes:
    """A part's arrays as npz."""
    out = io.BytesIO()
    np.savez_compressed(out, **_arrays(part))
    return out.getvalue()


def _unpacked(folder: Path, entry: dict[str, Any]) -> Part:
    with np.load(folder / "shapes" / f"{entry['shape']}.npz") as arrays:
        surface = Surface(
            arrays["vertices"].astype(np.float64),
            arrays["normals"].astype(np.float64),
            arrays["faces"].astype(np.int64),
            uv=arrays["uv"].astype(np.float64) if "uv" in arrays else None,
            colors=arrays.get("colors"),
        )
        texture = arrays.get("texture")
    return Part(surface, entry["material"], texture)
