"""Jitter of known motion and known noise, names and identities of true objects."""

from __future__ import annotations

import node_harness  # noqa: F401 - first: it sets ROS's environment
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from mrc_core.geometry import ContinuousSymmetry, Mesh, SymmetrySet
from mrc_net_ros.bags.identities import id_switches
from mrc_net_ros.bags.jitter import PosedAt, error_changes, motion_changes
from mrc_net_ros.bags.judging import JudgedObject, ObjectJudge, Tracks
from mrc_net_ros.bags.truth import TrueObject

PERIOD_NS = 100_000_000
COUNT = 400


def pose(rotation: Rotation, at: np.ndarray) -> np.ndarray:
    """A rigid transform (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation.as_matrix(), at
    return matrix


def disc_mesh() -> Mesh:
    """A disc that turns about z."""
    disc = trimesh.creation.cylinder(radius=0.05, height=0.04, sections=48)
    return Mesh(
        vertices=np.asarray(disc.vertices, dtype=np.float32),
        faces=np.asarray(disc.faces, dtype=np.int32),
        normals=np.asarray(disc.vertex_normals, dtype=np.float32),
        uv=None,
        texture=None,
        vertex_colors=None,
        name="disc",
    )


def moving(number: int) -> np.ndarray:
    """A pose that moves and turns at constant speed."""
    return pose(Rotation.from_rotvec([0.0, 0.0, 0.02 * number]), np.array([0.01 * number, 0.0, 0.8]))


def samples(estimated: list[np.ndarray], true: list[np.ndarray]) -> list[PosedAt]:
    return [PosedAt(i, i * PERIOD_NS, e, t, t) for i, (e, t) in enumerate(zip(estimated, true))]


def test_independent_noise_gives_sqrt_6_sigma_both_ways() -> None:
    rng = np.random.default_rng(0)
    sigma_m, sigma_rad = 0.002, 0.003
    true = [moving(i) for i in range(COUNT)]
    noise = [pose(Rotation.from_rotvec(rng.normal(0, sigma_rad, 3)), rng.normal(0, sigma_m, 3)) for _ in true]
    estimated = []
    for t, n in zip(true, noise):
        one = t.copy()
        one[:3, 3] += n[:3, 3]
        one[:3, :3] = n[:3, :3] @ t[:3, :3]
        estimated.append(one)
    for changes in (
        error_changes(samples(estimated, true)),
        motion_changes(samples(estimated, true), lambda p, _: p),
    ):
        jitter = changes.jitter()
        assert jitter.position_mm == pytest.approx(1e3 * np.sqrt(6) * sigma_m, rel=0.1)
        assert jitter.rotation_deg == pytest.approx(np.degrees(np.sqrt(6) * sigma_rad), rel=0.1)


def test_a_change_of_known_size_is_told_exactly() -> None:
    true = [moving(i) for i in range(3)]
    estimated = [t.copy() for t in true]
    estimated[1][:3, 3] += (0.003, 0.0, 0.0)
    jitter = error_changes(samples(estimated, true)).jitter()
    assert jitter.position_mm == pytest.approx(3.0)
    assert (jitter.rotation_deg, jitter.count) == (pytest.approx(0.0, abs=1e-6), 2)


def test_motion_and_a_constant_error_are_no_jitter() -> None:
    true = [moving(i) for i in range(20)]
    offset = pose(Rotation.from_rotvec([0.1, 0.2, 0.0]), np.array([0.01, 0.0, 0.02]))
    jitter = error_changes(samples([t @ offset for t in true], true)).jitter()
    assert (jitter.position_mm, jitter.rotation_deg) == (
        pytest.approx(0.0, abs=1e-6),
        pytest.approx(0.0, abs=1e-6),
    )
    jitter = motion_changes(samples(true, true), lambda p, _: p).jitter()
    assert (jitter.position_mm, jitter.rotation_deg) == (
        pytest.approx(0.0, abs=1e-6),
        pytest.approx(0.0, abs=1e-6),
    )


def test_equivalent_poses_are_no_jitter() -> None:
    judge = ObjectJudge(disc_mesh(), SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.0, 1.0)),)))
    rng = np.random.default_rng(1)
    true = [moving(i) for i in range(10)]
    spun = [
        t @ pose(Rotation.from_rotvec([0, 0, a]), np.zeros(3)) for t, a in zip(true, rng.uniform(-3, 3, 10))
    ]
    shifted = [s + 0.0 for s in spun]
    for one, t in zip(shifted, true):
        one[:3, 3] += t[:3, :3] @ (0.0, 0.0, 0.004)  # along the axis
    rows = [
        PosedAt(i, i * PERIOD_NS, e, t, judge.nearest(t, e)) for i, (e, t) in enumerate(zip(shifted, true))
    ]
    assert error_changes(rows).jitter().position_mm == pytest.approx(0.0, abs=0.05)
    assert error_changes(rows).jitter().rotation_deg == pytest.approx(0.0, abs=0.2)
    assert motion_changes(samples(spun, true), judge.nearest).jitter().rotation_deg == pytest.approx(
        0.0, abs=0.05
    )


def test_missing_frames_and_pauses_make_no_change() -> None:
    true = [moving(i) for i in range(3)]
    gap = [PosedAt(order, order * PERIOD_NS, t, t, t) for order, t in zip((0, 2, 3), true)]
    assert error_changes(gap).jitter().count == 1
    assert motion_changes(gap, lambda p, _: p).jitter().count == 0
    late = [PosedAt(0, 0, true[0], true[0], true[0]), PosedAt(1, 5 * 10**9, true[1], true[1], true[1])]
    assert error_changes(late).jitter().position_mm is None


def test_unnamed_true_objects_keep_their_names_while_their_order_changes() -> None:
    tracks = Tracks()
    left, right = (pose(Rotation.identity(), np.array([x, 0.0, 1.0])) for x in (-0.2, 0.2))
    assert tracks.name([TrueObject("bolt", None, left), TrueObject("bolt", None, right)]) == [
        "bolt#0",
        "bolt#1",
    ]
    assert tracks.name([TrueObject("bolt", None, right), TrueObject("bolt", None, left)]) == [
        "bolt#1",
        "bolt#0",
    ]
    assert tracks.name([TrueObject("bolt", None, right)]) == ["bolt#1"]
    assert tracks.name([TrueObject("nut", "nut_7", left), TrueObject("nut", None, right)]) == [
        "nut_7",
        "nut#0",
    ]


def test_id_switches_are_counted_over_frames_without_a_pose() -> None:
    def row(order: int, instance_id: str | None) -> JudgedObject:
        return JudgedObject(
            order, order, 0, "bolt", "bolt#0", None, True, instance_id, np.eye(4), None, None, None, False
        )

    ids = ["0", "0", None, "1", "1", "0"]
    assert id_switches([row(i, name) for i, name in enumerate(ids)]) == 2
