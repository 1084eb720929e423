"""`mrc-net import-weights`, and the bundle that it writes: from the picture to the pose as the authors' code does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, wedge_mesh
from reference_comparison import SIZES, our_config
from reference_layout import random_state
from reference_twin import Twin, cut, mask_box_map
from safetensors.torch import save_file
from torch import Tensor

from mrc_core.cli import import_weights, main
from mrc_core.geometry import ObjectModel, SymmetrySet
from mrc_core.inference import Bundle, Detection, PoseEstimator
from mrc_core.inference.render_look import renderer_for
from mrc_core.model import MRCNetConfig
from mrc_core.model.adapters import REFERENCE_CONVENTIONS, WeightsError, read_tensors
from mrc_core.model.conventions import OURS, Conventions
from mrc_core.rendering import Lights, create_renderer

LIMITS_MM = (1.5, 6.0)  # mm per pixel of a 64 px crop: an object of 150 mm takes 25 to 100 of them
K = np.array([[600.0, 0, 318.0], [0, 570.0, 241.0], [0, 0, 1]])
BOXES = {"second": (250, 120, 371, 230), "first": (90, 205, 205, 352)}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Work this small loses more time to waiting threads than it gains, on a busy machine most of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint as training writes it, and an objects.yaml of two objects."""
    folder = tmp_path_factory.mktemp("reference")
    state = random_state(SIZES, objects=2)
    extra = {
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}},
        "scheduler": {"max_lr": 2e-4},
        "last_epoch": 3,
    }
    torch.save({"network": state, **extra}, folder / "tiny.pth")
    # as a converter writes it: every tensor once, here under the layers' second names
    once = {
        n: t.contiguous() for n, t in state.items() if not n.startswith("backbone.layer") or ".layer0" in n
    }
    save_file(once, folder / "tiny.safetensors")
    entries = []
    for name, scale in (("first", 1.0), ("second", 1.2)):
        wedge_mesh(scale).save(folder / f"{name}.glb")
        entries.append({"class_id": name, "mesh": f"{name}.glb"})
    (folder / "objects.yaml").write_text(yaml.safe_dump({"objects": entries}))
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """The command makes networks of the published sizes, which take gigabytes: here it makes small ones."""
    make = lambda num_objects, norm: our_config(num_objects=num_objects, norm=norm)  # noqa: E731
    monkeypatch.setattr(import_weights, "reference_config", make)


def command(files: Path, output: Path, *more: str, weights: str = "tiny.pth") -> int:
    limits = ["--tau-z-limits-mm", *map(str, LIMITS_MM)]
    base = [
        "import-weights",
        "--reference",
        str(files / weights),
        "--objects",
        str(files),
        "--output",
        str(output),
    ]
    return main([*base, *(more or limits)])


@pytest.fixture(scope="module")
def bundle_path(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("imported") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            import_weights, "reference_config", lambda n, norm: our_config(num_objects=n, norm=norm)
        )
        assert command(files, path) == 0
    return path


def picture() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC)


def their_poses(files: Path) -> dict[str, np.ndarray]:
    """Poses in mm, by the authors' rules alone: their crop, network, and renderer's rules with our rasteriser."""
    meshes = [
        dataclasses.replace(m, vertex_colors=np.full((len(m.vertices), 3), 153, np.uint8))
        for m in (wedge_mesh(1.0), wedge_mesh(1.2))
    ]
    renderer = create_renderer("warp", meshes)
    twin = Twin(SIZES, random_state(SIZES, objects=2), LIMITS_MM)
    out = {}
    for index, name in enumerate(("first", "second")):
        crop, K_crop, fov = cut(picture(), K, BOXES[name], SIZES.image)

        def render(R: Tensor, t_mm: Tensor, index: int = index, K_crop: Tensor = K_crop) -> Tensor:
            pose = torch.eye(4)[None].clone()
            pose[:, :3, :3], pose[:, :3, 3] = R, t_mm / 1000
            grey = 0.6
            lights = Lights(
                ambient=torch.full((1, 3), 0.8),
                directions=-t_mm[:, None],
                colors=torch.full((1, 1, 3), 0.5 * grey),
                specular=torch.tensor([0.2]),
                shininess=torch.tensor([40.0]),
            )
            between = K_crop.clone()  # pixel i of a render is seen at i + 1/2
            between[:2, 2] -= 0.5
            size = (SIZES.image, SIZES.image)
            seen = renderer.render(torch.tensor([index]), pose, between[None], size, lights)
            assert 100 < seen.mask.sum() < SIZES.image**2
            return torch.cat([seen.rgb, mask_box_map(seen.mask[0])[None, None]], dim=1)

        said = twin(crop[None], [index], K_crop[None], fov[None], render)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = said["rotation"][0].numpy(), said["translation"][0].numpy() / 1000
        out[name] = pose
    return out


