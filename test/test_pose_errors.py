"""Pose errors against their plain twins, at random and at the edges."""

import error_twins as twins
import numpy as np
import pytest
import torch
import trimesh

from mrc_core.evaluation import add, add_s, mspd, mssd, vsd
from mrc_core.evaluation.pose_errors import hull_points, spread_points
from mrc_core.evaluation.visible_surface import ray_lengths
from mrc_core.geometry import ContinuousSymmetry, SymmetrySet
from mrc_core.geometry.rotations import make_transform, random_rotations, rotation_about

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
K = torch.tensor([[600.0, 0.0, 320.0], [0.0, 590.0, 240.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
HALF_TURN = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))
LATHE = ContinuousSymmetry((0.0, 0.0, 1.0), (0.01, 0.0, 0.0))
TILTED_HALF_TURN = make_transform(
    rotation_about(torch.tensor([1.0, 0, 0]).double(), torch.tensor(np.pi).double()),
    torch.tensor([0.0, 0.004, 0.002]).double(),
)
SYMMETRIES = {
    "none": SymmetrySet(),
    "half turn": SymmetrySet(HALF_TURN[None]),
    "lathe": SymmetrySet(None, (LATHE,)),
    "lathe and half turn": SymmetrySet(TILTED_HALF_TURN[None], (LATHE,)),
}


def some_poses(count, seed=0, spread=0.02):
    rng = torch.Generator().manual_seed(seed)
    rotation = random_rotations(count, rng).double()
    shift = torch.tensor([0.05, -0.03, 0.7]).double() + 0.1 * torch.randn(count, 3, generator=rng).double()
    gt = make_transform(rotation, shift)
    axis, angle = torch.randn(count, 3, generator=rng).double(), 0.3 * torch.randn(count, generator=rng).double()
    turn = rotation_about(axis, angle)
    est = make_transform(turn @ rotation, shift + spread * torch.randn(count, 3, generator=rng).double())
    est[0, :3, :3] = random_rotations(1, rng)[0].double()  # one that is far off
    return est, gt


def some_points(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=rng, dtype=torch.float64) * torch.tensor([0.03, 0.02, 0.05])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [3, 150])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_add_and_add_s_agree_with_their_twins(device, count, dtype):
    est, gt = some_poses(4)
    points = some_points(count)
    got = [f(*(v.to(device, dtype) for v in (est, gt, points))) for f in (add, add_s)]
    for f, values in zip((twins.add, twins.add_s), got):
        assert values.shape == (4,)
        assert values.dtype == dtype
        for i in range(4):
            assert float(values[i]) == pytest.approx(f(est[i].numpy(), gt[i].numpy(), points.numpy()), abs=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SYMMETRIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mssd_and_mspd_agree_with_their_twins(device, name, dtype):
    symmetries = SYMMETRIES[name].transforms()
    assert len(symmetries) == {"none": 1, "half turn": 2, "lathe": 315, "lathe and half turn": 630}[name]
    est, gt = some_poses(3, spread=0.01)
    # few points for the twin, enough for the bound and the hull to be used
    points = some_points(130 if len(symmetries) < 315 else 100)
    arguments = [v.to(device, dtype) for v in (est, gt, points, symmetries)]
    surface, projection = mssd(*arguments), mspd(*arguments, K.to(device, dtype))
    for i in range(3):
        plain = (est[i].numpy(), gt[i].numpy(), points.numpy(), symmetries.numpy())
        assert float(surface[i]) == pytest.approx(twins.mssd(*plain), abs=1e-6)
        tolerance = 1e-6 if dtype == torch.float64 else 2e-3  # px; float32 has no more digits at 600 px
        assert float(projection[i]) == pytest.approx(twins.mspd(*plain, K.numpy()), abs=tolerance)


def test_many_points_and_symmetries_lose_nothing():
    """A scanned mesh's worth of points: bounds and hull against every point and every symmetry, in one go."""
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.04)
    points = torch.tensor(np.array(sphere.vertices)) + 0.05 * some_points(len(sphere.vertices), seed=3)
    symmetries = SYMMETRIES["lathe and half turn"].transforms()
    est, gt = some_poses(12, seed=5)
    turned = gt[:, None] @ symmetries  # (B, S, 4, 4)
    where = est[:, None, :3, :3] @ points.T + est[:, None, :3, 3:]
    truth = turned[..., :3, :3] @ points.T + turned[..., :3, 3:]
    surface = (where - truth).norm(dim=2).amax(dim=-1).amin(dim=-1)
    seen, true = (torch.einsum("ij,...jn->...in", K, v) for v in (where, truth))
    gap = seen[..., :2, :] / seen[..., 2:, :] - true[..., :2, :] / true[..., 2:, :]
    projection = gap.norm(dim=2).amax(dim=-1).amin(dim=-1)
    assert len(hull_points(points)) < len(points)
    assert torch.allclose(mssd(est, gt, points, symmetries), surface, atol=1e-9)
    assert torch.allclose(mspd(est, gt, points, symmetries, K), projection, atol=1e-6)
    each = torch.cat([mspd(e[None], g[None], points, symmetries, K) for e, g in zip(est, gt)])
    assert torch.allclose(each, projection, atol=1e-6)


