"""The trainer: it learns, resumes exactly, survives NaN, and leaves a bundle that runs."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
import types

import pytest
import torch
from conftest import ROOT, wedge_mesh
from training_runs import FROM_TRUTH, WEDGE, rows, step, tiny_trainer, with_nan, write_run

from mrc_core.cli import main
from mrc_core.geometry import ObjectModel, SymmetrySet, make_transform
from mrc_core.inference import Bundle, PoseEstimator
from mrc_core.training.batches import TimedBatches, prefetch
from mrc_core.training.checkpoint import load_checkpoint
from mrc_core.training.coarse_noise import noise_share
from mrc_core.training.config import TrainConfig
from mrc_core.training.validation import pose_errors, summarise


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def start(options):
    """`mrc-net train` in a process of its own, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mrc_core.cli", "train", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---- steps -----------------------------------------------------------------------------------------------------------
def test_it_overfits_one_batch(tmp_path):
    run = tiny_trainer(
        tmp_path, learning_rate=3e-3, steps=10_000, coarse_noise_start=1.0, coarse_noise_end=1.0
    )
    batch = run.source.batch(0, 4)
    first = step(run, batch)
    for _ in range(60):
        last = step(run, batch)
    assert last["rotation_class"] < 0.5 * first["rotation_class"]
    assert last["cell_class"] < 0.5 * first["cell_class"]
    assert last["depth_class"] < 0.5 * first["depth_class"]
    assert last["surface"] < 0.8 * first["surface"]


def test_accumulated_batches_give_the_gradient_of_one_large_batch(tmp_path):
    """Group norm looks at one crop at a time, and every loss is a mean over samples."""
    whole = tiny_trainer(tmp_path, **FROM_TRUTH)
    parts = tiny_trainer(tmp_path, accumulate=2, **FROM_TRUTH)
    batch = whole.source.batch(0, 8)
    one = whole.learner.gradients([batch], 0)
    two = parts.learner.gradients([rows(batch, 0, 4), rows(batch, 4, 8)], 0)
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=1e-5), name
    for (name, a), b in zip(whole.learner.trained.items(), parts.learner.trained.values()):
        largest = float(a.grad.abs().max())
        assert torch.allclose(a.grad, b.grad, atol=1e-4 * largest), name


def test_every_batch_of_a_step_is_another(tmp_path):
    asked = []

    class Source:
        def batch(self, index, size, weights=None):
            asked.append(index)
            return real.batch(index, size, weights)

    run = tiny_trainer(tmp_path, accumulate=3, steps=2)
    real, run.source = run.source, Source()
    run.train()
    assert sorted(asked) == [0, 1, 2, 3, 4, 5]
    assert run.state.samples_seen == 2 * 3 * 4