def pose_error(estimator: PoseEstimator, theirs: dict[str, np.ndarray]) -> float:
    detections = [Detection(name, BOXES[name]) for name in theirs]
    estimates = estimator.estimate(picture(), K, detections)
    return max(
        max(
            float(np.abs(e.cam_from_obj[:3, :3] - theirs[e.class_id][:3, :3]).max()),
            float(np.abs(e.cam_from_obj - theirs[e.class_id])[:3, 3].max() / theirs[e.class_id][2, 3]),
        )
        for e in estimates
    )


@pytest.fixture(scope="module")
def theirs(files):
    return their_poses(files)


def test_a_picture_gets_the_poses_of_the_authors_code(bundle_path, theirs):
    """From pixels to poses, with a mesh whose origin is far from its middle, fx and fy apart, two crops in a frame."""
    assert pose_error(PoseEstimator.from_bundle(bundle_path), theirs) < 2e-4


@pytest.mark.parametrize("key", Conventions.model_fields)
def test_every_convention_matters(key, bundle_path, theirs):
    bundle = Bundle.load(bundle_path)
    conventions = bundle.conventions.model_copy(update={key: getattr(OURS, key)})
    changed = dataclasses.replace(bundle, conventions=conventions)
    estimator = PoseEstimator(changed, renderer_for(changed, "warp", "cpu"), torch.device("cpu"), "fp32")
    assert pose_error(estimator, theirs) > 2e-3


# ---- the command -----------------------------------------------------------------------------------------------------
def test_the_bundle_says_where_it_comes_from_and_keeps_its_conventions(bundle_path, tmp_path):
    bundle = Bundle.load(bundle_path)
    assert bundle.class_ids == ["first", "second"]
    assert bundle.config == our_config(norm="crop")
    assert bundle.conventions == REFERENCE_CONVENTIONS
    assert bundle.depth_limits.tolist() == [pytest.approx([0.0015, 0.006])] * 2
    assert {"source", "source_sha256", "decoders", "version"} <= set(bundle.provenance)
    bundle.save(tmp_path / "again")
    assert Bundle.load(tmp_path / "again").conventions == REFERENCE_CONVENTIONS
    assert main(["info", "--bundle", str(bundle_path)]) == 0


