"""Mesh files into an objects.yaml with meshes of its own: units, names, checks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from mrc_core.cli.mesh_names import mesh_names
from mrc_core.cli.objects_file import with_symmetries
from mrc_core.data.atomic_files import write_bytes
from mrc_core.geometry import Mesh
from mrc_core.geometry.mesh import METRES_PER_UNIT
from mrc_core.geometry.mesh_diameter import point_set_diameter
from mrc_core.geometry.mesh_loading import load_parts
from mrc_core.geometry.mesh_source import MeshSource, source_of
from mrc_core.inference.bundle import Bundle

LIKELY_M = (0.02, 1.5)  # diameters of what a robot handles
MANY_TRIANGLES = 200_000
HEADER = """\
# Written by `mrc-net onboard`. Symmetries may be edited here before training starts; the same command then goes on.
# They are as in BOP's models_info: 4x4 matrices row by row, without the identity, and axes with a point on them (m).
"""


@dataclass(frozen=True)
class NamedMesh:
    """A mesh in metres with its class and the file that it came from; `unit_words` say how its unit was found."""

    class_id: str
    path: Path
    mesh: Mesh
    unit_words: str
    source: MeshSource


def read_meshes(paths: Sequence[str], unit: str | None, origin: str | None = None) -> list[NamedMesh]:
    """Reads mesh files.

    Args:
        unit: of all files; None: told by each mesh's size.
        origin: where the files came from: a text for all of them, or a YAML file with a text for each class.

    Raises:
        FileNotFoundError, ValueError: a file cannot be used, or no class can be made of its name.
    """
    out = []
    origins = read_origins(origin, mesh_names(paths))
    for name, path in zip(mesh_names(paths), map(Path, paths)):
        chosen, words = (unit, f"{unit}, as given") if unit else likely_unit(path)
        opened: list[str] = []
        mesh = Mesh.load(path, chosen, opened)
        out.append(NamedMesh(name, path, mesh, words, source_of(path, chosen, origins[name], opened)))
    return out


def read_origins(origin: str | None, class_ids: Sequence[str]) -> dict[str, str]:
    """Where the mesh of each class came from, as one line; empty where nobody said.

    Raises:
        FileNotFoundError, ValueError: it names a YAML file that cannot be used.
    """
    if origin is None or Path(origin).suffix.lower() not in (".yaml", ".yml"):
        return dict.fromkeys(class_ids, " ".join((origin or "").split()))
    try:
        content = yaml.safe_load(Path(origin).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"--origin {origin} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
        raise ValueError(f"--origin {origin} must have a line `class: text` for each mesh")
    unknown = sorted(set(map(str, content)) - set(class_ids))
    if unknown:
        raise ValueError(
            f"--origin {origin} names {', '.join(unknown)}; the classes are {', '.join(class_ids)}"
        )
    return {name: " ".join(content.get(name, "").split()) for name in class_ids}


def likely_unit(path: Path) -> tuple[str, str]:
    """The unit that makes a graspable object of a mesh, and why.

    glb files are in metres by definition, which is believed unless the size speaks against it. Of other files the first
    of m, mm, cm and in that gives 2 cm to 1.5 m.

    Raises:
        FileNotFoundError, ValueError: the file cannot be read, or no unit makes sense.
    """
    vertices = np.concatenate([part.vertices for part in load_parts(path)])
    if not np.isfinite(vertices).all():
        raise ValueError(
            f"mesh '{path}': {int((~np.isfinite(vertices)).any(axis=1).sum())} vertices are NaN or infinite"
        )
    size = point_set_diameter(vertices)
    for unit in ("m", "mm", "cm", "in"):
        if LIKELY_M[0] <= size * METRES_PER_UNIT[unit] <= LIKELY_M[1]:
            if unit == "m":
                return unit, "m, as glb files are" if path.suffix.lower() == ".glb" else "m, by its size"
            return unit, f"{unit}, by its size (in m it would be {size:.3g} m)"
    raise ValueError(
        f"mesh '{path}' is {size:.4g} units across, which no unit makes a graspable object: pass --unit if it is one"
    )


def print_meshes(console: Console, meshes: Sequence[NamedMesh]) -> None:
    """A table of sizes, and a line for everything that may make trouble."""
    table = Table("class", "unit", title="objects", title_justify="left")
    for heading in ("size, mm", "diameter, mm", "triangles", "colours"):
        table.add_column(heading, justify="right")
    for one in meshes:
        mesh = one.mesh
        size = " x ".join(f"{1000 * v:.0f}" for v in np.ptp(mesh.vertices, axis=0))
        colours = (
            "texture"
            if mesh.texture is not None
            else "vertices"
            if mesh.vertex_colors is not None
            else "none"
        )
        table.add_row(
            one.class_id, one.unit_words, size, f"{1000 * mesh.diameter:.0f}", str(len(mesh.faces)), colours
        )
    console.print(table)
    for one in meshes:
        if one.mesh.texture is None and one.mesh.vertex_colors is None:
            console.print(
                f"! {one.class_id} has no colours and is learnt grey: give its mesh the object's colour, if you can"
            )
        if len(one.mesh.faces) > MANY_TRIANGLES:
            console.print(
                f"! {one.class_id} has many triangles: decimate it to {MANY_TRIANGLES} or less to train faster"
            )


def write_objects(
    folder: Path, meshes: Sequence[NamedMesh], known: Bundle | None, known_path: str | None
) -> Path:
    """Writes meshes/ and objects.yaml: the objects of a bundle with their symmetries, then the new ones without.

    Raises:
        ValueError: a new class is in the bundle already.
    """
    twice = sorted({one.class_id for one in meshes} & set(known.class_ids if known else []))
    if twice:
        raise ValueError(f"{known_path} has a class {', '.join(twice)} already: rename the mesh file")
    target = folder / "meshes"
    target.mkdir(parents=True, exist_ok=True)
    lines = [HEADER + "objects:"]
    symmetries = {}
    for item in known.objects if known else ():
        shutil.copyfile(
            Path(str(known_path)) / "meshes" / f"{item.class_id}.glb", target / f"{item.class_id}.glb"
        )
        lines.append(_entry(item.class_id, f"of {known_path}", item.source))
        symmetries[item.class_id] = item.symmetries
    for one in meshes:
        one.mesh.save(target / f"{one.class_id}.glb")
        lines.append(_entry(one.class_id, f"from {one.path}, {one.unit_words}", one.source))
    path = folder / "objects.yaml"
    write_bytes(path, with_symmetries("\n".join(lines) + "\n", symmetries).encode("utf-8"))
    return path


def _entry(class_id: str, words: str, source: MeshSource | None) -> str:
    words = " ".join(words.split())  # a line break in a file's name would end the comment
    lines = [f"# {words}", f'- class_id: "{class_id}"', f'  mesh: "meshes/{class_id}.glb"', "  unit: m"]
    if source is not None:  # on one line, as JSON, which is YAML too
        lines.append(f"  source: {json.dumps(source.model_dump(exclude_defaults=True))}")
    return "\n".join(lines)
