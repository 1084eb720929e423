"""Crops in four in-plane turns: pictures, intrinsics and poses turn together, and the estimator takes the surest."""

import json

import cv2
import numpy as np
import pytest
import torch
from test_estimator import K, assert_same_pose, detections, textured_image

from mrc_core.cli import main
from mrc_core.geometry import make_transform
from mrc_core.geometry.cameras import project
from mrc_core.geometry.rotations import random_rotations
from mrc_core.inference import Detection, PoseEstimator
from mrc_core.inference.turns import all_turns, best_of_turns, quarter_turns, turned_back, turned_intrinsics
from mrc_core.model.two_stage import Crops
from mrc_core.rendering import create_renderer

SIZE = 96
K_CROP = torch.tensor([[[310.0, 0, 20.25], [0, 285.0, 71.5], [0, 0, 1]]])  # fx is not fy, the axis is off the middle
TURNS = range(4)


@pytest.fixture(scope="module")
def estimators(tiny_bundle) -> dict[int, PoseEstimator]:
    return {turns: PoseEstimator.from_bundle(tiny_bundle, turns=turns) for turns in (1, 4)}


@pytest.mark.parametrize("shift_px", [0.0, 0.5])
@pytest.mark.parametrize("turn", TURNS)
def test_a_point_lies_where_the_turned_picture_has_it(turn, shift_px):
    """A soft dot at a point's pixel, turned with the picture, is where the turned camera sees the turned point."""
    point = torch.tensor([[0.031, -0.022, 0.4]])
    u, v = (project(K_CROP[0], point)[0] + shift_px).tolist()
    rows, columns = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    dot = torch.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 3.0**2))
    crops = Crops(dot.expand(1, 4, SIZE, SIZE), K_CROP, torch.tensor([0]))
    picture = all_turns(crops, shift_px).image[turn, 0]
    found = torch.stack([(picture * columns).sum(), (picture * rows).sum()]) / picture.sum()
    matrix = all_turns(crops, shift_px).K[turn]
    assert torch.equal(matrix, turned_intrinsics(K_CROP, turn, SIZE, shift_px)[0])
    seen = project(matrix, point @ quarter_turns(torch.tensor(turn), point).T)[0] + shift_px
    assert torch.allclose(found, seen, atol=2e-3)
    assert matrix[0, 1] == matrix[1, 0] == 0
    assert float(matrix[0, 0]) == (285.0 if turn % 2 else 310.0)


@pytest.mark.parametrize("turn", TURNS)
def test_a_render_of_the_turned_camera_is_the_turned_render(estimators, turn):
    renderer = create_renderer("warp", [item.mesh for item in estimators[1].bundle.objects])
    pose = make_transform(random_rotations(1, torch.Generator().manual_seed(5)), torch.tensor([0.03, -0.02, 0.6]))
    index, number = torch.tensor([0]), torch.tensor([turn])
    plain = renderer.render(index, pose, K_CROP, (SIZE, SIZE))
    rotation = make_transform(quarter_turns(number, pose), torch.zeros(3))
    turned = renderer.render(index, rotation @ pose, turned_intrinsics(K_CROP, turn, SIZE), (SIZE, SIZE))
    wanted = torch.rot90(plain.depth_m, turn, dims=(-2, -1))
    assert int(plain.mask.sum()) > 500
    assert int((torch.rot90(plain.mask, turn, dims=(-2, -1)) ^ turned.mask).sum()) <= 2
    both = (wanted > 0) & (turned.depth_m > 0)
    assert float((wanted - turned.depth_m)[both].abs().max()) < 1e-4
    assert torch.allclose(turned_back(rotation @ pose, number), pose, atol=1e-6)
    if turn % 2:  # half a pixel beside, or the other way round, would show
        other = turned_intrinsics(K_CROP, turn, SIZE + 1)
        assert int((renderer.render(index, rotation @ pose, other, (SIZE, SIZE)).mask ^ turned.mask).sum()) > 20


