"""`mrc-net ablate`: what is trained and what is shared, interruptions, the table, and what it says of the order."""

import csv
import fcntl
import json
import signal
import subprocess
import threading
import time

import pytest
import torch
import yaml
from conftest import ROOT
from rich.console import Console
from training_runs import SETTINGS, WEDGE, tiny_trainer, write_run

from mrc_core.cli import ablation_runs, main
from mrc_core.cli.ablation_runs import Run, check_settings, train_all
from mrc_core.cli.ablation_statistics import Spread, beyond_spread, check_order
from mrc_core.cli.ablation_table import order_lines
from mrc_core.cli.ablation_variants import ABLATION, VARIANTS, plan, published_row, settings_of, with_steps
from mrc_core.inference import Bundle
from mrc_core.model import MRCNet
from mrc_core.reporting.published import published_means
from mrc_core.training.config import TrainConfig
from mrc_core.training.validator import exported_step

BASE = TrainConfig.model_validate(ABLATION)
STEPS = 4


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---- what is trained -------------------------------------------------------------------------------------------------
def test_the_settings_in_the_package_are_those_of_the_file():
    assert TrainConfig.load(ROOT / "config" / "train" / "ablation.yaml") == BASE


def test_one_training_for_two_names_of_the_same():
    runs = {one.variant.name: one.run for one in plan(list(VARIANTS), BASE)}
    assert [name for name, run in runs.items() if name != run] == ["rotations_576", "four_turns"]
    assert {runs["rotations_576"], runs["four_turns"]} == {"siamese"}
    finer = BASE.model_copy(update={"model": {**BASE.model, "n_side": 3, "norm": "batch"}})
    runs = {one.variant.name: one.run for one in plan(["rotations_1944", "rotations_576", "batch_norm"], finer)}
    assert runs == dict.fromkeys(["siamese", "rotations_1944", "batch_norm"], "siamese") | {
        "rotations_576": "rotations_576"
    }


def test_budget_and_samples_are_the_same_for_all_variants():
    for one in plan(list(VARIANTS), BASE):
        for key in ("steps", "batch_size", "accumulate", "seed", "scenes", "sources", "distractors", "learning_rate"):
            assert getattr(one.settings, key) == getattr(BASE, key)
        assert settings_of(one.variant, BASE, 2).seed == BASE.seed + 2


def test_labels_narrow_with_the_grid():
    scales = {name: settings_of(VARIANTS[name], BASE).rotation_label_scale for name in VARIANTS if "rot" in name}
    assert scales == {"rotations_576": 0.06, "rotations_1944": 0.04, "rotations_4608": 0.03}


def test_a_variant_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"siamse is not among siamese, non_siamese"):
        plan(["siamse"], BASE)
    with pytest.raises(ValueError, match="stands there twice"):
        plan(["batch_norm", "batch_norm"], BASE)
    with pytest.raises(ValueError, match="base of an ablation is Siamese"):
        plan([], BASE.model_copy(update={"model": {**BASE.model, "siamese": False}}))


def test_a_shorter_run_has_the_same_schedule():
    short = with_steps(BASE, 300)
    assert (short.steps, short.coarse_noise_steps, short.validate_every) == (300, 150, 100)
    assert short.warmup_steps <= 30


