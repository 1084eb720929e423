"""Result files: exact through writing and reading, and every bad line named."""

import numpy as np
import pytest
import torch

from mrc_core.evaluation.results_file import (
    HEADER,
    PoseResult,
    format_result,
    method_name,
    read_results,
    results_file_name,
    write_results,
)
from mrc_core.geometry.rotations import random_rotations

GOOD = "1,2,3,0.5,1 0 0 0 1 0 0 0 1,10 20 612.5,0.25"


def some_results(count=50, seed=0):
    rng = np.random.default_rng(seed)
    rotations = random_rotations(count, torch.Generator().manual_seed(seed)).double().numpy()
    out = []
    for i in range(count):
        pose = np.eye(4)
        pose[:3, :3] = rotations[i]
        pose[:3, 3] = rng.normal(size=3) * 10.0 ** rng.integers(-4, 1)
        out.append(PoseResult(1, i // 3, 1 + i % 4, float(rng.random()), pose, 0.1 + i // 3))
    return out


def test_a_line_is_read_in_metres(tmp_path):
    path = tmp_path / "m_d-test.csv"
    path.write_text(f"{HEADER}\n{GOOD}\n")
    read = read_results(path)
    (row,) = read.results
    assert (row.scene_id, row.image_id, row.obj_id, row.score, row.time_s) == (1, 2, 3, 0.5, 0.25)
    assert row.cam_from_obj[:3, 3].tolist() == [0.01, 0.02, 0.6125]
    assert np.array_equal(row.cam_from_obj[:3, :3], np.eye(3))
    assert read.problems == []
    assert read.method == "m"


def test_rotations_are_row_by_row(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2,3,0.5,0 -1 0 1 0 0 0 0 1,0 0 500,-1\n")  # a quarter turn about z takes x to y
    pose = read_results(path).results[0].cam_from_obj
    assert (pose[:3, :3] @ [1, 0, 0]).tolist() == [0, 1, 0]


def test_writing_and_reading_changes_no_bit(tmp_path):
    results = some_results(200)
    write_results(tmp_path / "x.csv", results)
    for before, after in zip(results, read_results(tmp_path / "x.csv").results):
        assert np.array_equal(before.cam_from_obj, after.cam_from_obj)
        assert (before.score, before.time_s, before.obj_id) == (after.score, after.time_s, after.obj_id)
    assert format_result(results[0]).count(",") == 6
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 1,10 20 612.5", "6 cells"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0,10 20 612.5,1", "R has 8 numbers"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 1,10 20,1", "t has 2 numbers"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 1,nan 20 600,1", "t holds nan"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 inf,1 20 600,1", "R holds inf"),
        ("1,2,3,nan,1 0 0 0 1 0 0 0 1,1 20 600,1", "score holds nan"),
        ("1,2,cup,0.5,1 0 0 0 1 0 0 0 1,1 20 600,1", "obj_id is 'cup'"),
        ("1,2.5,3,0.5,1 0 0 0 1 0 0 0 1,1 20 600,1", "im_id is '2.5'"),
        ("-1,2,3,0.5,1 0 0 0 1 0 0 0 1,1 20 600,1", "scene_id is -1"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 -1,1 20 600,1", "R is no rotation"),
        ("1,2,3,0.5,2 0 0 0 2 0 0 0 2,1 20 600,1", "R is no rotation"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 1,1 20 600,-3", "time is -3"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 1,1 twenty 600,1", "t holds 'twenty'"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_kept(tmp_path, line, says):
    path = tmp_path / "x.csv"
    path.write_text(f"{HEADER}\n{GOOD}\n{line}\n\n{GOOD}\n")
    read = read_results(path)
    assert len(read.results) == 2
    assert len(read.problems) == 1
    assert read.problems[0].startswith("line 3: ")
    assert says in read.problems[0]
    assert read.problems[0].endswith("left out")


def test_times_that_differ_within_an_image_are_named_but_scored(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"{GOOD}\n{GOOD.replace('0.25', '0.3')}\n")
    read = read_results(path)
    assert len(read.results) == 2
    assert "line 2: time 0.3 s, but line 1 of the same image has 0.25 s" in read.problems[0]


def test_a_file_without_a_good_line_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_results(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_text(HEADER + "\n1,2\n")
    with pytest.raises(ValueError, match="line 2: 2 cells"):
        read_results(tmp_path / "x.csv")


def test_columns_in_another_order_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("obj_id,im_id,scene_id,score,R,t,time\n" + GOOD + "\n")
    with pytest.raises(ValueError, match="needed are scene_id,im_id,obj_id"):
        read_results(path)


def test_names_of_files():
    assert results_file_name("MRC-Net", "ycbv", "test") == "MRC-Net_ycbv-test.csv"
    assert method_name("a/gdrnpp-pbr_tless-test_1234.csv") == "gdrnpp-pbr"
    assert method_name("results.csv") == "results"
    for bad in (("my_net", "ycbv"), ("", "ycbv"), ("net", "my_set"), ("net", "my-set"), ("a/b", "ycbv")):
        with pytest.raises(ValueError, match="no name for a result file"):
            results_file_name(*bad, "test")
