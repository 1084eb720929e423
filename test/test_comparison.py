"""Methods side by side: differences and intervals by hand, against a plain twin, in simulation, and their page."""

import csv
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import synthesize
from test_evaluation_scores import target
from test_reporting import Reader, disturbed, instance, make_renderer, missed, wrong

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_objects import BopObject
from mrc_core.evaluation.comparison import (
    METRICS,
    compare,
    distinct_names,
    interval,
    resampling_weights,
)
from mrc_core.evaluation.evaluate import Evaluation, evaluate
from mrc_core.evaluation.results_file import PoseResult
from mrc_core.evaluation.scores import count_hits
from mrc_core.evaluation.summary import summarise
from mrc_core.geometry import SymmetrySet
from mrc_core.reporting import write_comparison
from mrc_core.reporting.comparison_page import comparison_page
from mrc_core.reporting.disagreements import agreement, largest_disagreements
from mrc_core.reporting.markup import points

RIGHT, WRONG = [[0.01]], [[0.9]]  # below all thresholds, above all


def summary_of(targets, method="ours", **more):
    numbers = sorted({one.obj_id for one in targets})
    facts = {
        "method": method,
        "dataset_name": "made-up",
        "split": "test",
        "targets": targets,
        "objects": {i: BopObject(i, f"thing {i}", Path("none.ply"), 1.0, SymmetrySet()) for i in numbers},
        "problems": [],
        "left_out": 0,
        "results": [],
        "delta_m": 0.015,
        "with_vsd": True,
        "scored_images": {(one.scene_id, one.image_id) for one in targets},
    }
    return summarise(Evaluation(**{**facts, **more}))


def single(hits, method="ours", obj_id=1):
    """One instance an image, right or wrong by every error."""
    rows = [target(RIGHT if hit else WRONG, image_id=i, obj_id=obj_id) for i, hit in enumerate(hits)]
    return summary_of(rows, method)


