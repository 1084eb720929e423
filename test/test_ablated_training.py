"""What the paper's ablations change in network and training: own weights for renders, separate stages, grey renders."""

import pytest
import torch
import yaml
from pydantic import ValidationError
from training_runs import TINY_MODEL, step, tiny_trainer

from mrc_core.cli.onboarding_training import base_config
from mrc_core.inference import Bundle, PoseEstimator
from mrc_core.inference.render_look import GreyRenderer
from mrc_core.model import MRCNet, MRCNetConfig
from mrc_core.training.coarse_noise import noise_share
from mrc_core.training.config import TrainConfig

OWN = {**TINY_MODEL, "siamese": False}
BRANCH = ("backbone.", "aspp.", "bottleneck.", "decoder.", "pyramid.")
STAGE_TWO = ("fusion.", "regression.")
POSE_ONLY = {"rotation_class": 0.0, "cell_class": 0.0, "depth_class": 0.0, "mask": 0.0}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def changed_by(run, *parts: str) -> bool:
    """Whether a gradient other than zero has reached any weight of these parts."""
    named = run.learner.network.named_parameters()
    return any(p.grad is not None and bool(p.grad.any()) for name, p in named if name.startswith(parts))


# ---- weights of their own --------------------------------------------------------------------------------------------
def test_a_siamese_network_is_what_it_was():
    torch.manual_seed(0)
    network = MRCNet(MRCNetConfig.small(2))
    assert not any(name.startswith("render_branch") for name in network.state_dict())
    assert "siamese" not in network.config.model_dump()
    crop, index = torch.rand(2, 4, 128, 128), torch.tensor([0, 1])
    with torch.no_grad():
        assert torch.equal(network.encode(crop, index).f16, network.encode_render(crop, index).f16)


def test_renders_go_through_weights_of_their_own():
    config = MRCNetConfig(num_objects=2, **{**OWN, "backbone": 18, "n_side": 2})
    assert MRCNetConfig(**config.model_dump()) == config
    network = MRCNet(config)
    names = [name for name in network.state_dict() if name.startswith(BRANCH)]
    own = {name: network.get_parameter(f"render_branch.{name}") for name in names}
    assert len(own) == sum(name.startswith("render_branch.") for name in network.state_dict())
    crop, index = torch.rand(2, 4, 64, 64), torch.tensor([0, 1])
    with torch.no_grad():
        before = network.encode(crop, index).f16
        for value in own.values():
            value.mul_(0.5)
        assert torch.equal(network.encode(crop, index).f16, before)
        for name, value in own.items():
            value.copy_(network.get_parameter(name))
        assert torch.equal(network.encode_render(crop, index).f16, before)


@pytest.mark.parametrize(("objects", "ratio"), [(1, 1.485), (30, 1.813)])  # 30: T-LESS, as in the paper
def test_parameters_nearly_double(objects, ratio):
    with torch.device("meta"):
        shared, own = (MRCNet(MRCNetConfig.paper(objects, siamese=siamese)) for siamese in (True, False))
    count, more = (sum(p.numel() for p in network.parameters()) for network in (shared, own))
    branch = sum(p.numel() for name, p in shared.named_parameters() if name.startswith(BRANCH))
    assert more == count + branch
    assert more / count == pytest.approx(ratio, abs=0.001)


# ---- where gradients go ----------------------------------------------------------------------------------------------
def test_stage_twos_loss_reaches_both_branches_end_to_end(tmp_path):
    run = tiny_trainer(tmp_path, model=OWN, losses=POSE_ONLY, learning_rate=1e-9)
    step(run, run.source.batch(0, 4))
    assert changed_by(run, *BRANCH)
    assert changed_by(run, "render_branch.")


def test_stage_twos_loss_leaves_the_real_encoder_alone_where_stages_are_separate(tmp_path):
    run = tiny_trainer(tmp_path, model=OWN, losses=POSE_ONLY, separate_stages=True, learning_rate=1e-9)
    step(run, run.source.batch(0, 4))
    assert not changed_by(run, *BRANCH)
    assert not changed_by(run, "classification.")
    assert changed_by(run, "render_branch.")
    assert changed_by(run, *STAGE_TWO)


def test_stage_ones_loss_trains_the_real_encoder_where_stages_are_separate(tmp_path):
    losses = {"rotation": 0.0, "xy": 0.0, "z": 0.0, "mask": 0.0}
    run = tiny_trainer(tmp_path, model=OWN, losses=losses, separate_stages=True, learning_rate=1e-9)
    step(run, run.source.batch(0, 4))
    assert changed_by(run, *BRANCH)
    assert changed_by(run, "classification.")
    assert not changed_by(run, "render_branch.")
    assert not changed_by(run, *STAGE_TWO)


