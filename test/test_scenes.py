"""Synthetic scenes: reproducible, and their truth agrees with their pictures."""

import pytest
import torch
from conftest import wedge_mesh

from mrc_core.data.distractors import make_distractors
from mrc_core.data.scene_sampling import SceneConfig, jitter_boxes, sample_rotations, upright_views
from mrc_core.data.scenes import SceneGenerator
from mrc_core.geometry import ObjectModel, SymmetrySet
from mrc_core.geometry.cameras import mask_boxes
from mrc_core.rendering import create_renderer
from mrc_core.training.depth_limits import measure_depth_limits
from mrc_core.training.surface_coordinates import surface_points

ITEM = ObjectModel("wedge", wedge_mesh(), SymmetrySet())


@pytest.fixture(scope="module")
def generator():
    meshes = [ITEM.centred_mesh, *make_distractors(5, ITEM.diameter, seed=1)]
    radius = torch.tensor([float(torch.as_tensor(m.vertices).norm(dim=1).max()) for m in meshes])
    probe, camera = create_renderer("warp", meshes), create_renderer("warp", meshes, supersample=2)
    return SceneGenerator(probe, camera, torch.tensor([ITEM.diameter]), radius, 128, SceneConfig(), seed=5)


def test_the_same_number_gives_the_same_batch_and_another_another(generator):
    first, again, other = generator.batch(3, 8), generator.batch(3, 8), generator.batch(4, 8)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.cam_from_obj, again.cam_from_obj)
    assert not torch.equal(first.image, other.image)


def test_shapes_and_ranges(generator):
    batch = generator.batch(0, 8)
    assert batch.image.shape == (8, 4, 128, 128)
    assert batch.visible.shape == (8, 32, 32)
    assert batch.image.min() >= 0 and batch.image.max() <= 1  # noqa: PT018
    assert set(batch.image[:, 3].unique().tolist()) <= {0.0, 1.0}
    assert (batch.visible_fraction > 0.2).float().mean() > 0.9


def test_visible_pixels_lie_on_the_mesh(generator):
    """Depth, pose and crop intrinsics agree: what the picture shows is within a millimetre of the mesh's surface."""
    import trimesh

    batch = generator.batch(1, 8)
    points, valid = surface_points(batch.depth_m, batch.K, batch.cam_from_obj, 32)
    on_surface = points.permute(0, 2, 3, 1)[valid].numpy()
    assert len(on_surface) > 200
    mesh = trimesh.Trimesh(ITEM.centred_mesh.vertices, ITEM.centred_mesh.faces)
    nearest = trimesh.proximity.closest_point_naive(mesh, on_surface[:300])[1]
    assert nearest.max() < 1e-3


def test_boxes_surround_the_visible_part(generator):
    config = SceneConfig(box_shift=0.0, box_scale=(1.0, 1.0), amodal_fraction=0.0)
    exact = SceneGenerator(
        generator.probe, generator.camera, generator.diameters, generator.mesh_radius, 128, config, 7
    )
    batch = exact.batch(0, 16)
    seen = mask_boxes(batch.depth_m > 0)
    said = mask_boxes(batch.image[:, 3] > 0.5)
    middle = lambda box: (box[:, :2] + box[:, 2:]) / 2  # noqa: E731
    size = lambda box: (box[:, 2:] - box[:, :2]).amax(dim=1)  # noqa: E731
    # the box map is grown by 12.5 % on each side and each side is still scaled by up to 7 %
    assert (middle(seen) - middle(said)).abs().median() < 3
    assert ((size(said) / size(seen)).median() - 1.25).abs() < 0.08


def test_standing_objects_have_their_z_up():
    rng = torch.Generator().manual_seed(0)
    R = upright_views(200, SceneConfig(camera_roll_deg=0.0), rng)
    z_in_camera = R[:, :, 2]
    assert (z_in_camera[:, 1] <= 1e-6).all()  # camera's y points down
    assert (z_in_camera[:, 2] <= 1e-6).all()  # the camera looks down on it, never from below
    assert z_in_camera[:, 0].abs().max() < 1e-5


def test_rotations_reach_every_direction():
    R = sample_rotations(
        4000, SceneConfig(standing_fraction=0.0, resting_fraction=0.0), torch.Generator().manual_seed(1)
    )
    assert R.mean(dim=0).abs().max() < 0.05


def test_jittered_boxes_stay_near():
    rng = torch.Generator().manual_seed(0)
    box = torch.tensor([[100.0, 100, 200, 300]]).expand(500, 4)
    jittered = jitter_boxes(box, SceneConfig(), rng)
    centre = (jittered[:, :2] + jittered[:, 2:]) / 2 - torch.tensor([150.0, 200.0])
    assert (centre.abs() <= torch.tensor([10.0, 20.0]) + 1e-3).all()
    assert centre.std(dim=0).min() > 3


def test_depth_limits_hold_for_new_scenes(generator):
    limits = measure_depth_limits(generator, samples_per_object=200)
    _, tau_z = generator.depths(123, 64)
    assert ((tau_z >= limits[0, 0]) & (tau_z <= limits[0, 1])).float().mean() > 0.95
    assert limits[0, 1] < 10 * 1.5 * ITEM.diameter / 128


def test_a_batch_of_one_is_visible_enough_too(generator):
    for i in range(40):
        batch = generator.batch(1000 + i, 1)
        assert batch.image.isfinite().all()
        assert batch.visible_fraction.item() >= SceneConfig().min_visible


def test_weights_draw_an_object_more_often():
    meshes = [ITEM.centred_mesh, ITEM.centred_mesh]
    radius = torch.full((2,), ITEM.diameter / 2)
    renderer = create_renderer("warp", meshes)
    pair = SceneGenerator(
        renderer, renderer, torch.full((2,), ITEM.diameter), radius, 128, SceneConfig(), seed=5
    )
    drawn = pair.batch(0, 64, torch.tensor([1.0, 9.0])).object_index
    assert (drawn == 1).sum() > 3 * (drawn == 0).sum()


def test_impossible_settings_say_which_to_change(generator):
    config = SceneConfig(
        min_visible=1.0, amodal_fraction=0.0, distance_range=(1.0, 1.01), focal_range=(3.0, 3.01)
    )
    never = SceneGenerator(
        generator.probe, generator.camera, generator.diameters, generator.mesh_radius, 128, config, 7
    )
    with pytest.raises(ValueError, match="min_visible"):
        never.batch(0, 4)