def square_frame() -> tuple[np.ndarray, np.ndarray, Detection]:
    image = np.ascontiguousarray(textured_image(3)[:, :480])
    return image, np.array([[600.0, 0, 231], [0, 605, 250], [0, 0, 1]]), Detection("wedge", (130, 170, 290, 300))


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_frame_gives_the_turned_pose(estimators, turn):
    """The four crops are the same ones in another order, so that the same one wins: exact whatever the weights."""
    image, matrix, detection = square_frame()
    size = len(image)
    turned_matrix = turned_intrinsics(torch.from_numpy(matrix)[None], turn, size)[0].numpy()
    x0, y0, x1, y1 = detection.box_xyxy_px
    corners = np.array([[x0, y0], [x1, y1]])
    for _ in range(turn):
        corners = np.stack([corners[:, 1], size - 1 - corners[:, 0]], axis=1)
    box = (*corners.min(axis=0), *corners.max(axis=0))
    other = np.ascontiguousarray(np.rot90(image, turn))
    rotation = np.eye(4)
    rotation[:3, :3] = quarter_turns(torch.tensor(turn), torch.zeros(1, dtype=torch.float64)).numpy()

    def poses(turns: int):
        one = estimators[turns].estimate(image, matrix, [detection])[0]
        two = estimators[turns].estimate(other, turned_matrix, [Detection("wedge", box)])[0]
        return rotation @ one.cam_from_obj, two

    wanted, found = poses(4)
    assert np.abs(wanted - found.cam_from_obj).max() < 1e-3
    plain, found = poses(1)
    assert np.abs(plain - found.cam_from_obj).max() > 0.05  # a network alone does not know that


def test_the_surest_turn_counts(estimators):
    frame = textured_image(4), K, detections(3)
    plain, turned = (estimators[turns].estimate(*frame) for turns in (1, 4))
    crops = estimators[4].crop([frame])
    with torch.inference_mode():
        best = best_of_turns(estimators[4].two_stage, crops)
        each = [
            estimators[1].two_stage(all_turns(crops).take(torch.arange(3) + 3 * turn)).logits.rotation.sigmoid().amax(1)
            for turn in TURNS
        ]
    assert torch.equal(best.turn, torch.stack(each).argmax(dim=0))
    assert len(set(best.turn.tolist())) > 1  # the choice is not always the same
    assert [e.score for e in turned] == pytest.approx(torch.stack(each).amax(dim=0).tolist(), abs=1e-5)
    for one, other, turn in zip(plain, turned, best.turn.tolist()):
        assert other.score >= one.score - 1e-6
        if turn == 0:
            assert_same_pose(one, other)


def test_another_number_of_turns_is_refused(tiny_bundle):
    with pytest.raises(ValueError, match="1 or 4, not 2"):
        PoseEstimator.from_bundle(tiny_bundle, turns=2)


def test_the_command_takes_turns(tiny_bundle, estimators, tmp_path):
    image = textured_image(4)
    cv2.imwrite(str(tmp_path / "I.png"), image[..., ::-1])
    camera = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "width": 640, "height": 480}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    found = detections(3)
    entries = [{"class_id": d.class_id, "box_xyxy_px": [*map(float, d.box_xyxy_px)]} for d in found]
    (tmp_path / "detections.json").write_text(json.dumps(entries))
    files = {key: str(tmp_path / name) for key, name in (("image", "I.png"), ("camera", "camera.json"))}
    options = ["--bundle", str(tiny_bundle), "--detections", str(tmp_path / "detections.json")]
    options += [part for key, path in files.items() for part in (f"--{key}", path)]
    assert main(["estimate", *options, "--output", str(tmp_path / "poses.json"), "--turns", "4"]) == 0
    poses = np.array([one["cam_from_obj"] for one in json.loads((tmp_path / "poses.json").read_text())])
    wanted = np.stack([one.cam_from_obj for one in estimators[4].estimate(image, K, found)])
    assert np.abs(poses - wanted).max() < 1e-5
