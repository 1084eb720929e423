"""Matching, recalls, areas and average precision against plain twins and by arithmetic."""

import math

import error_twins as twins
import numpy as np
import pytest

from mrc_core.evaluation.area_under_curve import area_exact, area_right_end
from mrc_core.evaluation.average_precision import average_precision, detection_scores
from mrc_core.evaluation.matching import match, match_without_limit
from mrc_core.evaluation.scores import by_object, count_hits, recall_curves, score
from mrc_core.evaluation.target_errors import MSPD_THRESHOLDS_PX, MSSD_THRESHOLDS, VSD_TAUS, TargetErrors


def target(mssd, count=None, diameter=1.0, visible=None, scores=None, **more):
    """A target whose errors are all the same, unless given."""
    mssd = np.asarray(mssd, dtype=np.float64)
    e, g = mssd.shape
    count = g if count is None else count
    counted = mssd[: min(e, count), : min(g, count)]
    facts = {
        "scene_id": 1,
        "image_id": 0,
        "obj_id": 1,
        "count": count,
        "diameter": diameter,
        "score": np.arange(e, 0, -1) / 10 if scores is None else np.asarray(scores, dtype=np.float64),
        "time_s": np.full(e, -1.0),
        "est": np.tile(np.eye(4), (e, 1, 1)),
        "gt": np.tile(np.eye(4), (g, 1, 1)),
        "visible": np.ones(g) if visible is None else np.asarray(visible, dtype=np.float64),
        "gt_id": np.arange(g),
        "detected": np.ones(e, dtype=bool),
        "mssd": mssd,
        "mspd": mssd * 100,
        "add": counted,
        "add_s": counted / 2,
        "vsd": np.repeat(counted[:, :, None], 10, axis=2),
    }
    return TargetErrors(**{**facts, **more})


# ---- matching --------------------------------------------------------------------------------------------------------
def test_matching_agrees_with_its_twin():
    rng = np.random.default_rng(0)
    for _ in range(60):
        e, g = rng.integers(0, 6, size=2)
        errors = np.round(rng.random((e, g)), 1)  # rounded: equal errors, and errors that are just the threshold
        errors[rng.random((e, g)) < 0.1] = np.inf
        thresholds = [0.1, 0.3, 0.5, 1.0]
        got = match(errors, thresholds)
        assert got.shape == (e, 1, 4)
        for t, threshold in enumerate(thresholds):
            assert got[:, 0, t].tolist() == twins.match(errors.tolist(), threshold)


def test_kinds_of_errors_are_matched_on_their_own():
    errors = np.array([[[0.1, 0.9], [0.2, 0.3]]])  # one estimate, two truths, two kinds
    assert match(errors, [0.5])[0, :, 0].tolist() == [0, 1]


def test_the_better_scored_estimate_chooses_first():
    # the first takes truth 0, its best; the second wanted it too, and truth 1 is too far for it
    assert match(np.array([[0.1, 0.2], [0.0, 0.9]]), [0.5])[:, 0, 0].tolist() == [0, -1]


def test_thresholds_are_strict_and_an_infinite_error_never_matches():
    assert match(np.array([[0.25]]), [0.25, 0.2500001])[0, 0].tolist() == [-1, 0]
    assert match_without_limit(np.array([[np.inf, 5.0], [np.inf, 1.0]])).tolist() == [1, -1]


# ---- areas -----------------------------------------------------------------------------------------------------------
ERRORS = np.array([0.0, 0.01, 0.02, 0.05, 0.05, 0.099, 0.1, 0.3, np.inf])


def test_areas_agree_with_their_twins():
    assert area_exact(ERRORS) == pytest.approx(twins.area(ERRORS), abs=1e-5)
    assert area_right_end(ERRORS) == pytest.approx(twins.toolbox_area(ERRORS), abs=1e-12)
    rng = np.random.default_rng(1)
    for n in (1, 2, 17, 300):
        errors = rng.random(n) * 0.15
        assert area_exact(errors) == pytest.approx(twins.area(errors), abs=1e-5)
        assert area_right_end(errors) == pytest.approx(twins.toolbox_area(errors), abs=1e-12)
        assert -1e-12 <= area_right_end(errors) - area_exact(errors) <= 1 / n + 1e-12


def test_areas_at_their_edges():
    assert area_exact(np.array([np.inf, 0.2])) == area_right_end(np.array([np.inf, 0.2])) == 0.0
    assert area_exact(np.array([0.05])) == pytest.approx(0.5)
    assert area_right_end(np.array([0.05])) == pytest.approx(1.0)  # the toolbox's rule: 1/n more
    assert area_exact(np.array([0.0])) == area_right_end(np.array([0.0])) == 1.0
    for bad in ([], [float("nan")], [-0.1]):
        with pytest.raises(ValueError, match="at least one"):
            area_exact(np.array(bad))


