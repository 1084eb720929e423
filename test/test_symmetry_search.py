"""Symmetries are proposed as they are: of solids, of the demo's objects, of scans; by shape and by appearance."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from conftest import ROOT
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from mrc_core.data.object_set import load_objects
from mrc_core.geometry import Mesh, SymmetrySet
from mrc_core.geometry.rotations import random_rotations, rotation_angle
from mrc_core.geometry.symmetry_group import axes_of, completed
from mrc_core.geometry.symmetry_matching import closest_on_triangles
from mrc_core.geometry.symmetry_proposals import (
    ACCEPT,
    REJECT,
    SHAPE_ONLY,
    Misfit,
    SymmetryProposal,
    symmetry_set,
)
from mrc_core.geometry.symmetry_samples import sample_evenly
from mrc_core.geometry.symmetry_search import find_symmetries

make = trimesh.creation
SECTIONS = 64
YCB = os.environ.get("MRC_YCB_MESHES", "")


def mesh_of(solid: trimesh.Trimesh, colour=None, finer: int = 0) -> Mesh:
    """A mesh of a solid; `colour` makes (V, 3) of vertices (V, 3)."""
    for _ in range(finer):
        solid = solid.subdivide()
    vertices = np.asarray(solid.vertices)
    colours = None if colour is None else np.asarray(colour(vertices)).clip(0, 255).astype(np.uint8)
    return Mesh(vertices.astype(np.float32), np.asarray(solid.faces, np.int32), vertex_colors=colours)


def prism(corners: int) -> trimesh.Trimesh:
    return make.cylinder(radius=0.05, height=0.08, sections=corners)


def accepted(found: list[SymmetryProposal]) -> SymmetrySet:
    return symmetry_set([one for one in found if one.verdict == ACCEPT])


def moved(solid: trimesh.Trimesh, seed: int) -> tuple[trimesh.Trimesh, np.ndarray]:
    """The solid, turned and shifted at random, and the transform (4, 4)."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    transform[:3, 3] = np.random.default_rng(seed).uniform(-0.1, 0.1, 3)
    return solid.copy().apply_transform(transform), transform


# ---- solids, turned and shifted at random ----------------------------------------------------------------------------
CORNERS, TRIANGLES = (
    [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]],
    [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]],
)
FINITE = {
    "box": (make.box([0.1, 0.07, 0.15]), 4),
    "square box": (make.box([0.1, 0.1, 0.15]), 8),
    "cube": (make.box([0.1, 0.1, 0.1]), 24),
    "tetrahedron": (trimesh.Trimesh(CORNERS, TRIANGLES).apply_scale(0.05), 12),
    **{f"prism {n}": (prism(n), 2 * n) for n in (3, 8, 11, 12)},
}


@pytest.mark.parametrize("name", FINITE)
def test_the_whole_group_of_a_solid_is_found(name: str):
    solid, elements = FINITE[name]
    turned, _ = moved(solid, seed=len(name))
    mesh = mesh_of(turned)
    symmetries = accepted(find_symmetries(mesh))
    assert not symmetries.continuous
    assert len(symmetries.discrete) == elements
    # every one of them takes the corners to corners, and no two of them are the same
    corners = np.asarray(turned.vertices)
    tree = cKDTree(corners)
    seen = set()
    for transform in symmetries.discrete.numpy():
        distance, index = tree.query(corners @ transform[:3, :3].T + transform[:3, 3])
        assert distance.max() < 0.005 * mesh.diameter
        seen.add(tuple(index))
    assert len(seen) == elements


ROUND = {
    "cylinder": (make.cylinder(0.05, 0.12, sections=SECTIONS), True),
    "cylinder with a cube's moments": (make.cylinder(0.05, 0.0866, sections=SECTIONS), True),
    "torus": (make.torus(0.05, 0.015, major_sections=SECTIONS, minor_sections=24), True),
    "cone": (make.cone(0.05, 0.12, sections=SECTIONS), False),
}


