"""The estimator: crops, batch invariance, frames of the mesh, and bad input."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mrc_core.geometry import camera_matrix, make_transform, rotation_angle
from mrc_core.geometry.rotations import random_rotations
from mrc_core.inference import Detection, PoseEstimator
from mrc_core.inference.crops import extract_crops
from mrc_core.rendering import create_renderer

K = np.array([[600.0, 0, 318.0], [0, 605.0, 241.0], [0, 0, 1]])


@pytest.fixture(scope="module")
def estimator(tiny_bundle):
    return PoseEstimator.from_bundle(tiny_bundle)


def textured_image(seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)


def detections(count, seed=1):
    rng = np.random.default_rng(seed)
    out = []
    for i in range(count):
        x, y, w, h = rng.uniform([0, 0, 60, 60], [500, 350, 180, 180])
        out.append(Detection(("wedge", "disc")[i % 2], (x, y, x + w, y + h), 0.9))
    return out


def assert_same_pose(a, b):
    assert np.abs(a.cam_from_obj[:3, 3] - b.cam_from_obj[:3, 3]).max() < 1e-4
    turn = rotation_angle(torch.from_numpy(a.cam_from_obj[:3, :3]), torch.from_numpy(b.cam_from_obj[:3, :3]))
    assert float(turn) < 1e-4


# ---- crops -----------------------------------------------------------------------------------------------------------
def test_a_dot_in_the_image_lands_where_the_crops_intrinsics_say():
    image = torch.zeros(3, 480, 640)
    point = torch.tensor([0.05, -0.04, 0.7])
    matrix = camera_matrix(600, 605, 318, 241).float()
    u, v = (matrix @ point)[:2] / point[2]
    rows, columns = torch.meshgrid(torch.arange(480.0), torch.arange(640.0), indexing="ij")
    image[:] = torch.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 6.0**2))
    for box in ([250.0, 100, 460, 320], [330.0, 180, 400, 240], [100.0, 20, 620, 460]):
        crop, K_crop = extract_crops(image, matrix, torch.tensor([box]), 128)
        grey = crop[0, 0]
        rows_c, columns_c = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
        centroid = torch.stack([(grey * columns_c).sum(), (grey * rows_c).sum()]) / grey.sum()
        expected = (K_crop[0] @ point)[:2] / point[2]
        assert (centroid - expected).abs().max() < 0.05


def test_a_rendered_object_and_its_crop_coincide(estimator):
    """An image rendered with K, cropped, equals a render with the crop's K: half a pixel would show at once."""
    bundle = estimator.bundle
    renderer = create_renderer("warp", [item.mesh for item in bundle.objects], supersample=4)
    pose = make_transform(
        random_rotations(1, torch.Generator().manual_seed(3)), torch.tensor([0.02, -0.03, 0.6])
    )
    index = torch.tensor([0])
    matrix = torch.from_numpy(K).float()
    whole = renderer.render(index, pose, matrix[None], (480, 640))
    crop, K_crop = extract_crops(whole.rgb[0], matrix, torch.tensor([[270.0, 140.0, 420.0, 280.0]]), 256)
    direct = renderer.render(index, pose, K_crop, (256, 256))
    assert (crop[0, :3] - direct.rgb[0]).abs().mean() < 0.004
    shifted = direct.rgb[0].roll(1, dims=-1)
    assert (crop[0, :3] - shifted).abs().mean() > (crop[0, :3] - direct.rgb[0]).abs().mean() * 1.5


def test_box_map_is_the_grown_box(estimator):
    crop, _ = extract_crops(
        torch.zeros(3, 480, 640), torch.from_numpy(K).float(), torch.tensor([[200.0, 100, 300, 200]]), 128
    )
    side = float(crop[0, 3].sum().sqrt())
    assert side == pytest.approx(128 / 1.5 * 1.25, abs=1.5)


