"""Covariances: the errors that go in come out, in the camera's axes and of the mesh's origin; symmetries widen."""

import math

import numpy as np
import pytest
import torch

from mrc_core.evaluation.pose_deviation import (
    pose_deviation,
    region_limit,
    rotation_vector,
    squared_distances,
)
from mrc_core.geometry import ContinuousSymmetry, SymmetrySet, make_transform
from mrc_core.geometry.rotations import random_rotations, rotation_about
from mrc_core.geometry.symmetries import second_moment
from mrc_core.inference.pose_covariance import (
    FREE_TURN_VARIANCE,
    degrees_of_freedom,
    free_axes,
    pose_covariance,
)

NONE = SymmetrySet()
LATHE = SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.6, 0.8)),))
SPHERE = SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.0, 1.0)), ContinuousSymmetry((1.0, 0.0, 0.0))))
TWO_FOLD = SymmetrySet(torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))[None])
POINTS = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.05
MOMENT = second_moment(POINTS)
SPREADS = np.array([0.012, 0.003, 0.01, 0.03])  # along m, across m, roll rad, tilt rad


def pose(seed=0, position=(0.3, -0.2, 0.7)):
    rotation = random_rotations(1, torch.Generator().manual_seed(seed)).double()
    return make_transform(rotation, torch.tensor([position], dtype=torch.float64))


def drawn_truths(estimate, centre, spreads, count, seed=1):
    """True poses (count, 4, 4) of the mesh whose centre and rotation err as `spreads` says, drawn component by
    component: along the ray, across it, about it, about what is across it."""
    rng = np.random.default_rng(seed)
    R, t = estimate[0, :3, :3].numpy(), estimate[0, :3, 3].numpy()
    middle = R @ centre + t
    ray = middle / np.linalg.norm(middle)
    first = np.cross(ray, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first)
    second = np.cross(ray, first)
    n = rng.standard_normal((count, 6))
    shift = n[:, :1] * spreads[0] * ray + n[:, 1:2] * spreads[1] * first + n[:, 2:3] * spreads[1] * second
    turn = n[:, 3:4] * spreads[2] * ray + n[:, 4:5] * spreads[3] * first + n[:, 5:] * spreads[3] * second
    turned = torch.from_numpy(turn)
    true_R = rotation_about(turned, turned.norm(dim=1)).numpy() @ R
    true_t = middle + shift - true_R @ centre
    return make_transform(torch.from_numpy(true_R), torch.from_numpy(true_t))


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (0.2, -0.1, 0.3)])
def test_drawn_errors_have_the_stated_covariance(centre):
    estimate, centre = pose(), np.array(centre)
    truths = drawn_truths(estimate, centre, SPREADS, 40_000)
    errors = pose_deviation(estimate.expand(len(truths), 4, 4), truths, NONE, MOMENT).numpy()
    stated = pose_covariance(estimate.numpy(), centre[None], np.zeros((1, 3, 3)), SPREADS[None])[0]
    scale = np.sqrt(np.outer(np.diag(stated), np.diag(stated)))
    assert np.abs(np.cov(errors.T) - stated).max() < 0.03 * scale.max()
    assert (np.abs(np.cov(errors.T) - stated) / scale).max() < 0.03
    inside = squared_distances(errors, np.broadcast_to(stated, (len(errors), 6, 6))) < region_limit(0.9, 6)
    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_the_lever_arm_couples_position_and_rotation():
    """Leaving it out must show, or the test above would prove nothing."""
    estimate, centre = pose(), np.array([0.2, -0.1, 0.3])
    with_arm = pose_covariance(estimate.numpy(), centre[None], np.zeros((1, 3, 3)), SPREADS[None])[0]
    without = pose_covariance(estimate.numpy(), np.zeros((1, 3)), np.zeros((1, 3, 3)), SPREADS[None])[0]
    assert np.abs(with_arm[:3, 3:]).max() > 1e-5
    assert np.abs(without[:3, 3:]).max() == 0
    assert np.trace(with_arm[:3, :3]) > 1.1 * np.trace(without[:3, :3])


