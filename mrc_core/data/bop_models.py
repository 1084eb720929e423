"""Writes the models of a BOP data set: millimetre ply files, their sizes and symmetries, and an objects.yaml."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from mrc_core.data.atomic_files import write_bytes, write_json
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.mesh_normals import smooth_vertex_normals
from mrc_core.geometry.objects import ObjectModel

METRES_PER_MM = 1e-3
OBJECTS_YAML_HEAD = (
    "# The data set's objects for `mrc-net train --objects`; symmetries as in models_info.json.\n"
)


def write_models(dataset: str | Path, objects: Sequence[ObjectModel]) -> None:
    """Writes models/ (with colours or texture, and objects.yaml) and models_eval/ (geometry alone) of a data set.

    The n-th object, counted from 1, has the number n. Both folders get a models_info.json, whose entries also have the
    key "name", the class. Existing files are replaced, each of them in one step.

    Args:
        dataset: the data set's folder.
        objects: the meshes stand in their own frames, in metres; so will the files, in millimetres.
    """
    dataset = Path(dataset)
    info = {str(number): model_info(item) for number, item in enumerate(objects, start=1)}
    for number, item in enumerate(objects, start=1):
        name = f"obj_{number:06d}.ply"
        write_ply(dataset / "models" / name, item.mesh)
        write_ply(dataset / "models_eval" / name, surface_alone(item.mesh))
    for folder in ("models", "models_eval"):
        write_json(dataset / folder / "models_info.json", info)
    entries = [
        {
            "class_id": item.class_id,
            "mesh": f"obj_{number:06d}.ply",
            "unit": "mm",
            **item.symmetries.to_bop(METRES_PER_MM),
        }
        for number, item in enumerate(objects, start=1)
    ]
    text = yaml.safe_dump({"objects": entries}, sort_keys=False, default_flow_style=None, width=1000)
    write_bytes(dataset / "models" / "objects.yaml", (OBJECTS_YAML_HEAD + text).encode("utf-8"))


def model_info(item: ObjectModel) -> dict[str, Any]:
    """An object's entry of models_info.json, in millimetres, with its class as "name"."""
    used = item.mesh.vertices[np.unique(item.mesh.faces)].astype(np.float64) / METRES_PER_MM
    low, size = used.min(axis=0), np.ptp(used, axis=0)
    symmetries = item.symmetries.to_bop(METRES_PER_MM)
    return {
        "diameter": round(item.mesh.diameter / METRES_PER_MM, 6),
        **{f"min_{axis}": round(float(value), 6) for axis, value in zip("xyz", low)},
        **{f"size_{axis}": round(float(value), 6) for axis, value in zip("xyz", size)},
        **{key: value for key, value in symmetries.items() if value},  # BOP leaves empty lists out
        "name": item.class_id,
    }


def surface_alone(mesh: Mesh) -> Mesh:
    """The mesh without colours and texture, each place one vertex, and none that no face uses.

    Errors are means over a model's vertices: the copies of a vertex along creases and texture seams would count twice.
    """
    used, corner = np.unique(mesh.faces, return_inverse=True)
    vertices, place = np.unique(mesh.vertices[used], axis=0, return_inverse=True)
    faces = place.reshape(-1)[corner.reshape(mesh.faces.shape)].astype(np.int32)
    return Mesh(vertices, faces, smooth_vertex_normals(vertices, faces), name=mesh.name)


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """Writes a mesh as a binary ply in millimetres; `Mesh.load(path, unit="mm")` gives it back.

    A vertex has x y z nx ny nz, then texture_u texture_v where there is a texture (a PNG of the same name, named in a
    TextureFile comment; v points up), or red green blue where there are colours.
    """
    path = Path(path)
    columns = [
        (name, "float", mesh.vertices[:, i] / np.float32(METRES_PER_MM)) for i, name in enumerate("xyz")
    ]
    columns += [("n" + name, "float", mesh.normals[:, i]) for i, name in enumerate("xyz")]
    comments = ["units: millimetres"]
    if mesh.texture is not None and mesh.uv is not None:
        picture = path.with_suffix(".png")
        comments.append(f"TextureFile {picture.name}")
        columns += [(f"texture_{name}", "float", mesh.uv[:, i]) for i, name in enumerate("uv")]
        encoded = io.BytesIO()
        Image.fromarray(mesh.texture).save(encoded, format="PNG")
        write_bytes(picture, encoded.getvalue())
    elif mesh.vertex_colors is not None:
        columns += [
            (name, "uchar", mesh.vertex_colors[:, i]) for i, name in enumerate(("red", "green", "blue"))
        ]
    vertices = np.empty(
        len(mesh.vertices), dtype=[(name, {"float": "<f4", "uchar": "u1"}[kind]) for name, kind, _ in columns]
    )
    for name, _, values in columns:
        vertices[name] = values
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    header += [f"element vertex {len(vertices)}", *(f"property {kind} {name}" for name, kind, _ in columns)]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    write_bytes(path, ("\n".join(header) + "\n").encode("ascii") + vertices.tobytes() + faces.tobytes())
