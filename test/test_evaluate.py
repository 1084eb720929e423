"""Scoring a data set: ground truth, known shifts, every kind of damage, interruption, and VSD against whole images."""

import json
import math
import shutil

import error_twins as twins
import numpy as np
import pytest
import torch
from evaluation_data import change_json, ground_truth_results, synthesize

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_files import BopDataError
from mrc_core.evaluation import add_s
from mrc_core.evaluation import evaluate as evaluate_module
from mrc_core.evaluation.evaluate import evaluate
from mrc_core.evaluation.instances import instances, write_instances_csv
from mrc_core.evaluation.results_file import PoseResult, read_results, write_results
from mrc_core.evaluation.summary import summarise, symmetric_lists
from mrc_core.evaluation.target_errors import VSD_TAUS
from mrc_core.geometry.rotations import rotation_about
from mrc_core.rendering import create_renderer


def make_renderer(meshes):
    return create_renderer("warp", meshes)


def moved(results, shift=(0, 0, 0), turn=None):
    out = []
    for row in results:
        pose = row.cam_from_obj.copy()
        pose[:3, 3] += shift
        if turn is not None:
            pose[:3, :3] = pose[:3, :3] @ turn
        out.append(PoseResult(row.scene_id, row.image_id, row.obj_id, row.score, pose, row.time_s))
    return out


def disturbed(results, seed=0):
    """Like a method's: a little off, some flipped, some missing, some that nobody asked for."""
    rng = np.random.default_rng(seed)
    out = []
    for row in results:
        if rng.random() < 0.1:
            continue
        axis, angle = torch.tensor(rng.normal(size=3)), rng.normal() * 0.15
        turn = rotation_about(axis, torch.tensor(np.pi if rng.random() < 0.2 else angle)).numpy()
        (off,) = moved([row], rng.normal(size=3) * 0.006, turn)
        out.append(PoseResult(row.scene_id, row.image_id, row.obj_id, float(rng.random()), off.cam_from_obj, 0.2))
        if rng.random() < 0.2:
            out.append(PoseResult(row.scene_id, row.image_id, row.obj_id, 0.01, row.cam_from_obj, 0.2))
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("bop") / "set")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "set")


@pytest.fixture(scope="module")
def dataset(whole):
    return BopDataset(whole)


def scores_of(dataset, results, **more):
    return summarise(evaluate(dataset, results, make_renderer=make_renderer, **more)).to_json()


# ---- what arithmetic says --------------------------------------------------------------------------------------------
KEYS = ("ar", "ar_vsd", "ar_mssd", "ar_mspd", "recall_add", "recall_add_s", "auc_add", "auc_add_s", "ap")


def test_the_ground_truth_scores_one(dataset):
    truths = ground_truth_results(dataset)
    hidden = [t for s in (1, 2) for i in dataset.images(s).values() for t in i.ground_truth if t.visib_fract < 0.1]
    assert hidden  # the data set has instances that are no targets
    scores = scores_of(dataset, truths)
    assert [scores[key] for key in KEYS] == [1.0] * len(KEYS)
    assert scores["instances"] == len(truths) - len(hidden)
    assert scores["is_complete"]
    assert scores["problems"] == []
    for one in scores["objects"].values():
        assert [one[key] for key in KEYS] == [1.0] * len(KEYS)


def test_equivalent_poses_score_one_where_the_score_knows_symmetry(dataset):
    """The other half turn of the box and any turn of the disc are no error for MSSD, MSPD, VSD and ADD-S."""
    half_turn = np.diag([-1.0, -1.0, 1.0])
    scores = scores_of(dataset, moved(ground_truth_results(dataset), turn=half_turn))
    for name, right in (("disc", True), ("box", True), ("wedge", False)):
        (one,) = [o for o in scores["objects"].values() if o["name"] == name]
        if right:
            assert one["ar_mssd"] == one["ar_mspd"] == one["ar_vsd"] == 1.0
            assert one["recall_add_s"] == 1.0
            assert one["add(-s)"]["declared"]["recall"] == 1.0
        else:
            assert one["ar_mssd"] < 0.5
            assert one["add(-s)"]["declared"]["recall"] == one["recall_add"] < 0.5


