"""Attribution: each part of an estimate that is replaced by the truth takes away its own error and no other."""

import json
from types import SimpleNamespace

import pytest
import torch
from small_dataset import OBJECTS

from mrc_core.cli import main
from mrc_core.geometry import make_transform
from mrc_core.geometry.rotations import random_rotations, rotation_about
from mrc_core.training.attribution import (
    ESTIMATE,
    FROM_TRUTH,
    ONE_MORE,
    STAGE_ONE,
    TRUE_DEPTH,
    TRUE_DIRECTION,
    TRUE_ROTATION,
    attribute,
)

N = 6


def truth():
    rotation = random_rotations(N, torch.Generator().manual_seed(0))
    return make_transform(rotation, torch.tensor([0.05, -0.02, 0.9]).expand(N, 3))


def attributed(estimate):
    """Of a network that estimates these poses (N, 4, 4), and whose stage 2 leaves any pose as it is."""
    index = torch.tensor([0, 1, 0, 1, 0, 1])
    batch = SimpleNamespace(image=None, K=None, object_index=index, cam_from_obj=truth())

    class Stages:
        def __call__(self, crops):
            return SimpleNamespace(coarse=estimate, pose=estimate, real=None)

        def refine(self, crops, real, pose):
            return SimpleNamespace(pose=pose)

    return attribute(Stages(), OBJECTS[:2], [batch, batch])


def moved(**change):
    pose = truth()
    if "depth" in change:
        pose[:, :3, 3] *= change["depth"]
    if "sideways" in change:
        pose[:, 0, 3] += change["sideways"]
    if "turn" in change:
        pose[:, :3, :3] = rotation_about(torch.tensor([1.0, 0, 0]), torch.tensor(change["turn"])) @ pose[:, :3, :3]
    return pose


@pytest.mark.parametrize(
    ("change", "mended_by"),
    [({"depth": 1.08}, TRUE_DEPTH), ({"sideways": 0.06}, TRUE_DIRECTION), ({"turn": 0.8}, TRUE_ROTATION)],
)
def test_only_the_part_that_is_wrong_mends_the_pose(change, mended_by):
    found = attributed(moved(**change))
    assert len(found) == 2 * N
    for name in (STAGE_ONE, ESTIMATE, ONE_MORE, TRUE_ROTATION, TRUE_DEPTH, TRUE_DIRECTION):
        # ADD-S of the box hardly sees a turn: the wedge counts
        assert found.recall(name, 0) == (1.0 if name == mended_by else 0.0), name
    assert found.recall(FROM_TRUTH) == 1.0


def test_depth_errors_are_signed_parts_of_the_distance():
    found = attributed(moved(depth=1.08))
    assert torch.allclose(found.depth[ESTIMATE], torch.tensor(0.08), atol=1e-5)
    assert torch.allclose(found.depth[TRUE_DEPTH], torch.tensor(0.0), atol=1e-5)
    assert float(found.angle_deg[ESTIMATE].max()) < 0.1


def test_the_command_prints_and_writes_every_variant(tiny_bundle, tmp_path, capsys):
    path = tmp_path / "out" / "diagnosis.json"
    assert main(["diagnose", "--bundle", str(tiny_bundle), "--samples", "20", "--json", str(path)]) == 0
    shown, report = capsys.readouterr().out, json.loads(path.read_text())
    assert report["samples"] == 20
    assert list(report["variants"])[:2] == [STAGE_ONE, ESTIMATE]
    assert set(report["variants"][ESTIMATE]["objects"]) == {"wedge", "disc"}
    for name in report["variants"]:
        assert name in shown
    assert main(["diagnose", "--bundle", str(tiny_bundle), "--samples", "0"]) == 1
