"""Cameras, poses, tables, neighbours and detection boxes of training scenes."""

import math

import pytest
import torch
import trimesh
from conftest import wedge_mesh
from scipy.spatial import ConvexHull

from mrc_core.data.boxes import SIDE_NOISE, jitter_boxes
from mrc_core.data.household import make_household
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.scene_sampling import (
    sample_cameras,
    sample_rotations,
    sample_translations,
    upright_views,
)
from mrc_core.data.shapes import MeshShapes
from mrc_core.data.surroundings import Instances, Support, sample_neighbours, sample_support
from mrc_core.geometry import ObjectModel, SymmetrySet
from mrc_core.geometry.cameras import project
from mrc_core.geometry.rotations import make_transform, random_rotations

WEDGE = ObjectModel("wedge", wedge_mesh(), SymmetrySet()).centred_mesh
MESHES = [WEDGE, *make_household(8, 0.15, seed=0)]
SHAPES = MeshShapes.of(MESHES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# ---- cameras and poses -----------------------------------------------------------------------------------------------
def test_lenses_go_from_wide_to_long():
    K = sample_cameras(4000, SceneConfig(), seeded())
    angle = 2 * torch.atan(320 / K[:, 0, 0]) * 180 / math.pi
    assert 88 < angle.max() <= 90.1
    assert 29 < angle.min() < 31
    assert 50 < angle.median() < 60
    assert ((K[:, 1, 1] / K[:, 0, 0] - 1).abs() <= 0.0201).all()
    assert K[:, 0, 2].std() == pytest.approx(0.03 * 640, rel=0.1)
    assert K[:, 1, 2].mean() == pytest.approx(239.5, abs=1.5)


def test_no_face_of_a_target_is_rare():
    """Where the camera stands in the object's frame: every one of 12 directions is met often."""
    R, up = sample_rotations(6000, SceneConfig(), seeded(1))
    camera = -R[:, 2]  # rows of R are the camera's axes in the object's frame
    corners = torch.as_tensor(trimesh.creation.icosahedron().vertices.copy()).float()
    nearest = (camera @ torch.nn.functional.normalize(corners, dim=1).T).argmax(dim=1)
    share = torch.bincount(nearest, minlength=12) / len(R)
    assert share.min() > 0.6 / 12
    assert (up.norm(dim=1) - 1).abs().max() < 1e-5
    free, _ = sample_rotations(4000, SceneConfig(standing_fraction=0, resting_fraction=0), seeded(2))
    assert free.mean(dim=0).abs().max() < 0.05


def test_standing_objects_have_their_z_up():
    config = SceneConfig(camera_roll_deg=0.0, any_roll_fraction=0.0)
    z_in_camera = upright_views(200, config, seeded())[:, :, 2]
    assert (z_in_camera[:, 1] <= 1e-6).all()  # camera's y points down
    assert (z_in_camera[:, 2] <= 1e-6).all()  # the camera looks down on it, never from below
    assert z_in_camera[:, 0].abs().max() < 1e-5
    R, up = sample_rotations(50, SceneConfig(standing_fraction=1.0, resting_fraction=0.0), seeded())
    assert torch.equal(R[:, :, 2], up)


def test_targets_are_all_over_the_image():
    config = SceneConfig(border_fraction=1.0)
    K = sample_cameras(4000, config, seeded())
    at = project(K, sample_translations(K, torch.full((4000,), 0.2), config, seeded(1))[:, None])[:, 0]
    for values, size in ((at[:, 0], 640), (at[:, 1], 480)):
        low, high = -0.5 - 0.04 * size, size - 0.5 + 0.04 * size
        assert low <= values.min() < low + 0.02 * size
        assert high - 0.02 * size < values.max() <= high
        counts = torch.histc(values, 6, low, high)
        assert counts.min() > 0.8 * counts.max()


def test_other_targets_are_whole():
    config = SceneConfig(border_fraction=0.0)
    K = sample_cameras(2000, config, seeded())
    diameter = torch.full((2000,), 0.2)
    t = sample_translations(K, diameter, config, seeded(1))
    at = project(K, t[:, None])[:, 0]
    radius = K[:, 0, 0] * 0.1 / t[:, 2]  # of the target's sphere, were it seen straight ahead
    assert (at[:, 0] - radius > -1.5).all()
    assert (at[:, 0] + radius < 640.5).all()
    assert (at[:, 1] - K[:, 1, 1] * 0.1 / t[:, 2] > -1.5).all()
    assert at[:, 1].std() > 60
    assert (t[:, 2] / diameter >= 1.4 - 1e-4).all()
    assert (t[:, 2] / diameter <= 9.0 + 1e-4).all()


# ---- tables and neighbours -------------------------------------------------------------------------------------------
def test_reach_is_that_of_the_vertices():
    rotation = random_rotations(60, seeded(3))
    direction = torch.nn.functional.normalize(torch.randn(60, 3, generator=seeded(4)), dim=1)
    mesh = torch.arange(60) % len(MESHES)
    found = SHAPES.reach(mesh, rotation, direction)
    for i in range(60):
        points = torch.as_tensor(MESHES[mesh[i]].vertices) @ rotation[i].T
        exact = float((points @ direction[i]).max())
        radius = float(SHAPES.radius[mesh[i]])
        assert exact - 0.04 * radius <= found[i] <= exact + 1e-6


def crowded(config, count=60, seed=0):
    """Targets, their tables and what stands around them."""
    rng = seeded(seed)
    K = sample_cameras(count, config, rng)
    index = torch.zeros(count, dtype=torch.int64)
    t = sample_translations(K, torch.full((count,), WEDGE.diameter), config, rng)
    rotation, up = sample_rotations(count, config, rng)
    pose = make_transform(rotation, t)
    support = sample_support(pose, index, up, SHAPES, config, rng)
    return pose, support, sample_neighbours(pose, index, support, SHAPES, 1, config, rng)


def points_of(mesh, pose):
    return torch.as_tensor(mesh.vertices) @ pose[:3, :3].T + pose[:3, 3]


def test_targets_touch_their_tables_and_cameras_look_down_on_them():
    pose, support, _ = crowded(SceneConfig(support_fraction=1.0))
    assert support.present.float().mean() > 0.6  # the others would be seen from below
    for i in support.present.nonzero().squeeze(1).tolist():
        above = points_of(WEDGE, pose[i]) @ support.normal[i] - support.height[i]
        assert -0.04 * WEDGE.diameter < above.min() < 1e-5
        assert support.height[i] < 0  # the camera's centre, the origin, lies above the plane


def test_neighbours_stand_on_the_table_or_above_it():
    _, support, around = crowded(SceneConfig(support_fraction=1.0))
    standing = 0
    for image, mesh, pose in zip(around.image_index, around.mesh_index, around.cam_from_obj):
        if support.present[image]:
            lowest = (points_of(MESHES[mesh], pose) @ support.normal[image]).min() - support.height[image]
            assert lowest > -0.05 * SHAPES.radius[mesh]
            standing += int(lowest < 0.01 * SHAPES.radius[mesh])
    assert standing > 0.6 * len(around.image_index) * support.present.float().mean()


def test_neighbours_do_not_cut_into_the_target():
    """Of convex things; 2 % of their size may, for only some of their directions are measured."""
    pose, _, around = crowded(SceneConfig(), count=40)
    planes = ConvexHull(WEDGE.vertices).equations
    normals, offsets = torch.tensor(planes[:, :3]).float(), torch.tensor(planes[:, 3]).float()
    deepest = []
    for image, mesh, placed in zip(around.image_index, around.mesh_index, around.cam_from_obj):
        there = points_of(MESHES[mesh], placed)
        local = (there - pose[image, :3, 3]) @ pose[image, :3, :3]
        deepest.append(-(local @ normals.T + offsets).amax(dim=1).min())
    deepest = torch.stack(deepest)
    assert (deepest < 0.03 * WEDGE.diameter).float().mean() > 0.97
    assert (around.cam_from_obj[:, 2, 3] > SHAPES.radius[around.mesh_index]).all()


def test_settings_say_how_many_stand_around_and_of_which_kind():
    _, _, around = crowded(SceneConfig(max_occluders=6, known_fraction=0.25), count=400)
    assert 2.7 < len(around.image_index) / 400 < 3.3
    assert (around.mesh_index == 0).float().mean() == pytest.approx(0.25, abs=0.04)
    _, _, alone = crowded(SceneConfig(max_occluders=0))
    assert len(alone.image_index) == 0


def test_what_is_out_of_view_is_left_out():
    """No vertex of a dropped instance would have shown; most of what is far outside is dropped."""
    pose, _, around = crowded(SceneConfig(max_occluders=6), count=60)
    K = torch.tensor([[300.0, 0, 31.5], [0, 300, 31.5], [0, 0, 1]]).repeat(60, 1, 1)
    everything = Instances(
        torch.cat([torch.arange(60), around.image_index]),
        torch.cat([torch.zeros(60, dtype=torch.int64), around.mesh_index]),
        torch.cat([pose, around.cam_from_obj]),
    )
    kept = everything.in_view(K, 64, SHAPES.radius, always=60).tolist()
    assert kept[:60] == list(range(60))
    dropped = set(range(len(everything.image_index))) - set(kept)
    assert len(dropped) > 40
    for i in dropped:
        points = points_of(MESHES[everything.mesh_index[i]], everything.cam_from_obj[i])
        at = project(K[0], points)
        assert not ((at > -0.5) & (at < 63.5)).all(dim=1).any()


def test_a_table_of_some_scenes_is_theirs():
    support = Support(torch.eye(3), torch.arange(3.0), torch.tensor([True, False, True]))
    part = support.take(torch.tensor([0, 2]))
    assert part.height.tolist() == [0.0, 2.0]
    assert part.present.tolist() == [True, True]


# ---- boxes -----------------------------------------------------------------------------------------------------------
BOX = torch.tensor([[200.0, 150, 300, 350]])


def errors(count=6000, **settings):
    """Of shift (count, 2) and scale (count, 2), in the box's size."""
    found = jitter_boxes(BOX.expand(count, 4), SceneConfig(**settings), seeded())
    size = torch.tensor([100.0, 200.0])
    shift = ((found[:, :2] + found[:, 2:]) / 2 - torch.tensor([250.0, 250.0])) / size
    return shift, (found[:, 2:] - found[:, :2]) / size


def test_ordinary_boxes_stay_near():
    shift, scale = errors(sloppy_fraction=0.0, cut_fraction=0.0)
    assert shift.abs().max() < 0.08 + SIDE_NOISE
    assert shift.std() == pytest.approx(0.08 / 3**0.5, rel=0.15)
    assert 0.88 - 2 * SIDE_NOISE < scale.min() < 0.9
    assert 1.13 < scale.max() < 1.15 + 2 * SIDE_NOISE


def test_some_boxes_are_sloppy_too_small_and_too_large():
    shift, scale = errors(cut_fraction=0.0)
    far = (shift.abs() > 0.08 + SIDE_NOISE).any(dim=1).float().mean()
    assert 0.08 < far < 0.2  # of the fifth that is sloppy
    assert 0.015 < (scale.mean(dim=1) < 0.78).float().mean() < 0.06
    assert 0.03 < (scale.mean(dim=1) > 1.25).float().mean() < 0.08


def test_some_boxes_lack_a_side():
    exact = {"box_shift": 0.0, "box_scale": (1.0, 1.0), "sloppy_fraction": 0.0}
    shift, scale = errors(cut_fraction=0.5, **exact)
    off = (scale - 1).abs() > 2 * SIDE_NOISE + 1e-4
    assert 0.3 < off.any(dim=1).float().mean() < 0.5
    assert not off.all(dim=1).any()  # one side alone
    assert (scale[off] > 1).float().mean() == pytest.approx(0.5, abs=0.05)
    # the side opposite stays: the centre moves by half of what the size changes
    assert (shift.abs() - (scale - 1).abs() / 2)[off].abs().max() < 2 * SIDE_NOISE


def test_boxes_end_at_the_image_but_for_some():
    box = torch.tensor([[-30.0, 400, 90, 520]]).expand(3000, 4)
    found = jitter_boxes(box, SceneConfig(), seeded())
    beyond = (found[:, 0] < -0.5) | (found[:, 3] > 479.5)
    assert 0.1 < beyond.float().mean() < 0.2
    assert (found[:, 2:] > found[:, :2]).all()
    off_image = jitter_boxes(torch.tensor([[630.0, 10, 700, 60]]).expand(500, 4), SceneConfig(), seeded())
    assert (off_image[:, 2] - off_image[:, 0] > 20).all()  # never clipped to next to nothing


def test_empty_boxes_stay_empty():
    assert jitter_boxes(torch.full((3, 4), torch.nan), SceneConfig(), seeded()).isnan().all()
