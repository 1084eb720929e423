"""Starting from a bundle: what it knows it still knows, new objects have room, and other networks are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_dataset import OBJECTS
from training_runs import SETTINGS, tiny_trainer

from mrc_core.geometry import ObjectModel
from mrc_core.geometry.mesh_hash import mesh_hash
from mrc_core.geometry.so3_grid import so3_grid_matrices
from mrc_core.inference import Bundle
from mrc_core.model.two_stage import Crops
from mrc_core.training.depth_limits import DepthSamples
from mrc_core.training.warm_start import match_bundle, nearest_buckets

WEDGE, BOX, DISC = OBJECTS


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Bundle:
    """A bundle of wedge and box, trained for two steps so that weights and averages differ from fresh ones."""
    folder = tmp_path_factory.mktemp("old")
    tiny_trainer(folder, [WEDGE, BOX], steps=2, learning_rate=0.01).train()
    return Bundle.load(folder / "bundle")


def test_known_objects_get_the_same_outputs_as_before(old, tmp_path):
    """Other places in the list, one object more, no step: the exported bundle's network says the same."""
    lines = []
    run = tiny_trainer(tmp_path, [DISC, BOX, WEDGE], lines.append, init=old)
    run.validator.export(tmp_path / "bundle", run.learner, run.state, {})
    new = Bundle.load(tmp_path / "bundle")
    crop = torch.rand(4, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    look = torch.rand(4, 3, generator=torch.Generator().manual_seed(1))
    there, here = torch.tensor([0, 1, 1, 0]), torch.tensor([2, 1, 1, 2])
    with torch.no_grad():
        outputs = []
        for bundle, index in ((old, there), (new, here)):
            network = bundle.network()
            real, rendered = network.encode(crop, index), network.encode(crop.flip(0), index.flip(0))
            logits, residual = network.classify(real, look), network.regress(real, rendered, look)
            outputs.append((*vars(logits).values(), *vars(residual).values()))
    assert all(torch.equal(a, b) for a, b in zip(*outputs))
    assert torch.equal(new.depth_limits[[2, 1]], old.depth_limits)
    assert not run.learner.optimizer.state
    assert run.state.step == 0
    assert "known objects: box, wedge; new: disc" in lines[-2]


def test_poses_of_known_objects_stay(old, tmp_path):
    run = tiny_trainer(tmp_path, [DISC, BOX, WEDGE], init=old)
    before = tiny_trainer(tmp_path / "before", [WEDGE, BOX], init=old)
    batch = before.source.batch(0, 6)
    index = torch.tensor([2, 1])[batch.object_index]
    with torch.no_grad(), run.learner.averaged() as ours, before.learner.averaged() as theirs:
        wanted = theirs(Crops(batch.image, batch.K, batch.object_index)).pose
        assert torch.allclose(ours(Crops(batch.image, batch.K, index)).pose, wanted, atol=1e-5)


def test_a_finer_grid_starts_with_the_scores_of_the_coarser_ones_buckets(old, tmp_path):
    lines = []
    run = tiny_trainer(tmp_path, [WEDGE, BOX], lines.append, init=old, model={**SETTINGS["model"], "n_side": 3})
    real = torch.rand(2, 128, 4, 4, generator=torch.Generator().manual_seed(0))[:, : old.config.pyramid_channels]
    look = torch.rand(2, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = old.network().classification(real, look)
        after = run.learner.network.eval().classification(real, look)
    coarse, fine = so3_grid_matrices(2), so3_grid_matrices(3)
    cosine = (torch.einsum("aij,bij->ab", fine, coarse) - 1) / 2  # of the angle between the two rotations
    nearest = nearest_buckets(2, 3)
    # Some buckets lie between several: any of these will do.
    assert torch.allclose(cosine.gather(1, nearest[:, None])[:, 0], cosine.amax(dim=1), atol=1e-5)
    assert torch.allclose(after.rotation, before.rotation[:, nearest])
    assert torch.equal(after.xy, before.xy)
    assert cosine.amax(dim=1).min() > np.cos(np.radians(26))  # half the diagonal of a coarse cell
    assert nearest.unique().numel() == len(coarse)  # no bucket of the bundle is forgotten
    assert "576 rotation buckets became 1944" in lines[-2]
    assert torch.equal(nearest_buckets(3, 3), torch.arange(len(fine)))


def test_a_rendered_mask_that_is_new_changes_nothing_at_first(old, tmp_path):
    """And a bundle with it starts a run without it, which then misses the last channel alone."""
    batch = tiny_trainer(tmp_path / "plain", [WEDGE, BOX], init=old).source.batch(0, 6)
    crops = Crops(batch.image, batch.K, batch.object_index)
    run = tiny_trainer(tmp_path / "mask", [WEDGE, BOX], init=old, model={**SETTINGS["model"], "rendered_mask": True})
    plain = tiny_trainer(tmp_path / "plain", [WEDGE, BOX], init=old)
    with torch.no_grad():
        assert torch.allclose(run.learner.two_stage(crops).pose, plain.learner.two_stage(crops).pose, atol=1e-6)
        before = run.learner.two_stage(crops).residual.depth
        run.learner.network.fusion.fuse4.conv.weight[:, -1] = 0.5
        after = run.learner.two_stage(crops).residual.depth
        assert (after != before).all()  # it is read
    with run.learner.averaged():
        run.learner.network.fusion.fuse4.conv.weight.data[:, -1] = 0.5
    run.validator.export(tmp_path / "bundle", run.learner, run.state, {})
    back = tiny_trainer(tmp_path / "back", [WEDGE, BOX], init=Bundle.load(tmp_path / "bundle"))
    assert torch.equal(back.learner.network.fusion.fuse4.conv.weight, plain.learner.network.fusion.fuse4.conv.weight)


def test_what_the_run_started_from_outlives_an_interruption(old, tmp_path):
    run = tiny_trainer(tmp_path, [DISC, WEDGE], init=old, steps=2)
    run.save()
    resumed = tiny_trainer(tmp_path, [DISC, WEDGE], steps=2)
    resumed.resume()
    resumed.train()
    init = Bundle.load(tmp_path / "bundle").provenance["init"]
    assert init["classes"] == ["wedge", "box"]
    assert (init["known"], init["new"]) == (["wedge"], ["disc"])
    assert (init["step"], init["samples_seen"]) == (2, 8)


def test_an_object_with_another_mesh_is_new(old):
    config = old.config
    larger = replace(WEDGE.mesh, vertices=WEDGE.mesh.vertices * np.float32(1.1))
    start = match_bundle(old, [ObjectModel("wedge", larger, WEDGE.symmetries), BOX], config)
    assert start.known == (None, 1)
    assert "wedge (the bundle's has another mesh)" in start.describe()


def test_the_hash_of_a_mesh_does_not_depend_on_how_it_is_stored(old):
    for kept, item in zip(old.objects, (WEDGE, BOX)):
        assert mesh_hash(kept.mesh) == mesh_hash(item.mesh)
    mesh = BOX.mesh
    order = np.random.default_rng(0).permutation(len(mesh.faces))
    shuffled = replace(mesh, faces=np.roll(mesh.faces[order], 1, axis=1))
    assert mesh_hash(shuffled) == mesh_hash(mesh)
    assert mesh_hash(replace(mesh, faces=mesh.faces[:, ::-1].copy())) != mesh_hash(mesh)
    moved = mesh.vertices.copy()
    moved[3, 1] += 1e-4
    assert mesh_hash(replace(mesh, vertices=moved)) != mesh_hash(mesh)


def test_depth_limits_grow_only_where_new_scenes_need_it(old):
    start = match_bundle(old, [WEDGE, BOX], old.config)
    low, high = old.depth_limits[0].tolist()
    object_index = torch.zeros(200, dtype=torch.long)
    tau_z = torch.linspace(low * 1.01, high * 0.99, 200)
    measured = torch.tensor([[low * 0.8, high * 1.3]] * 2)
    tau_z[:2] = high * 1.2  # one in a hundred
    assert torch.equal(start.depth_limits(DepthSamples(object_index, tau_z), measured), old.depth_limits)
    tau_z[2] = high * 1.2
    grown = start.depth_limits(DepthSamples(object_index, tau_z), measured)
    assert grown[0].tolist() == pytest.approx([low, high * 1.3])
    assert torch.equal(grown[1], old.depth_limits[1])
    new = match_bundle(old, [DISC, BOX], old.config)
    assert torch.equal(new.depth_limits(DepthSamples(object_index, tau_z), measured)[0], measured[0])


def test_a_bundle_of_other_sizes_is_refused_with_every_difference(old, tmp_path):
    model = {**SETTINGS["model"], "depth_bins": 8, "xy_cells": 8}
    with pytest.raises(ValueError, match=r"depth_bins 16 \(here 8\), xy_cells 16 \(here 8\)"):
        tiny_trainer(tmp_path, [WEDGE], init=old, model=model)
