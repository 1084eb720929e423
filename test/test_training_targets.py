"""Labels, losses and the pose codec, against brute force and known values."""

import math

import pytest
import torch

from mrc_core.geometry import (
    SymmetrySet,
    camera_matrix,
    crop_from_image,
    make_transform,
    rotation_angle,
    so3_grid_matrices,
)
from mrc_core.geometry.rotations import random_rotations, rotation_about
from mrc_core.geometry.site import site_from_translation
from mrc_core.model.heads import PoseLogits, PoseResidual
from mrc_core.model.pose_codec import PoseCodec
from mrc_core.training.losses import (
    focal_sigmoid,
    focal_softmax,
    rotation_regression,
    smooth_l1,
    translation_regression,
)
from mrc_core.training.schedule import warmup_cosine
from mrc_core.training.surface_coordinates import surface_loss, surface_points
from mrc_core.training.targets import bucket_distances, cell_labels, depth_labels, rotation_labels

LATHE = SymmetrySet.from_bop({"symmetries_continuous": [{"axis": [0, 0.6, 0.8]}]})
TURN = SymmetrySet.from_bop({"symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]})


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crop_K(count: int) -> torch.Tensor:
    K = camera_matrix(600.0, 600.0, 320.0, 240.0).float()
    return (crop_from_image(torch.tensor([250.0, 200.0, 350.0, 330.0]), 128) @ K).expand(count, 3, 3)


@pytest.mark.parametrize("symmetries", [SymmetrySet(), TURN, LATHE])
def test_bucket_distances_equal_brute_force(symmetries):
    points = torch.rand(200, 3, generator=rng()) * 0.1
    moment = points.T @ points / len(points)
    R, grid = random_rotations(5, rng(1)), so3_grid_matrices(2)
    ours = bucket_distances(R, grid, moment, symmetries)
    every = R[:, None] @ symmetries.transforms(720)[:, :3, :3].float()  # (5, S, 3, 3)
    moved = torch.einsum("bsij,nj->bsni", every, points)
    reference = torch.einsum("kij,nj->kni", grid, points)
    brute = torch.stack(
        [
            (moved[:, :, None] - reference[k][None, None, None])
            .square()
            .sum(-1)
            .mean(-1)
            .sqrt()
            .amin(1)
            .squeeze(1)
            for k in range(0, 576, 50)
        ],
        dim=1,
    )
    assert torch.allclose(ours[:, ::50], brute, atol=5e-5)


def test_the_true_bucket_has_the_highest_label():
    grid = so3_grid_matrices(2)
    distance = bucket_distances(grid[[17, 300]], grid, torch.eye(3) * 1e-3, SymmetrySet())
    labels = rotation_labels(distance, 0.1, 0.06)
    assert labels.argmax(dim=1).tolist() == [17, 300]
    assert labels.amax(dim=1).tolist() == pytest.approx([1, 1], abs=0.05)


def test_cell_and_depth_labels_peak_where_the_truth_is_and_sum_to_one():
    tau = torch.tensor([[-0.5 + 10.5 / 32, -0.5 + 3.5 / 32], [0.9, -0.9]])
    labels = cell_labels(tau, 32)
    assert labels.argmax(dim=1).tolist() == [3 * 32 + 10, 31]  # row-major, y outer; outside: the nearest cell
    assert labels.sum(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)
    limits = torch.tensor([[0.001, 0.003]]).expand(2, 2)
    assert depth_labels(torch.tensor([0.001 + 0.002 * 20.5 / 64, 0.1]), limits, 64).argmax(
        dim=1
    ).tolist() == [20, 63]


def test_classes_decode_to_the_pose_they_were_made_from():
    codec = PoseCodec(2, 32, 64, torch.tensor([[0.001, 0.004], [0.002, 0.005]]), 128)
    index = torch.tensor([0, 1, 1])
    K = crop_K(3)
    logits = PoseLogits(torch.zeros(3, 576), torch.zeros(3, 1024), torch.zeros(3, 64))
    for row, (bucket, cell, depth) in enumerate([(5, 40, 3), (99, 1000, 60), (575, 0, 31)]):
        logits.rotation[row, bucket] = logits.xy[row, cell] = logits.depth[row, depth] = 1
    pose = codec.coarse_pose(codec.most_likely(logits), K, index)
    assert torch.allclose(pose[:, :3, :3], so3_grid_matrices(2)[[5, 99, 575]])
    tau_xy, tau_z = site_from_translation(pose[:, :3, 3], K, 128)
    assert cell_labels(tau_xy, 32).argmax(dim=1).tolist() == [40, 1000, 0]
    assert depth_labels(tau_z, codec.depth_limits[index], 64).argmax(dim=1).tolist() == [3, 60, 31]


def test_the_zero_residual_changes_nothing_and_a_turn_is_applied_from_the_left():
    codec = PoseCodec(2, 32, 64, torch.tensor([[0.001, 0.004]]), 128)
    coarse = make_transform(random_rotations(4, rng()), torch.tensor([0.02, 0.05, 0.9]))
    index = torch.zeros(4, dtype=torch.long)
    nothing = PoseResidual(torch.zeros(4, 6), torch.zeros(4, 2), torch.zeros(4, 1))
    assert torch.allclose(codec.refine(coarse, nothing, crop_K(4), index), coarse, atol=1e-6)
    turn = rotation_about(torch.tensor([0.0, 0, 1]), torch.tensor(0.3))
    six = torch.cat([turn[:, 0], turn[:, 1]]) - torch.tensor([1.0, 0, 0, 0, 1, 0])
    turned = codec.refine(coarse, PoseResidual(six.expand(4, 6), nothing.xy, nothing.depth), crop_K(4), index)
    assert torch.allclose(turned[:, :3, :3], turn @ coarse[:, :3, :3], atol=1e-6)
    assert torch.allclose(turned[:, :3, 3], coarse[:, :3, 3], atol=1e-6)


def test_a_residual_of_the_coarse_depth_is_the_same_change_of_scale_at_every_distance():
    limits, index = torch.tensor([[0.001, 0.004]]), torch.zeros(2, dtype=torch.long)
    coarse = make_transform(random_rotations(2, rng()), torch.tensor([[0.02, 0.05, 0.5], [0.02, 0.05, 1.1]]))
    nearer = PoseResidual(torch.zeros(2, 6), torch.zeros(2, 2), torch.full((2, 1), -0.02))
    by_coarse = PoseCodec(2, 32, 64, limits, 128, depth_residual="coarse").refine(coarse, nearer, crop_K(2), index)
    assert torch.allclose(by_coarse[:, 2, 3] / coarse[:, 2, 3], torch.tensor([0.98, 0.98]), atol=1e-6)
    by_object = PoseCodec(2, 32, 64, limits, 128).refine(coarse, nearer, crop_K(2), index)
    step = site_from_translation(coarse[:, :3, 3], crop_K(2), 128)[1] - site_from_translation(
        by_object[:, :3, 3], crop_K(2), 128
    )[1]
    assert torch.allclose(step, torch.tensor(0.02 * 0.0025), atol=1e-8)


def test_no_residual_puts_an_object_behind_the_camera():
    codec = PoseCodec(2, 32, 64, torch.tensor([[0.001, 0.004]]), 128)
    coarse = make_transform(random_rotations(2, rng()), torch.tensor([0.02, 0.05, 0.9]))
    far_off = PoseResidual(torch.zeros(2, 6), torch.zeros(2, 2), torch.full((2, 1), -50.0))
    assert (codec.refine(coarse, far_off, crop_K(2), torch.zeros(2, dtype=torch.long))[:, 2, 3] > 0).all()


def test_focal_losses_reward_the_right_answer():
    labels = torch.zeros(1, 10)
    labels[0, 4] = 1
    right, wrong = labels * 20 - 10, labels.roll(1, dims=1) * 20 - 10
    assert focal_sigmoid(right, labels) < 1e-3 < focal_sigmoid(wrong, labels)
    assert focal_softmax(right, labels) < 1e-3 < focal_softmax(wrong, labels)
    assert float(focal_softmax(torch.zeros(1, 10), labels)) == pytest.approx(0.81 * math.log(10), rel=1e-5)


def test_regression_losses_count_hundredths_of_the_diameter():
    target = random_rotations(2, rng())
    diameter = torch.tensor([0.1, 0.2])
    points = torch.tensor([[[0.05, 0.0, 0.0]]]).expand(2, 1, 3) * torch.tensor([1.0, 2.0])[:, None, None]
    turn = rotation_about(torch.tensor([0.0, 0, 1]), torch.tensor(0.2))
    loss = rotation_regression(target @ turn, target, points, diameter, 1.0)
    expected = (
        2 * math.sin(0.1) * 50 - 0.5
    )  # a chord on a radius of half a diameter, in hundredths, beyond beta
    assert loss.tolist() == pytest.approx([expected, expected], rel=1e-4)
    shift = translation_regression(torch.tensor([[0.01, 0, 0]]), torch.zeros(1, 3), diameter[:1], 1.0)
    assert float(shift) == pytest.approx(9.5, rel=1e-4)
    assert smooth_l1(torch.tensor([0.5]), 1.0).item() == pytest.approx(0.125)


def test_surface_points_are_the_objects_own():
    pose = make_transform(random_rotations(1, rng(4)), torch.tensor([0.0, 0.0, 0.8]))
    K = crop_K(1)
    depth = torch.full((1, 128, 128), 0.75)
    points, valid = surface_points(depth, K, pose, 32)
    at = torch.tensor([4 * 9 + 2.0, 4 * 20 + 2.0])  # column 9, row 20
    ray = torch.linalg.inv(K[0]) @ torch.cat([at, torch.ones(1)]) * 0.75
    expected = pose[0, :3, :3].T @ (ray - pose[0, :3, 3])
    assert torch.allclose(points[0, :, 20, 9], expected, atol=1e-5)
    assert valid.all()


def test_surface_loss_takes_the_symmetric_equivalent_that_fits():
    points = torch.rand(2, 3, 4, 4, generator=rng()) * 0.1
    valid = torch.ones(2, 4, 4, dtype=torch.bool)
    turned = torch.stack([-points[:, 0], -points[:, 1], points[:, 2]], dim=1) * (2 / 0.2)
    assert surface_loss(turned, points, valid, 0.2, TURN).max() < 1e-5
    assert surface_loss(turned, points, valid, 0.2, SymmetrySet()).min() > 0.1


def test_schedule_warms_up_and_ends_at_the_final_rate():
    rates = [warmup_cosine(s, 100, 10, 1.0, 0.01) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[-1] < 0.012
    assert all(a >= b for a, b in zip(rates[9:], rates[10:]))
    assert float(rotation_angle(torch.eye(3), torch.eye(3))) == 0.0