@pytest.mark.parametrize("name", ROUND)
def test_axes_of_revolution_are_found(name: str):
    solid, can_be_upended = ROUND[name]
    turned, transform = moved(solid, seed=len(name))
    mesh = mesh_of(turned)
    symmetries = accepted(find_symmetries(mesh))
    assert len(symmetries.continuous) == 1
    assert len(symmetries.discrete) == 1 + can_be_upended
    axis = np.array(symmetries.continuous[0].axis)
    gap = np.cross(np.array(symmetries.continuous[0].offset) - transform[:3, 3], transform[:3, 2])
    assert abs(axis @ transform[:3, 2]) > np.cos(np.deg2rad(0.3))
    assert np.linalg.norm(gap) < 0.003 * mesh.diameter
    if can_be_upended:
        upended = (
            symmetries.discrete[1].numpy() @ transform
        )  # brings the solid's frame to itself, upside down
        back = np.linalg.inv(transform) @ upended
        assert back[2, 2] == pytest.approx(-1, abs=1e-4)
        assert abs(back[2, 3]) < 0.003 * mesh.diameter  # both solids have their middle at the origin


def test_a_ball_may_be_turned_in_any_way():
    turned, transform = moved(make.icosphere(4, 0.06), seed=1)
    found = find_symmetries(mesh_of(turned))
    assert [one.is_ball for one in found] == [True]
    assert np.linalg.norm(np.array(found[0].offset) - transform[:3, 3]) < 0.001
    symmetries = accepted(found).centred(torch.tensor(found[0].offset))
    poses = torch.eye(4).repeat(500, 1, 1)
    poses[:, :3, :3] = random_rotations(500, torch.Generator().manual_seed(0))
    here = torch.eye(4).repeat(500, 1, 1)
    nearest = symmetries.nearest_pose(here, poses, torch.eye(4, dtype=torch.float64))
    assert torch.rad2deg(rotation_angle(nearest[:, :3, :3], poses[:, :3, :3])).max() < 15
    assert nearest[:, :3, 3].norm(dim=1).max() < 1e-5


# ---- what breaks a symmetry ------------------------------------------------------------------------------------------
def test_a_small_knob_breaks_an_axis_of_revolution_and_is_told():
    body = make.cylinder(0.04, 0.1, sections=SECTIONS)
    knob = make.box([0.012, 0.012, 0.012]).apply_translation([0.043, 0, 0.02])
    found = find_symmetries(mesh_of(trimesh.util.concatenate([body, knob])))
    assert [one.verdict for one in found] == [REJECT]
    assert found[0].order is None
    assert "far end" in found[0].reason


def test_a_box_that_is_nearly_square_has_half_turns_alone():
    found = find_symmetries(mesh_of(make.box([0.1, 0.105, 0.15])))
    assert len(accepted(found).discrete) == 4


def test_a_mug_is_symmetric_about_its_handles_axis_alone():
    handle = make.torus(0.03, 0.006).apply_transform(
        trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
    )
    body = make.cylinder(0.04, 0.1, sections=SECTIONS)
    found = find_symmetries(
        mesh_of(trimesh.util.concatenate([body, handle.apply_translation([0.045, 0, 0])]))
    )
    assert [(one.axis, one.order) for one in found if one.verdict == ACCEPT] == [((1.0, 0.0, 0.0), 2)]


def test_what_nobody_sees_breaks_nothing():
    inside = make.icosphere(2, 0.01).apply_translation([0.02, 0.01, 0.03])
    found = find_symmetries(mesh_of(trimesh.util.concatenate([make.box([0.1, 0.07, 0.15]), inside])))
    assert len(accepted(found).discrete) == 4


# ---- appearance ------------------------------------------------------------------------------------------------------
def stripes(count: int):
    """Red and white, `count` times around z."""
    return lambda v: np.where(
        np.sin(count * np.arctan2(v[:, 1], v[:, 0]) - 0.4)[:, None] > 0, [220, 30, 30], [240, 240, 230]
    )


def test_a_print_on_a_can_is_taken_into_account():
    can = make.cylinder(0.05, 0.12, sections=SECTIONS)
    found = find_symmetries(mesh_of(can, stripes(6), finer=3))
    about = {one.order: one.verdict for one in found if one.axis == (0.0, 0.0, 1.0)}
    assert about == {None: SHAPE_ONLY, 6: ACCEPT}
    assert len(accepted(found).discrete) == 12  # it may be upended as well
    assert not accepted(found).continuous
    across = next(one.axis for one in found if one.order == 2)
    phase = np.rad2deg(np.arctan2(across[1], across[0]) - (np.pi + 0.8) / 12)  # where sin(6 a - 0.4) is even
    assert abs((phase + 15) % 30 - 15) < 1.5
    assert "colours do not" in next(one.reason for one in found if one.verdict == SHAPE_ONLY)


