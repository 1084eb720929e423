"""Bundles: what is saved is what is loaded; everything wrong is named."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from conftest import wedge_mesh

from mrc_core.geometry import ObjectModel, SymmetrySet
from mrc_core.inference import Bundle, BundleError


@pytest.fixture
def copied(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def edit(bundle, change):
    content = yaml.safe_load((bundle / "bundle.yaml").read_text())
    change(content)
    (bundle / "bundle.yaml").write_text(yaml.safe_dump(content))


def test_saved_and_loaded_again_is_the_same(tiny_bundle, tmp_path):
    first = Bundle.load(tiny_bundle)
    first.save(tmp_path / "again")
    second = Bundle.load(tmp_path / "again")
    assert second.class_ids == ["wedge", "disc"]
    assert second.config == first.config
    assert torch.equal(second.depth_limits, first.depth_limits)
    assert all(torch.equal(second.weights[name], tensor) for name, tensor in first.weights.items())
    assert second.objects[1].symmetries.continuous == first.objects[1].symmetries.continuous
    assert np.allclose(second.objects[0].mesh.vertices, first.objects[0].mesh.vertices)
    assert second.provenance == {"version": "test"}


@pytest.mark.parametrize("name", ["weights.safetensors", "meshes/disc.glb"])
def test_an_altered_or_truncated_file_is_named(copied, name):
    data = (copied / name).read_bytes()
    (copied / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match=name.rsplit("/", 1)[-1] + ".*altered or cut short"):
        Bundle.load(copied)


def test_a_missing_file_is_named(copied):
    (copied / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="weights.safetensors is missing"):
        Bundle.load(copied)


def test_a_folder_without_bundle_yaml_says_what_to_pass(tmp_path):
    with pytest.raises(BundleError, match="pass the folder"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize("mesh", ["../../etc/passwd", "/etc/passwd"])
def test_a_mesh_outside_of_the_bundle_is_refused(copied, mesh):
    edit(copied, lambda content: content["objects"][0].update(mesh=mesh))
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.load(copied)


def test_unknown_keys_and_formats_are_refused(copied):
    edit(copied, lambda content: content.update(surprise=1))
    with pytest.raises(BundleError, match="surprise"):
        Bundle.load(copied)
    edit(copied, lambda content: (content.pop("surprise"), content.update(format_version=99)))
    with pytest.raises(BundleError, match="format 99"):
        Bundle.load(copied)


def test_python_objects_in_yaml_are_not_built(copied):
    (copied / "bundle.yaml").write_text("format_version: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(BundleError, match="not valid"):
        Bundle.load(copied)


def test_weights_of_another_network_are_refused(copied):
    bundle = Bundle.load(copied)
    weights = dict(bundle.weights)
    weights.pop(next(iter(weights)))
    other = Bundle(bundle.objects, bundle.config, bundle.depth_limits, weights, {})
    with pytest.raises(BundleError, match="do not fit"):
        other.network()


@pytest.mark.parametrize("class_id", ["../escape", "a/b", "", ".hidden"])
def test_a_class_id_that_is_no_file_name_is_refused(class_id):
    with pytest.raises(ValueError, match="class_id"):
        ObjectModel(class_id, wedge_mesh(), SymmetrySet())


def test_saving_over_a_bundle_leaves_nothing_of_the_old_one(tiny_bundle, tmp_path):
    bundle = Bundle.load(tiny_bundle)
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / "meshes" / "stale.glb").write_bytes(b"old")
    bundle.save(tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "b" / "meshes").iterdir()) == ["disc.glb", "wedge.glb"]
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
