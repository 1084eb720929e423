"""Calibration on numbers whose law is known: probabilities, coverage in spite of flips, figures by hand, seeds."""

import numpy as np
import pytest
import torch
from conftest import wedge_mesh

from mrc_core.calibration.figures import figures, judge_across
from mrc_core.calibration.fit import fit_channel
from mrc_core.calibration.seeds import DEFAULT_SEED, check_seed
from mrc_core.calibration.starts import KINDS, tracked_starts
from mrc_core.calibration.trials import Trials
from mrc_core.evaluation.reliability import auroc, expected_calibration_error, reliability_bins
from mrc_core.geometry import ContinuousSymmetry, ObjectModel, SymmetrySet, make_transform, rotation_angle
from mrc_core.geometry.rotations import random_rotations

LATHE = SymmetrySet(continuous=(ContinuousSymmetry((0.0, 0.0, 1.0)),))
OBJECTS = (ObjectModel("wedge", wedge_mesh(), SymmetrySet()), ObjectModel("lathe", wedge_mesh(), LATHE))
NAMES = ("sure", "noise")


def made_up_trials(count, flips=0.05, seed=0):
    """Poses whose chance to be right and whose error both follow the first evidence; some are flipped for no reason.

    Errors of the lathe have no part about its axis, as `pose_deviation` gives them.
    """
    rng = np.random.default_rng(seed)
    index = rng.integers(0, 2, count)
    evidence = rng.standard_normal((count, 2))
    logit = 1.5 * evidence[:, 0] + np.array([0.5, -0.5])[index]
    right = rng.random(count) < 1 / (1 + np.exp(-logit))
    rotation = random_rotations(count, torch.Generator().manual_seed(seed))
    pose = make_transform(rotation, torch.tensor([[0.1, 0.0, 1.0]]).expand(count, 3)).double().numpy()
    size = np.exp(-0.5 * evidence[:, 0] - 4)
    ray = pose[0, :3, 3] / np.linalg.norm(pose[0, :3, 3])
    shift = rng.standard_normal((count, 3)) * 0.2
    shift += rng.standard_normal((count, 1)) * ray  # larger along the ray
    turn = rng.standard_normal((count, 3))
    turn[rng.random(count) < flips] *= 60
    axis = pose[:, :3, 2]
    turn -= (index == 1)[:, None] * (turn * axis).sum(1, keepdims=True) * axis
    deviation = np.concatenate([shift, turn], axis=1) * size[:, None]
    return Trials(index, evidence, 1 / (1 + np.exp(-evidence[:, 1])), right, pose, deviation), logit


def test_probabilities_are_those_that_the_data_were_made_with():
    trials, logit = made_up_trials(4000)
    channel = fit_channel(trials, OBJECTS, NAMES)
    fresh, logit = made_up_trials(4000, seed=1)
    stated = channel.probabilities(fresh.evidence, fresh.object_index)
    assert np.abs(stated - 1 / (1 + np.exp(-logit))).mean() < 0.02
    assert expected_calibration_error(stated, fresh.is_right) < 0.03


@pytest.mark.parametrize("flips", [0.0, 0.06])
def test_the_90_percent_region_holds_90_percent_even_with_flips(flips):
    trials, _ = made_up_trials(3000, flips)
    report = figures(judge_across(trials, OBJECTS, NAMES), OBJECTS, with_stage_one=True)
    assert report["coverage"]["90%"] == pytest.approx(0.9, abs=0.025)
    for name in ("wedge", "lathe"):
        assert report["objects"][name]["coverage"]["90%"] == pytest.approx(0.9, abs=0.035)
    if not flips:  # the errors are normal: the other regions hold too
        assert report["coverage"]["50%"] == pytest.approx(0.5, abs=0.04)
        assert report["coverage"]["95%"] == pytest.approx(0.95, abs=0.02)
    assert report["auroc"] > report["auroc_stage_one"] + 0.2


def test_flips_do_not_blow_up_the_spread_of_the_others():
    calm, wild = (fit_channel(made_up_trials(3000, flips)[0], OBJECTS, NAMES) for flips in (0.0, 0.04))
    units = np.ones((1, 4))
    both = [c.deviations(np.zeros((1, 2)), np.array([0]), units)[0] for c in (calm, wild)]
    assert (both[1] < 2 * both[0]).all()
    assert calm.deviations(np.array([[2.0, 0.0]]), np.array([0]), units)[0, 0] < 0.6 * both[0][0]


def test_too_few_or_broken_samples_are_refused():
    trials, _ = made_up_trials(40)
    with pytest.raises(ValueError, match="too few"):
        fit_channel(trials, OBJECTS, NAMES)
    trials, _ = made_up_trials(100)
    trials.deviation[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_channel(trials, OBJECTS, NAMES)


def test_an_object_without_samples_gets_the_common_offset_and_widening():
    trials, _ = made_up_trials(400)
    channel = fit_channel(trials.take(trials.object_index == 0), OBJECTS, NAMES)
    assert np.isfinite(channel.score.offsets).all()
    assert channel.widening[1] > 0


# ---- figures ---------------------------------------------------------------------------------------------------------
def test_figures_by_hand():
    probability, right = np.array([0.05, 0.15, 0.95, 1.0]), np.array([False, True, True, True])
    rows = reliability_bins(probability, right)
    assert [row.number for row in rows] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert (rows[9].stated, rows[9].right) == (pytest.approx(0.975), 1.0)
    assert expected_calibration_error(probability, right) == pytest.approx((0.05 + 0.85 + 2 * 0.025) / 4)
    assert auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert auroc(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    assert auroc(np.array([1.0, 2.0]), np.array([True, True])) is None


# ---- what is sampled -------------------------------------------------------------------------------------------------
def test_seeds_of_training_validation_and_tests_are_refused():
    provenance = {"history": [{"config": {"seed": 5}}], "validation": {"seed": 5}}
    check_seed(DEFAULT_SEED, provenance, 100)
    with pytest.raises(ValueError, match="trained or validated"):
        check_seed(5, provenance, 100)
    with pytest.raises(ValueError, match="trained or validated"):
        check_seed(6, provenance, 100)  # its batch 0 is training's batch 1,000,003
    with pytest.raises(ValueError, match="trained or validated"):
        check_seed(5 + 1000, provenance, 100)  # its first batches are validation's of seed 5, or near them
    with pytest.raises(ValueError, match="onboard"):
        check_seed(7001, provenance, 100)


def test_tracked_starts_are_near_drifted_own_or_lost():
    count = 2000
    rng = torch.Generator().manual_seed(0)
    true = make_transform(random_rotations(count, rng), torch.tensor([[0.0, 0.1, 0.8]]).expand(count, 3))
    own = make_transform(random_rotations(count, rng), torch.tensor([[0.0, 0.1, 0.9]]).expand(count, 3))
    starts = tracked_starts(true, own, torch.full((count,), 0.1), torch.Generator().manual_seed(1))
    again = tracked_starts(true, own, torch.full((count,), 0.1), torch.Generator().manual_seed(1))
    assert torch.equal(starts, again)
    is_own = (starts == own).flatten(1).all(dim=1)
    assert float(is_own.float().mean()) == pytest.approx(KINDS[1][0], abs=0.03)
    angle = torch.rad2deg(rotation_angle(starts[:, :3, :3], true[:, :3, :3]))[~is_own]
    near, lost = (angle < 25).float().mean(), (angle > 90).float().mean()
    assert float(near) > 0.5
    assert 0.1 < float(lost) < 0.3