def test_a_shift_scores_what_arithmetic_says(dataset):
    shift = 0.0131  # metres, along the camera's x: MSSD, ADD and nothing else by this much
    off = moved(ground_truth_results(dataset), (shift, 0, 0))
    summary = summarise(evaluate(dataset, off, make_renderer=make_renderer))
    expected, instances_total = 0.0, 0
    for obj_id, scores in summary.objects.items():
        diameter = dataset.objects[obj_id].diameter
        below = sum(shift / diameter < i / 20 for i in range(1, 11))
        if dataset.objects[obj_id].name == "wedge":  # no symmetry: no equivalent pose can be nearer
            assert scores.ar_mssd == pytest.approx(below / 10)
            assert scores.auc_add == pytest.approx(1 - shift / 0.1, abs=1e-9)
            assert scores.recall_add == float(shift < 0.1 * diameter)
        expected += scores.ar_mssd * scores.instances
        instances_total += scores.instances
    assert summary.total.ar_mssd == pytest.approx(expected / instances_total)
    for row in instances(summary):
        assert row.mssd <= shift + 1e-9
        assert row.translation_m == pytest.approx(shift, abs=2e-3)
        width, _ = dataset.image_size(row.scene_id, row.image_id)
        if row.name == "wedge":
            K = dataset.images(row.scene_id)[row.image_id].K
            nearest = float((dataset.objects[row.obj_id].points @ row.gt[2, :3] + row.gt[2, 3]).min())
            assert row.mspd == pytest.approx(K[0, 0] * shift / nearest * 640 / width, rel=1e-9)


def test_missing_and_foreign_estimates(dataset):
    truths = ground_truth_results(dataset)
    targets = {(t.scene_id, t.image_id, t.obj_id): t.count for t in dataset.targets()}
    lost = next(key for key, count in targets.items() if count == 1)
    kept = [r for r in truths if (r.scene_id, r.image_id, r.obj_id) != lost]
    scores = scores_of(dataset, kept)
    n = scores["instances"]
    assert scores["ar_mssd"] == scores["ar_vsd"] == pytest.approx((n - 1) / n)
    assert scores["auc_add"] == pytest.approx((n - 1) / n)
    # a better scored wrong estimate takes the place of the right one where one instance is to be found
    wrong = [r for r in moved(truths, (0.5, 0, 0)) if (r.scene_id, r.image_id, r.obj_id) == lost][:1]
    wrong = [PoseResult(*lost, 2.0, r.cam_from_obj, 0.1) for r in wrong]
    assert scores_of(dataset, truths + wrong)["ar_mssd"] == pytest.approx((n - 1) / n)


def test_the_order_of_lines_does_not_matter(dataset):
    results = disturbed(ground_truth_results(dataset))
    assert scores_of(dataset, results) == scores_of(dataset, results[::-1])


# ---- the same every time ---------------------------------------------------------------------------------------------
def test_through_file_or_not_and_twice_is_the_same_to_the_last_bit(dataset, tmp_path):
    results = disturbed(ground_truth_results(dataset))
    write_results(tmp_path / "m_set-test.csv", results)
    read = read_results(tmp_path / "m_set-test.csv")
    first = scores_of(dataset, results)
    assert first == scores_of(dataset, results)
    assert first == scores_of(dataset, read.results)
    assert 0.2 < first["ar"] < 0.95
    through_api, through_file = (evaluate(dataset, r, make_renderer=make_renderer) for r in (results, read.results))
    for a, b in zip(through_api.targets, through_file.targets):
        for key in ("mssd", "mspd", "add", "add_s", "vsd"):
            assert np.array_equal(getattr(a, key), getattr(b, key))


