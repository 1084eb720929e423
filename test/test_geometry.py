"""Rotations, the SO(3) grid, cameras, crops, SITE and symmetries, against known values and brute force."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from mrc_core.geometry import (
    ContinuousSymmetry,
    SymmetrySet,
    box_map,
    camera_matrix,
    crop_from_image,
    look_direction,
    make_transform,
    matrix_from_6d,
    matrix_from_quat_wxyz,
    project,
    quat_wxyz_from_matrix,
    rotation_angle,
    site_from_translation,
    so3_grid,
    so3_grid_matrices,
    transform_points,
    translation_from_site,
)
from mrc_core.geometry.cameras import mask_boxes, transform_boxes
from mrc_core.geometry.rotations import random_rotations, rotation_6d, rotation_about
from mrc_core.geometry.symmetries import second_moment


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- rotations -------------------------------------------------------------------------------------------------------
def test_quaternions_agree_with_scipy_in_both_directions():
    matrices = random_rotations(200, rng()).double()
    xyzw = torch.from_numpy(Rotation.from_matrix(matrices.numpy()).as_quat(canonical=True))
    ours = quat_wxyz_from_matrix(matrices)
    assert torch.allclose(ours[:, [1, 2, 3, 0]].abs(), xyzw.abs(), atol=1e-6)
    assert torch.allclose(matrix_from_quat_wxyz(ours), matrices, atol=1e-6)


def test_quaternion_of_half_turns_is_stable():
    for axis in torch.eye(3, dtype=torch.float64):
        quat = quat_wxyz_from_matrix(rotation_about(axis, torch.tensor(math.pi, dtype=torch.float64)))
        assert torch.allclose(quat[1:].abs(), axis, atol=1e-7)


def test_6d_is_a_rotation_whose_identity_and_columns_are_as_documented():
    assert torch.allclose(matrix_from_6d(torch.tensor([1.0, 0, 0, 0, 1, 0])), torch.eye(3))
    six = torch.randn(50, 6, generator=rng())
    R = matrix_from_6d(six)
    assert torch.allclose(R @ R.transpose(-1, -2), torch.eye(3).expand(50, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(R), torch.ones(50), atol=1e-5)
    assert torch.allclose(matrix_from_6d(rotation_6d(R)), R, atol=1e-5)
    assert torch.allclose(R[:, :, 0], six[:, :3] / six[:, :3].norm(dim=1, keepdim=True), atol=1e-5)


def test_rotation_angle_keeps_its_digits_near_zero_and_at_a_half_turn():
    for degrees in (1e-3, 0.5, 45.0, 179.0):
        R = rotation_about(
            torch.tensor([0.3, -0.5, 0.8]).double(), torch.tensor(math.radians(degrees)).double()
        )
        assert float(torch.rad2deg(rotation_angle(R, torch.eye(3).double()))) == pytest.approx(
            degrees, rel=1e-6
        )


# ---- the grid --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n_side", "count"), [(2, 576), (3, 1944), (4, 4608)])
def test_grid_sizes(n_side, count):
    assert so3_grid(n_side).shape == (count, 4)
    assert torch.allclose(so3_grid(n_side).norm(dim=1), torch.ones(count, dtype=torch.float64))


def test_grid_spacing_is_the_published_one():
    grid = so3_grid_matrices(4)
    dots = (torch.einsum("aij,bij->ab", grid, grid) - 1) / 2
    dots.fill_diagonal_(-1)
    nearest = torch.rad2deg(torch.acos(dots.amax(dim=1).clamp(-1, 1)))
    assert float(nearest.mean()) == pytest.approx(14.7, abs=0.6)
    draws = random_rotations(4000, rng(3))
    to_grid = torch.rad2deg(
        torch.acos(((torch.einsum("aij,bij->ab", draws, grid) - 1) / 2).amax(1).clamp(-1, 1))
    )
    assert float(to_grid.mean()) == pytest.approx(7.05, abs=0.1)
    assert float(to_grid.max()) < 12.9


def test_a_quarter_turn_about_z_shifts_the_grid_by_six_rings():
    grid = so3_grid_matrices(4)
    quarter = rotation_about(torch.tensor([0.0, 0, 1]), torch.tensor(math.pi / 2))
    assert torch.allclose(quarter @ grid, grid.roll(-6 * 192, dims=0), atol=1e-5)


# ---- cameras and crops -----------------------------------------------------------------------------------------------
def test_a_point_reaches_the_crop_by_pixels_and_by_intrinsics():
    K = camera_matrix(600.0, 610.0, 318.2, 243.7).float()
    point = torch.tensor([[0.11, -0.07, 0.83]])
    to_crop = crop_from_image(torch.tensor([300.0, 120.0, 460.0, 215.0]), 128)
    pixel = project(K, point)[0]
    by_pixels = (to_crop @ torch.cat([pixel, torch.ones(1)]))[:2]
    by_intrinsics = project(to_crop @ K, point)[0]
    assert torch.allclose(by_pixels, by_intrinsics, atol=0.01)


def test_a_crop_is_centred_on_the_box_and_one_and_a_half_times_its_longer_side():
    to_crop = crop_from_image(torch.tensor([100.0, 50.0, 180.0, 90.0]), 256)
    corner = torch.linalg.inv(to_crop) @ torch.tensor([-0.5, -0.5, 1.0])
    assert corner[:2].tolist() == pytest.approx([140 - 60, 70 - 60], abs=1e-3)
    centre = to_crop @ torch.tensor([140.0, 70.0, 1.0])
    assert centre[:2].tolist() == pytest.approx([127.5, 127.5], abs=1e-3)


def test_look_is_the_same_in_image_and_crop_pixels():
    K = camera_matrix(600.0, 600.0, 320.0, 240.0).float()
    box = torch.tensor([100.0, 50.0, 180.0, 90.0])
    look = look_direction((crop_from_image(box, 256) @ K)[None], 256)[0]
    assert look.tolist() == pytest.approx([(140 - 320) / 600, (70 - 240) / 600, 120 / 600], abs=1e-5)


def test_boxes_of_masks_and_back():
    boxes = torch.tensor([[3.0, 4.0, 10.0, 6.0], [0.0, 0.0, 15.0, 15.0]])
    masks = box_map(boxes, 16).squeeze(1) > 0
    assert torch.equal(mask_boxes(masks), boxes)
    assert mask_boxes(torch.zeros(1, 4, 4, dtype=torch.bool)).isnan().all()


def test_box_map_grows_on_every_side():
    grown = mask_boxes(box_map(torch.tensor([[20.0, 40.0, 60.0, 80.0]]), 128, growth=0.125).squeeze(1) > 0)
    assert grown[0].tolist() == [15, 35, 65, 85]


def test_transform_boxes_moves_both_corners():
    affine = torch.tensor([[2.0, 0, 1], [0, 3, -1], [0, 0, 1]])
    assert transform_boxes(affine, torch.tensor([1.0, 2, 3, 4])).tolist() == [3, 5, 7, 11]


def test_site_round_trip_and_definition():
    K = camera_matrix(600.0, 605.0, 318.2, 243.7).float()
    K_crop = (crop_from_image(torch.tensor([300.0, 120.0, 460.0, 215.0]), 128) @ K)[None]
    translation = torch.tensor([[0.11, -0.07, 0.83]])
    tau_xy, tau_z = site_from_translation(translation, K_crop, 128)
    pixel = project(K_crop, translation[:, None])[0, 0]
    assert torch.allclose(tau_xy[0], (pixel - 63.5) / 128, atol=1e-6)
    r = 128 / 240
    assert float(tau_z) == pytest.approx(0.83 / (r * math.sqrt(600 * 605)), rel=1e-5)
    assert torch.allclose(translation_from_site(tau_xy, tau_z, K_crop, 128), translation, atol=1e-6)


# ---- symmetries ------------------------------------------------------------------------------------------------------
HALF_TURN = {
    "symmetries_discrete": [[-1, 0, 0, 20, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]
}  # about (10, 0, .) mm
LATHE = {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [10, 0, 0]}]}


def test_symmetries_convert_units_and_count_as_bop_does():
    assert SymmetrySet.from_bop(HALF_TURN).transforms().shape == (2, 4, 4)
    assert SymmetrySet.from_bop(HALF_TURN).transforms()[1, 0, 3] == pytest.approx(0.02)
    assert SymmetrySet.from_bop(LATHE).transforms().shape == (315, 4, 4)
    assert SymmetrySet.from_bop({**HALF_TURN, **LATHE}).transforms().shape == (630, 4, 4)
    assert SymmetrySet.from_bop({}).is_trivial


def test_an_offset_axis_stays_in_place():
    turns = SymmetrySet.from_bop(LATHE).transforms()
    on_axis = torch.tensor([[0.010, 0.0, 0.3]], dtype=torch.float64)
    assert torch.allclose(transform_points(turns, on_axis), on_axis.expand(315, 1, 3), atol=1e-9)


@pytest.mark.parametrize("info", [HALF_TURN, LATHE, {**HALF_TURN, **LATHE}, {}])
def test_nearest_pose_beats_every_discretised_equivalent(info):
    symmetries = SymmetrySet.from_bop(info)
    points = torch.rand(300, 3, generator=rng(1)).double() * 0.1
    pose = make_transform(random_rotations(6, rng(2)), torch.tensor([0.0, 0.1, 0.8])).double()
    reference = make_transform(random_rotations(6, rng(3)), torch.tensor([0.01, 0.1, 0.79])).double()
    nearest = symmetries.nearest_pose(pose, reference, second_moment(points))

    def rms(a, b):
        return (transform_points(a, points) - transform_points(b, points)).square().sum(-1).mean(-1).sqrt()

    every = rms(pose[:, None] @ symmetries.transforms(), reference[:, None])  # (6, S)
    best = every.min(dim=1).values
    found = rms(nearest, reference)
    assert (found <= best + 1e-9).all()
    assert (best - found < 2e-4).all()  # and it is one of them, up to the discretisation


def test_symmetries_of_a_moved_origin():
    centre = torch.tensor([0.010, 0.0, 0.0])
    moved = SymmetrySet.from_bop({**HALF_TURN, **LATHE}).centred(centre)
    assert moved.transforms()[:, :3, 3].abs().max() < 1e-9
    assert moved.continuous[0] == ContinuousSymmetry((0, 0, 1), (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ({"symmetries_discrete": [[1.0] * 15]}, "16 numbers"),
        (
            {"symmetries_discrete": [[2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]},
            "not a rigid transform",
        ),
        ({"symmetries_discrete": [[-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]}, "det"),
        ({"symmetries_continuous": [{"axis": [0, 0, 0]}]}, "axis"),
    ],
)
def test_wrong_symmetries_are_named(info, says):
    with pytest.raises(ValueError, match=says):
        SymmetrySet.from_bop(info)
