"""`mrc-net onboard`: from mesh files to a measured bundle, interrupted or not, alone or added to another."""

import builtins
import json
import re
import signal
import sys
import time

import numpy as np
import pytest
import torch
import trimesh
import yaml
from conftest import ROOT, wedge_mesh
from rich.console import Console
from training_runs import SETTINGS

from mrc_core.cli import main, onboard, onboarding_training
from mrc_core.cli.mesh_names import class_of, mesh_names
from mrc_core.cli.onboarding_evaluation import Row, print_accuracy, scene_counts
from mrc_core.cli.onboarding_meshes import likely_unit, read_origins
from mrc_core.cli.onboarding_training import RECOMMENDED, base_config, for_time, run_group
from mrc_core.data.object_set import load_objects
from mrc_core.geometry.mesh_source import source_of
from mrc_core.inference import Bundle, Detection, PoseEstimator
from mrc_core.training.config import TrainConfig
from mrc_core.training.records import RunRecords

STEPS = 8


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Mesh files: a box in millimetres, a tin in centimetres, a wedge in metres; and settings of a tiny training."""
    folder = tmp_path_factory.mktemp("files")
    trimesh.creation.box([100, 70, 150]).export(folder / "box.ply")
    trimesh.creation.cylinder(4.0, 0.4, sections=48).export(folder / "tin.stl")
    wedge_mesh().save(folder / "wedge.glb")
    write_config(folder / "config.yaml")
    return folder


def write_config(path, **changes):
    settings = TrainConfig.model_validate({**SETTINGS, "steps": STEPS, **changes})
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    return str(path)


def command(files, output, *more, meshes=("box.ply",)):
    paths = [str(files / name) for name in meshes]
    small = ["--config", str(files / "config.yaml"), "--eval-instances", "3", "--device", "cpu"]
    small += ["--calibration-samples", "0"]
    return ["onboard", "--mesh", *paths, "--output", str(output), *small, *more]


@pytest.fixture(scope="module")
def onboarded(files, tmp_path_factory):
    """The folder of a finished onboarding of box and wedge, for next to no time."""
    output = tmp_path_factory.mktemp("runs") / "first"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onboarding_training, "SPEED_STEPS", 4)
        patched.setattr(onboarding_training, "FEWEST_STEPS", 5)
        assert (
            main(command(files, output, "--yes", "--minutes", "0.0001", meshes=("box.ply", "wedge.glb"))) == 0
        )
    return output


# ---- the whole way ---------------------------------------------------------------------------------------------------
def test_meshes_become_a_bundle_with_a_report(onboarded, capsys):
    assert PoseEstimator.from_bundle(onboarded / "bundle").class_ids == ["box", "wedge"]
    box, wedge = load_objects(onboarded)
    assert len(box.symmetries.discrete) == 4
    assert wedge.symmetries.is_trivial
    assert box.diameter == pytest.approx(0.1934, abs=1e-3)  # it was in millimetres
    assert len(Bundle.load(onboarded / "bundle").objects[0].symmetries.discrete) == 4
    assert "<html" in (onboarded / "report.html").read_text()[:500].lower()
    assert len(list((onboarded / "symmetries").glob("box_*.png"))) == 3
    assert TrainConfig.load(onboarded / "train.yaml").steps == 5  # the fewest
    assert Bundle.load(onboarded / "bundle").provenance["step"] == 5
    assert not (onboarded / "training_trial").exists()
    rows = (onboarded / "evaluation" / "instances.csv").read_text().splitlines()
    assert len(rows) > 4


def test_the_bundle_knows_the_files_of_its_meshes(onboarded, files):
    for item, name in zip(Bundle.load(onboarded / "bundle").objects, ("box.ply", "wedge.glb")):
        assert item.source == source_of(files / name, "mm" if name == "box.ply" else "m")


def test_a_finished_one_tells_its_result_again_and_trains_no_more(onboarded, capsys):
    before = (onboarded / "bundle" / "bundle.yaml").stat().st_mtime_ns
    assert main(["onboard", "--output", str(onboarded), "--yes"]) == 0
    out = capsys.readouterr().out
    assert "done before" in out
    assert re.search(r"box\W+\d+\W+\d+ %", out)
    assert "report.html" in out
    assert (onboarded / "bundle" / "bundle.yaml").stat().st_mtime_ns == before


def test_ctrl_c_in_training_and_in_measuring_loses_nothing(files, tmp_path, capsys, monkeypatch):
    progress = RunRecords.progress

    def interrupted_at_4(self, *arguments):
        progress(self, *arguments)
        if self.state.step == 4:
            signal.raise_signal(signal.SIGINT)

    output = tmp_path / "run"
    whole = command(files, output, "--yes")
    with monkeypatch.context() as patched:
        patched.setattr(RunRecords, "progress", interrupted_at_4)
        assert main(whole) == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert not (output / "bundle").exists()
    with monkeypatch.context() as patched:
        patched.setattr(onboard, "run_bundle", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        assert main(whole) == 130
    out = capsys.readouterr().out
    assert "resumed at step 4" in out
    assert "propos" not in out
    assert not (output / "report.html").exists()
    trained = (output / "bundle" / "weights.safetensors").read_bytes()
    assert main(whole) == 0
    assert "step 8/8" not in capsys.readouterr().out
    assert (output / "report.html").exists()
    assert (output / "bundle" / "weights.safetensors").read_bytes() == trained


def test_adding_leaves_the_old_objects_as_they_were_where_nothing_is_learnt(
    onboarded, files, tmp_path, capsys
):
    still = write_config(tmp_path / "still.yaml", steps=1, learning_rate=1e-12, warmup_steps=1)
    output = tmp_path / "more"
    added = command(files, output, "--add-to", str(onboarded / "bundle"), "--yes", meshes=("tin.stl",))
    added[added.index("--config") + 1] = still
    assert main(added) == 0
    out = capsys.readouterr().out
    assert "known objects: box, wedge; new: tin" in out
    assert "before" in out
    assert (output / "evaluation_before" / "instances.csv").exists()
    estimators = [PoseEstimator.from_bundle(folder / "bundle") for folder in (onboarded, output)]
    assert estimators[1].class_ids == ["box", "wedge", "tin"]
    assert load_objects(output)[2].diameter == pytest.approx(0.0801, abs=1e-3)  # it was in centimetres
    assert len(load_objects(output)[0].symmetries.discrete) == 4
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    K = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    found = [Detection("box", (60, 50, 150, 170)), Detection("wedge", (100, 20, 220, 130))]
    old, new = ([one.cam_from_obj for one in each.estimate(image, K, found)] for each in estimators)
    assert np.allclose(old, new, atol=1e-4)


def test_a_start_from_a_bundle_has_its_features_and_none_of_its_objects(onboarded, files, tmp_path, capsys):
    still = write_config(tmp_path / "still.yaml", steps=1, learning_rate=1e-12, warmup_steps=1)
    output, before = tmp_path / "fresh", Bundle.load(onboarded / "bundle")
    fresh = command(
        files, output, "--init", str(onboarded / "bundle"), "--yes", "--origin", "a shop", meshes=("tin.stl",)
    )
    fresh[fresh.index("--config") + 1] = still
    assert main(fresh) == 0
    assert "known objects: none; new: tin" in capsys.readouterr().out
    assert not (output / "evaluation_before").exists()
    bundle = Bundle.load(output / "bundle")
    assert bundle.class_ids == ["tin"]
    assert bundle.objects[0].source.origin == "a shop"
    assert bundle.provenance["init"]["new"] == ["tin"]
    for name, tensor in bundle.weights.items():
        if name.startswith("decoder.objects."):
            assert tensor.ndim == 1 or not torch.equal(tensor, before.weights[name])
        else:
            assert torch.allclose(tensor, before.weights[name], atol=1e-6), name
    assert main([*fresh[:-2], "--origin", "another shop"]) == 1
    assert "another --origin (a shop)" in capsys.readouterr().err
    assert main(["onboard", "--output", str(output), "--init", str(tmp_path / "b")]) == 1
    assert "another --init" in capsys.readouterr().err


def test_adding_and_starting_exclude_each_other(files, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(command(files, tmp_path / "run", "--add-to", "a", "--init", "b"))
    assert "not allowed with" in capsys.readouterr().err


# ---- questions -------------------------------------------------------------------------------------------------------
@pytest.fixture
def terminal(monkeypatch):
    """Answers to the questions that are asked; the questions are kept."""
    answers, asked = [], []

    def answer(question=""):
        asked.append(question)
        return answers.pop(0)

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(builtins, "input", answer)
    monkeypatch.setattr(onboard._Onboarding, "train", lambda self: False)
    return answers, asked


def test_symmetries_are_confirmed_one_by_one(files, tmp_path, terminal, capsys):
    answers, asked = terminal
    answers += ["y", "7", "box", "2"]
    assert main(command(files, tmp_path / "run")) == 130
    assert "sizes" in asked[0]
    assert "take 1, 2, 3?" in asked[1]
    assert len(asked) == 4
    assert len(load_objects(tmp_path / "run")[0].symmetries.discrete) == 2
    assert "from 1 to 3" in capsys.readouterr().out
    assert main(["onboard", "--output", str(tmp_path / "run")]) == 130  # asks no more
    assert len(asked) == 4


def test_a_wrong_size_ends_it_before_anything_is_written(files, tmp_path, terminal, capsys):
    terminal[0].append("n")
    assert main(command(files, tmp_path / "run")) == 1
    assert "--unit" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_symmetries_may_come_from_a_file_or_not_at_all(files, tmp_path, terminal):
    given = tmp_path / "objects.yaml"
    entry = {"class_id": "box", "mesh": "elsewhere.glb", "unit": "mm"}
    turn = [-1, 0, 0, 10, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    given.write_text(yaml.safe_dump({"objects": [{**entry, "symmetries_discrete": [turn]}]}))
    assert main(command(files, tmp_path / "a", "--unit", "mm", "--symmetries", str(given))) == 130
    assert load_objects(tmp_path / "a")[0].symmetries.discrete[1, 0, 3] == pytest.approx(0.01)
    assert main(command(files, tmp_path / "b", "--unit", "mm", "--symmetries", "none")) == 130
    assert load_objects(tmp_path / "b")[0].symmetries.is_trivial
    assert terminal[1] == []


# ---- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "no terminal"),
        (["--yes", "--mesh", "{files}/cup.ply"], "does not exist"),
        (["--yes", "--mesh", "{files}/box.ply", "{files}/box.ply"], "same class"),
        (["--yes", "--unit", "m"], "pass unit='mm'"),
        (["--yes", "--minutes", "0"], "--minutes"),
        (["--yes", "--processes", "0"], "--processes"),
        (["--yes", "--add-to", "{files}"], "not a bundle"),
        (["--yes", "--init", "{files}"], "not a bundle"),
        (["--yes", "--origin", "{files}/no.yaml"], "no.yaml"),
        (["--yes", "--origin", "{files}/config.yaml"], "a line `class: text`"),
        (["--yes", "--config", "{files}/no.yaml"], "no training configuration"),
        (["--symmetries", "{files}/no.yaml"], "no such file"),
    ],
)
def test_bad_input_gives_one_line_and_writes_nothing(files, tmp_path, capsys, options, says):
    output = tmp_path / "run"
    assert main(command(files, output, *(part.format(files=files) for part in options))) == 1
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert not output.exists()


def test_a_symmetries_file_that_lacks_a_class_is_named(files, tmp_path, capsys):
    given = tmp_path / "objects.yaml"
    given.write_text("objects:\n- {class_id: cup, mesh: cup.glb}\n")
    assert main(command(files, tmp_path / "run", "--symmetries", str(given))) == 1
    assert "no class box" in capsys.readouterr().err


def test_a_class_that_the_bundle_has_is_refused(onboarded, files, tmp_path, capsys):
    assert main(command(files, tmp_path / "run", "--yes", "--add-to", str(onboarded / "bundle"))) == 1
    assert "box already" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(files, tmp_path, capsys, onboarded):
    (tmp_path / "mine.txt").write_text("precious")
    assert main(command(files, tmp_path, "--yes")) == 1
    assert "already holds something else" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert main(command(files, onboarded, "--yes", meshes=("tin.stl",))) == 1
    assert "another --mesh" in capsys.readouterr().err
    assert main(["onboard", "--output", str(tmp_path / "new"), "--yes"]) == 1
    assert "--mesh is missing" in capsys.readouterr().err


def test_objects_that_change_after_training_began_are_noticed(files, tmp_path, capsys, monkeypatch):
    output = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(onboard, "run_training", lambda *_: signal.raise_signal(signal.SIGINT))
        assert main(command(files, output, "--yes")) == 130
    path = output / "objects.yaml"
    path.write_text(re.sub(r"symmetries_discrete:(\n  - .*)+", "symmetries_discrete: []", path.read_text()))
    assert load_objects(output)[0].symmetries.is_trivial
    assert main(command(files, output, "--yes")) == 1
    assert "changed after training had begun" in capsys.readouterr().err


# ---- parts -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "size", "unit"),
    [
        ("a.ply", 0.1, "m"),
        ("a.ply", 120.0, "mm"),
        ("a.ply", 12.0, "cm"),
        ("a.glb", 0.1, "m"),
        ("a.glb", 80.0, "mm"),
    ],
)
def test_units_are_told_by_size(tmp_path, name, size, unit):
    trimesh.creation.icosphere(1, size / 2).export(tmp_path / name)
    found, words = likely_unit(tmp_path / name)
    assert found == unit
    assert ("glb" in words) == (name == "a.glb" and unit == "m")


def test_a_size_that_no_unit_explains_is_refused(tmp_path):
    trimesh.creation.icosphere(1, 1e5).export(tmp_path / "a.ply")
    with pytest.raises(ValueError, match="no unit"):
        likely_unit(tmp_path / "a.ply")


def test_classes_are_named_after_files():
    assert class_of("my mug (blue)") == "my_mug_blue"
    assert mesh_names(["a/mug.glb", "b/drill.obj"]) == ["mug", "drill"]
    assert mesh_names(["024_bowl/textured.obj"]) == ["024_bowl"]
    assert mesh_names(["mug/mesh.ply", "drill/mesh.ply"]) == ["mug", "drill"]
    with pytest.raises(ValueError, match="rename the file"):
        class_of("...")


def test_recommended_settings_are_those_of_the_shipped_file():
    shipped = yaml.safe_load((ROOT / "config" / "train" / "small.yaml").read_text())
    steps = {key: shipped.pop(key) for key in ("steps", "coarse_noise_steps")}
    assert shipped == RECOMMENDED
    assert steps["coarse_noise_steps"] == steps["steps"] // 2  # as `for_time` has it


def test_time_becomes_steps():
    base = TrainConfig(batch_size=8, accumulate=2, warmup_steps=300)
    config = for_time(base, minutes=10, samples_per_second=40, processes=2)
    assert config.steps == 10 * 60 * 40 // 32
    assert config.coarse_noise_steps == config.steps // 2
    assert config.warmup_steps == config.steps // 10
    assert 60 < config.checkpoint_every * 32 / 40 < 300
    assert 4 <= config.steps / config.validate_every <= 8
    assert for_time(base, 1e-6, 1.0, 1).steps == 20


def test_new_objects_are_drawn_as_often_as_all_old_ones(onboarded):
    config = base_config(None, Bundle.load(onboarded / "bundle"), ["tin"])
    assert config.object_weights == {"tin": 2.0}
    assert config.network_config(3).crop_size == 64  # the bundle's network, not the recommended one
    assert config.learning_rate < TrainConfig.model_validate(RECOMMENDED).learning_rate


def test_a_start_from_a_bundle_is_a_fresh_run_but_for_the_networks_sizes(onboarded):
    init = Bundle.load(onboarded / "bundle")
    config = base_config(None, None, ["tin"], init)
    assert config.network_config(2) == init.config  # sizes alone: as many objects as asked for
    recommended = TrainConfig.model_validate(RECOMMENDED)
    assert config == recommended.model_copy(update={"model": config.model})
    assert config.object_weights == {}


def test_origins_are_one_for_all_or_one_for_each(tmp_path):
    assert read_origins("a\n shop", ["mug", "drill"]) == {"mug": "a shop", "drill": "a shop"}
    assert read_origins(None, ["mug"]) == {"mug": ""}
    path = tmp_path / "origins.yaml"
    path.write_text("mug: 'a shop: of mugs'\n")
    assert read_origins(str(path), ["mug", "drill"]) == {"mug": "a shop: of mugs", "drill": ""}
    with pytest.raises(ValueError, match="names mug; the classes are drill"):
        read_origins(str(path), ["drill"])


def test_every_object_is_seen_about_as_often_as_asked():
    for objects in (1, 4, 20):
        scenes, images = scene_counts(objects, 100)
        an_image = (min(3, objects) + min(8, objects)) / 2
        assert 100 <= scenes * images * an_image / objects < 125


def test_the_table_tells_recall_by_visibility_and_suspects_a_symmetry(capsys):
    good = [Row("mug", 0.9, 4.0, 0.003, True)] * 3 + [Row("mug", 0.4, 30.0, 0.03, False)]
    turned = [Row("plate", 0.9, 175.0, 0.004, False)] * 2
    before = [Row("mug", 0.9, 9.0, 0.01, False)] * 4 + [
        Row("plate", 0.9, float("inf"), float("inf"), False)
    ] * 2
    print_accuracy(Console(width=160), [*good, *turned], before)
    out = capsys.readouterr().out
    assert re.search(r"mug\W+4\W+75 %\W+0 %\W+4.0 deg\W+3.0 mm\W+100 % \(of 3\)\W+-\W+0 % \(of 1\)", out)
    assert re.search(r"plate\W+2\W+0 %\W+-\W+175.0 deg", out)
    assert "100 % of the estimates of plate" in out
    assert "estimates of mug" not in out


def test_processes_train_together_or_not_at_all(tmp_path):
    tell = "import os; open(os.environ['RANK'], 'w').write(os.environ['WORLD_SIZE'])"
    run_group(["-c", f"import os; os.chdir({str(tmp_path)!r}); {tell}"], 2)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2", "2"]
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="training failed"):
        run_group(
            ["-c", "import os, sys, time; sys.exit(3) if os.environ['RANK'] == '1' else time.sleep(60)"], 2
        )
    assert time.monotonic() - started < 20


def test_a_state_that_was_cut_short_is_named(files, tmp_path, capsys):
    (tmp_path / "onboarding.json").write_text(json.dumps({"given": {}})[:-3])
    assert main(command(files, tmp_path, "--yes")) == 1
    assert "damaged" in capsys.readouterr().err