def test_a_branch_of_renders_learns_its_mask(tmp_path):
    losses = {**POSE_ONLY, "mask": 1.0, "rotation": 0.0, "xy": 0.0, "z": 0.0}
    run = tiny_trainer(tmp_path, model=OWN, losses=losses, learning_rate=1e-9)
    step(run, run.source.batch(0, 4))
    assert changed_by(run, "render_branch.decoder.")


def test_separate_stages_always_start_from_disturbed_truth(tmp_path):
    run = tiny_trainer(tmp_path, model=OWN, separate_stages=True, coarse_noise_end=0.0)
    assert noise_share(10**6, run.config) == 1
    batch = run.source.batch(0, 4)
    output = run.learner.forward(batch, draw=0, step=10**6)
    off = (output.coarse[:, :3, 3] - batch.cam_from_obj[:, :3, 3]).norm(dim=1) / batch.cam_from_obj[:, 2, 3]
    assert float(off.max()) < 0.4
    assert float(off.min()) > 0


def test_stages_that_share_an_encoder_cannot_be_separate():
    with pytest.raises(ValidationError, match="set siamese: false under model"):
        TrainConfig(separate_stages=True)


def test_every_decoder_of_a_bundle_with_two_branches_comes_back(tmp_path):
    tiny_trainer(tmp_path / "old", model=OWN, steps=1).train()
    old = Bundle.load(tmp_path / "old" / "bundle")
    run = tiny_trainer(tmp_path / "new", model=OWN, init=old)
    weights = run.learner.network.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in old.weights.items())
    with pytest.raises(ValueError, match=r"siamese False \(here True\)"):
        tiny_trainer(tmp_path / "other", init=old)


# ---- grey renders ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Bundle]:
    out = {}
    for look in ("textured", "grey"):
        folder = tmp_path_factory.mktemp(look)
        tiny_trainer(folder, steps=1, render_look=look).train()
        out[look] = Bundle.load(folder / "bundle")
        assert ("conventions" in yaml.safe_load((folder / "bundle" / "bundle.yaml").read_text())) == (look == "grey")
    return out


def test_the_look_of_renders_comes_back_from_the_bundle(bundles, tmp_path):
    """What the network sees in training is what it sees in use, pixel by pixel, in both looks."""
    batch = tiny_trainer(tmp_path / "some").source.batch(0, 4)
    seen = {}
    for look, bundle in bundles.items():
        run = tiny_trainer(tmp_path / look, render_look=look)
        bundle.save(tmp_path / f"{look}_bundle")
        estimator = PoseEstimator.from_bundle(tmp_path / f"{look}_bundle")
        assert isinstance(estimator.two_stage.renderer, GreyRenderer) == (look == "grey")
        renderers = (run.learner.two_stage.renderer, estimator.two_stage.renderer)
        pictures = [r.render(batch.object_index, batch.cam_from_obj, batch.K, (64, 64)).rgb for r in renderers]
        assert torch.allclose(*pictures, atol=2e-3)
        seen[look] = pictures[0]
    assert float((seen["grey"] - seen["grey"].mean(dim=1, keepdim=True)).abs().max()) < 1e-6
    assert float((seen["textured"] - seen["grey"]).abs().max()) > 0.2


def test_a_grey_bundle_is_trained_further_with_grey_renders_alone(bundles, tmp_path):
    run = tiny_trainer(tmp_path / "grey", init=bundles["grey"], render_look="grey", steps=1)
    run.train()
    assert Bundle.load(tmp_path / "grey" / "bundle").conventions == bundles["grey"].conventions
    for there, here in (("grey", "textured"), ("textured", "grey")):
        with pytest.raises(ValueError, match=f"--init: .* {there} renders.* set render_look: {there}"):
            tiny_trainer(tmp_path / here, init=bundles[there], render_look=here)


def test_adding_objects_keeps_the_bundles_look(bundles):
    assert base_config(None, bundles["grey"], ["new"]).render_look == "grey"
    assert base_config(None, bundles["textured"], ["new"]).render_look == "textured"


def test_weights_from_elsewhere_are_refused_still(bundles, tmp_path):
    foreign = bundles["grey"].conventions.model_copy(update={"antialias": False})
    bundle = Bundle(**{**vars(bundles["grey"]), "conventions": foreign})
    with pytest.raises(ValueError, match="another program"):
        tiny_trainer(tmp_path, init=bundle, render_look="grey")