@pytest.mark.parametrize("name", ["rotations_1944", "rotations_4608", "batch_norm", "non_siamese"])
def test_every_network_can_be_built_and_run_at_this_size(name):
    config = settings_of(VARIANTS[name], BASE).network_config(1)
    network = MRCNet(config)
    crop, index, look = torch.rand(2, 4, 64, 64), torch.zeros(2, dtype=torch.long), torch.rand(2, 3)
    real, rendered = network.encode(crop, index), network.encode_render(crop.flip(0), index)
    logits, residual = network.classify(real, look), network.regress(real, rendered, look)
    assert logits.rotation.shape == (2, config.num_rotations)
    (logits.rotation.sum() + residual.rotation6d.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_the_papers_rows_are_found():
    means = published_means("tless")
    rows = {one.variant.name: published_row(one.variant, one.settings) for one in plan(list(VARIANTS), BASE)}
    found = {name: means[row]["ar"] for name, row in rows.items() if row is not None}
    assert found == {
        "siamese": 76.7,
        "non_siamese": 75.9,
        "non_siamese_separate": 65.7,
        "rotations_576": 76.7,
        "rotations_1944": 76.9,
        "rotations_4608": 77.1,
    }


# ---- spreads and order -----------------------------------------------------------------------------------------------
def test_spreads_are_told_as_the_number_of_seeds_allows():
    assert Spread.of([0.342]).text(scale=100) == "34.2"
    assert Spread.of([0.33, 0.354]).text(scale=100) == "34.2 (33.0..35.4)"
    assert Spread.of([33.0, 34.0, 35.0]).text() == "34.0 ± 1.0"
    assert Spread.of([1.0, None]) is None
    assert Spread.of([]) is None


@pytest.mark.parametrize(
    ("one", "other", "clear"),
    [
        ([30.0], [50.0], None),
        ([30.0, 32.0], [33.0, 35.0], True),
        ([30.0, 34.0], [33.0, 35.0], False),
        ([30.0, 31.0, 32.0], [33.1, 34.1, 35.1], True),  # 3.1 apart, deviations of 1 each
        ([30.0, 31.0, 32.0], [31.9, 32.9, 33.9], False),
        ([30.0, 30.0, 30.0], [30.0, 30.0, 30.0], False),
    ],
)
def test_a_difference_counts_where_it_is_larger_than_the_spread(one, other, clear):
    assert beyond_spread(Spread.of(one), Spread.of(other)) is clear
    assert beyond_spread(Spread.of(other), Spread.of(one)) is clear


def test_the_order_is_held_against_the_papers():
    paper = {"siamese": 76.7, "non_siamese": 75.9, "equal": 75.9, "only the paper's": 1.0}
    ours = {
        "siamese": Spread.of([40.0, 41.0, 42.0]),
        "non_siamese": Spread.of([50.0, 51.0, 52.0]),
        "equal": Spread.of([40.1, 41.1, 42.1]),
        "only ours": Spread.of([0.0, 0.0, 0.0]),
    }
    checks = {(one.better, one.worse): one for one in check_order(paper, ours)}
    assert set(checks) == {("siamese", "non_siamese"), ("siamese", "equal")}
    assert checks["siamese", "non_siamese"].verdict() == "NOT the paper's order, beyond the spread"
    assert checks["siamese", "equal"].verdict() == "NOT the paper's order, but within the spread: no conclusion"
    ours["siamese"] = Spread.of([60.0, 61.0, 62.0])
    first = check_order(paper, ours)[0]
    assert first.agrees
    assert first.text() == (
        "siamese before non_siamese: paper 76.7 and 75.9, ours 61.0 ± 1.0 and 51.0 ± 1.0: the paper's order, beyond "
        "the spread"
    )
    ours["equal"] = ours["siamese"]
    assert check_order(paper, ours)[1].verdict() == "no difference at all: no conclusion"
    single = check_order(paper, {name: Spread.of([value.mean]) for name, value in ours.items()})
    assert all("no conclusion" in one.verdict() for one in single)
    assert "no spread is known" in single[0].verdict()
    assert order_lines([], "AR") == ["No two of these variants are in the paper's table."]


# ---- processes -------------------------------------------------------------------------------------------------------
def some_runs(folder, count=2) -> list[Run]:
    settings = TrainConfig.model_validate({**SETTINGS, "steps": STEPS})
    return [Run("siamese", seed, settings, folder / "runs" / "siamese" / f"seed{seed}") for seed in range(count)]


def endless(path) -> "subprocess.Popen[bytes]":
    """A process that notes in `path` that it has begun, and that Ctrl-C has ended it."""
    script = "trap 'sleep 0.2; echo ended > $0; exit 0' INT; echo begun > $0; while :; do sleep 0.05; done"
    process = subprocess.Popen(["bash", "-c", script, str(path)], start_new_session=True)
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    return process


def test_ctrl_c_reaches_the_trainings_and_waits_for_them(tmp_path, monkeypatch):
    runs, started = some_runs(tmp_path, 3), []

    def start(run, objects, device):
        started.append(tmp_path / f"{run.seed}")
        return endless(started[-1])

    def interrupt():
        while not (len(started) == 2 and all(path.exists() and path.read_text() for path in started)):
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ablation_runs, "_start", start)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        train_all(Console(quiet=True), runs, tmp_path, "cpu", jobs=2)
    assert [path.read_text() for path in started] == ["ended\n", "ended\n"]


def test_ctrl_c_while_a_training_starts_reaches_it_as_well(tmp_path, monkeypatch):
    started = []

    def start(run, objects, device):
        started.append(tmp_path / f"{run.seed}")
        process = endless(started[-1])
        signal.raise_signal(signal.SIGINT)  # the training is at work, and not yet noted down
        return process

    monkeypatch.setattr(ablation_runs, "_start", start)
    with pytest.raises(KeyboardInterrupt):
        train_all(Console(quiet=True), some_runs(tmp_path, 2), tmp_path, "cpu", jobs=2)
    assert [path.read_text() for path in started] == ["ended\n"]