# ---- recalls ---------------------------------------------------------------------------------------------------------
def test_recalls_are_sums_of_hits_over_sums_of_counts():
    good, bad = target([[0.12]]), target([[0.6]], image_id=1)
    pair = target([[0.02, 9.0], [9.0, 9.0]], image_id=2, obj_id=2)
    hits = [count_hits(one) for one in (good, bad, pair)]
    # 0.12 is below 0.15, 0.2, ... 0.5: 8 of 10 thresholds; 0.02 below all 10; of four instances
    scores = score(hits)
    assert scores.instances == 4
    assert scores.ar_mssd == pytest.approx((8 + 0 + 10) / 10 / 4)
    assert scores.ar_mspd == pytest.approx((8 + 0 + 10) / 10 / 4)  # 12 px is below 15, 20, ...; 2 px below all
    assert scores.ar_vsd == pytest.approx((8 + 0 + 10) / 10 / 4)
    assert scores.ar == pytest.approx(scores.ar_mssd)
    assert scores.recall_add == 1 / 4
    assert scores.recall_add_s == 2 / 4
    assert scores.auc_add == pytest.approx((0 + 0 + 0.8 + 0) / 4)
    groups = by_object(hits)
    assert list(groups) == [1, 2]
    assert score(groups[2]).ar_mssd == pytest.approx(0.5)
    curves = recall_curves(hits)
    assert curves["mssd"] == [0.25, 0.25] + [0.5] * 8
    assert curves["vsd"] == pytest.approx(curves["mssd"])


def test_an_error_of_exactly_a_threshold_is_wrong():
    for i, threshold in enumerate(MSSD_THRESHOLDS):
        assert count_hits(target([[threshold]])).mssd.tolist() == [0] * (i + 1) + [1] * (9 - i)
    for i, threshold in enumerate(MSPD_THRESHOLDS_PX):
        one = target([[0.0]], mspd=np.array([[threshold]]))
        assert count_hits(one).mspd.tolist() == [0] * (i + 1) + [1] * (9 - i)
    assert count_hits(target([[0.1]])).add == 0
    assert MSSD_THRESHOLDS == VSD_TAUS == (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)


def test_only_the_best_k_estimates_and_the_k_most_visible_truths_count():
    # k = 1: the second estimate is right, but is not looked at; so is the second truth
    one = target([[9.0, 0.0], [0.0, 9.0]], count=1)
    assert count_hits(one).mssd.sum() == 0
    assert count_hits(target([[9.0, 0.0], [0.0, 9.0]], count=2)).mssd.tolist() == [2] * 10


def test_missing_estimates_count_as_wrong():
    none = target(np.zeros((0, 2)), count=2)
    scores = score([count_hits(none)])
    assert (scores.instances, scores.ar, scores.recall_add, scores.auc_add, scores.auc_add_right_end) == (2, 0, 0, 0, 0)
    unknown = target([[np.inf]])
    assert score([count_hits(unknown)]).ar == 0
    assert math.isinf(count_hits(unknown).add_errors[0])


def test_targets_without_vsd_are_left_out_of_it_and_said_to_be():
    seen, unseen = target([[0.0]]), target([[0.6]], vsd=None, image_id=1)
    scores = score([count_hits(seen), count_hits(unseen)])
    assert (scores.instances, scores.vsd_instances, scores.ar_vsd, scores.ar_mssd) == (2, 1, 1.0, 0.5)
    nothing = score([count_hits(unseen)])
    assert nothing.ar_vsd is None
    assert nothing.ar is None
    assert score([]).ar_mssd is None


# ---- detection -------------------------------------------------------------------------------------------------------
def test_average_precision_agrees_with_its_twin():
    rng = np.random.default_rng(2)
    for n in (0, 1, 5, 40):
        right = rng.random(n) < 0.6
        truths = max(1, int(right.sum()) + int(rng.integers(0, 5)))
        assert average_precision(right, truths) == pytest.approx(twins.average_precision(right, truths), abs=1e-12)
    assert average_precision(np.array([True, True]), 2) == 1.0
    assert average_precision(np.array([True]), 2) == pytest.approx(51 / 101)  # recalls 0..0.5 are reached


def test_detection_counts_false_positives_and_ignores_the_hardly_visible():
    # two images: right (score 0.9); wrong (0.95) and right (0.5). At every threshold: precision 1/2 to 2/3
    first = target([[0.0]], scores=[0.9])
    second = target([[9.0], [0.0]], scores=[0.95, 0.5], image_id=1)
    total, each = detection_scores({1: [first, second]})
    expected = twins.average_precision([False, True, True], 2)
    assert total.ap == each[1].ap == pytest.approx(expected)
    # an estimate matched to what is hardly visible is neither right nor wrong, and that truth is not to be found
    hidden = target([[0.0, 9.0], [9.0, 0.0]], scores=[0.9, 0.8], visible=[1.0, 0.05])
    assert detection_scores({1: [hidden]})[0].ap == 1.0
    seen = target([[0.0, 9.0], [9.0, 0.0]], scores=[0.9, 0.8], visible=[1.0, 0.5])
    assert detection_scores({1: [seen]})[0].ap == 1.0
    missed = target([[0.0, 9.0]], scores=[0.9], visible=[1.0, 0.5])
    assert detection_scores({1: [missed]})[0].ap == pytest.approx(51 / 101)


def test_detection_is_a_mean_over_objects_with_something_to_find():
    right, wrong = target([[0.0]]), target([[9.0]], obj_id=2)
    nothing = target(np.zeros((1, 0)), count=0, obj_id=3)
    total, each = detection_scores({1: [right], 2: [wrong], 3: [nothing]})
    assert list(each) == [1, 2]
    assert total.ap == 0.5
    assert detection_scores({3: [nothing]})[0].ap is None


def test_detection_looks_at_the_best_hundred_of_an_image_alone():
    late = target([[9.0], [0.0]], scores=[0.9, 0.1], detected=np.array([True, False]))
    assert detection_scores({1: [late]})[0].ap == 0.0