def test_the_depth_error_lies_along_the_viewing_ray_not_along_z():
    estimate = pose(position=(0.6, 0.0, 0.6))
    spreads = np.array([[0.1, 1e-4, 1e-3, 1e-3]])
    stated = pose_covariance(estimate.numpy(), np.zeros((1, 3)), np.zeros((1, 3, 3)), spreads)[0, :3, :3]
    axis = np.linalg.eigh(stated)[1][:, -1]
    assert abs(axis @ [math.sqrt(0.5), 0, math.sqrt(0.5)]) == pytest.approx(1, abs=1e-4)


def test_an_axis_of_revolution_is_uniform_in_the_cameras_axes():
    estimate = pose(3)
    free = free_axes(LATHE)[None]
    turn = pose_covariance(estimate.numpy(), np.zeros((1, 3)), free, SPREADS[None])[0, 3:, 3:]
    axis = estimate[0, :3, :3].numpy() @ [0.0, 0.6, 0.8]
    assert axis @ turn @ axis == pytest.approx(math.pi**2 / 3)
    across = np.linalg.eigvalsh(turn)[:2]
    assert across.max() < 1.01 * SPREADS[3] ** 2
    drawn = np.random.default_rng(0).uniform(-math.pi, math.pi, 200_000)
    assert drawn.var() == pytest.approx(FREE_TURN_VARIANCE, rel=0.01)


def test_a_turn_about_the_axis_is_no_error_and_moves_an_origin_off_the_axis():
    estimate = pose(4)
    offset = SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.6, 0.8), (0.1, 0.0, 0.0)),))
    turned = estimate @ offset.continuous[0].transforms(torch.tensor([1.3]))
    assert pose_deviation(estimate, turned, offset, MOMENT).abs().max() < 1e-6
    stated = pose_covariance(estimate.numpy(), np.array([[0.1, 0, 0]]), free_axes(offset)[None], SPREADS[None])[0]
    # the origin runs on a circle of 0.1 m about the axis: to first order a tangent of 0.1 m times the angle's deviation
    assert np.linalg.eigvalsh(stated[:3, :3])[-1] == pytest.approx(0.1**2 * math.pi**2 / 3, rel=0.05)


def test_free_axes_and_degrees_of_freedom():
    assert [degrees_of_freedom(s) for s in (NONE, TWO_FOLD, LATHE, SPHERE)] == [6, 6, 5, 3]
    assert np.allclose(free_axes(SPHERE), np.eye(3))


def test_of_discrete_equivalents_the_nearest_counts():
    estimate = pose(5)
    flipped = estimate @ TWO_FOLD.discrete[1]
    assert pose_deviation(estimate, flipped, TWO_FOLD, MOMENT).abs().max() < 1e-6
    assert float(pose_deviation(estimate, flipped, NONE, MOMENT)[0, 3:].norm()) == pytest.approx(math.pi, abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, 3.0, math.pi])
def test_rotation_vectors(angle):
    axis = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), dim=0)
    vector = rotation_vector(rotation_about(axis, torch.tensor(angle, dtype=torch.float64)))
    assert min(float((s * vector - angle * axis).norm()) for s in (1, -1) if s == 1 or angle == math.pi) < 1e-6


@pytest.mark.parametrize("symmetries", [NONE, LATHE, SPHERE])
def test_covariances_are_finite_symmetric_and_positive_definite(symmetries):
    rng = np.random.default_rng(2)
    poses = torch.cat([pose(i, tuple(rng.normal(0, 1, 3))) for i in range(50)]).numpy()
    spreads = 10 ** rng.uniform(-5, 0.5, (50, 4))
    centres = rng.normal(0, 0.2, (50, 3))
    stated = pose_covariance(poses, centres, np.repeat(free_axes(symmetries)[None], 50, 0), spreads)
    assert np.isfinite(stated).all()
    assert np.array_equal(stated, stated.transpose(0, 2, 1))
    assert np.linalg.eigvalsh(stated).min() > 0