def test_a_can_with_two_ends_cannot_be_upended():
    can = make.cylinder(0.05, 0.12, sections=SECTIONS)
    found = find_symmetries(mesh_of(can, lambda v: np.where(v[:, 2:] > 0, [200, 0, 0], [0, 0, 200]), finer=3))
    assert [(one.order, one.verdict) for one in found] == [(None, ACCEPT), (2, SHAPE_ONLY)]


def test_the_colours_of_a_cube_leave_the_turns_that_go_together():
    def by_axis(vertices):
        return np.array([[255, 0, 0], [0, 200, 0], [0, 0, 255]])[np.abs(vertices).argmax(axis=1)]

    found = find_symmetries(mesh_of(make.box([0.06] * 3), by_axis, finer=3))
    assert sorted(one.order for one in found if one.verdict == ACCEPT) == [2, 2, 2]
    assert len(accepted(found).discrete) == 4
    assert {one.order for one in found if one.verdict == SHAPE_ONLY} == {2, 3, 4}


# ---- meshes as they come ---------------------------------------------------------------------------------------------
def uneven_box() -> trimesh.Trimesh:
    """Hundreds of triangles at one end, two a side at the other."""
    solid = make.box([0.1, 0.07, 0.15])
    vertices, faces = solid.vertices, solid.faces
    for _ in range(4):
        fine = np.flatnonzero(vertices[faces].mean(axis=1)[:, 0] > 0.01)
        vertices, faces = trimesh.remesh.subdivide(vertices, faces, face_index=fine)
    return trimesh.Trimesh(vertices, faces, process=False)


def test_neither_uneven_vertices_nor_their_order_matter():
    solid = uneven_box()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(solid.vertices))
    faces = np.argsort(order)[solid.faces][rng.permutation(len(solid.faces))]
    shuffled = Mesh(solid.vertices[order].astype(np.float32), faces.astype(np.int32))
    for mesh in (mesh_of(solid), shuffled):
        found = find_symmetries(mesh)
        assert sorted(one.axis for one in found) == [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)]
        assert all(one.offset == (0.0, 0.0, 0.0) for one in found)


def test_noise_of_a_scan_is_tolerated_and_measured():
    solid = make.cylinder(0.04, 0.1, sections=SECTIONS).subdivide().subdivide().subdivide()
    solid.vertices += np.random.default_rng(0).normal(
        0, 0.0006, solid.vertices.shape
    )  # 0.5 % of the diameter
    found = find_symmetries(mesh_of(solid))
    assert [one.verdict for one in found] == [ACCEPT, ACCEPT]
    assert 0.001 < found[0].shape.mean < 0.005
    strict = find_symmetries(mesh_of(solid), shape_tolerance=0.001)
    assert ACCEPT not in [one.verdict for one in strict]


def test_the_same_mesh_gives_the_same_proposals():
    mesh = mesh_of(make.box([0.1, 0.07, 0.15]), stripes(3), finer=3)
    assert find_symmetries(mesh) == find_symmetries(mesh)


def test_samples_are_even():
    points = sample_evenly(mesh_of(uneven_box()), 4000).points
    assert abs((points[:, 0] > 0).mean() - 0.5) < 0.01
    assert np.abs(points.mean(axis=0)).max() < 0.0005


