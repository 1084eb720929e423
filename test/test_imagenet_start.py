"""`mrc-net train --imagenet`: the trunk starts from the file, and the network's input is scaled as it expects."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision_layout import WIDTHS, torchvision_state
from training_runs import TINY_MODEL, write_run

from mrc_core.cli import main
from mrc_core.inference import Bundle
from mrc_core.training.config import TrainConfig
from mrc_core.training.imagenet_start import ImageNetStart, with_imagenet_scaling

MODEL = {**TINY_MODEL, "crop_size": 32, "backbone": 18, "stem_channels": 64, "layer_channels": WIDTHS}
STILL = {
    "model": MODEL,
    "steps": 1,
    "batch_size": 2,
    "validation_samples": 2,
    "learning_rate": 1e-12,
    "warmup_steps": 1,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """resnet18 in both formats."""
    folder = tmp_path_factory.mktemp("weights")
    state = torchvision_state((2, 2, 2, 2))
    save_file(state, folder / "resnet18.safetensors")
    torch.save(state, folder / "resnet18.pth")
    return folder


def test_the_trunk_of_the_bundle_is_the_files_and_so_is_the_scaling(weights, tmp_path, capsys):
    options = ["train", *write_run(tmp_path, **STILL), "--output", str(tmp_path / "run")]
    imagenet = ["--imagenet", str(weights / "resnet18.safetensors")]
    assert main([*options, *imagenet]) == 0
    assert "trunk starts from resnet18.safetensors" in capsys.readouterr().out
    bundle = Bundle.load(tmp_path / "run" / "bundle")
    assert bundle.config.input_scaling == "imagenet"
    assert bundle.provenance["init"]["imagenet"] == "resnet18.safetensors"
    assert bundle.provenance["history"][0]["config"]["model"]["input_scaling"] == "imagenet"
    state = load_file(weights / "resnet18.safetensors")
    there = bundle.weights["backbone.layer3.1.conv2.weight"]
    assert torch.allclose(there, state["layer3.1.conv2.weight"], atol=1e-6)
    stem = bundle.weights["backbone.stem.0.weight"]
    assert torch.allclose(stem[:, :3], state["conv1.weight"], atol=1e-6)

    # going on without it would show the network other pictures: no weight would tell
    assert main([*options, "--resume", "--steps", "2"]) == 1
    assert "repeat --imagenet" in capsys.readouterr().err
    assert main([*options, *imagenet, "--resume", "--steps", "2"]) == 0
    assert "resumed at step 1" in capsys.readouterr().out
    again = Bundle.load(tmp_path / "run" / "bundle")
    assert again.provenance["init"]["imagenet"] == "resnet18.safetensors"


def test_both_formats_are_the_same(weights):
    config = with_imagenet_scaling(TrainConfig.model_validate(STILL))
    one, other = (ImageNetStart.read(weights / f"resnet18.{end}", config) for end in ("pth", "safetensors"))
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())


@pytest.mark.parametrize(
    ("model", "more", "says"),
    [
        (TINY_MODEL, [], "flavour: paper"),
        ({**MODEL, "backbone": 34}, [], "needs a network with backbone: 18"),
        ({**MODEL, "input_scaling": "none"}, [], "input_scaling: imagenet"),
        (MODEL, ["--init", "demo/bundle"], "choose one"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(weights, tmp_path, capsys, model, more, says):
    options = ["train", *write_run(tmp_path, **{**STILL, "model": model}), "--output", str(tmp_path / "run")]
    assert main([*options, "--imagenet", str(weights / "resnet18.pth"), *more]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


class Surprise:
    """What a hostile pickle would build."""


def test_a_pickle_with_more_than_tensors_is_refused(tmp_path, capsys):
    torch.save({"conv1.weight": Surprise()}, tmp_path / "bad.pth")
    options = ["train", *write_run(tmp_path, **STILL), "--output", str(tmp_path / "run")]
    assert main([*options, "--imagenet", str(tmp_path / "bad.pth")]) == 1
    assert "restricted unpickler" in capsys.readouterr().err