def test_a_step_with_nan_changes_nothing_and_three_in_a_row_stop_with_a_remedy(tmp_path):
    lines = []
    run = tiny_trainer(tmp_path, log=lines.append)
    batch = run.source.batch(0, 4)
    step(run, batch)
    before = {f"{g}/{k}": t.clone() for g, part in run.learner.tensors().items() for k, t in part.items()}
    assert any(name.startswith("optimizer/") for name in before)
    step(run, with_nan(batch))
    step(run, with_nan(batch))
    after = {f"{g}/{k}": t for g, part in run.learner.tensors().items() for k, t in part.items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert sum("is skipped" in line for line in lines) == 2
    assert (run.state.step, run.state.skipped_steps) == (3, 2)
    step(run, batch)  # a good step between: the count begins anew
    step(run, with_nan(batch))
    step(run, with_nan(batch))
    with pytest.raises(FloatingPointError, match="learning_rate"):
        step(run, with_nan(batch))


def test_one_poisoned_batch_of_several_skips_the_whole_step(tmp_path):
    run = tiny_trainer(tmp_path, accumulate=2)
    batch = run.source.batch(0, 4)
    before = {name: p.clone() for name, p in run.learner.network.named_parameters()}
    step(run, with_nan(batch), batch)
    assert run.state.skipped_steps == 1
    assert all(torch.equal(p, before[name]) for name, p in run.learner.network.named_parameters())


# ---- resuming --------------------------------------------------------------------------------------------------------
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = tiny_trainer(tmp_path / "whole", accumulate=2)
    whole.train()
    half = tiny_trainer(tmp_path / "parts", accumulate=2)
    for i in range(3):
        step(half, half.source.batch(2 * i, 4), half.source.batch(2 * i + 1, 4))
    half.save()
    rest = tiny_trainer(tmp_path / "parts", accumulate=2, prefetch_workers=3)
    rest.resume()
    rest.train()
    assert rest.state.step == whole.state.step == 6
    for group, part in whole.learner.tensors().items():
        for name, value in part.items():
            assert torch.equal(value, rest.learner.tensors()[group][name]), name


def test_a_batch_does_not_depend_on_those_before_it(tmp_path):
    """What a resumed run relies on: its first batch is the same as in the middle of a run."""
    running, resumed = tiny_trainer(tmp_path).source, tiny_trainer(tmp_path).source
    batches = [running.batch(i, 4) for i in range(9)]
    for i in (8, 3):
        assert all(torch.equal(v, getattr(batches[i], name)) for name, v in vars(resumed.batch(i, 4)).items())


def test_losses_after_kill_9_are_those_of_a_run_that_was_not_killed(tmp_path):
    """`mrc-net train` killed in the middle, between checkpoints, and resumed: every later figure has the same bits."""
    # a report covers three steps and a checkpoint comes after every fourth, so that sums are cut through, too
    changes = {"steps": 14, "log_every": 3, "checkpoint_every": 4, "validate_every": 6, "ema_decay": 0.9}
    options = [*write_run(tmp_path, **changes), "--output"]
    assert main(["train", *options, str(tmp_path / "whole")]) == 0
    process = start([*options, str(tmp_path / "killed")])
    for line in process.stdout:
        if "step 9/" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.read()
    assert process.wait(60) == -signal.SIGKILL
    at = load_checkpoint(tmp_path / "killed" / "checkpoint.safetensors")[1]["step"]
    assert 8 <= at < 14, "the run was to be killed in its middle"
    assert main(["train", *options, str(tmp_path / "killed"), "--resume"]) == 0
    assert f"resumed at step {at}" in (tmp_path / "killed" / "train.log").read_text()
    for name in ("train.jsonl", "validation.jsonl"):
        whole, parts = json_lines(tmp_path / "whole" / name), json_lines(tmp_path / "killed" / name)
        for line in [*whole, *parts]:  # the clock's are the only figures that may differ
            line.pop("samples_per_second", None)
            line.pop("wait_share", None)
        assert [line["step"] for line in parts] == ([3, 6, 9, 12] if name == "train.jsonl" else [6, 12, 14])
        assert whole == parts
    whole, parts = (load_checkpoint(tmp_path / n / "checkpoint.safetensors") for n in ("whole", "killed"))
    assert whole[1] == parts[1]
    for group, part in whole[0].items():
        assert all(torch.equal(value, parts[0][group][name]) for name, value in part.items()), group


def test_the_rate_follows_the_new_number_of_steps(tmp_path):
    first = tiny_trainer(tmp_path, steps=4)
    first.train()
    second = tiny_trainer(tmp_path, steps=8)
    second.resume()
    rate = second.learner.step([second.source.batch(4, 4)], 4).learning_rate
    # two steps of warm-up, then half a cosine to step 8: at step 4 a third of it is done
    assert rate == pytest.approx(5e-6 + (1e-3 - 5e-6) * 0.75)
    assert second.state.step == 4


def test_a_run_that_is_done_says_so_and_keeps_its_bundle(tmp_path):
    tiny_trainer(tmp_path, steps=2).train()
    before = (tmp_path / "validation.jsonl").read_text()
    lines = []
    again = tiny_trainer(tmp_path, steps=2, log=lines.append)
    again.resume()
    assert again.train() == {}
    assert "larger --steps" in lines[-1]
    assert (tmp_path / "validation.jsonl").read_text() == before


def test_the_bundle_lists_every_setting_that_a_resumed_run_used(tmp_path):
    first = tiny_trainer(tmp_path, steps=2)
    first.train()
    second = tiny_trainer(tmp_path, steps=4, batch_size=2)
    second.resume()
    second.train()
    history = Bundle.load(tmp_path / "bundle").provenance["history"]
    assert [(part["from_step"], part["config"]["batch_size"]) for part in history] == [(0, 4), (2, 2)]
    assert Bundle.load(tmp_path / "bundle").provenance["samples_seen"] == 2 * 4 + 2 * 2


def test_a_checkpoint_of_other_objects_or_cut_short_is_refused(tmp_path):
    run = tiny_trainer(tmp_path)
    run.save()
    other = tiny_trainer(tmp_path, [ObjectModel("other", wedge_mesh(), SymmetrySet())])
    with pytest.raises(ValueError, match="choose another --output"):
        other.resume()
    with pytest.raises(ValueError, match="another network"):
        tiny_trainer(tmp_path, model={**run.config.model, "depth_bins": 8}).resume()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        run.resume()


def test_the_command_interrupted_leaves_a_checkpoint_and_resumes_within_a_time_limit(tmp_path, capsys):
    """`mrc-net train` as a user runs it: Ctrl-C, then --resume to the end of its time."""
    options = [*write_run(tmp_path, steps=100_000, log_every=1), "--output", str(tmp_path / "run")]
    process = start(options)
    for line in process.stdout:
        if "step 3/" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "--resume" in output
    done = Bundle.load(tmp_path / "run" / "bundle").provenance["step"]
    assert done >= 3
    assert main(["train", *options]) == 1
    assert "already holds a run" in capsys.readouterr().err
    started = time.monotonic()
    assert main(["train", *options, "--resume", "--time-limit", "0.03"]) == 0
    assert time.monotonic() - started < 60
    assert "stopped at step" in capsys.readouterr().out
    assert Bundle.load(tmp_path / "run" / "bundle").provenance["step"] > done


def test_options_that_contradict_each_other_are_refused(tmp_path, capsys):
    options = ["train", *write_run(tmp_path), "--output", str(tmp_path / "run")]
    assert main([*options, "--resume"]) == 1
    assert "leave --resume out" in capsys.readouterr().err
    assert main([*options, "--resume", "--init", "demo/bundle"]) == 1
    assert "--init starts a new run" in capsys.readouterr().err
    assert main([*options, "--time-limit", "0"]) == 1
    assert "--time-limit" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["train", "onboard"])
