"""Three small objects and the data set that `mrc-net synthesize` makes of them, for several test modules."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import trimesh
from conftest import wedge_mesh

from mrc_core.cli import main
from mrc_core.data.bop_models import write_models
from mrc_core.geometry import ContinuousSymmetry, Mesh, ObjectModel, SymmetrySet

SIZE = (120, 160)
SCENES, IMAGES = 2, 5
HALF_TURN = [[-1.0, 0, 0, 0.06], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]  # about the box's middle


def textured_box() -> Mesh:
    """A box whose origin is off its middle, each face with a corner of one noisy texture."""
    solid = trimesh.creation.box(extents=[0.08, 0.05, 0.11])
    vertices = (solid.vertices[solid.faces].reshape(-1, 3) + [0.03, 0, 0.05]).astype(np.float32)
    rng = np.random.default_rng(0)
    return Mesh(
        vertices,
        np.arange(len(vertices), dtype=np.int32).reshape(-1, 3),
        np.repeat(solid.face_normals, 3, axis=0).astype(np.float32),
        uv=rng.random((len(vertices), 2)).astype(np.float32),
        texture=rng.integers(0, 255, (17, 31, 3), dtype=np.uint8),
        name="box",
    )


def plain_disc() -> Mesh:
    solid = trimesh.creation.cylinder(radius=0.05, height=0.03, sections=24)
    return Mesh(solid.vertices.astype(np.float32), solid.faces.astype(np.int32), name="disc")


OBJECTS = [
    ObjectModel("wedge", wedge_mesh(), SymmetrySet()),
    ObjectModel("box", textured_box(), SymmetrySet(torch.tensor([HALF_TURN]))),
    ObjectModel(
        "disc", plain_disc(), SymmetrySet(continuous=(ContinuousSymmetry((0, 0, 1), (0.0, 0, 0.01)),))
    ),
]


def make_models(folder: Path) -> Path:
    """The models/ folder of the three objects, which holds an objects.yaml."""
    write_models(folder, OBJECTS)
    return folder / "models"


def synthesize(models: Path, output: Path, *more: str) -> int:
    """Runs the command on small images; later options win."""
    small = {
        "--width": SIZE[1],
        "--height": SIZE[0],
        "--scenes": SCENES,
        "--images": IMAGES,
        "--instances": 2,
    }
    options = [str(part) for pair in small.items() for part in pair]
    return main(["synthesize", "--objects", str(models), "--output", str(output), *options, *more])


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def read_json(path: Path):
    return json.loads(path.read_text())


def read_png(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def instances(dataset: Path):
    """(scene folder, image key, gt number, K, cam_from_obj in metres, ground truth, its info) of every instance."""
    for scene in sorted((dataset / "test").iterdir()):
        camera, gt, info = (read_json(scene / f"scene_{name}.json") for name in ("camera", "gt", "gt_info"))
        for key in gt:
            for number, (truth, facts) in enumerate(zip(gt[key], info[key])):
                pose = np.eye(4)
                pose[:3, :3] = np.reshape(truth["cam_R_m2c"], (3, 3))
                pose[:3, 3] = np.array(truth["cam_t_m2c"]) / 1000
                yield scene, key, number, np.reshape(camera[key]["cam_K"], (3, 3)), pose, truth, facts
