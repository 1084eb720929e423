"""Scenes of a synthetic data set: piles of objects, the room around them, settings."""

import numpy as np
import pytest
import torch
from conftest import wedge_mesh
from scipy.spatial import ConvexHull

from mrc_core.data.bop_writer import depth_picture
from mrc_core.data.dataset_scenes import DatasetSceneConfig, DatasetScenes
from mrc_core.data.piles import drop_pile, surface_cloud
from mrc_core.data.rooms import camera_towards, render_room
from mrc_core.geometry.rotations import random_rotations
from mrc_core.rendering import Lights, create_renderer

SIZE = (120, 160)


def test_objects_of_a_pile_stand_on_the_floor_or_on_each_other():
    mesh = wedge_mesh()
    cloud = surface_cloud(mesh)
    rng = torch.Generator().manual_seed(4)
    rotations = random_rotations(6, rng).double().numpy()
    poses = drop_pile([cloud] * 6, rotations, np.array([[0, 0]] * 4 + [[0.05, 0.03], [0.5, 0]]))
    placed = [cloud @ pose[:3, :3].T + pose[:3, 3] for pose in poses]
    lows = [points[:, 2].min() for points in placed]
    assert lows[0] == pytest.approx(0, abs=1e-9)
    assert lows[5] == pytest.approx(0, abs=1e-9)  # beside the pile
    assert min(lows) > -1e-9
    assert lows[3] > 0.05
    planes = [ConvexHull(points).equations for points in placed]
    for i in range(6):
        for j in range(6):
            if i != j:  # how far the points of one lie inside of the other (a wedge is convex)
                inside = -(placed[i] @ planes[j][:, :3].T + planes[j][:, 3]).max(axis=1)
                assert inside.max() < 0


def test_the_room_is_a_floor_and_a_wall():
    K = torch.tensor([[150.0, 0, 80], [0, 150, 60], [0, 0, 1]])
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = camera_towards(0.3, 0.1)
    pose[:3, 3] = torch.tensor([0.0, 0, 1.0])  # the world's origin, one metre ahead
    picture, depth = render_room(K, SIZE, pose, 0.7, Lights.head_light(), torch.Generator().manual_seed(0))
    assert picture.shape == (3, *SIZE)
    assert (depth > 0).all()
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(K.double().numpy()).T
    points = pixels * depth.numpy()[..., None]
    world = (points - pose[:3, 3].numpy()) @ pose[:3, :3].numpy()
    on_floor, on_wall = np.abs(world[..., 2]) < 1e-9, np.abs(world[..., 1] - 0.7) < 1e-9
    assert (on_floor | on_wall).all()
    assert on_floor.any()
    assert on_wall.any()
    assert world[..., 2].min() > -1e-9
    assert world[..., 1].max() < 0.7 + 1e-9


def test_settings_of_scenes_are_checked():
    renderer = create_renderer("warp", [wedge_mesh()])
    with pytest.raises(ValueError, match="allow more instances"):
        DatasetScenes(renderer, renderer, [wedge_mesh()], 1, DatasetSceneConfig(), 0)
    with pytest.raises(ValueError, match="distance_range"):
        DatasetSceneConfig(distance_range=(2.0, 1.0))
    with pytest.raises(ValueError, match="extra"):
        DatasetSceneConfig(colour="red")


def test_holes_leave_half_of_what_is_seen_of_an_object():
    mesh = wedge_mesh()
    renderer = create_renderer("warp", [mesh])
    config = DatasetSceneConfig(
        image_width=96, image_height=64, objects_per_image=(3, 3), max_instances=3, max_holes=500
    )
    scenes = DatasetScenes(renderer, renderer, [mesh], 1, config, 0)
    shares, holes = [], []
    for image_id in range(6):
        image = scenes.image(1, image_id)
        holes.append((image.depth_m == 0).mean())
        shares += [(image.depth_m[i.visible] == 0).mean() for i in image.instances if i.visible.any()]
    assert max(shares) <= 0.5
    assert max(shares) > 0
    assert np.mean(holes) > 0.2


def test_large_objects_get_a_coarser_depth():
    mesh = wedge_mesh(20.0)
    renderer = create_renderer("warp", [mesh])
    config = DatasetSceneConfig(image_width=96, image_height=64, objects_per_image=(1, 1))
    image = DatasetScenes(renderer, renderer, [mesh], 1, config, 0).image(1, 0)
    assert image.depth_scale == 1.0
    values = depth_picture(image.depth_m, image.depth_scale)[image.instances[0].visible]
    assert (values > 0).mean() > 0.5
    assert values.max() > 6553