@pytest.mark.parametrize("wrong", [{"shape_tolerance": 0.0}, {"colour_tolerance": 2.0}, {"max_order": 1}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="tolerances"):
        find_symmetries(mesh_of(make.box([0.1] * 3)), **wrong)


# ---- the demo's objects and scans ------------------------------------------------------------------------------------
DEMO = {item.class_id: item for item in load_objects(ROOT / "demo" / "objects")}


@pytest.mark.parametrize("name", ["bracket", "toolbox", "flask", "tea_box"])
def test_the_demo_declares_what_is_found(name: str):
    found = find_symmetries(DEMO[name].mesh)
    assert accepted(found).to_bop() == DEMO[name].symmetries.to_bop()
    by_shape = [(one.order, one.verdict) for one in found if one.verdict == SHAPE_ONLY]
    assert by_shape == ([(2, SHAPE_ONLY)] * 3 if name == "tea_box" else [])


SCANS = {  # orders by verdict; the brick has holes in one side, so that it can be turned about their axis alone
    "003_cracker_box": {SHAPE_ONLY: [2, 2, 2]},
    "004_sugar_box": {SHAPE_ONLY: [2, 2, 2]},
    "006_mustard_bottle": {SHAPE_ONLY: [2]},
    "024_bowl": {ACCEPT: [None]},
    "035_power_drill": {},
    "061_foam_brick": {ACCEPT: [2]},
}


@pytest.mark.skipif(not YCB, reason="MRC_YCB_MESHES does not name a folder of YCB meshes")
@pytest.mark.parametrize("name", SCANS)
def test_scans(name: str):
    path = Path(YCB) / name / "textured.obj"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = find_symmetries(Mesh.load(path))
    by_verdict = {v: [one.order for one in found if one.verdict == v] for v in (ACCEPT, SHAPE_ONLY)}
    assert by_verdict == {ACCEPT: [], SHAPE_ONLY: [], **SCANS[name]}
    if name in ("024_bowl", "061_foam_brick", "006_mustard_bottle"):  # they were scanned standing upright
        assert next(one for one in found if one.verdict != REJECT).axis[2] > 0.999


# ---- groups and sets -------------------------------------------------------------------------------------------------
def about(axis, order: int, noise: float = 0.0) -> np.ndarray:
    """A turn (3, 3), its axis tilted by `noise` radians."""
    unit = np.asarray(axis, float) / np.linalg.norm(axis) + [noise, -noise, noise]
    return Rotation.from_rotvec(unit / np.linalg.norm(unit) * 2 * np.pi / order).as_matrix()


GOLDEN = (1 + 5**0.5) / 2


@pytest.mark.parametrize(
    ("generators", "size", "axes"),
    [
        ([((0, 0, 1), 12)], 12, {12: 1}),
        ([((0, 0, 1), 6), ((1, 0, 0), 2)], 12, {6: 1, 2: 6}),
        ([((1, 1, 1), 3), ((0, 0, 1), 4)], 24, {4: 3, 3: 4, 2: 6}),
        ([((0, 1, GOLDEN), 5), ((1, 1, 1), 3)], 60, {5: 6, 3: 10, 2: 15}),
    ],
)
def test_measured_turns_become_a_whole_and_exact_group(generators, size, axes):
    elements = completed([about(axis, order, noise=0.005) for axis, order in generators])
    assert len(elements) == size
    products = (elements[:, None] @ elements[None]).reshape(-1, 9)
    distance, _ = cKDTree(elements.reshape(-1, 9)).query(products)
    assert distance.max() < 1e-12
    found = axes_of(elements)
    assert {order: sum(one.order == order for one in found) for order in axes} == axes
    assert sum(one.order - 1 for one in found) == size - 1


def test_turns_of_no_common_group_are_refused():
    with pytest.raises(ValueError, match="do not go together"):
        completed([about((0, 0, 1), 5), about((0, 1, 1), 5)])


def test_a_choice_that_no_object_can_have_is_refused():
    nothing = Misfit(0.0, 0.0)

    def proposal(axis, order):
        return SymmetryProposal(axis, (0.0, 0.0, 0.1), order, False, nothing, nothing, ACCEPT, "by hand")

    lathe, slanted = proposal((0.0, 0.0, 1.0), None), proposal((3**-0.5,) * 3, 3)
    with pytest.raises(ValueError, match="does not go together"):
        symmetry_set([lathe, slanted])
    assert (
        len(symmetry_set([lathe, proposal((0.0, 0.0, 1.0), 6)]).discrete) == 1
    )  # it has these turns already
    assert (
        len(symmetry_set([lathe, proposal((0.0, 1.0, 0.0), None)]).discrete) > 100
    )  # two of them make a ball
    assert symmetry_set([]).is_trivial


def test_closest_points_of_triangles_agree_with_a_search_of_their_inside():
    rng = np.random.default_rng(3)
    corners, points = rng.normal(size=(40, 3, 3)), rng.normal(size=(40, 3))
    corners[0, 2] = corners[0, 1]  # a triangle that is a line, and one that is a point
    corners[1] = corners[1, :1]
    found = closest_on_triangles(corners, points)
    u, v = np.meshgrid(np.linspace(0, 1, 301), np.linspace(0, 1, 301))
    inside = u + v <= 1
    weights = np.stack([1 - u - v, u, v], axis=-1)[inside]
    for triangle, point, one in zip(corners, points, found):
        least = np.linalg.norm(weights @ triangle - point, axis=1).min()
        assert np.linalg.norm(one - point) == pytest.approx(least, abs=0.02)
        assert np.linalg.norm(one - point) <= least + 1e-9