def test_an_interrupted_evaluation_goes_on(dataset, tmp_path, monkeypatch):
    results = disturbed(ground_truth_results(dataset))
    expected = scores_of(dataset, results)

    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scores_of(dataset, results, parts=tmp_path / "parts", progress=stop)
    assert [p.name for p in (tmp_path / "parts").iterdir()] == ["scene_000001.json"]
    asked = []
    original = evaluate_module.PointErrors.of_scene

    def counted(self, pairings):
        asked.append(pairings[0].image.scene_id)
        return original(self, pairings)

    monkeypatch.setattr(evaluate_module.PointErrors, "of_scene", counted)
    assert scores_of(dataset, results, parts=tmp_path / "parts") == expected
    assert asked == [2]  # scene 1 was there
    asked.clear()
    assert scores_of(dataset, results, parts=tmp_path / "parts") == expected
    assert asked == []
    # other results, another tolerance, a file that was cut short: computed again
    changed = [*moved(results[:1], (0.001, 0, 0)), *results[1:]]
    scores_of(dataset, changed, parts=tmp_path / "parts")
    assert asked == [1]
    asked.clear()
    scores_of(dataset, changed, parts=tmp_path / "parts", delta_m=0.01)
    assert asked == [1, 2]
    asked.clear()
    part = tmp_path / "parts" / "scene_000002.json"
    part.write_text(part.read_text()[:-50])
    scores_of(dataset, changed, parts=tmp_path / "parts", delta_m=0.01)
    assert asked == [2]


# ---- VSD -------------------------------------------------------------------------------------------------------------
def test_vsd_in_windows_is_that_of_whole_images(dataset):
    """Every pair of one image, rendered over the whole picture and compared pixel by pixel."""
    results = disturbed(ground_truth_results(dataset), seed=3)
    evaluation = evaluate(dataset, results, make_renderer=make_renderer)
    checked = 0
    for one in evaluation.targets:
        if one.count == 0 or (one.scene_id, one.image_id) not in ((1, 0), (2, 1)):
            continue
        renderer = make_renderer([dataset.objects[one.obj_id].mesh])
        K = dataset.images(one.scene_id)[one.image_id].K
        depth = dataset.depth_m(one.scene_id, one.image_id)
        for e in range(one.counted_estimates):
            for g in range(one.counted_truths):
                poses = torch.tensor(np.stack([one.est[e], one.gt[g]])).float()
                camera = torch.tensor(K).float().expand(2, 3, 3)
                maps = renderer.render(torch.zeros(2, dtype=torch.int64), poses, camera, depth.shape).depth_m
                expected = twins.vsd(maps[0], maps[1], depth, K, one.diameter, 0.015, VSD_TAUS)
                # one pixel of a silhouette may be decided by the last bit of a shifted camera matrix
                assert one.vsd[e, g].tolist() == pytest.approx(expected, abs=2 / max(1, int((maps[1] > 0).sum())))
                checked += 1
    assert checked >= 4


# ---- bad input -------------------------------------------------------------------------------------------------------
def test_a_truncated_depth_picture_leaves_its_image_out_of_vsd_alone(folder):
    path = folder / "test" / "000001" / "depth" / "000000.png"
    path.write_bytes(path.read_bytes()[:-100])
    dataset = BopDataset(folder)
    scores = scores_of(dataset, ground_truth_results(dataset))
    inside = sum(t.count for t in dataset.targets() if (t.scene_id, t.image_id) == (1, 0))
    assert scores["instances"] - scores["vsd_instances"] == inside
    assert scores["ar_vsd"] == scores["ar_mssd"] == 1.0
    assert not scores["is_complete"]
    assert len(scores["problems"]) == 1
    assert "000000.png" in scores["problems"][0]
    assert f"the {inside} instances" in scores["problems"][0]


def test_without_any_depth_picture_there_is_no_ar_and_that_is_not_complete(folder):
    for scene in (folder / "test").iterdir():
        shutil.rmtree(scene / "depth")
    dataset = BopDataset(folder)
    scores = scores_of(dataset, ground_truth_results(dataset))
    assert scores["ar"] is None
    assert scores["ar_mssd"] == 1.0
    assert not scores["is_complete"]
    assert len(scores["problems"]) == 6


