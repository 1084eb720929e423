"""`mrc-net synthesize` as a user runs it: detections, interruptions, and what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_dataset import IMAGES, OBJECTS, SCENES, hashes, instances, make_models, read_png, synthesize

from mrc_core.data.bop_detections import read_bop_detections
from mrc_core.data.bop_models import write_models
from mrc_core.data.dataset_scenes import DatasetScenes


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def dataset(models, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    assert synthesize(models, folder) == 0
    return folder


# ---- detections ------------------------------------------------------------------------------------------------------
def iou(a, b) -> float:
    inside = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = np.prod(np.clip(inside, 0, None))
    return both / (np.prod(np.subtract(a[2:], a[:2])) + np.prod(np.subtract(b[2:], b[:2])) - both)


def test_every_target_has_a_detection(dataset):
    found, problems = read_bop_detections(dataset / "detections" / "synthetic_test.json")
    assert problems == []
    overlaps = []
    for scene, key, number, _, _, truth, info in instances(dataset):
        visible = read_png(scene / "mask_visib" / f"{int(key):06d}_{number:06d}.png") > 0
        here = [
            d
            for d in found
            if (d.scene_id, d.image_id, d.obj_id) == (int(scene.name), int(key), truth["obj_id"])
            and np.array_equal(d.mask(), visible)
        ]
        assert len(here) == (info["visib_fract"] >= 0.1)
        for detection in here:
            x, y, w, h = info["bbox_visib"]
            edges = np.array([x - 0.5, y - 0.5, x + w + 0.5, y + h + 0.5])
            overlaps.append(iou(np.array(detection.box_xyxy_px), edges))
            assert 0 < detection.score <= 1
            assert detection.time_s == 0
    assert len(overlaps) == len(found)
    assert min(overlaps) > (1 - 2 * 0.07) ** 2 - 0.02
    assert np.mean(overlaps) < 0.95  # they are off by something


def test_other_detection_options_keep_the_scenes(models, dataset, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    before = hashes(copy)
    options = ("--miss-rate", "0.5", "--false-positives", "2", "--box-noise", "0")
    assert synthesize(models, copy, *options) == 0
    after = hashes(copy)
    assert {k for k in before if before[k] != after[k]} == {"detections/synthetic_test.json", "preview.jpg"}
    first, _ = read_bop_detections(dataset / "detections" / "synthetic_test.json")
    found, problems = read_bop_detections(copy / "detections" / "synthetic_test.json")
    assert problems == []
    name = lambda d: (d.scene_id, d.image_id, d.obj_id, d.score)  # noqa: E731
    true = [d for d in found if name(d) in {name(other) for other in first}]
    assert 0.2 < len(true) / len(first) < 0.8
    assert 0.5 * IMAGES * SCENES < len(found) - len(true) < 4 * IMAGES * SCENES
    for detection in true:  # without noise a box ends at its mask's outermost pixels' edges
        rows, columns = np.nonzero(detection.mask())
        edges = (columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
        assert detection.box_xyxy_px == edges


# ---- the command -----------------------------------------------------------------------------------------------------
def test_interrupted_and_resumed_is_the_same_to_the_byte(models, dataset, tmp_path, monkeypatch, capsys):
    whole = DatasetScenes.image

    def interrupted(self, scene_id, image_id):
        if (scene_id, image_id) == (2, 2):
            raise KeyboardInterrupt
        return whole(self, scene_id, image_id)

    again = tmp_path / "again"
    monkeypatch.setattr(DatasetScenes, "image", interrupted)
    assert synthesize(models, again) == 130
    assert not (again / "test_targets_bop19.json").exists()
    drawn = []
    monkeypatch.setattr(DatasetScenes, "image", lambda *args: drawn.append(args[1:]) or whole(*args))
    assert synthesize(models, again) == 0
    assert {scene for scene, _ in drawn} == {2}  # the first scene is kept
    assert "1 of 2 scenes are there already" in capsys.readouterr().out
    assert hashes(again) == hashes(dataset)


def test_another_seed_or_split_gives_other_images(models, dataset, tmp_path):
    few = ("--scenes", "1", "--images", "1", "--no-masks")
    assert synthesize(models, tmp_path / "a", *few) == 0
    assert synthesize(models, tmp_path / "a", *few, "--split", "val") == 0
    assert synthesize(models, tmp_path / "b", *few, "--seed", "1") == 0
    pictures = [dataset / "test", tmp_path / "a" / "test", tmp_path / "a" / "val", tmp_path / "b" / "test"]
    first, same, val, seed = (read_png(p / "000001" / "rgb" / "000000.png") for p in pictures)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, val)
    assert not np.array_equal(first, seed)
    assert (tmp_path / "a" / "val_targets_bop19.json").is_file()
    # without masks there are none, and boxes all the same
    assert not list(tmp_path.rglob("mask*"))
    found, _ = read_bop_detections(tmp_path / "a" / "detections" / "synthetic_val.json")
    assert found
    assert all(d.mask() is None for d in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--images", "3"), "made with other images (5, not 3)"),
        (("--seed", "4"), "made with other seed"),
        (("--split", "val", "--width", "200"), "other image_width (160, not 200)"),
        (("--split", "models"), "--split 'models'"),
        (("--split", "../x"), "--split"),
        (("--scenes", "0"), "--scenes must be 1 or more"),
        (("--objects-per-image", "3", "7"), "make 6"),
        (("--objects-per-image", "3", "2"), "low <= high"),
        (("--box-noise", "2"), "box_noise"),
        (("--width", "8"), "image_width"),
    ],
)
def test_what_cannot_be_is_one_clear_line(models, dataset, capsys, options, words):
    before = hashes(dataset)
    assert synthesize(models, dataset, *options) == 1
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert hashes(dataset) == before


def test_a_folder_with_something_else_is_left_alone(models, dataset, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    assert synthesize(models, tmp_path) == 1
    assert "something else" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    assert synthesize(models, tmp_path / "thesis.txt") == 1
    assert "is a file" in capsys.readouterr().err
    other = tmp_path / "other"
    write_models(other, OBJECTS[:2])
    assert synthesize(other / "models", dataset, "--split", "val") == 1
    assert "other objects" in capsys.readouterr().err