# ---- intervals -------------------------------------------------------------------------------------------------------
def test_two_images_by_hand():
    base, other = single([False, False], "base"), single([True, False], "other")
    comparison = compare([base, other])
    for metric in METRICS:
        one = comparison.of("other")[metric]
        assert (one.baseline_value, one.value, one.difference) == (0, 0.5, 0.5)
        # drawn are both images (1/2), the first twice (1/4) or the second twice (1/4): 0.5, 1 or 0
        assert (one.low, one.high) == (0, 1)
        assert not one.is_clear
    drawn = resampling_weights(2, 8000, 0)
    shares = [(drawn[:, 0] == count).mean() for count in (0, 1, 2)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_the_same_method_twice_differs_by_nothing():
    rng = np.random.default_rng(0)
    hits = rng.random(40) < 0.6
    comparison = compare([single(hits), single(hits)])
    assert comparison.names == ("ours", "ours (2)")
    for one in comparison.differences:
        assert (one.difference, one.low, one.high) == (0, 0, 0)
        assert not one.is_clear


def random_targets(seed, images=12, objects=3, quality=1.0):
    """The same targets for every seed, with errors of its own; two objects have an instance or two in an image."""
    layout, rng = np.random.default_rng(7), np.random.default_rng(seed)
    out = []
    for image_id in range(images):
        for obj_id in range(1, objects + 1):
            count = int(layout.integers(0, 3))
            vsd_known = image_id != 3
            if count:
                errors = rng.exponential(0.25 / quality, size=(count, count))
                one = target(errors, image_id=image_id, obj_id=obj_id)
                out.append(one if vsd_known else target(errors, image_id=image_id, obj_id=obj_id, vsd=None))
    return out


def plain_twin(first, second, samples, seed):
    """Interval of every metric and scope, drawing by drawing and target by target."""
    images = sorted({(one.scene_id, one.image_id) for one in first})
    drawn = resampling_weights(len(images), samples, seed)
    scopes = [None, *sorted({one.obj_id for one in first})]
    out = {}
    for scope in scopes:
        rows = []
        for weights in drawn:
            of_image = dict(zip(images, weights))
            rates = [[], []]
            for targets, mine in ((first, rates[0]), (second, rates[1])):
                sums = dict.fromkeys(("vsd", "mssd", "mspd", "add"), 0.0)
                counts = dict.fromkeys(sums, 0.0)
                for one in targets:
                    weight = of_image[one.scene_id, one.image_id]
                    if scope not in (None, one.obj_id):
                        continue
                    hits = count_hits(one)
                    for kind in sums:
                        value = getattr(hits, kind)
                        if value is not None:
                            sums[kind] += weight * float(np.mean(value))
                            counts[kind] += weight * one.count
                each = [sums[k] / counts[k] if counts[k] else math.nan for k in sums]
                mine += [sum(each[:3]) / 3, *each]
            rows.append(np.subtract(rates[1], rates[0]))
        out[scope] = np.nanpercentile(rows, (2.5, 97.5), axis=0)
    return out


def test_intervals_agree_with_a_plain_twin():
    first, second = random_targets(1), random_targets(2, quality=2.0)
    comparison = compare([summary_of(first, "a"), summary_of(second, "b")], samples=60, seed=5)
    expected = plain_twin(first, second, 60, 5)
    assert len(comparison.differences) == len(METRICS) * len(expected) == 20
    for one in comparison.differences:
        low, high = expected[one.obj_id][:, METRICS.index(one.metric)]
        assert one.low == pytest.approx(low, abs=1e-12)
        assert one.high == pytest.approx(high, abs=1e-12)


def test_values_are_those_of_the_summaries():
    first, second = summary_of(random_targets(1), "a"), summary_of(random_targets(2), "b")
    comparison = compare([first, second], samples=10)
    for obj_id in (None, 1, 2, 3):
        found = comparison.of("b", obj_id)
        for summary, key in ((first, "baseline_value"), (second, "value")):
            scores = summary.total if obj_id is None else summary.objects[obj_id]
            add = summary.add["declared"]["all" if obj_id is None else obj_id].recall
            expected = [scores.ar, scores.ar_vsd, scores.ar_mssd, scores.ar_mspd, add]
            assert [getattr(found[metric], key) for metric in METRICS] == pytest.approx(expected, abs=1e-12)
        for one in found.values():
            assert one.difference == pytest.approx(one.value - one.baseline_value, abs=1e-12)
            assert one.low <= one.difference + 0.2
            assert one.images == len({t.image_id for t in random_targets(1) if obj_id in (None, t.obj_id)})


def test_intervals_cover_a_known_difference_about_as_often_as_they_say():
    # the second method is right in 15 more of 100 cases: half of the draws are common, as in paired tests
    rng = np.random.default_rng(3)
    images, covered, clear, runs = 80, 0, 0, 80
    for run in range(runs):
        common = rng.random(images)
        first = common < 0.5
        second = common < 0.5 - 0.05
        second |= rng.random(images) < (0.65 - 0.45) / (1 - 0.45)
        one = compare([single(first), single(second)], samples=200, seed=run).of("ours (2)")["recall_add(-s)"]
        covered += one.low <= 0.15 <= one.high
        clear += one.is_clear
    assert 0.88 <= covered / runs < 1
    assert clear / runs > 0.3


def test_pairing_narrows_the_interval():
    # the same hard images for both: their difference is the same in every image
    hard = np.arange(200) % 2 == 0
    rows = [
        [target(RIGHT if easy else WRONG, image_id=i, obj_id=1) for i, easy in enumerate(hard)]
        + [target(RIGHT if always else WRONG, image_id=i, obj_id=2) for i in range(200)]
        for always in (False, True)
    ]
    one = compare([summary_of(rows[0], "a"), summary_of(rows[1], "b")]).of("b")["ar_mssd"]
    assert (one.low, one.difference, one.high) == pytest.approx((0.5, 0.5, 0.5))
    assert one.is_clear


def test_an_object_in_one_image_has_no_interval():
    rows = [target(RIGHT, image_id=i, obj_id=1) for i in range(5)] + [target(WRONG, image_id=2, obj_id=2)]
    better = [*rows[:5], target(RIGHT, image_id=2, obj_id=2)]
    found = compare([summary_of(rows, "a"), summary_of(better, "b")]).of("b", 2)["ar"]
    assert (found.difference, found.low, found.high, found.images) == (1, None, None, 1)


def test_draws_without_an_object_are_left_out():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [2.0, np.nan]])
    low, high = interval(values)
    assert (low[0], high[0]) == pytest.approx(tuple(np.percentile([1, 2, 3], (2.5, 97.5))))
    assert np.isnan([low[1], high[1]]).all()


def test_it_is_deterministic_and_fast():
    rows = [random_targets(seed, images=1000, objects=2) for seed in (1, 2)]
    pair = [summary_of(rows[0], "a"), summary_of(rows[1], "b")]
    started = time.perf_counter()
    first = compare(pair)
    assert time.perf_counter() - started < 5  # about a second
    assert compare(pair) == first
    assert compare(pair, seed=1) != first


