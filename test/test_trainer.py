"""The trainer: it learns, resumes exactly, survives NaN, and leaves a bundle that runs."""

import json
import signal
import subprocess
import sys
import time
import types

import pytest
import torch
import yaml
from conftest import ROOT, wedge_mesh

from mrc_core.cli.train import build_trainer
from mrc_core.geometry import ObjectModel, SymmetrySet, make_transform
from mrc_core.inference import Bundle, PoseEstimator
from mrc_core.training.batches import prefetch
from mrc_core.training.coarse_noise import noise_share
from mrc_core.training.config import TrainConfig

TINY_MODEL = {
    "crop_size": 64,
    "stem_channels": 16,
    "layer_channels": (16, 16, 32, 32),
    "bottleneck_channels": 32,
    "aspp_dilations": (1, 2),
    "aspp_branch_channels": 16,
    "decoder_lateral_channels": (32, 16, 16),
    "decoder_channels": (32, 16),
    "feature_channels": 16,
    "pyramid_channels": 32,
    "fusion_channels": (32, 64, 64),
    "xy_cells": 16,
    "depth_bins": 16,
    "norm_group_channels": 4,
}
SETTINGS = {
    "model": TINY_MODEL,
    "steps": 6,
    "batch_size": 4,
    "log_every": 2,
    "checkpoint_every": 2,
    "validate_every": 100,
    "validation_samples": 4,
    "distractors": 2,
    "warmup_steps": 2,
    "precision": "fp32",
    "losses": {"surface": 1.0},
}
OBJECTS = [ObjectModel("wedge", wedge_mesh(), SymmetrySet())]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trainer(output, **changes):
    return build_trainer(
        TrainConfig.model_validate({**SETTINGS, **changes}), OBJECTS, output, "cpu", lambda line: None
    )


def test_it_overfits_one_batch(tmp_path):
    run = trainer(tmp_path, learning_rate=3e-3, steps=10_000, coarse_noise_start=1.0, coarse_noise_end=1.0)
    batch = run.generator.batch(0, 4)
    first = run.train_step(batch)
    for _ in range(60):
        last = run.train_step(batch)
    assert last["rotation_class"] < 0.5 * first["rotation_class"]
    assert last["cell_class"] < 0.5 * first["cell_class"]
    assert last["depth_class"] < 0.5 * first["depth_class"]
    assert last["surface"] < 0.8 * first["surface"]


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.train()
    half = trainer(tmp_path / "parts")
    for i in range(3):
        half.train_step(half.generator.batch(i, 4))
    half.save()
    rest = trainer(tmp_path / "parts")
    rest.resume()
    rest.train()
    assert rest.step == whole.step == 6
    for (name, a), b in zip(whole.network.named_parameters(), rest.network.parameters()):
        assert torch.equal(a, b), name


def test_the_bundle_that_training_leaves_runs(tmp_path):
    report = (run := trainer(tmp_path)).train()
    assert report["samples"] == 4
    assert set(report["objects"]["wedge"]) == {"coarse", "refined"}
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.provenance["step"] == 6
    assert bundle.provenance["history"][0]["config"]["batch_size"] == 4
    assert torch.equal(bundle.depth_limits, run.codec.depth_limits)
    assert PoseEstimator.from_bundle(tmp_path / "bundle").class_ids == ["wedge"]


def test_a_step_with_nan_changes_nothing_and_three_stop_with_a_remedy(tmp_path):
    run = trainer(tmp_path)
    batch = run.generator.batch(0, 4)
    run.train_step(batch)
    before = {name: p.clone() for name, p in run.network.named_parameters()}
    bad = type(batch)(**{**batch.__dict__, "image": batch.image * float("nan")})
    run.train_step(bad)
    assert all(torch.equal(p, before[name]) for name, p in run.network.named_parameters())
    run.train_step(bad)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        run.train_step(bad)


def test_a_checkpoint_of_other_objects_or_cut_short_is_refused(tmp_path):
    run = trainer(tmp_path)
    run.save()
    other = build_trainer(
        TrainConfig.model_validate(SETTINGS),
        [ObjectModel("other", wedge_mesh(), SymmetrySet())],
        tmp_path,
        "cpu",
        lambda line: None,
    )
    with pytest.raises(ValueError, match="choose another --output"):
        other.resume()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        run.resume()