def test_intrinsics_may_differ_by_pose():
    est, gt = some_poses(3)
    points, symmetries = some_points(120), SYMMETRIES["half turn"].transforms()
    cameras = torch.stack([K, K * torch.tensor([[2.0], [1.0], [1.0]]), K])
    got = mspd(est, gt, points, symmetries, cameras)
    for i in range(3):
        assert torch.equal(got[i : i + 1], mspd(est[i : i + 1], gt[i : i + 1], points, symmetries, cameras[i]))


def test_a_known_shift_and_a_known_turn():
    """Arithmetic: 3 mm to the side is 3 mm for ADD and MSSD, and fx * 3 mm / z px for a flat object at z."""
    gt = torch.eye(4, dtype=torch.float64)[None].clone()
    gt[0, 2, 3] = 0.6
    est = gt.clone()
    est[0, 0, 3] += 0.003
    flat = some_points(200) * torch.tensor([1.0, 1.0, 0.0])
    identity = torch.eye(4, dtype=torch.float64)[None]
    assert float(add(est, gt, flat)) == pytest.approx(0.003, abs=1e-12)
    assert float(mssd(est, gt, flat, identity)) == pytest.approx(0.003, abs=1e-12)
    assert float(mspd(est, gt, flat, identity, K)) == pytest.approx(600 * 0.003 / 0.6, abs=1e-9)
    # a turn by 90 degrees about z moves a corner at radius r by sqrt(2) r; as a symmetry it moves nothing
    corner = torch.tensor([[0.05, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    right_angle = torch.tensor(np.pi / 2, dtype=torch.float64)
    quarter = make_transform(rotation_about(torch.tensor([0.0, 0, 1]).double(), right_angle), torch.zeros(3).double())
    assert float(mssd(gt @ quarter, gt, corner, identity)) == pytest.approx(0.05 * np.sqrt(2), abs=1e-12)
    assert float(mssd(gt @ quarter, gt, corner, torch.stack([identity[0], quarter]))) == pytest.approx(0, abs=1e-12)


def test_equal_poses_have_no_error_and_missing_ones_an_infinite_one():
    est, gt = some_poses(3)
    points, symmetries = some_points(150), SYMMETRIES["lathe"].transforms()
    functions = (
        add,
        add_s,
        lambda e, g, p: mssd(e, g, p, symmetries),
        lambda e, g, p: mspd(e, g, p, symmetries, K),
    )
    missing = est.clone()
    missing[1] = float("nan")
    for f in functions:
        assert f(gt, gt, points).abs().max() < 1e-9
        assert torch.isinf(f(missing, gt, points)).tolist() == [False, True, False]
        assert f(est[:0], gt[:0], points).shape == (0,)


def test_a_matrix_of_few_digits_is_measured_as_it_stands():
    est, gt = some_poses(3)
    rounded = est.clone()
    rounded[:, :3, :3] = (est[:, :3, :3] * 1000).round() / 1000
    points = some_points(140)
    got = add_s(rounded, gt, points)
    for i in range(3):
        assert float(got[i]) == pytest.approx(
            twins.add_s(rounded[i].numpy(), gt[i].numpy(), points.numpy()), abs=1e-9
        )


def test_points_in_a_plane_have_no_hull_but_an_error():
    est, gt = some_poses(2)
    flat = some_points(300) * torch.tensor([1.0, 1.0, 0.0])
    identity = torch.eye(4, dtype=torch.float64)[None]
    assert len(hull_points(flat)) == 300
    expected = [twins.mssd(e.numpy(), g.numpy(), flat.numpy(), identity.numpy()) for e, g in zip(est, gt)]
    assert mssd(est, gt, flat, identity).tolist() == pytest.approx(expected, abs=1e-9)


def test_spread_points_begin_with_the_ends():
    line = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0, 0])
    assert sorted(spread_points(line, 3)[:, 0].tolist()) == [0.0, 0.5, 1.0]
    assert len(spread_points(line[:2], 48)) == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a | {"est": a["est"][0]}, "poses must be"),
        (lambda a: a | {"gt": a["gt"][:1]}, "poses must be"),
        (lambda a: a | {"points": a["points"][:0]}, "points must be"),
        (lambda a: a | {"points": a["points"].float()}, "one dtype"),
        (lambda a: a | {"symmetries": torch.zeros(0, 4, 4)}, "symmetries must be"),
    ],
)
def test_wrong_shapes_are_named(change, says):
    est, gt = some_poses(2)
    arguments = {"est": est, "gt": gt, "points": some_points(5), "symmetries": torch.eye(4)[None].double()}
    with pytest.raises(ValueError, match=says):
        mssd(**change(arguments))


