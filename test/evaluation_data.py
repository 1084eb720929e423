"""A small BOP data set for tests: a wedge without symmetry, a disc of revolution and a box with half turns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trimesh
import yaml
from conftest import wedge_mesh

from mrc_core.cli import main
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.evaluation.results_file import PoseResult
from mrc_core.geometry import Mesh


def write_objects(folder: Path) -> Path:
    """Writes three meshes and their objects.yaml."""
    folder.mkdir(parents=True)
    solids = {
        "disc": trimesh.creation.cylinder(radius=0.05, height=0.04, sections=48),
        "box": trimesh.creation.box((0.12, 0.08, 0.05)).subdivide().subdivide(),
    }
    meshes = {"wedge": wedge_mesh()}
    for name, solid in solids.items():
        vertices, faces = np.asarray(solid.vertices, np.float32), np.asarray(solid.faces, np.int32)
        meshes[name] = Mesh(vertices=vertices, faces=faces, name=name)
    half_turns = [[-1, -1, 1], [-1, 1, -1], [1, -1, -1]]
    symmetries = {
        "wedge": {},
        "disc": {
            "symmetries_discrete": [np.diag([1, -1, -1, 1]).flatten().tolist()],
            "symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}],
        },
        "box": {"symmetries_discrete": [np.diag([*turn, 1]).flatten().tolist() for turn in half_turns]},
    }
    entries = []
    for name, mesh in meshes.items():
        mesh.save(folder / f"{name}.glb")
        entries.append({"class_id": name, "mesh": f"{name}.glb", "unit": "m", **symmetries[name]})
    (folder / "objects.yaml").write_text(yaml.safe_dump({"objects": entries}))
    return folder


def synthesize(folder: Path, *more: str) -> Path:
    """A data set of two scenes with three small images each."""
    objects = write_objects(folder.with_name(folder.name + "_objects"))
    sizes = ["--scenes", "2", "--images", "3", "--width", "240", "--height", "180"]
    many = ["--objects-per-image", "3", "5", "--instances", "2"]
    assert main(["synthesize", "--objects", str(objects), "--output", str(folder), *sizes, *many, *more]) == 0
    return folder


def ground_truth_results(dataset: BopDataset, time_s: float = 0.1) -> list[PoseResult]:
    """Every instance of a data set as an estimate, the visible ones with the higher score."""
    return [
        PoseResult(scene_id, image.image_id, truth.obj_id, truth.visib_fract, truth.cam_from_obj, time_s)
        for scene_id in dataset.scene_ids
        for image in dataset.images(scene_id).values()
        for truth in image.ground_truth
    ]


def change_json(path: Path, change) -> None:
    """Replaces a JSON file by what `change` makes of its content."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))
