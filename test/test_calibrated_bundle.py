"""A calibrated bundle: kept, refused for other weights, used by the estimator; `mrc-net calibrate` from end to end."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import make_random_bundle

from mrc_core.cli import main
from mrc_core.cli.estimate import as_json
from mrc_core.cli.onboarding_evaluation import calibrate_bundle
from mrc_core.inference import Bundle, BundleError, Detection, Followed, PoseEstimator, PoseFollower
from mrc_core.inference.bundle import make_bundle
from mrc_core.inference.bundle_file import read_bundle_file, store_calibration
from mrc_core.inference.calibration import Calibration, Channel, LinearModel
from mrc_core.inference.evidence import DETECTED, TRACKED, BucketSpread, mask_agreement
from mrc_core.inference.pose_covariance import SPREADS
from mrc_core.training.targets import bucket_distances

K = np.array([[600.0, 0, 318.0], [0, 605.0, 241.0], [0, 0, 1]])


def channel(names, objects=2):
    def linear(offset):
        return LinearModel(weights=tuple(0.1 * (i + 1) for i in range(len(names))), offsets=(offset,) * objects)

    spreads = {name: linear(-3.0) for name in SPREADS}
    some = (0.5,) * len(names)
    return Channel(
        evidence=names, mean=some, scale=some, score=linear(0.3), spreads=spreads, widening=(1.2,) * objects
    )


def calibration_for(path, objects=2):
    return Calibration(
        weights_sha256=read_bundle_file(path).weights_sha256,
        seed=1,
        samples=10,
        detected=channel(DETECTED, objects),
        tracked=channel(TRACKED, objects),
        measured={"detected": {"ece": 0.01}},
    )


def in_rounds(path):
    """A calibration of two rounds whose second channel of tracked poses is surer by 2 in the logit."""
    plain = calibration_for(path)
    offsets = tuple(offset + 2.0 for offset in plain.tracked.score.offsets)
    score = plain.tracked.score.model_copy(update={"offsets": offsets})
    further = plain.tracked.model_copy(update={"score": score})
    return plain.model_copy(update={"rounds": 2, "tracked_in_rounds": further})


@pytest.fixture
def calibrated(tiny_bundle, tmp_path):
    path = shutil.copytree(tiny_bundle, tmp_path / "calibrated")
    store_calibration(path, calibration_for(path))
    return path


@pytest.fixture(scope="module")
def estimator(tiny_bundle, tmp_path_factory):
    path = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("bundles") / "calibrated")
    store_calibration(path, calibration_for(path))
    return PoseEstimator.from_bundle(path)


def picture(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)


FOUND = [Detection("wedge", (100.0, 90.0, 220.0, 200.0)), Detection("disc", (300.0, 150.0, 390.0, 260.0))]


# ---- the bundle ------------------------------------------------------------------------------------------------------
def test_a_calibration_is_kept_to_the_bit(calibrated, tmp_path):
    bundle = Bundle.load(calibrated)
    assert bundle.calibration == calibration_for(calibrated)
    bundle.save(tmp_path / "again")
    assert Bundle.load(tmp_path / "again").calibration == bundle.calibration


def test_storing_it_leaves_everything_else_as_it_was(tiny_bundle, calibrated):
    before, after = (yaml.safe_load((p / "bundle.yaml").read_text()) for p in (tiny_bundle, calibrated))
    after.pop("calibration")
    assert after == before
    for name in ("weights.safetensors", "meshes/disc.glb"):
        assert (calibrated / name).read_bytes() == (tiny_bundle / name).read_bytes()
    assert sorted(p.name for p in calibrated.iterdir()) == ["bundle.yaml", "meshes", "weights.safetensors"]


def test_a_calibration_of_other_weights_is_refused(calibrated, tmp_path):
    other = make_random_bundle(tmp_path / "other", seed=1)
    with pytest.raises(BundleError, match="other weights.*mrc-net calibrate"):
        store_calibration(other, calibration_for(calibrated))
    assert Bundle.load(other).calibration is None
    bundle = Bundle.load(calibrated)
    with pytest.raises(BundleError, match="other weights"):
        replace(bundle, weights=Bundle.load(other).weights).save(tmp_path / "mixed")
    content = yaml.safe_load((calibrated / "bundle.yaml").read_text())
    content["calibration"]["weights_sha256"] = "0" * 64
    (calibrated / "bundle.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(BundleError, match="other weights.*mrc-net calibrate"):
        Bundle.load(calibrated)


def test_a_calibration_brings_its_rounds_and_no_others_are_accepted(calibrated):
    """Scores that were fitted for two rounds say nothing of poses after one."""
    twice = calibration_for(calibrated).model_copy(update={"rounds": 2})
    store_calibration(calibrated, twice)
    assert Bundle.load(calibrated).config.rounds == 2
    content = yaml.safe_load((calibrated / "bundle.yaml").read_text())
    content["model"].pop("rounds")
    (calibrated / "bundle.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(BundleError, match="not of 1 rounds.*mrc-net calibrate"):
        Bundle.load(calibrated)


def test_several_rounds_have_a_channel_of_their_own_where_there_is_one(calibrated):
    once = yaml.safe_load((calibrated / "bundle.yaml").read_text())["calibration"]
    assert "tracked_in_rounds" not in once  # programs from before it read what needs none
    store_calibration(calibrated, in_rounds(calibrated))
    assert Bundle.load(calibrated).calibration == in_rounds(calibrated)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(rounds=1), "stage 2 runs once"),
        (lambda c: c["tracked_in_rounds"].update(evidence=["a", "b", "c", "d", "e"]), "tracked_in_rounds: .*evidence"),
        (lambda c: c.update(tracked_in_turns=c["tracked"]), "tracked_in_turns"),
        (lambda c: c.update(tracked_in_rounds=channel(TRACKED, 3).model_dump(mode="json")), "not of 2 objects"),
    ],
)
def test_a_broken_channel_of_several_rounds_is_named(calibrated, change, says):
    store_calibration(calibrated, in_rounds(calibrated))
    content = yaml.safe_load((calibrated / "bundle.yaml").read_text())
    change(content["calibration"])
    (calibrated / "bundle.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(BundleError, match=says):
        Bundle.load(calibrated)


def test_what_training_writes_has_none(calibrated):
    bundle = Bundle.load(calibrated)
    made = make_bundle(bundle.objects, bundle.network(), bundle.depth_limits, bundle.weights, {})
    assert made.calibration is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(version=2), "version"),
        (lambda c: c["detected"]["mean"].append(1.0), "as many as the evidence"),
        (lambda c: c["detected"]["widening"].pop(), "as many as the objects"),
        (lambda c: c["tracked"]["scale"].__setitem__(0, float("nan")), "finite"),
        (lambda c: c["tracked"].update(evidence=["a", "b", "c", "d", "e"]), "knows the evidence"),
        (lambda c: c["detected"]["spreads"].pop("roll"), "spreads"),
    ],
)
def test_a_broken_calibration_is_named(calibrated, change, says):
    content = yaml.safe_load((calibrated / "bundle.yaml").read_text())
    change(content["calibration"])
    (calibrated / "bundle.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(BundleError, match=says):
        Bundle.load(calibrated)


def test_a_calibration_of_other_objects_is_refused(tiny_bundle):
    with pytest.raises(BundleError, match="not of 2 objects"):
        store_calibration(tiny_bundle, calibration_for(tiny_bundle, objects=3))


def test_info_tells_it(calibrated, tiny_bundle, capsys):
    assert main(["info", "--bundle", str(calibrated)]) == 0
    assert "calibration: on 10 scenes, seed 1, ECE 0.01" in capsys.readouterr().out
    assert main(["info", "--bundle", str(tiny_bundle)]) == 0
    assert "calibration: none" in capsys.readouterr().out


# ---- evidence --------------------------------------------------------------------------------------------------------
def test_bucket_distances_are_those_of_the_labels(tiny_bundle):
    bundle = Bundle.load(tiny_bundle)
    grid = bundle.codec().grid
    spread = BucketSpread(bundle.objects, grid)
    chosen = torch.tensor([3, 100, 500])
    for i, item in enumerate(bundle.objects):
        expected = bucket_distances(grid[chosen], grid, item.moment[:3, :3], item.centred_symmetries) / item.diameter
        found = spread.distances(chosen, torch.full((3,), i))
        assert (found - expected).abs().max() < 1e-3
        one = torch.zeros(3, len(grid))
        one[:, 77] = 0.4
        assert torch.allclose(spread(one, chosen, torch.full((3,), i)), expected[:, 77], atol=1e-3)


def test_mask_agreement_is_high_where_masks_agree():
    rendered = torch.zeros(2, 32, 32, dtype=torch.bool)
    rendered[:, 8:24, 8:24] = True
    seen = torch.full((2, 1, 8, 8), -20.0)
    seen[0, 0, 2:6, 2:6] = 20.0
    seen[1, 0, 2:6, 2:4] = 20.0  # half of it
    overlap, area = mask_agreement(seen, rendered)
    assert float(overlap[0]) == pytest.approx(np.log(0.99 / 0.01), abs=1e-3)
    assert float(overlap[1]) == pytest.approx(0.0, abs=1e-3)
    assert area.tolist() == pytest.approx([0.25, 0.125], abs=1e-6)


# ---- the estimator ---------------------------------------------------------------------------------------------------
def test_scores_and_covariances_are_filled(estimator):
    wedge, disc = estimator.estimate(picture(), K, FOUND)
    for item in (wedge, disc):
        assert item.is_calibrated
        assert 0 < item.score < 1
        assert item.covariance.shape == (6, 6)
        assert np.isfinite(item.covariance).all()
        assert np.linalg.eigvalsh(item.covariance).min() > 0
    assert as_json(disc)["covariance"] == disc.covariance.tolist()
    axis = disc.cam_from_obj[:3, :3] @ [0, 0, 1]
    assert axis @ disc.covariance[3:, 3:] @ axis == pytest.approx(np.pi**2 / 3)


def test_they_are_the_same_again_and_whatever_else_is_in_the_frame(estimator):
    first, again = (estimator.estimate(picture(), K, FOUND) for _ in range(2))
    alone = [estimator.estimate(picture(), K, [one])[0] for one in FOUND]
    frames = estimator.estimate_batch([(picture(), K, FOUND[:1]), (picture(), K, []), (picture(), K, FOUND[1:])])
    assert [len(f) for f in frames] == [1, 0, 1]
    for a, b, c, d in zip(first, again, alone, [*frames[0], *frames[2]]):
        assert a.score == b.score
        assert np.array_equal(a.covariance, b.covariance)
        for other in (c, d):
            assert other.score == pytest.approx(a.score, abs=1e-3)
            assert np.abs(other.covariance - a.covariance).max() < 0.01 * np.abs(a.covariance).max()


def test_refined_poses_get_a_score_of_their_own(estimator):
    detected = estimator.estimate(picture(), K, FOUND)
    tracked = estimator.refine(picture(), K, detected)
    assert all(item.is_calibrated and item.covariance is not None for item in tracked)
    assert tracked[0].score != detected[0].score
    elsewhere = [replace(item, score=0.123) for item in detected]
    assert [e.score for e in estimator.refine(picture(), K, elsewhere)] == [e.score for e in tracked]


def test_each_tracked_pose_is_judged_by_the_rounds_that_it_had(calibrated):
    def logits(rounds=None, kept=None):
        followed = PoseFollower(estimator).follow(picture(1), K, [Followed(detected[0], kept)], rounds)
        return float(np.log(followed[0].estimate.score / (1 - followed[0].estimate.score))), followed[0].kept

    store_calibration(calibrated, calibration_for(calibrated).model_copy(update={"rounds": 2}))
    estimator = PoseEstimator.from_bundle(calibrated)
    detected = estimator.estimate(picture(), K, FOUND[:1])
    one, render = logits(1)
    two, three, kept = logits(2)[0], logits(3)[0], logits(None, render)[0]
    refined = estimator.refine(picture(), K, detected)
    store_calibration(calibrated, in_rounds(calibrated))
    estimator = PoseEstimator.from_bundle(calibrated)
    assert logits(1)[0] == pytest.approx(one, abs=1e-4)
    assert logits(2)[0] == pytest.approx(two + 2.0, abs=1e-4)
    assert logits(3)[0] == pytest.approx(three + 2.0, abs=1e-4)
    assert logits()[0] == pytest.approx(two + 2.0, abs=1e-4)
    assert logits(None, render)[0] == pytest.approx(kept, abs=1e-4)  # one round
    assert estimator.refine(picture(), K, detected)[0].score == pytest.approx(refined[0].score)


def test_without_a_calibration_all_is_as_before(tiny_bundle):
    plain = PoseEstimator.from_bundle(tiny_bundle)
    detected = plain.estimate(picture(), K, FOUND)
    assert all(item.covariance is None and not item.is_calibrated for item in detected)
    given = [replace(item, score=0.123) for item in detected]
    assert [item.score for item in plain.refine(picture(), K, given)] == [0.123, 0.123]


# ---- the command -----------------------------------------------------------------------------------------------------
def test_calibrate_from_end_to_end(tmp_path, capsys):
    path = make_random_bundle(tmp_path / "bundle")
    folder = tmp_path / "report"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrc_core.cli.calibrate.FEW", 16)
        patch.setattr("mrc_core.calibration.fit.FEW", 16)
        command = ["calibrate", "--bundle", str(path), "--samples", "32", "--output", str(folder), "--device", "cpu"]
        assert main(command) == 0
    bundle = Bundle.load(path)
    assert bundle.calibration.samples == 64
    assert bundle.calibration.seed == 20_011
    report = json.loads((folder / "calibration.json").read_text())
    assert report["figures"]["detected"]["count"] == 64
    assert sum(row["poses"] for row in report["reliability"]["tracked"]) == 64
    assert cv2.imread(str(folder / "reliability.png")) is not None
    assert "in 90% region" in capsys.readouterr().out
    assert PoseEstimator.from_bundle(path).estimate(picture(), K, FOUND)[0].is_calibrated


def test_calibrate_of_two_rounds_also_judges_tracked_poses_of_two(tmp_path, capsys):
    paths = [make_random_bundle(tmp_path / name) for name in ("once", "twice")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrc_core.cli.calibrate.FEW", 16)
        patch.setattr("mrc_core.calibration.fit.FEW", 16)
        for path, rounds in zip(paths, "12"):
            command = ["calibrate", "--bundle", str(path), "--samples", "32", "--output", str(tmp_path), "--device"]
            assert main([*command, "cpu", "--rounds", rounds]) == 0
    once, twice = (Bundle.load(path).calibration for path in paths)
    assert once.tracked_in_rounds is None
    assert twice.tracked_in_rounds.widening != twice.tracked.widening
    assert set(twice.measured) == {"detected", "tracked", "tracked_in_rounds"}
    assert twice.measured["tracked_in_rounds"]["count"] == 64
    report = json.loads((tmp_path / "calibration.json").read_text())
    assert sum(row["poses"] for row in report["reliability"]["tracked_in_rounds"]) == 64
    assert "tracked poses, all rounds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--samples", "3"], "too few"),
        (["--seed", "0"], "choose another --seed"),
        (["--seed", "7001"], "onboard"),
    ],
)
def test_bad_options_are_named_and_change_nothing(tiny_bundle, tmp_path, capsys, options, says):
    before = (tiny_bundle / "bundle.yaml").read_bytes()
    assert main(["calibrate", "--bundle", str(tiny_bundle), "--output", str(tmp_path), *options]) == 1
    assert says in capsys.readouterr().err
    assert (tiny_bundle / "bundle.yaml").read_bytes() == before


def test_onboarding_hands_on_what_the_command_takes(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("mrc_core.cli.calibrate.run", lambda arguments: seen.append(arguments) or 0)
    calibrate_bundle(tmp_path / "bundle", tmp_path / "calibration", 150, "cpu")
    (given,) = seen
    assert (given.bundle, given.output) == (str(tmp_path / "bundle"), str(tmp_path / "calibration"))
    assert (given.samples, given.device) == (150, "cpu")