# ---- VSD -------------------------------------------------------------------------------------------------------------
TAUS = [0.05 * i for i in range(1, 11)]
SMALL_K = torch.tensor([[30.0, 0.0, 7.5], [0.0, 28.0, 5.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def some_maps(seed=0, count=3, height=12, width=16):
    rng = torch.Generator().manual_seed(seed)
    noise = lambda: torch.rand(count, height, width, generator=rng, dtype=torch.float64)  # noqa: E731
    gt = torch.where(noise() < 0.6, 0.5 + 0.05 * noise(), 0.0)
    est = torch.where(noise() < 0.6, 0.5 + 0.05 * noise(), 0.0)
    test = torch.where(noise() < 0.8, 0.48 + 0.08 * noise(), 0.0)
    return est, gt, test


@pytest.mark.parametrize("device", DEVICES)
def test_vsd_agrees_with_its_twin(device):
    est, gt, test = some_maps()
    got = vsd(*(v.to(device) for v in (est, gt, test, SMALL_K)), 0.1, 0.015, TAUS)
    assert got.shape == (3, 10)
    for i in range(3):
        expected = twins.vsd(est[i].numpy(), gt[i].numpy(), test[i].numpy(), SMALL_K.numpy(), 0.1, 0.015, TAUS)
        assert got[i].tolist() == pytest.approx(expected, abs=1e-9)
        assert 0 < min(expected) < max(expected) < 1


def test_vsd_at_its_edges():
    est, gt, test = some_maps(count=1)
    empty, nothing = torch.zeros_like(est), torch.zeros_like(test)
    one = lambda *maps: vsd(*maps, SMALL_K, 0.1, 0.015, TAUS)[0].tolist()  # noqa: E731
    assert one(gt, gt, nothing) == [0.0] * 10  # equal, depth unknown everywhere
    assert one(empty, gt, test) == [1.0] * 10  # nothing rendered for the estimate
    assert one(est, empty, test) == [1.0] * 10
    assert one(empty, empty, test) == [1.0] * 10  # no pixel at all: 1, not 0 / 0
    hidden = torch.full_like(test, 0.2)  # a wall in front of both
    assert one(gt, gt, hidden) == [1.0] * 10
    # the estimate counts as visible where the truth is, however far behind: half a metre is wrong but in both
    behind = torch.where(gt > 0, gt + 0.5, 0.0)
    assert one(behind, gt, torch.where(gt > 0, gt, 0.0)) == [1.0] * 10


def test_vsd_thresholds_are_strict():
    """A distance of exactly tau diameters is wrong; exactly delta behind the measured surface is visible."""
    K_axis = torch.tensor([[1e9, 0.0, 0.0], [0.0, 1e9, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)  # rays along z
    gt = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    at = lambda est, test: vsd(  # noqa: E731
        torch.full_like(gt, est), gt, torch.full_like(gt, test), K_axis, 0.25, 0.125, [0.25, 0.5]
    )[0].tolist()
    assert at(0.5625, 0.5) == [1.0, 0.0]  # 0.0625 m of a diameter of 0.25 is 0.25: not below 0.25
    assert at(0.5, 0.375) == [0.0, 0.0]  # the truth is exactly delta behind: visible
    assert at(0.5, 0.3749) == [1.0, 1.0]  # a little more: hidden, the union is empty


def test_distances_are_from_the_camera_centre():
    lengths = ray_lengths(SMALL_K, 12, 16)
    assert float(lengths[5, 7]) == pytest.approx(np.hypot(1, 0.5 / 30), abs=1e-12)
    assert float(lengths[0, 15]) == pytest.approx(np.sqrt(1 + (7.5 / 30) ** 2 + (5 / 28) ** 2), abs=1e-12)
    with pytest.raises(ValueError, match="all alike"):
        vsd(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.zeros(1, 3, 2), SMALL_K, 0.1, 0.015, TAUS)