# ---- what cannot be compared -----------------------------------------------------------------------------------------
def test_other_targets_are_refused():
    rows = random_targets(1)
    base = summary_of(rows, "a")
    with pytest.raises(ValueError, match=r"1 of their targets differ, first scene 1, image 11, object \d \(\d and 0"):
        compare([base, summary_of(rows[:-1], "b")])
    with pytest.raises(ValueError, match="a and b cannot be compared: their data sets differ"):
        compare([base, summary_of(rows, "b", dataset_name="other")])
    with pytest.raises(ValueError, match="splits differ"):
        compare([base, summary_of(rows, "b", split="val")])
    with pytest.raises(ValueError, match="15 mm and 5 mm"):
        compare([base, summary_of(rows, "b", delta_m=0.005)])
    with pytest.raises(ValueError, match="at least two"):
        compare([base])


def test_without_vsd_there_is_no_ar_to_compare():
    rows = [target(RIGHT, image_id=i, vsd=None) for i in range(3)]
    found = compare([summary_of(rows, "a"), summary_of(rows, "b")]).of("b")
    assert found["ar"].difference is None
    assert found["ar"].low is None
    assert found["ar_vsd"].value is None
    assert found["ar_mssd"].difference == 0


def test_names_are_made_different():
    assert distinct_names(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]


# ---- disagreements ---------------------------------------------------------------------------------------------------
def test_the_largest_disagreements_come_first():
    first = [instance(gt_id=0), instance(gt_id=1), instance(gt_id=2), missed(gt_id=3), instance(gt_id=4)]
    second = [instance(gt_id=0), wrong(gt_id=1), wrong(gt_id=2, mssd=0.5), instance(gt_id=3), missed(gt_id=4)]
    found = largest_disagreements([first, second], 5, missed=False)
    assert [group[0].gt_id for group in found] == [2, 1]
    found = largest_disagreements([first, second], 1, missed=True)
    assert [group[0].gt_id for group in found] == [3]
    counts = agreement(first, second)
    assert (counts.both, counts.first_alone, counts.second_alone, counts.neither) == (1, 3, 1, 0)


# ---- the page --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    dataset = BopDataset(synthesize(tmp_path_factory.mktemp("comparison") / "set"))
    rough = disturbed(dataset)
    fine = [PoseResult(r.scene_id, r.image_id, r.obj_id, r.score, nudged(r.cam_from_obj), 0.1) for r in rough[1:]]
    summaries = [
        summarise(evaluate(dataset, rows, method=name, make_renderer=make_renderer))
        for name, rows in (("rough", rough), ("nudged", fine))
    ]
    return dataset, summaries, compare(summaries)


def nudged(pose):
    out = pose.copy()
    out[2, 3] += 0.02
    return out


def test_the_page_shows_the_comparisons_numbers(tmp_path, scored):
    dataset, summaries, comparison = scored
    path = write_comparison(tmp_path, summaries, comparison, dataset, make_renderer)
    text = path.read_text(encoding="utf-8")
    read = Reader(text)
    assert read.open == []
    assert all(link.startswith(("#", "data:image/")) for link in read.links)
    assert "http" not in re.sub(r'"data:[^"]*"', "", text)
    assert len(read.ids) == len(set(read.ids))
    for obj_id, label in ((None, "all"), *((i, dataset.objects[i].name) for i in summaries[0].objects)):
        (row,) = [row for row in read.rows if len(row) == 2 + len(METRICS) and row[0] == label]
        for cell, metric in zip(row[2:], METRICS):
            one = comparison.of("nudged", obj_id)[metric]
            assert cell == f"{points(one.difference)} [{points(one.low)}, {points(one.high)}]"
    assert "the same" in text
    assert text.count("<figure>") > 2
    assert text == comparison_page(summaries, comparison, dataset, make_renderer)


def test_files_beside_the_comparison(tmp_path, scored):
    _, summaries, comparison = scored
    write_comparison(tmp_path, summaries, comparison)
    content = json.loads((tmp_path / "comparison.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert [one["method"] for one in content["methods"]] == ["rough", "nudged"]
    assert content["baseline"] == "rough"
    assert content["bootstrap"]["samples"] == 2000
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(comparison.differences)
    assert rows[0]["obj_id"] == "all"
    assert float(rows[0]["difference"]) == pytest.approx(comparison.of("nudged")["ar"].difference, rel=1e-4)
    assert "Where they differ most" not in (tmp_path / "comparison.html").read_text()  # no data set, no pictures


def test_three_methods_side_by_side(scored):
    dataset, summaries, _ = scored
    three = [*summaries, summaries[0]]
    text = comparison_page(three, compare(three), dataset, None)
    assert Reader(text).open == []
    assert "rough (2)" in text
    assert "without outlines" in text
