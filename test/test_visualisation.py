"""Overlays: outlines sit on the edges of what the renderer draws, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mrc_core.inference import Bundle
from mrc_core.rendering import create_renderer
from mrc_core.visualisation import draw_overlay, object_colours

K = np.array([[600.0, 0.0, 150.0], [0.0, 600.0, 110.0], [0.0, 0.0, 1.0]])
SIZE = (240, 320)


def _pose(x: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.5, 0.3, 0.2]))[0]
    pose[:3, 3] = (x, 0.0, z)
    return pose


@pytest.fixture(scope="module")
def scene(tiny_bundle: Path) -> SimpleNamespace:
    """A renderer with the bundle's meshes, and the index of each class."""
    objects = Bundle.load(tiny_bundle).objects
    renderer = create_renderer("warp", [item.mesh for item in objects], device="cpu")
    return SimpleNamespace(renderer=renderer, index={item.class_id: i for i, item in enumerate(objects)})


def test_outline_sits_on_the_silhouettes_edge(scene: SimpleNamespace) -> None:
    image = np.full((*SIZE, 3), 90, dtype=np.uint8)
    class_id = max(scene.index, key=scene.index.get)
    estimate = SimpleNamespace(class_id=class_id, cam_from_obj=_pose(0.02, 0.5))
    drawn = draw_overlay(image, K, [estimate], scene.renderer, scene.index, axis_length_m=0.0, label=False)
    assert (image == 90).all()

    index = scene.index[class_id]
    mask = scene.renderer.render(
        torch.tensor([index]),
        torch.from_numpy(estimate.cam_from_obj[None]).float(),
        torch.from_numpy(K[None]).float(),
        SIZE,
    ).mask[0]
    inside = mask.numpy().astype(np.uint8)
    assert inside.sum() > 500
    edge = inside - cv2.erode(inside, np.ones((3, 3), np.uint8))
    coloured = np.abs(drawn.astype(int) - object_colours(index + 1)[index]).sum(axis=2) < 120
    assert coloured[edge > 0].mean() > 0.95
    far = cv2.distanceTransform(1 - edge, cv2.DIST_L2, 5) > 5.0
    centre = np.rint((K @ estimate.cam_from_obj[:3, 3])[:2] / 0.5).astype(int)
    far[centre[1] - 4 : centre[1] + 5, centre[0] - 4 : centre[0] + 5] = False  # the axes' origin
    np.testing.assert_array_equal(drawn[far], image[far])


def test_axes_end_where_their_points_project(scene: SimpleNamespace) -> None:
    class_id = next(iter(scene.index))
    estimate = SimpleNamespace(class_id=class_id, cam_from_obj=_pose(0.0, 0.6))
    drawn = draw_overlay(
        np.zeros((*SIZE, 3), np.uint8),
        K,
        [estimate],
        scene.renderer,
        scene.index,
        axis_length_m=0.05,
        label=False,
    )
    tip = K @ (estimate.cam_from_obj[:3, :3] @ (0.045, 0.0, 0.0) + estimate.cam_from_obj[:3, 3])
    column, row = np.rint(tip[:2] / tip[2]).astype(int)
    red, green, blue = (int(v) for v in drawn[row, column])
    assert red > 150
    assert green < 100
    assert blue < 100


def test_poses_that_cannot_be_drawn_are_left_out(scene: SimpleNamespace) -> None:
    image = np.full((*SIZE, 3), 90, dtype=np.uint8)
    class_id = next(iter(scene.index))
    behind = SimpleNamespace(class_id=class_id, cam_from_obj=_pose(0.0, -0.5))
    broken = SimpleNamespace(class_id=class_id, cam_from_obj=np.full((4, 4), np.nan))
    np.testing.assert_array_equal(
        draw_overlay(image, K, [behind, broken], scene.renderer, scene.index), image
    )
    unknown = SimpleNamespace(class_id="teapot", cam_from_obj=_pose(0.0, 0.5))
    with pytest.raises(KeyError, match="teapot"):
        draw_overlay(image, K, [unknown], scene.renderer, scene.index)
