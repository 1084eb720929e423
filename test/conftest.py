"""Fixtures that several tests share."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


# A shell that starts jobs in the background has them ignore Ctrl-C, and so do their children: tests of it would wait.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wedge_mesh(scale: float = 1.0):
    """A vertex-coloured wedge of about 0.15 m without symmetry."""
    from mrc_core.geometry import Mesh

    solid = trimesh.convex.convex_hull(
        np.array([[0, 0, 0], [0.12, 0, 0], [0.12, 0.06, 0], [0, 0.06, 0], [0, 0, 0.05], [0, 0.06, 0.09]])
        * scale
    )
    colours = (np.abs(np.asarray(solid.vertices)) / (0.12 * scale) * 255).clip(0, 255).astype(np.uint8)
    return Mesh(
        vertices=np.asarray(solid.vertices, dtype=np.float32),
        faces=np.asarray(solid.faces, dtype=np.int32),
        normals=np.asarray(solid.vertex_normals, dtype=np.float32),
        uv=None,
        texture=None,
        vertex_colors=colours,
        name="wedge",
    )


def make_random_bundle(path: Path, class_ids: tuple[str, ...] = ("wedge", "disc"), seed: int = 0) -> Path:
    """Writes a bundle with random weights: a wedge without symmetry and a disc of revolution about z."""
    from mrc_core.geometry import ContinuousSymmetry, Mesh, ObjectModel, SymmetrySet
    from mrc_core.inference.bundle import make_bundle
    from mrc_core.model import MRCNet, MRCNetConfig

    disc = trimesh.creation.cylinder(radius=0.05, height=0.04, sections=48)
    disc_mesh = Mesh(
        vertices=np.asarray(disc.vertices, dtype=np.float32),
        faces=np.asarray(disc.faces, dtype=np.int32),
        normals=np.asarray(disc.vertex_normals, dtype=np.float32),
        uv=None,
        texture=None,
        vertex_colors=None,
        name="disc",
    )
    lathe = SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.0, 1.0)),))
    objects = [
        ObjectModel(class_ids[0], wedge_mesh(), SymmetrySet()),
        ObjectModel(class_ids[1], disc_mesh, lathe),
    ]
    torch.manual_seed(seed)
    network = MRCNet(MRCNetConfig.small(2))
    with torch.no_grad():  # residuals start near zero: made larger, so that stage 2 shows in the poses
        for name, parameter in network.named_parameters():
            if name.startswith("regression") and name.endswith("output.weight"):
                parameter.mul_(100)
    # limits such that the object is about as large in the crop as its box says
    limits = torch.tensor([[0.5, 1.5]]) * torch.tensor([[1.5 * item.diameter / 128] for item in objects])
    make_bundle(objects, network, limits, network.state_dict(), {"version": "test"}).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with random weights and the classes `wedge` and `disc`."""
    return make_random_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
