"""Stage 2 from image to image: the pose and box it starts from, and when a kept render may serve again."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_random_bundle

from mrc_core.benchmarks.tracking import measure_tracking
from mrc_core.geometry.rotations import rotation_about
from mrc_core.inference import Detection, Followed, PoseEstimate, PoseEstimator, PoseFollower
from mrc_core.inference.kept_render import KeptRender, angle_of, turn_between
from mrc_core.model.two_stage import TwoStage

K = np.array([[600.0, 0, 318.0], [0, 605.0, 241.0], [0, 0, 1]])


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    return PoseEstimator.from_bundle(make_random_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


@pytest.fixture(scope="module")
def twice(estimator):
    """The same bundle, with two rounds of stage 2 for detected poses."""
    bundle = estimator.bundle
    config = bundle.config.model_copy(update={"rounds": 2})
    return PoseEstimator(replace(bundle, config=config), estimator.two_stage.renderer, torch.device("cpu"), "fp32")


def turn(degrees, axis=(0.0, 1.0, 0.0)):
    angle = torch.tensor(math.radians(degrees), dtype=torch.float64)
    return rotation_about(torch.tensor(axis, dtype=torch.float64), angle).numpy()


def pose(at=(0.02, -0.03, 0.7), degrees=30.0):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn(degrees, (0.6, 0.8, 0.0)), at
    return out


def known(cam_from_obj, class_id="wedge"):
    return Followed(PoseEstimate(class_id, cam_from_obj, 0.5, None, Detection(class_id, (0.0, 0.0, 1.0, 1.0), 0.9)))


def image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (480, 640, 3), dtype=np.uint8)


def test_it_is_refine_with_the_projected_meshs_box(estimator):
    follower = PoseFollower(estimator)
    start = known(pose())
    (found,) = follower.follow(image(), K, [start])
    vertices = np.asarray(estimator.bundle.objects[0].mesh.vertices) @ pose()[:3, :3].T + pose()[:3, 3]
    pixels = (vertices @ K.T)[:, :2] / vertices[:, 2:]
    box = (*pixels.min(axis=0), *pixels.max(axis=0))
    assert found.estimate.detection.box_xyxy_px == pytest.approx(box, abs=0.01)
    assert found.estimate.detection.score == 0.0
    (expected,) = estimator.refine(image(), K, [replace(start.estimate, detection=Detection("wedge", box))])
    np.testing.assert_allclose(found.estimate.cam_from_obj, expected.cam_from_obj, atol=1e-5)


def test_two_rounds_are_two_refinements_of_one_crop(estimator):
    (once,) = PoseFollower(estimator).follow(image(), K, [known(pose())])
    (twice,) = PoseFollower(estimator).follow(image(), K, [known(pose())], rounds=2)
    (expected,) = estimator.refine(image(), K, [once.estimate])
    np.testing.assert_allclose(twice.estimate.cam_from_obj, expected.cam_from_obj, atol=1e-5)
    assert np.abs(twice.estimate.cam_from_obj - once.estimate.cam_from_obj).max() > 1e-4


def same_pose(a, b):
    return np.allclose(a.estimate.cam_from_obj, b.estimate.cam_from_obj, atol=1e-4)


def test_only_what_is_rendered_anew_gets_the_bundles_rounds(estimator, twice, monkeypatch):
    elsewhere = known(pose((-0.1, 0.02, 0.8)))
    (last,) = PoseFollower(twice).follow(image(), K, [known(pose())])
    turned_little = Followed(known(pose(degrees=31.0)).estimate, PoseFollower(estimator).follow(
        image(), K, [known(pose())])[0].kept)  # fmt: skip
    compared, follower = [], PoseFollower(twice)
    compare = twice.two_stage.compare
    monkeypatch.setattr(
        twice.two_stage, "compare", lambda crops, *rest: compared.append(len(crops)) or compare(crops, *rest)
    )
    new, again, other = follower.follow(image(1), K, [elsewhere, turned_little, known(pose(), "disc")])
    assert compared == [3, 2]  # the one that is done is not compared again
    assert (follower.renders, follower.reuses) == (4, 1)
    alone = PoseFollower(estimator)
    (once,) = alone.follow(image(1), K, [turned_little])
    (new_twice,), (other_twice,) = (
        alone.follow(image(1), K, [one], rounds=2) for one in (elsewhere, known(pose(), "disc"))
    )
    assert same_pose(again, once)
    assert same_pose(new, new_twice)
    assert same_pose(other, other_twice)
    assert other.estimate.class_id == "disc"
    assert not same_pose(again, alone.follow(image(1), K, [turned_little], rounds=2)[0])
    assert not same_pose(new, alone.follow(image(1), K, [elsewhere])[0])
    assert again.kept is turned_little.kept
    (first_round,) = alone.follow(image(), K, [known(pose())])
    inverse = np.linalg.inv(estimator.bundle.network_from_obj()[0].numpy())
    np.testing.assert_allclose(  # the last round's render, at what the first round said
        last.kept.cam_from_object, first_round.estimate.cam_from_obj @ inverse, atol=1e-5
    )


def test_a_number_of_rounds_is_for_all(twice):
    (first,) = PoseFollower(twice).follow(image(), K, [known(pose())], rounds=1)
    follower, kept = PoseFollower(twice), Followed(known(pose()).estimate, first.kept)
    (one,) = follower.follow(image(1), K, [kept], rounds=1)
    assert (follower.renders, follower.reuses) == (0, 1)
    (two,) = follower.follow(image(1), K, [kept], rounds=2)
    assert (follower.renders, follower.reuses) == (1, 2)
    assert not same_pose(one, two)
    assert same_pose(two, PoseFollower(twice).follow(image(1), K, [known(pose())])[0])
    for none in (0, -1):
        with pytest.raises(ValueError, match="rounds must be 1 or more, or None"):
            follower.follow(image(1), K, [kept], rounds=none)


def test_a_kept_render_does_not_hold_its_batch_in_memory(estimator):
    found = PoseFollower(estimator).follow(image(), K, [known(pose()), known(pose(), "disc")])
    for one in found:
        for tensor in (*vars(one.kept.features).values(), one.kept.mask):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_what_left_the_image_is_none_and_the_rest_keeps_its_place(estimator):
    follower = PoseFollower(estimator)
    outside, behind = pose((2.0, 0.0, 0.7)), pose((0.0, 0.0, -0.7))
    frames = [(image(), K, [known(outside), known(pose())]), (image(1), K, []), (image(2), K, [known(behind)])]
    first, second, third = follower.follow_batch(frames)
    assert [one is None for one in first] == [True, False]
    assert (second, third) == ([], [None])
    (alone,) = follower.follow(image(), K, [known(pose())])
    np.testing.assert_allclose(first[1].estimate.cam_from_obj, alone.estimate.cam_from_obj, atol=1e-5)


def test_a_render_serves_again_until_the_object_has_turned(estimator):
    follower = PoseFollower(estimator)
    (first,) = follower.follow(image(), K, [known(pose())])
    for degrees, renders in ((30.0, 1), (34.0, 1), (36.0, 2)):
        follower.follow(image(1), K, [Followed(known(pose(degrees=degrees)).estimate, first.kept)])
        assert follower.renders == renders
    assert follower.reuses == 2
    (kept,) = follower.follow(image(1), K, [Followed(known(pose()).estimate, first.kept)])
    (fresh,) = follower.follow(image(1), K, [known(pose())])
    np.testing.assert_allclose(kept.estimate.cam_from_obj, fresh.estimate.cam_from_obj, atol=1e-4)
    assert PoseFollower(estimator, keep_renders=False).follow(image(), K, [known(pose())])[0].kept is None


@pytest.mark.parametrize("at", [(0.05, -0.06, 0.66), (-0.01, 0.01, 0.78)])
@torch.inference_mode()
def test_a_carried_render_shows_the_pose_it_is_taken_for(estimator, at):
    """The same picture, up to a little parallax, as a new render of the carried pose in the new crop."""
    follower = PoseFollower(estimator)
    (first,) = follower.follow(image(), K, [known(pose())])
    moved = pose(at) @ np.linalg.inv(estimator.bundle.network_from_obj()[0].numpy())
    carried, box = first.kept.carried_to(moved, K)
    assert np.allclose(carried[:3, 3], moved[:3, 3])
    crops = estimator.crop([(image(1), K, [Detection("wedge", box)])])
    _, mask = estimator.two_stage.render(torch.from_numpy(carried).float()[None], crops)
    both, either = (mask & first.kept.mask).sum(), (mask | first.kept.mask).sum()
    assert both / either > 0.97
    crops = estimator.crop([(image(1), K, [Detection("wedge", first.kept.box_xyxy_px)])])
    _, elsewhere = estimator.two_stage.render(torch.from_numpy(carried).float()[None], crops)
    assert (elsewhere & first.kept.mask).sum() / (elsewhere | first.kept.mask).sum() < 0.9  # the crop must follow


@pytest.mark.parametrize(
    ("at", "degrees", "matrix"),
    [
        ((0.02, -0.03, 0.9), 30.0, K),  # too far
        ((0.20, -0.03, 0.7), 30.0, K),  # seen from another side
        ((0.02, -0.03, 0.7), 36.0, K),  # turned
        ((0.02, -0.03, 0.7), 30.0, K * np.array([[1.1], [1.0], [1.0]])),  # other pixels
    ],
)
def test_a_render_is_not_carried_too_far(at, degrees, matrix):
    kept = KeptRender(pose(), K, (250.0, 150.0, 400.0, 300.0), None, None)
    assert kept.carried_to(pose(), K) is not None
    assert kept.carried_to(pose(at, degrees), matrix) is None


def test_a_zoomed_image_moves_the_box_as_it_moves_the_object():
    kept = KeptRender(pose(), K, (250.0, 150.0, 400.0, 300.0), None, None)
    half = np.diag([0.5, 0.5, 1.0]) @ K
    _, box = kept.carried_to(pose(), half)
    assert box == pytest.approx((125.0, 75.0, 200.0, 150.0))


def test_small_angles_are_exact_and_turns_lead_from_one_direction_to_the_other():
    assert angle_of(turn(1e-4)) == pytest.approx(math.radians(1e-4), rel=1e-6)
    assert angle_of(turn(170.0)) == pytest.approx(math.radians(170.0))
    a, b = np.array([0.1, 0.2, 0.9]), np.array([-0.3, 0.1, 2.0])
    moved = turn_between(a, b) @ a
    np.testing.assert_allclose(moved / np.linalg.norm(moved), b / np.linalg.norm(b), atol=1e-12)
    np.testing.assert_allclose(turn_between(a, a), np.eye(3), atol=1e-12)


def test_the_benchmark_of_tracking_has_a_row_for_each_number_of_rounds(monkeypatch):
    rendered, render = {1: [], 2: []}, TwoStage.encode_rendered

    def noted(self, pose, crops):
        rendered[self.network.config.rounds].append(pose)
        return render(self, pose, crops)

    monkeypatch.setattr(TwoStage, "encode_rendered", noted)
    rows = measure_tracking("small", "cpu", [1], repeats=1)
    # detected and tracked with a new render alike, two times each, after what fills the kept renders
    assert {rounds: len(poses) for rounds, poses in rendered.items()} == {1: 5, 2: 10}
    for rounds, poses in rendered.items():
        for number in range(rounds):
            assert all(torch.allclose(pose, poses[number], atol=1e-4) for pose in poses[number::rounds])
    assert [(row["rounds"], row["objects"]) for row in rows] == [("1", "1"), ("2", "1")]
    for row in rows:
        assert row["tracked, kept, part"] == pytest.approx(row["tracked, kept, ms"] / row["detected, ms"])