def test_ros2_run_train_and_onboard_are_the_same_commands(monkeypatch, name):
    called = []
    monkeypatch.setattr("mrc_core.cli.main", lambda argv: called.append(argv) or 0)
    monkeypatch.setattr(sys, "argv", [name, "--config", "c.yaml", "--output", "run"])
    path = f"scripts/executables/{name}"
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / path), run_name="__main__")
    assert end.value.code == 0
    assert called == [[name, "--config", "c.yaml", "--output", "run"]]
    assert os.access(ROOT / path, os.X_OK)
    assert path in (ROOT / "CMakeLists.txt").read_text()  # is installed


# ---- what it leaves --------------------------------------------------------------------------------------------------
def test_the_bundle_that_training_leaves_runs(tmp_path):
    report = (run := tiny_trainer(tmp_path)).train()
    assert report["samples"] == 4
    assert report["seed"] == 0
    assert set(report["objects"]["wedge"]) == {"samples", "coarse", "refined"}
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.provenance["step"] == 6
    assert bundle.provenance["history"][0]["config"]["batch_size"] == 4
    assert torch.equal(bundle.depth_limits, run.learner.codec.depth_limits)
    assert PoseEstimator.from_bundle(tmp_path / "bundle").class_ids == ["wedge"]
    assert [line["step"] for line in json_lines(tmp_path / "validation.jsonl")] == [6]


