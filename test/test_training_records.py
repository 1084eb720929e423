"""What a run tells: curves, figures as JSON lines, pictures."""

import json
import shutil
import sys
import time
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import SETTINGS, WEDGE, rows, step, tiny_trainer, with_nan

from mrc_core.training.pictures import CASES, choose_cases, picture_cases
from mrc_core.training.records import RunRecords
from mrc_core.training.state import RunState
from mrc_core.training.validation import PoseErrors

SIZE = SETTINGS["model"]["crop_size"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def events(folder) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return found


def json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run whose curves were begun twice: it went to its end, fell back to its first step, and went again."""
    folder = tmp_path_factory.mktemp("records")
    settings = {"steps": 4, "log_every": 1, "validate_every": 2, "validation_samples": 5}
    begun = tiny_trainer(folder / "begun", **settings)
    begun.train(deadline=time.monotonic())
    assert begun.state.step == 1
    tiny_trainer(folder / "run", **settings).train()
    first = json_lines(folder / "run" / "train.jsonl")
    shutil.copy(folder / "begun" / "checkpoint.safetensors", folder / "run")
    resumed = tiny_trainer(folder / "run", **settings)
    resumed.resume()
    resumed.train()
    return folder / "run", first


def test_every_figure_has_its_curve(run):
    found = events(run[0])
    losses = ("total", "rotation_class", "cell_class", "depth_class", "rotation", "xy", "z", "mask", "surface")
    wanted = [f"loss/{name}" for name in losses]
    wanted += ["optimiser/learning_rate", "optimiser/gradient_norm", "optimiser/skipped_steps"]
    wanted += ["speed/samples_per_second", "speed/wait_share"]
    figures = ("recall", "angle_deg", "shift_mm", "depth_percent", "flipped")
    wanted += [f"validation_{stage}/{name}" for stage in ("coarse", "refined") for name in figures]
    wanted += [f"object_wedge/{stage}_{name}" for stage in ("coarse", "refined") for name in figures]
    assert set(found.Tags()["scalars"]) == set(wanted)
    for line in json_lines(run[0] / "train.jsonl"):
        (point,) = [p for p in found.Scalars("loss/total") if p.step == line["step"]]
        assert point.value == pytest.approx(line["loss"]["total"])
    assert all(0 <= p.value <= 1 for p in found.Scalars("speed/wait_share"))
    assert [p.value for p in found.Scalars("optimiser/learning_rate")][:2] == pytest.approx([5e-4, 1e-3])


def test_a_resumed_run_goes_on_with_its_curves(run):
    folder, first = run
    assert [p.step for p in events(folder).Scalars("loss/total")] == [1, 2, 3, 4]
    assert [p.step for p in events(folder).Scalars("validation_refined/recall")] == [2, 4]
    again = json_lines(folder / "train.jsonl")
    assert [line["step"] for line in again] == [1, 2, 3, 4]
    assert [line["loss"] for line in again] == [line["loss"] for line in first]
    validations = json_lines(folder / "validation.jsonl")
    facts = [(v["step"], v["samples_seen"], v["seed"], v["samples"]) for v in validations]
    assert facts == [(2, 8, 0, 5), (4, 16, 0, 5)]


def test_pictures_are_kept_for_every_validation(run):
    found = events(run[0]).Images("validation")
    assert [p.step for p in found] == [2, 4]
    picture = np.asarray(Image.open(BytesIO(found[-1].encoded_image_string)))
    assert picture.shape == (5 * SIZE, 3 * SIZE, 3)
    assert np.array_equal(picture, np.asarray(Image.open(run[0] / "validation.png")))


def test_without_tensorboard_training_says_so_once_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    lines = []
    tiny_trainer(tmp_path, log=lines.append, steps=2).train()
    assert sum("tensorboard is not installed" in line for line in lines) == 1
    assert not (tmp_path / "tensorboard").exists()
    assert len(json_lines(tmp_path / "train.jsonl")) == 1


def test_skipped_steps_are_left_out_of_the_means(tmp_path):
    run = tiny_trainer(tmp_path)
    records = RunRecords(tmp_path, run.state, 6, lambda line: None)
    batch = run.source.batch(0, 4)
    first = step(run, batch)
    step(run, with_nan(batch))
    records.progress(1e-3, 0.0)
    step(run, with_nan(batch))
    records.progress(1e-3, 0.0)  # nothing but skipped steps
    records.close()
    told, empty = json_lines(tmp_path / "train.jsonl")
    assert told["loss"] == first
    assert (told["skipped"], empty["skipped"]) == (1, 2)
    assert empty["loss"] == {}
    assert empty["gradient_norm"] is None


def test_lines_beyond_the_checkpoint_and_half_a_line_are_taken_back(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"step": 2}\n{"step": 4}\n{"step": 6}\n{"st')
    RunRecords(tmp_path, RunState(step=4), 9, lambda line: None).close()
    assert [line["step"] for line in json_lines(tmp_path / "train.jsonl")] == [2, 4]


def test_pictures_show_the_first_and_the_worst_cases(tmp_path):
    run = tiny_trainer(tmp_path)
    batches = [run.source.batch(0, 6), run.source.batch(1, 6)]
    refined = torch.zeros(12, 4)
    refined[:, 0] = torch.tensor([0.01, 0.3, 0.02, 0.03, 0.5, 0.04, 0.05, 0.9, 0.06, 0.07, 0.08, 0.2])
    cases, error = choose_cases(batches, PoseErrors(torch.zeros(12), refined, refined))
    assert error.tolist() == pytest.approx([0.01, 0.3, 0.02, 0.03, 0.9, 0.5, 0.2, 0.08])
    assert torch.equal(cases.image[4], batches[1].image[1])
    picture = picture_cases(run.learner.two_stage, cases, error)
    assert picture.shape == (3, CASES * SIZE, 3 * SIZE)
    frames = picture[:, SIZE // 2 :: SIZE, -1]  # the right edge of each row
    assert [("green" if g > r else "red") for r, g, _ in frames.T.tolist()] == [
        "green" if e < 0.1 else "red" for e in error.tolist()
    ]


def test_outlines_of_a_right_estimate_hide_those_of_the_truth(tmp_path):
    run = tiny_trainer(tmp_path)
    batch = rows(run.source.batch(0, 4), 0, 2)
    two_stage = run.learner.two_stage

    class Right:
        render = two_stage.render

        def __call__(self, crops):
            return two_stage(crops)._replace(pose=batch.cam_from_obj)

    class Aside(Right):
        def __call__(self, crops):
            pose = batch.cam_from_obj.clone()
            pose[:, 0, 3] += 0.3 * WEDGE.diameter
            return two_stage(crops)._replace(pose=pose)

    red, green = torch.tensor([255, 64, 51]), torch.tensor([51, 255, 76])
    for judge, both in ((Right(), False), (Aside(), True)):
        overlay = picture_cases(judge, batch, torch.zeros(2))[:, :, 2 * SIZE :].permute(1, 2, 0)
        assert ((overlay - green).abs().amax(-1) <= 1).sum() > 30
        assert (((overlay - red).abs().amax(-1) <= 1).sum() > 30) == both