def test_a_training_that_fails_is_named_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation_runs, "_start", lambda *_: subprocess.Popen(["false"]))
    with pytest.raises(RuntimeError, match=r"siamese, seed 0: the training ended early, see .*seed0\.log"):
        train_all(Console(quiet=True), some_runs(tmp_path), tmp_path, "cpu", jobs=1)


def test_a_training_that_is_still_at_work_is_left_alone(tmp_path):
    (run,) = some_runs(tmp_path, 1)
    check_settings([run])
    with open(run.folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="still being trained by an earlier command"):
            train_all(Console(quiet=True), [run], tmp_path, "cpu", jobs=1)


def test_other_settings_are_refused(tmp_path):
    (run,) = some_runs(tmp_path, 1)
    check_settings([run])
    check_settings([run])
    other = run.settings.model_copy(update={"steps": STEPS + 1})
    with pytest.raises(ValueError, match=r"begun with other settings \(steps\)"):
        check_settings([Run(run.name, run.seed, other, run.folder)])


def test_a_validation_that_a_kill_took_is_made_on_resuming(tmp_path):
    run = tiny_trainer(tmp_path, steps=2)
    run.validator.export = lambda *_: None  # as if killed before the bundle was there
    run.train()
    assert exported_step(tmp_path) is None
    again = tiny_trainer(tmp_path, steps=2)
    again.resume()
    assert again.train()["step"] == 2
    assert exported_step(tmp_path) == 2
    once_more = tiny_trainer(tmp_path, steps=2)
    once_more.resume()
    assert once_more.train() == {}


# ---- the whole way ---------------------------------------------------------------------------------------------------
def test_interrupted_resumed_reused_and_extended(tmp_path, capsys, monkeypatch):
    """A base that was interrupted goes on, two names share it, and a variant added later trains alone."""
    (tmp_path / "objects").mkdir()
    options = write_run(tmp_path / "objects", steps=STEPS, log_every=2)
    output, config = tmp_path / "out", tmp_path / "objects" / "config.yaml"
    base = plan([], TrainConfig.load(config))[0].settings
    folder = output / "runs" / "siamese" / "seed0"

    first = tiny_trainer(folder, [WEDGE], **base.model_dump(mode="json"))
    genuine = first.learner.step

    def stop_after_two(batches, number):
        first._stop = number == 1
        return genuine(batches, number)

    monkeypatch.setattr(first.learner, "step", stop_after_two)
    first.train()
    assert exported_step(folder) == 2

    command = ["ablate", "--objects", options[3], "--output", str(output), "--config", str(config)]
    command += ["--eval-instances", "3", "--device", "cpu", "--variants"]
    assert main([*command, "rotations_576,four_turns"]) == 0
    out = capsys.readouterr().out
    assert "siamese, seed 0: goes on at step 2" in out
    assert "1 trainings of 4 steps" in out
    assert [path.name for path in (output / "runs").iterdir()] == ["siamese"]
    results = json.loads((output / "results.json").read_text())["variants"]
    assert list(results) == ["siamese", "rotations_576", "four_turns"]
    assert [one["same_as"] for one in results.values()] == [None, "siamese", None]
    assert results["rotations_576"]["spreads"] == results["siamese"]["spreads"]
    assert results["siamese"]["samples_seen"] == STEPS * base.batch_size
    assert results["siamese"]["parameters"] == sum(t.numel() for t in Bundle.load(folder / "bundle").weights.values())
    assert results["siamese"]["spreads"]["coarse_angle_deg"]["mean"] > 0
    assert results["four_turns"]["spreads"]["coarse_angle_deg"] is None
    assert results["four_turns"]["ms"] > 0

    weights = (folder / "bundle" / "weights.safetensors").stat().st_mtime_ns
    assert main([*command, "non_siamese"]) == 0
    out = capsys.readouterr().out
    assert "1 of 2 trainings are there already" in out
    assert "siamese before non_siamese: paper 79.9 and 79.4" in out
    assert "no conclusion" in out
    assert (folder / "bundle" / "weights.safetensors").stat().st_mtime_ns == weights
    results = json.loads((output / "results.json").read_text())["variants"]
    assert 1.1 < results["non_siamese"]["parameters"] / results["siamese"]["parameters"] < 2
    with (output / "table.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert float(rows["non_siamese"]["recall"]) == pytest.approx(results["non_siamese"]["spreads"]["recall"]["mean"])
    assert rows["non_siamese"]["paper_ar_percent"] == "75.9"
    assert (output / "table.md").read_text().count("\n|") == 3

    lines = yaml.safe_load(config.read_text()) | {"batch_size": 5}
    config.write_text(yaml.safe_dump(lines))
    assert main([*command, "non_siamese"]) == 1
    assert "begun with other settings (batch_size)" in capsys.readouterr().err
