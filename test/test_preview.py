"""`mrc-net preview-scenes`, and the measurement of the generator."""

import itertools
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT

from mrc_core.benchmarks.generator import measure_generator
from mrc_core.cli import main
from mrc_core.cli.preview import CAPTION_PX, COLUMNS, GAP_PX, TILE_PX

OBJECTS = str(ROOT / "demo" / "objects")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "red.png"), np.full((40, 40, 3), (0, 0, 250), np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def sheet(path, *options):
    assert main(["preview-scenes", "--objects", OBJECTS, "--output", str(path), *options]) == 0
    return cv2.imread(str(path))


def test_the_sheet_shows_each_crop_with_and_without_its_truth(tmp_path, capsys):
    picture = sheet(tmp_path / "new" / "sheet.png", "--count", "5")
    assert "5 samples" in capsys.readouterr().out
    assert picture.shape == (2 * (TILE_PX + CAPTION_PX), COLUMNS * (2 * TILE_PX + GAP_PX), 3)
    left, right = picture[:TILE_PX, :TILE_PX].astype(int), picture[:TILE_PX, TILE_PX : 2 * TILE_PX].astype(int)
    differs = (left != right).any(axis=2)
    assert 0.002 < differs.mean() < 0.1  # lines alone
    assert not picture[TILE_PX + CAPTION_PX :, 2 * TILE_PX + GAP_PX :].any()  # three places stay empty


def test_the_same_seed_gives_the_same_sheet(tmp_path):
    first = sheet(tmp_path / "a.png", "--count", "2", "--seed", "4")
    assert np.array_equal(first, sheet(tmp_path / "b.png", "--count", "2", "--seed", "4"))
    assert not np.array_equal(first, sheet(tmp_path / "c.png", "--count", "2", "--seed", "5"))


def test_backgrounds_come_from_a_folder_and_unreadable_ones_are_told(tmp_path, photos, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("distractors: 2\nscenes: {photo_fraction: 1.0, support_fraction: 0.0}\n")
    plain = sheet(tmp_path / "a.png", "--count", "8", "--config", str(config))
    red = sheet(tmp_path / "b.png", "--count", "8", "--config", str(config), "--backgrounds", str(photos))
    assert "2 pictures, 1 of those asked for could not be read" in capsys.readouterr().out

    def redness(picture):
        return float((picture[..., 2].astype(int) - picture[..., 1]).mean())

    assert redness(red) > redness(plain) + 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "0"], "--count must be 1 or more"),
        (["--backgrounds", "no/such/folder"], "no/such/folder is no folder"),
        (["--config", "no/such.yaml"], "no training configuration"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capsys, options, message):
    assert main(["preview-scenes", "--objects", OBJECTS, "--output", str(tmp_path / "s.png"), *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_sheet_needs_a_pictures_name(tmp_path, capsys):
    out = ["--output", str(tmp_path / "sheet.doc"), "--count", "1"]
    assert main(["preview-scenes", "--objects", OBJECTS, *out]) == 1
    assert "name a .png or .jpg file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("small.yaml", set()),
        ("demo.yaml", {"distance_range", "standing_fraction", "resting_fraction", "support_fraction"}),
    ],
)
def test_the_shipped_configurations_load(name, changed):
    from mrc_core.data.scene_config import SceneConfig
    from mrc_core.training.config import TrainConfig

    scenes = TrainConfig.load(ROOT / "config" / "train" / name).scenes
    assert {key for key, value in scenes if value != getattr(SceneConfig(), key)} == changed


def test_the_generators_share_is_that_of_both_times():
    def busy(seconds):
        ends = time.thread_time() + seconds
        while time.thread_time() < ends:
            pass

    number = itertools.count()
    rows = measure_generator(
        lambda index: busy(0.01) or next(number),
        lambda batch: busy(0.03),
        lambda count: iter(range(count)),
        batch_size=8,
        wait=lambda: None,
        device="cpu",
        repeats=3,
    )
    assert [row["runs"] for row in rows] == ["generator", "network", "both, as in training"]
    assert rows[0]["share of the time, %"] == pytest.approx(25, abs=3)
    assert rows[0]["share of the time, %"] + rows[1]["share of the time, %"] == pytest.approx(100)
    assert rows[0]["samples/s"] == pytest.approx(8000 / rows[0]["ms a batch"])
    assert rows[1]["ms a batch"] >= 30