def test_the_best_bundle_stays_when_a_later_validation_is_worse(tmp_path, monkeypatch):
    recalls = iter([0.5, 0.7, 0.6, 0.65, 0.9])

    def told(errors, objects):
        report = summarise(errors, objects)
        report["refined"]["recall"] = next(recalls)
        return report

    monkeypatch.setattr("mrc_core.training.validator.summarise", told)
    tiny_trainer(tmp_path, steps=3, validate_every=1).train()
    assert Bundle.load(tmp_path / "best_bundle").provenance["step"] == 2
    assert Bundle.load(tmp_path / "bundle").provenance["step"] == 3
    resumed = tiny_trainer(tmp_path, steps=5, validate_every=1)
    resumed.resume()
    assert resumed.state.best == 0.7
    resumed.train()
    assert Bundle.load(tmp_path / "best_bundle").provenance["step"] == 5
    assert load_checkpoint(tmp_path / "checkpoint.safetensors")[1]["best"] == 0.9


def test_validation_of_known_poses():
    """Known poses have known figures."""
    turned = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))

    class Truth:
        def __call__(self, crops):
            shift = torch.eye(4)
            shift[2, 3] = 0.05 * WEDGE.diameter
            coarse = shift @ poses
            coarse[0] = poses[0] @ turned
            return types.SimpleNamespace(coarse=coarse, pose=poses)

    poses = make_transform(torch.eye(3), torch.tensor([[0.0, 0.0, 0.5]] * 3))
    batch = types.SimpleNamespace(
        image=None, K=None, object_index=torch.zeros(3, dtype=torch.long), cam_from_obj=poses
    )
    report = summarise(pose_errors(Truth(), [WEDGE], [batch]), [WEDGE])
    assert report["refined"]["recall"] == 1.0
    assert report["refined"]["angle_deg"] == 0.0
    assert report["refined"]["flipped"] == 0.0
    assert report["coarse"]["shift_mm"] == pytest.approx(50 * WEDGE.diameter, abs=0.1)
    assert report["coarse"]["flipped"] == pytest.approx(1 / 3, abs=1e-3)
    assert report["objects"]["wedge"]["coarse"] == report["coarse"]


# ---- settings and batches --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", [1, 3])
def test_prefetch_keeps_the_order_and_hands_errors_over(workers):
    def slow_first(i):
        time.sleep(0.03 if i == 2 else 0)
        return i * i

    assert list(prefetch(slow_first, 2, 9, workers)) == [i * i for i in range(2, 9)]

    def fails(i):
        if i == 1:
            raise ValueError("broken scene")
        return i

    source = prefetch(fails, 0, 3, workers)
    assert next(source) == 0
    with pytest.raises(ValueError, match="broken scene"):
        next(source)


def test_the_time_spent_waiting_for_batches_is_counted():
    batches = TimedBatches(prefetch(lambda i: time.sleep(0.05), 0, 3))
    assert len(list(batches)) == 3
    assert 0.1 < batches.waited_s < 1


def test_weights_of_unknown_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="object_weights"):
        tiny_trainer(tmp_path, object_weights={"mug": 2.0})


def test_unknown_keys_of_a_configuration_are_named(tmp_path):
    (tmp_path / "c.yaml").write_text("learning_rat: 0.1\n")
    with pytest.raises(ValueError, match="learning_rat"):
        TrainConfig.load(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("sources: [{kind: bop, dataset: tless, splitz: [train_pbr]}]\n")
    with pytest.raises(ValueError, match="splitz"):
        TrainConfig.load(tmp_path / "c.yaml")
    with pytest.raises(FileNotFoundError, match=r"small\.yaml"):
        TrainConfig.load(tmp_path / "missing.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "train").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_that_come_along_are_valid(path):
    assert TrainConfig.load(path).network_config(2).num_objects == 2


def test_the_share_of_disturbed_truth_goes_down():
    config = TrainConfig(coarse_noise_start=1.0, coarse_noise_end=0.2, coarse_noise_steps=10)
    assert [round(noise_share(s, config), 2) for s in (0, 5, 10, 500)] == [1.0, 0.6, 0.2, 0.2]
