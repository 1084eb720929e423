"""`mrc-net evaluate` as a user runs it: a method's file, a bundle, two files side by side, and what goes wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_bundle
from evaluation_data import ground_truth_results, synthesize

from mrc_core.cli import main
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.evaluation.evaluate import evaluate
from mrc_core.evaluation.results_file import HEADER, read_results, write_results
from mrc_core.evaluation.summary import summarise
from mrc_core.rendering import create_renderer

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("bop") / "set")


@pytest.fixture(scope="module")
def truth_csv(folder):
    path = folder.parent / "truth_set-test.csv"
    write_results(path, ground_truth_results(BopDataset(folder)))
    return path


@pytest.fixture(scope="module")
def shifted_csv(folder):
    rows = ground_truth_results(BopDataset(folder))
    path = folder.parent / "shifted_set-test.csv"
    lines = [HEADER]
    for row in rows:
        R = " ".join(map(str, row.cam_from_obj[:3, :3].flatten()))
        x, y, z = row.cam_from_obj[:3, 3] * 1000
        lines.append(f"{row.scene_id},{row.image_id},{row.obj_id},{row.score},{R},{x + 13.1} {y} {z},0.2")
    path.write_text("\n".join(lines) + "\n")
    return path


def run(folder, *arguments):
    return main(["evaluate", "--dataset", str(folder), *map(str, arguments)])


def test_json_is_one_object_and_nothing_else(folder, truth_csv, tmp_path, capsys):
    assert run(folder, "--results", truth_csv, "--output", tmp_path, "--json") == 0
    out = capsys.readouterr().out
    scores = json.loads(out)
    assert len(out.strip().splitlines()) == 1
    assert [scores[key] for key in ("ar", "ar_vsd", "ar_mssd", "ar_mspd")] == [1.0] * 4
    assert set(scores["objects"]) == {"1", "2", "3"}
    assert scores["method"] == "truth"
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    for name in ("report.html", "objects.csv", "instances.csv"):
        assert (tmp_path / name).stat().st_size > 200


def test_a_file_scores_what_the_api_says(folder, shifted_csv, tmp_path, capsys):
    assert run(folder, "--results", shifted_csv, "--output", tmp_path, "--json", "--no-report") == 0
    scores = json.loads(capsys.readouterr().out)
    dataset = BopDataset(folder)
    through_api = evaluate(
        dataset,
        read_results(shifted_csv).results,
        method="shifted",
        make_renderer=lambda meshes: create_renderer("warp", meshes),
    )
    assert scores == summarise(through_api).to_json()
    assert not (tmp_path / "report.html").exists()


def test_the_table_shows_percent(folder, truth_csv, tmp_path, capsys):
    assert run(folder, "--results", truth_csv, "--output", tmp_path, "--no-vsd", "--no-report") == 0
    out = capsys.readouterr().out
    assert "wedge" in out
    assert "100.0" in out
    assert "MSSD" in out


def test_two_files_are_compared(folder, truth_csv, shifted_csv, tmp_path, capsys):
    assert run(folder, "--results", truth_csv, shifted_csv, "--output", tmp_path, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["method"] for one in content["methods"]] == ["truth", "shifted"]
    assert content["methods"][1]["ar"] < 1
    assert (tmp_path / "comparison.html").is_file()
    assert (tmp_path / "truth_set-test" / "report.html").is_file()
    assert run(folder, "--results", truth_csv, truth_csv, "--output", tmp_path) == 1
    assert "names a file twice" in capsys.readouterr().err


def test_bad_lines_are_named_and_the_rest_is_scored(folder, truth_csv, tmp_path, capsys):
    lines = truth_csv.read_text().splitlines()
    lines[3] = lines[3].replace(",", ";")
    lines[5] = lines[5].rsplit(",", 2)[0] + ",nan 0 500,0.1"
    bad = tmp_path / "bad_set-test.csv"
    bad.write_text("\n".join(lines))
    assert run(folder, "--results", bad, "--output", tmp_path, "--json") == 0
    captured = capsys.readouterr()
    assert "bad_set-test.csv, line 4: 1 cells" in captured.err
    assert "bad_set-test.csv, line 6: t holds nan" in captured.err
    assert 0.5 < json.loads(captured.out)["ar"] <= 1
    assert "line 4" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --results"),
        (["--results", "none.csv"], "none.csv does not exist"),
        (["--bundle", "b"], "belong together"),
        (["--results", "TRUTH", "--split", "val"], "no split 'val'"),
        (["--results", "TRUTH", "--targets", "none.json"], "none.json is missing"),
        (["--results", "TRUTH", "--vsd-delta-mm", "-3"], "millimetres, 1 to 200"),
        (["--results", "TRUTH", "--vsd-delta-mm", "nan"], "millimetres, 1 to 200"),
    ],
)
def test_one_clear_line_for_what_cannot_be_done(folder, truth_csv, tmp_path, capsys, arguments, says):
    arguments = [str(truth_csv) if a == "TRUTH" else a for a in arguments]
    assert run(folder, "--output", tmp_path, *arguments) == 1
    error = capsys.readouterr().err.strip()
    assert says in error
    assert error.startswith("mrc-net: ")
    assert len(error.splitlines()) == 1


# ---- a bundle --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_random_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def bundle_arguments(folder, bundle, output):
    detections = folder / "detections" / "synthetic_test.json"
    return ["--bundle", bundle, "--detections", detections, "--output", output, "--json"]


def test_a_bundle_writes_a_submission_and_is_scored_like_its_file(folder, bundle, tmp_path, capsys):
    assert run(folder, *bundle_arguments(folder, bundle, tmp_path)) == 0
    captured = capsys.readouterr()
    scores = json.loads(captured.out)
    path = tmp_path / "MRC-Net_set-test.csv"
    read = read_results(path)
    assert read.problems == []
    assert "no class for the objects 3" in captured.err  # the bundle knows wedge and disc alone
    targets = {(t.scene_id, t.image_id, t.obj_id): t.count for t in BopDataset(folder).targets()}
    per_target = {}
    for row in read.results:
        key = (row.scene_id, row.image_id, row.obj_id)
        per_target[key] = per_target.get(key, 0) + 1
        assert row.obj_id in (1, 2)
        assert row.time_s > 0
    assert all(count <= targets[key] for key, count in per_target.items())
    assert len(per_target) == sum(obj_id != 3 for _, _, obj_id in targets)
    times = {}
    for row in read.results:
        assert times.setdefault((row.scene_id, row.image_id), row.time_s) == row.time_s
    assert run(folder, "--results", path, "--output", tmp_path / "again", "--json", "--no-report") == 0
    again = json.loads(capsys.readouterr().out)
    same = ("ar", "ar_vsd", "ar_mssd", "ar_mspd", "recall_add", "auc_add_s", "ap", "seconds_per_image")
    assert [scores[key] for key in same] == [again[key] for key in same]


def test_the_demo_bundle_finds_its_objects(tmp_path, capsys):
    """The whole way with a trained model: frames, units, crops and names are right, or nothing would be."""
    folder = tmp_path / "set"
    objects = ["--objects", str(ROOT / "demo" / "objects"), "--output", str(folder)]
    assert main(["synthesize", *objects, "--scenes", "1", "--images", "6", "--no-masks"]) == 0
    capsys.readouterr()
    assert run(folder, *bundle_arguments(folder, ROOT / "demo" / "bundle", tmp_path / "out"), "--no-report") == 0
    captured = capsys.readouterr()
    scores = json.loads(captured.out)
    assert scores["problems"] == []
    assert scores["ar"] > 0.35  # 0.56 on a larger set
    assert scores["recall_add(-s)"] > 0.3
    assert set(scores["objects"]) == {"1", "2", "3", "4"}


def test_without_public_ground_truth_the_submission_is_written(folder, bundle, tmp_path, capsys):
    mine = shutil.copytree(folder, tmp_path / "set")
    for scene in (mine / "test").iterdir():
        (scene / "scene_gt.json").unlink()
        (scene / "scene_gt_info.json").unlink()
    assert run(mine, *bundle_arguments(mine, bundle, tmp_path / "out")) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no ground truth" in captured.err
    assert len(read_results(tmp_path / "out" / "MRC-Net_set-test.csv").results) > 5


def test_a_class_is_told_by_name_or_by_the_user(folder, tmp_path, capsys):
    other = make_random_bundle(tmp_path / "other", class_ids=("thing", "disc"))
    arguments = bundle_arguments(folder, other, tmp_path / "out")
    assert run(folder, *arguments, "--no-report", "--no-vsd") == 0
    assert "no class for the objects 1, 3" in capsys.readouterr().err
    assert run(folder, *arguments, "--no-report", "--no-vsd", "--class-map", "thing=1") == 0
    assert "no class for the objects 3" in capsys.readouterr().err
    assert run(folder, *arguments, "--class-map", "thing=8") == 1
    assert "--class-map thing=8: the bundle has thing, disc" in capsys.readouterr().err
    assert run(folder, *arguments, "--class-map", "thing=1", "disc=1") == 1
    assert "names object 1 twice" in capsys.readouterr().err
    # a box for a wedge: the shapes differ, which is said
    assert run(folder, *arguments, "--no-report", "--no-vsd", "--class-map", "thing=3") == 0
    assert "is not the data set's model" in capsys.readouterr().err


def test_bad_pictures_and_boxes_cost_only_themselves(folder, bundle, tmp_path, capsys):
    mine = shutil.copytree(folder, tmp_path / "set")
    picture = mine / "test" / "000001" / "rgb" / "000000.png"
    picture.write_bytes(picture.read_bytes()[:-500])
    path = mine / "detections" / "synthetic_test.json"
    content = json.loads(path.read_text())
    victim = next(i for i, d in enumerate(content) if d["scene_id"] == 2 and d["category_id"] == 1)
    content[victim]["bbox"] = [5000, 5000, 30, 30]
    content.append({"scene_id": 1})
    path.write_text(json.dumps(content))
    assert run(mine, *bundle_arguments(mine, bundle, tmp_path / "out"), "--no-report") == 0
    error = capsys.readouterr().err
    assert "scene 1, image 0" in error
    assert "cut short" in error
    assert "outside of the 240x180 image" in error
    assert f"synthetic_test.json, entry {len(content) - 1}" in error
    results = read_results(tmp_path / "out" / "MRC-Net_set-test.csv").results
    assert {(r.scene_id, r.image_id) for r in results} >= {(1, 1), (1, 2), (2, 0), (2, 1), (2, 2)}
    assert (1, 0) not in {(r.scene_id, r.image_id) for r in results}


def test_killed_and_started_again_it_ends_with_the_same_figures(folder, bundle, tmp_path):
    command = [sys.executable, "-m", "mrc_core.cli", "evaluate", "--dataset", str(folder), "--no-report"]
    command += map(str, bundle_arguments(folder, bundle, tmp_path / "killed"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = tmp_path / "killed" / "parts" / "poses" / "scene_000001.json"
    deadline = time.monotonic() + 60
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    written = first.stat().st_mtime_ns
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert first.stat().st_mtime_ns == written  # taken over, not computed again
    scores = json.loads(done.stdout)
    whole = [*command]
    whole[whole.index(str(tmp_path / "killed"))] = str(tmp_path / "whole")
    reference = json.loads(
        subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
    )
    for one in (scores, reference):
        one.pop("seconds_per_image")
    assert scores == reference
    assert np.isfinite(scores["ar"])
