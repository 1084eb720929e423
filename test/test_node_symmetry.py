"""Symmetric objects do not flip: unit tests of the choice among equivalent poses."""

from __future__ import annotations

import math

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import torch
from conftest import wedge_mesh

from mrc_core.geometry import ContinuousSymmetry, ObjectModel, SymmetrySet
from mrc_core.inference import Detection, PoseEstimate
from mrc_net_ros.prepared_frame import Instance
from mrc_net_ros.stable_symmetry import StableSymmetry, nearest_equivalent, with_pose

OFFSET = (0.05, 0.02, 0.01)


def _turn(axis: str, angle: float) -> np.ndarray:
    """A turn (4, 4) about an axis through the origin."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(4)
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[j, i], matrix[i, j] = math.sin(angle), -math.sin(angle)
    return matrix


def _pose(angle: float, x: float = 0.1) -> np.ndarray:
    matrix = _turn("x", 0.7) @ _turn("z", angle)
    matrix[:3, 3] = (x, -0.05, 0.8)
    return matrix


def _about(offset: tuple[float, float, float], turn: np.ndarray) -> np.ndarray:
    there = np.eye(4)
    there[:3, 3] = offset
    return there @ turn @ np.linalg.inv(there)


def _model(kind: str) -> ObjectModel:
    half = torch.from_numpy(_about(OFFSET, _turn("z", math.pi)))
    symmetries = {
        "none": SymmetrySet(),
        "half": SymmetrySet(half[None]),
        "lathe": SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.0, 1.0), OFFSET),)),
    }[kind]
    return ObjectModel("thing", wedge_mesh(), symmetries)


def _instance(pose: np.ndarray, rank: int = 0, covariance: np.ndarray | None = None) -> Instance:
    box = (0.0, 0.0, 10.0, 10.0)
    return Instance(PoseEstimate("thing", pose, 0.5, covariance, Detection("thing", box)), rank, box)


def _published(step: StableSymmetry, stamp_s: float, *poses: np.ndarray) -> list[np.ndarray]:
    given = [_instance(pose, rank) for rank, pose in enumerate(poses)]
    return [one.estimate.cam_from_obj for one in step(harness.header(stamp_s), given)]


def test_a_flip_by_a_discrete_symmetry_is_undone() -> None:
    model = _model("half")
    flip = model.symmetries.discrete[1].numpy()
    step = StableSymmetry({"thing": model})
    for i in range(6):
        true = _pose(0.1 * i, x=0.1 + 0.01 * i)
        (published,) = _published(step, 1.0 + 0.1 * i, true @ flip if i % 2 else true)
        np.testing.assert_allclose(published, true, atol=1e-9)


def test_a_turn_about_an_axis_of_revolution_is_taken_out() -> None:
    model = _model("lathe")
    step = StableSymmetry({"thing": model})
    first = _pose(0.0)
    np.testing.assert_array_equal(_published(step, 1.0, first)[0], first)
    rng = np.random.default_rng(1)
    for i in range(10):
        spun = first @ _about(OFFSET, _turn("z", rng.uniform(-3, 3)))
        np.testing.assert_allclose(_published(step, 1.1 + 0.1 * i, spun)[0], first, atol=1e-8)


def test_the_nearest_is_the_least_of_all_turns_and_looks_the_same() -> None:
    model = _model("lathe")
    reference, pose = _pose(0.0), _turn("y", 0.3) @ _pose(2.0, x=0.13)
    nearest = nearest_equivalent(model, pose, reference)
    points = model.mesh.sample_points(2000, seed=1)

    def distance(candidate: np.ndarray) -> float:
        gap = (candidate - reference)[:3]
        return float(np.sqrt(((points @ gap[:, :3].T + gap[:, 3]) ** 2).sum(axis=1).mean()))

    turned = [pose @ _about(OFFSET, _turn("z", a)) for a in np.linspace(0, 2 * math.pi, 720)]
    assert distance(nearest) == pytest.approx(min(map(distance, turned)), rel=0.01)
    between = np.linalg.inv(pose) @ nearest  # a turn about the axis and nothing else
    np.testing.assert_allclose(between @ [*OFFSET, 1.0], [*OFFSET, 1.0], atol=1e-9)
    np.testing.assert_allclose(between[:3, 2], [0.0, 0.0, 1.0], atol=1e-9)


def test_each_rank_has_a_memory_of_its_own() -> None:
    model = _model("half")
    flip = model.symmetries.discrete[1].numpy()
    step = StableSymmetry({"thing": model})
    a, b = _pose(0.0), _pose(0.0, x=-0.2) @ flip
    _published(step, 1.0, a, b)
    found = _published(step, 1.1, a @ flip, b @ flip)
    np.testing.assert_allclose(found, [a, b], atol=1e-9)


@pytest.mark.parametrize(("later_s", "kept"), [(0.9, True), (1.1, False), (-0.3, True), (-5.0, False)])
def test_it_forgets_after_a_second_and_when_time_jumps_back(later_s: float, kept: bool) -> None:
    model = _model("half")
    flip = model.symmetries.discrete[1].numpy()
    step = StableSymmetry({"thing": model})
    _published(step, 10.0, _pose(0.0))
    (found,) = _published(step, 10.0 + later_s, _pose(0.0) @ flip)
    np.testing.assert_allclose(found, _pose(0.0) if kept else _pose(0.0) @ flip, atol=1e-9)


def test_objects_without_symmetry_are_left_alone() -> None:
    step = StableSymmetry({"thing": _model("none")})
    _published(step, 1.0, _pose(0.0))
    pose = _pose(3.0)
    assert _published(step, 1.1, pose)[0] is pose


def test_the_covariance_follows_the_new_origin() -> None:
    rng = np.random.default_rng(2)
    flip = _about(OFFSET, _turn("z", math.pi))
    pose = _pose(0.4)
    root = rng.normal(size=(6, 6)) * 1e-4
    moved = with_pose(_instance(pose, covariance=root @ root.T).estimate, pose @ flip)
    # by samples: disturb the old pose, and see how the equivalent pose's origin and axes move with it
    noise = rng.normal(size=(20000, 6)) @ root.T
    shift = pose[:3, :3] @ flip[:3, 3]
    position = noise[:, :3] + np.cross(noise[:, 3:], shift)
    expected = np.cov(np.concatenate([position, noise[:, 3:]], axis=1).T)
    np.testing.assert_allclose(moved.covariance, expected, atol=0.05 * np.abs(expected).max())
    assert moved.cam_from_obj is not pose