def test_a_missing_scene_is_named_and_the_rest_scored(folder):
    everything = ground_truth_results(BopDataset(folder))
    shutil.rmtree(folder / "test" / "000002")
    dataset = BopDataset(folder)
    scores = scores_of(dataset, everything)
    assert scores["ar"] == 1.0
    assert scores["instances_left_out"] == sum(t.count for t in dataset.targets() if t.scene_id == 2)
    assert not scores["is_complete"]
    assert "scene 2" in scores["problems"][0]
    assert "missing" in scores["problems"][0]
    shutil.rmtree(folder / "test" / "000001")
    with pytest.raises(BopDataError, match="no target can be scored"):
        scores_of(BopDataset(folder), everything)


def test_a_scene_without_ground_truth_is_named_and_the_rest_scored(folder):
    everything = ground_truth_results(BopDataset(folder))
    (folder / "test" / "000001" / "scene_gt.json").unlink()
    scores = scores_of(BopDataset(folder), everything)
    assert scores["ar"] == 1.0
    assert not scores["is_complete"]
    assert "scene 1: there is no scene_gt.json" in scores["problems"][0]


def test_metres_for_millimetres_are_noticed(dataset):
    truths = ground_truth_results(dataset)
    near = moved(truths)
    for row in near:
        row.cam_from_obj[:3, 3] /= 1000
    scores = scores_of(dataset, near)
    assert len(scores["problems"]) == 1
    assert "look like metres" in scores["problems"][0]
    assert "1000 times shorter" in scores["problems"][0]
    assert scores["ar"] == 0.0
    assert scores_of(dataset, disturbed(truths))["problems"] == []


def test_unknown_objects_and_images_are_counted_not_scored(dataset):
    truths = ground_truth_results(dataset)
    strange = [
        PoseResult(1, 0, 77, 1.0, np.eye(4), 0.1),
        PoseResult(1, 99, 1, 1.0, np.eye(4), 0.1),
        PoseResult(5, 0, 1, 1.0, np.eye(4), 0.1),
    ]
    scores = scores_of(dataset, truths + strange)
    assert scores["ar"] == 1.0
    assert scores["problems"][0].startswith("object 77 is not in models_info.json")
    assert "2 estimates are of images without a target" in scores["problems"][1]
    assert "scene 1 image 99, scene 5 image 0" in scores["problems"][1]


def test_targets_that_the_data_set_does_not_show(folder):
    more = [
        {"scene_id": 1, "im_id": 0, "obj_id": 9, "inst_count": 1},
        {"scene_id": 1, "im_id": 50, "obj_id": 1, "inst_count": 2},
    ]
    change_json(folder / "test_targets_bop19.json", lambda targets: targets + more)
    dataset = BopDataset(folder)
    scores = scores_of(dataset, ground_truth_results(dataset))
    assert scores["ar"] == 1.0
    assert scores["instances_left_out"] == 3
    assert "no object 9" in scores["problems"][0]
    assert "no such image" in scores["problems"][1]


def test_poses_that_are_not_finite_are_wrong_not_fatal(dataset):
    truths = ground_truth_results(dataset)
    broken = moved(truths)
    broken[0].cam_from_obj[:] = np.nan
    assert 0 < scores_of(dataset, broken)["ar"] < 1
    behind = moved(truths)
    for row in behind:
        row.cam_from_obj[2, 3] *= -1
    assert scores_of(dataset, behind)["ar"] == 0.0


def test_without_a_renderer_there_is_no_ar(dataset):
    scores = summarise(evaluate(dataset, ground_truth_results(dataset))).to_json()
    assert scores["ar"] is None
    assert scores["ar_vsd"] is None
    assert scores["ar_mssd"] == scores["ar_mspd"] == 1.0
    assert scores["is_complete"]