# ---- poses -----------------------------------------------------------------------------------------------------------
def test_one_estimate_for_each_detection_in_order(estimator):
    found = detections(5)
    estimates = estimator.estimate(textured_image(), K, found)
    assert [e.detection for e in estimates] == found
    assert [e.class_id for e in estimates] == [d.class_id for d in found]
    for e in estimates:
        R = e.cam_from_obj[:3, :3]
        assert np.allclose(R @ R.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(R) == pytest.approx(1, abs=1e-5)
        assert e.cam_from_obj[2, 3] > 0
        assert 0 <= e.score <= 1


def test_no_detections_give_no_estimates(estimator):
    assert estimator.estimate(textured_image(), K, []) == []


@pytest.mark.parametrize("company", [6, 63])
def test_a_crop_gives_the_same_pose_whatever_else_is_in_the_frame(estimator, company):
    image = textured_image()
    alone = detections(1, seed=7)
    others = detections(company, seed=8)
    assert_same_pose(
        estimator.estimate(image, K, alone)[0], estimator.estimate(image, K, [*others, *alone])[-1]
    )


def test_the_same_input_gives_the_same_bits(estimator):
    first, second = (estimator.estimate(textured_image(), K, detections(3)) for _ in range(2))
    assert all(np.array_equal(a.cam_from_obj, b.cam_from_obj) for a, b in zip(first, second))


def test_several_cameras_in_one_pass_equal_each_alone(estimator):
    frames = [
        (textured_image(1), K, detections(2, 3)),
        (textured_image(2), K, []),
        (textured_image(3), K, detections(3, 4)),
    ]
    together = estimator.estimate_batch(frames)
    assert [len(part) for part in together] == [2, 0, 3]
    for frame, part in zip(frames, together):
        for a, b in zip(part, estimator.estimate(*frame)):
            assert_same_pose(a, b)


def test_refine_starts_from_the_given_pose(estimator):
    image = textured_image()
    estimates = estimator.estimate(image, K, detections(2))
    again = estimator.refine(image, K, estimates)
    assert [e.class_id for e in again] == [e.class_id for e in estimates]
    moved = [
        type(e)(e.class_id, e.cam_from_obj + np.eye(4, k=3) * 0.5, e.score, None, e.detection)
        for e in estimates
    ]
    assert np.abs(estimator.refine(image, K, moved)[0].cam_from_obj - again[0].cam_from_obj).max() > 0.1


def test_two_rounds_are_stage_two_from_its_own_result(estimator):
    bundle = estimator.bundle
    config = bundle.config.model_copy(update={"rounds": 2})
    twice = PoseEstimator(replace(bundle, config=config), estimator.two_stage.renderer, torch.device("cpu"), "fp32")
    image, found = textured_image(), detections(3)
    once = estimator.estimate(image, K, found)
    for a, b, before in zip(twice.estimate(image, K, found), estimator.refine(image, K, once), once):
        assert np.allclose(a.cam_from_obj, b.cam_from_obj, atol=1e-5)
        assert a.score == before.score
        assert not np.allclose(a.cam_from_obj, before.cam_from_obj, atol=1e-4)
    crops = twice.crop([(image, K, found)])
    with torch.inference_mode():
        assert torch.equal(twice.two_stage(crops).coarse, estimator.two_stage(crops).coarse)  # stage 1's own


def test_poses_are_of_the_meshs_own_frame(estimator):
    """The network works on centred meshes; what comes out must be shifted back."""
    item = estimator.bundle.objects[0]
    assert float(item.centre.norm()) > 0.02
    centred = torch.eye(4)[None]
    out = estimator._in_mesh_frame(centred, torch.tensor([0]))[0]
    middle = out @ np.append(item.centre.numpy(), 1)
    assert np.allclose(middle[:3], 0, atol=1e-9)


# ---- bad input -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((10, 10, 10, 50), "empty"),
        ((float("nan"), 10, 50, 50), "not finite"),
        ((10, 10, 1e39, 50), "absurd"),
        ((700, 10, 800, 50), "outside"),
        ((50, 10, 10, 50), "empty"),
    ],
)
def test_bad_boxes_are_named(estimator, box, says):
    with pytest.raises(ValueError, match=says):
        estimator.estimate(textured_image(), K, [Detection("wedge", box, 1.0)])


def test_an_unknown_class_names_the_known_ones(estimator):
    with pytest.raises(ValueError, match="mug.*wedge, disc"):
        estimator.estimate(textured_image(), K, [Detection("mug", (10, 10, 50, 50), 1.0)])


def test_bad_images_and_intrinsics_are_named(estimator):
    with pytest.raises(ValueError, match="uint8"):
        estimator.estimate(textured_image().astype(np.float32), K, detections(1))
    with pytest.raises(ValueError, match="camera matrix"):
        estimator.estimate(textured_image(), np.zeros((3, 3)), detections(1))
    with pytest.raises(ValueError, match="3x3"):
        estimator.estimate(textured_image(), np.eye(4), detections(1))


def test_cuda_without_cuda_says_so(tiny_bundle):
    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    with pytest.raises(RuntimeError, match="device='cpu'"):
        PoseEstimator.from_bundle(tiny_bundle, device="cuda")