def test_safetensors_give_the_same_bundle(files, tiny, tmp_path, bundle_path):
    assert command(files, tmp_path / "out", weights="tiny.safetensors") == 0
    again, first = Bundle.load(tmp_path / "out"), Bundle.load(bundle_path)
    assert again.weights.keys() == first.weights.keys()
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in first.weights.items())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--norm", "batch"], "pass --dataset"),
        (["--dataset", "tless"], "trained on 2 objects, tless has 30"),
        (["--tau-z-limits-mm", "2", "1"], "0 <= low < high"),
        (["--tau-z-limits-mm", "1", "2", "--object-ids", "1", "2"], "name it with --dataset"),
    ],
)
def test_what_cannot_be_imported_gets_one_line(files, tiny, tmp_path, capsys, more, says):
    assert command(files, tmp_path / "out", *more) == 1
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_weights_of_other_sizes_are_named(files, tmp_path, capsys):
    assert command(files, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "of another shape (backbone.layer0.0.weight is (8, 4, 7, 7), needed is (64, 4, 7, 7)" in error
    assert len(error.strip().splitlines()) == 1


def test_nothing_is_overwritten(files, tiny, tmp_path, capsys):
    assert command(files, tmp_path) == 1
    assert "is there already" in capsys.readouterr().err


def objects_called(*names: str) -> list[ObjectModel]:
    return [ObjectModel(name, wedge_mesh(), SymmetrySet()) for name in names]


def test_objects_find_their_decoders():
    choose = import_weights.choose_decoders
    names = [f"thing {i}" for i in range(21)]
    assert choose(objects_called(*names), 21, "ycbv", None) == list(range(21))
    assert choose(objects_called("obj_000005", "obj_000002"), 21, "ycbv", None) == [4, 1]
    assert choose(objects_called("can", "box"), 21, "ycbv", [5, 2]) == [4, 1]
    # LM-O: numbers with gaps, and a checkpoint may have LM's 15 decoders, of which the first 8 were trained
    assert choose(objects_called("12", "1", "8"), 8, "lmo", None) == [7, 0, 3]
    assert choose(objects_called("12", "1", "8"), 15, "lmo", None) == [7, 0, 3]
    assert choose(objects_called("a", "b"), 2, None, None) == [0, 1]
    for objects, there, dataset, ids, says in (
        (("a", "b"), 21, "ycbv", None, "lists 2 objects, ycbv has 21"),
        (("a", "b"), 21, "ycbv", [1], "--object-ids has 1"),
        (("a", "b"), 21, "ycbv", [3, 3], "once each"),
        (("obj_000002", "obj_000003"), 8, "lmo", None, r"has the objects 1, 5, .* asked for are \[2, 3\]"),
        (("a", "b"), 30, "ycbv", None, "trained on 30 objects, ycbv has 21"),
        (("a", "b"), 3, None, None, "trained on 3 objects, objects.yaml lists 2"),
    ):
        with pytest.raises(ValueError, match=says):
            choose(objects_called(*objects), there, dataset, ids)


# ---- files -----------------------------------------------------------------------------------------------------------
class Hostile:
    def __reduce__(self):
        return Path.touch, (Path(self.target),)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    hostile = Hostile()
    hostile.target = str(tmp_path / "ran")
    for name, zipped in (("new.pth", True), ("old.pth", False)):
        content = {"network": {"a": torch.zeros(1)}, "extra": hostile}
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            WeightsError, match="restricted unpickler.*save its state dict alone as .safetensors"
        ):
            read_tensors(tmp_path / name, section="network")
    assert not (tmp_path / "ran").exists()


def test_damaged_and_strange_files_are_named(files, tmp_path):
    whole = (files / "tiny.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.safetensors").write_bytes((files / "tiny.safetensors").read_bytes()[:5000])
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "other.pth")
    for name, says in (
        ("cut.pth", "cannot be read by the restricted unpickler"),
        ("cut.safetensors", "not a whole safetensors file"),
        ("list.pth", "holds a list"),
        ("other.pth", "needed is 'network' with tensors by name, or the tensors alone; it has model"),
    ):
        with pytest.raises(WeightsError, match=says):
            read_tensors(tmp_path / name, section="network")
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none.pth")


# ---- what stays as it was --------------------------------------------------------------------------------------------
def test_bundles_of_our_own_are_written_as_before(tiny_bundle, tmp_path):
    Bundle.load(tiny_bundle).save(tmp_path / "again")
    content = yaml.safe_load((tmp_path / "again" / "bundle.yaml").read_text())
    assert set(content) == {"format_version", "objects", "model", "weights_sha256", "provenance"}
    assert content == yaml.safe_load((tiny_bundle / "bundle.yaml").read_text())
    assert not {"bottleneck_bias", "input_scaling"} & set(content["model"])
    flagged = MRCNetConfig.small(1, bottleneck_bias=True).model_dump()
    assert flagged["bottleneck_bias"] is True
    assert "input_scaling" not in flagged
    demo = yaml.safe_load((ROOT / "demo" / "bundle" / "bundle.yaml").read_text())["model"]
    assert MRCNetConfig(**demo).model_dump(mode="json") == demo
    assert "conventions" not in yaml.safe_load((tiny_bundle / "bundle.yaml").read_text())