# ---- instances -------------------------------------------------------------------------------------------------------
def test_instances_tell_errors_and_what_is_seen(dataset, tmp_path):
    turn = rotation_about(torch.tensor([0.0, 0, 1]).double(), torch.tensor(np.pi / 2)).numpy()
    summary = summarise(evaluate(dataset, moved(ground_truth_results(dataset), turn=turn), make_renderer=make_renderer))
    rows = instances(summary)
    assert len(rows) == summary.total.instances
    for row in rows:
        if row.name == "wedge":
            assert np.degrees(row.turn) == pytest.approx([0, 0, 90], abs=1e-6)
            assert math.degrees(row.rotation_rad) == pytest.approx(90, abs=1e-4)
            assert not row.is_right
        elif row.name == "disc":
            assert row.rotation_rad < 1e-6
            assert row.is_right
        assert np.linalg.norm(row.direction) == pytest.approx(1)
        # the camera lies where the direction says, in the object's frame
        camera = row.gt[:3, :3] @ (row.direction * row.distance_m) + row.gt[:3, 3]
        assert camera == pytest.approx([0, 0, 0], abs=1e-6)
        # hardly visible, an object is mostly the rim of what hides it
        assert row.visible < 0.5 or row.model_gap < 0.001 or math.isnan(row.model_gap)
    write_instances_csv(tmp_path / "i.csv", rows)
    assert len((tmp_path / "i.csv").read_text().splitlines()) == len(rows) + 1


def test_lists_of_symmetric_objects(dataset):
    assert symmetric_lists("ycbv", {})["ycb-toolbox"] == {13, 16, 19, 20, 21}
    assert symmetric_lists("ycbv", {})["bop"] == {1, 13, 14, 16, 18, 19, 20, 21}
    assert symmetric_lists("lmo", {})["bop"] == {10, 11}
    assert symmetric_lists("tless", dataset.objects)["all"] == {1, 2, 3}
    assert symmetric_lists("set", dataset.objects)["declared"] == {2, 3}


def test_json_is_strict(dataset):
    scores = scores_of(dataset, ground_truth_results(dataset)[:1])
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_pairs_that_are_far_apart_are_left_out_of_add_s_alone(dataset):
    """What is left out is beyond every threshold; what is not, is ADD-S itself."""
    results = disturbed(ground_truth_results(dataset), seed=8)
    far = near = 0
    for one in evaluate(dataset, results + moved(results, (0.3, 0.1, 0))).targets:
        points = torch.from_numpy(dataset.objects[one.obj_id].points)
        limit = max(0.1, 0.1 * one.diameter)
        for e, row in enumerate(one.add_s):
            for g, value in enumerate(row):
                exact = float(add_s(torch.tensor(one.est[e])[None], torch.tensor(one.gt[g])[None], points))
                far, near = far + math.isinf(value), near + math.isfinite(value)
                assert value == pytest.approx(exact, abs=1e-12) if math.isfinite(value) else exact > limit
    assert far > 0
    assert near > 10


def test_what_makes_figures_worth_less_is_said(folder):
    truths = ground_truth_results(BopDataset(folder))
    scores = scores_of(BopDataset(folder), [*truths, truths[0]])
    assert scores["problems"] == ["1 estimates are there more than once, to the last digit: detection AP counts each"]
    first = [row for row in truths if (row.scene_id, row.image_id) != (1, 0)]
    assert "1 of 6 images with targets have no estimate" in scores_of(BopDataset(folder), first)["problems"][0]
    (folder / "models_eval" / "obj_000001.ply").write_bytes(b"ply\nformat binary")
    scores = scores_of(BopDataset(folder), truths)
    assert scores["ar"] == 1.0
    assert not scores["is_complete"]
    assert "object 1: " in scores["problems"][0]
    shutil.rmtree(folder / "models_eval")
    assert "there is no models_eval/" in scores_of(BopDataset(folder), truths)["problems"][0]


def test_names_of_data_sets_are_the_benchmarks(folder):
    assert BopDataset(folder, name="YCB-V").name == "ycbv"
    assert BopDataset(folder, name="T-LESS").name == "tless"
    assert BopDataset(folder, name="my_set").name == "my_set"