def test_prefetch_keeps_the_order_and_hands_errors_over():
    assert list(prefetch(lambda i: i * i, 2, 6)) == [4, 9, 16, 25]

    def fails(i):
        if i == 1:
            raise ValueError("broken scene")
        return i

    source = prefetch(fails, 0, 3)
    assert next(source) == 0
    with pytest.raises(ValueError, match="broken scene"):
        next(source)


def test_the_bundle_lists_every_setting_that_a_resumed_run_used(tmp_path):
    first = trainer(tmp_path, steps=2)
    first.train()
    second = trainer(tmp_path, steps=4, batch_size=2)
    second.resume()
    second.train()
    history = Bundle.load(tmp_path / "bundle").provenance["history"]
    assert [(part["from_step"], part["config"]["batch_size"]) for part in history] == [(0, 4), (2, 2)]
    assert Bundle.load(tmp_path / "bundle").provenance["samples_seen"] == 2 * 4 + 2 * 2


def test_weights_of_unknown_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="object_weights"):
        trainer(tmp_path, object_weights={"mug": 2.0})


def test_validation_of_known_poses():
    """Known poses have known figures."""
    from mrc_core.training.validation import validate

    class Truth:
        def __call__(self, crops):
            shift = torch.eye(4)
            shift[2, 3] = 0.05 * OBJECTS[0].diameter
            return types.SimpleNamespace(coarse=shift @ POSE, pose=POSE)

    POSE = make_transform(torch.eye(3), torch.tensor([[0.0, 0.0, 0.5]] * 3))
    batch = types.SimpleNamespace(
        image=None, K=None, object_index=torch.zeros(3, dtype=torch.long), cam_from_obj=POSE
    )
    report = validate(Truth(), OBJECTS, [batch])
    assert report["refined"]["recall"] == 1.0
    assert report["refined"]["angle_deg"] == 0.0
    assert report["coarse"]["shift_mm"] == pytest.approx(50 * OBJECTS[0].diameter, abs=0.1)


def test_unknown_keys_of_a_configuration_are_named(tmp_path):
    (tmp_path / "c.yaml").write_text("learning_rat: 0.1\n")
    with pytest.raises(ValueError, match="learning_rat"):
        TrainConfig.load(tmp_path / "c.yaml")
    with pytest.raises(FileNotFoundError, match=r"small\.yaml"):
        TrainConfig.load(tmp_path / "missing.yaml")


def test_the_share_of_disturbed_truth_goes_down():
    config = TrainConfig(coarse_noise_start=1.0, coarse_noise_end=0.2, coarse_noise_steps=10)
    assert [round(noise_share(s, config), 2) for s in (0, 5, 10, 500)] == [1.0, 0.6, 0.2, 0.2]


def test_the_command_interrupted_leaves_a_checkpoint_and_resumes(tmp_path):
    """`mrc-net train` as a user runs it: Ctrl-C, then --resume to the end."""
    OBJECTS[0].mesh.save(tmp_path / "wedge.glb")
    (tmp_path / "objects.yaml").write_text(
        yaml.safe_dump({"objects": [{"class_id": "wedge", "mesh": "wedge.glb"}]})
    )
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(json.loads(json.dumps({**SETTINGS, "steps": 100_000, "log_every": 1})))
    )
    command = [
        sys.executable,
        "-m",
        "mrc_core.cli",
        "train",
        "--config",
        str(tmp_path / "config.yaml"),
        "--device",
        "cpu",
        "--objects",
        str(tmp_path),
        "--output",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if "step 3/" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "--resume" in output
    assert Bundle.load(tmp_path / "run" / "bundle").provenance["step"] >= 3
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    assert "already holds a run" in refused.stderr
    steps = Bundle.load(tmp_path / "run" / "bundle").provenance["step"] + 2
    started = time.monotonic()
    again = subprocess.run(
        [*command, "--resume", "--steps", str(steps)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"step {steps}/{steps}" in again.stdout
    assert time.monotonic() - started < 120
