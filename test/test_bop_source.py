"""Pictures of a BOP data set as training samples: poses and labels agree, and broken files do not stop a run."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from small_dataset import OBJECTS
from training_runs import tiny_trainer

from mrc_core.data import bop_source
from mrc_core.data.bop_crops import BopCrop, quarter_turns
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_files import BopDataError
from mrc_core.data.bop_models import write_models
from mrc_core.data.bop_source import BopSource, BopSourceConfig
from mrc_core.data.bop_writer import ImageRecord, InstanceRecord, SplitWriter
from mrc_core.data.object_set import load_objects
from mrc_core.geometry import ObjectModel, make_transform, site_from_translation
from mrc_core.geometry.rotations import random_rotations
from mrc_core.inference import Bundle
from mrc_core.rendering import create_renderer
from mrc_core.training.sources import MixedSource
from mrc_core.training.surface_coordinates import surface_points

SIZE = (180, 240)
CROP = 128
K = torch.tensor([[260.0, 0, 118], [0, 270, 92], [0, 0, 1]])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)



@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two scenes of three images, in each of which the three objects stand beside each other."""
    root = tmp_path_factory.mktemp("bop") / "small"
    write_models(root, OBJECTS)
    renderer = create_renderer("warp", [item.mesh for item in OBJECTS])
    rng = torch.Generator().manual_seed(0)
    writer = SplitWriter(root, "train_pbr")
    for scene in (1, 2):
        writer.write_scene(scene, [_image(renderer, rng) for _ in range(3)])
    return root


def _image(renderer, rng) -> ImageRecord:
    centres = torch.tensor([[-0.16, 0.02, 0.5], [0.0, -0.05, 0.45], [0.16, 0.03, 0.5]])
    rotation = random_rotations(3, rng)
    offset = torch.stack([item.centre for item in OBJECTS]).float()
    pose = make_transform(rotation, centres - (rotation @ offset[..., None]).squeeze(-1))
    image, index = torch.zeros(3, dtype=torch.long), torch.arange(3)
    scene = renderer.render_scenes(image, index, pose, K[None], SIZE)
    rgb = scene.rgb[0] + (1 - scene.coverage[0]) * 0.3
    alone = [renderer.render(index[i : i + 1], pose[i : i + 1], K[None], SIZE).mask[0].numpy() for i in range(3)]
    instances = [
        InstanceRecord(i + 1, pose[i].double().numpy(), alone[i], (0, 0), (scene.instance[0] == i).numpy())
        for i in range(3)
    ]
    pixels = (rgb.permute(1, 2, 0) * 255).byte().numpy()
    return ImageRecord(pixels, scene.depth_m[0].numpy(), K.double().numpy(), tuple(instances))


def source(root, tmp_path, part="training", objects=OBJECTS, log=lambda line: None, **changes) -> BopSource:
    config = BopSourceConfig(kind="bop", dataset=str(root), **{"held_out": 0.5, **changes})
    return BopSource(config, objects, CROP, 0, part, tmp_path / "index", log)


@pytest.fixture
def copied(dataset, tmp_path):
    """A copy of the data set that a test may damage."""
    return shutil.copytree(dataset, tmp_path / "small")


def test_the_same_number_gives_the_same_batch_and_another_another(dataset, tmp_path):
    made = source(dataset, tmp_path)
    first, again, other = made.batch(3, 6), source(dataset, tmp_path).batch(3, 6), made.batch(4, 6)
    for name, value in vars(first).items():
        assert torch.equal(value, getattr(again, name)), name
    assert not torch.equal(first.image, other.image)
    assert first.image.shape == (6, 4, CROP, CROP)
    assert first.visible.shape == (6, CROP // 4, CROP // 4)
    assert first.image.min() >= 0
    assert first.image.max() <= 1
    assert first.object_index.dtype == torch.int64


def test_visible_pixels_lie_on_the_mesh(dataset, tmp_path):
    """Depth, turned pose, crop intrinsics and the centred frame agree."""
    batch = source(dataset, tmp_path).batch(0, 24)
    points, valid = surface_points(batch.depth_m, batch.K, batch.cam_from_obj, CROP // 4)
    for i, item in enumerate(OBJECTS):
        rows = batch.object_index == i
        there = points[rows].permute(0, 2, 3, 1)[valid[rows]].numpy()
        assert len(there) > 500
        mesh = trimesh.Trimesh(item.centred_mesh.vertices, item.centred_mesh.faces)
        gap = trimesh.proximity.closest_point_naive(mesh, there[::10])[1]
        # a label is that of the nearest pixel of the picture: up to half a pixel, a millimetre, to the side
        assert np.median(gap) < 5e-4
        assert gap.max() < 4e-3


@pytest.mark.parametrize("turns", [True, False])
def test_the_crop_shows_the_object_as_its_truth_renders(dataset, tmp_path, turns, monkeypatch):
    monkeypatch.setattr(bop_source, "photometric", lambda image, rng: image)
    batch = source(dataset, tmp_path, turns=turns).batch(1, 16)
    renderer = create_renderer("warp", [item.centred_mesh for item in OBJECTS])
    rendering = renderer.render(batch.object_index, batch.cam_from_obj, batch.K, (CROP, CROP))
    shown = batch.depth_m > 0
    overlap = (rendering.mask & shown).sum((1, 2)) / (rendering.mask | shown).sum((1, 2))
    assert overlap.min() > 0.9
    both = (rendering.mask & shown)[:, None]
    difference = ((rendering.rgb - batch.image[:, :3]).abs() * both).sum() / (3 * both.sum())
    assert difference < 0.08  # the same picture but for the resolution
    assert (batch.visible.mean((1, 2)) - shown.float().mean((1, 2))).abs().max() < 1e-6


def test_a_quarter_turn_moves_every_projected_point_with_its_pixel():
    pose = make_transform(random_rotations(1, torch.Generator().manual_seed(1))[0], torch.tensor([0.02, -0.03, 0.5]))
    matrix = torch.tensor([[300.0, 0, 40], [0, 280, 70], [0, 0, 1]])
    picture = torch.arange(64.0 * 64).reshape(1, 64, 64)
    crop = BopCrop(picture, matrix, pose, picture[0] > 0, picture[0] > 5, picture[0])
    point = torch.tensor([0.01, 0.02, -0.01, 1.0])

    def pixel(c):
        x, y, z = (c.K @ (c.cam_from_obj @ point)[:3]).tolist()
        return x / z, y / z

    x, y = pixel(crop)
    turned = quarter_turns(crop, 1)
    assert pixel(turned) == pytest.approx((63 - y, x), abs=1e-3)
    assert turned.image[0, 10, 63 - 20] == crop.image[0, 20, 10]  # (column 10, row 20) comes to (63 - 20, 10)
    assert torch.linalg.det(turned.cam_from_obj[:3, :3]) == pytest.approx(1)
    whole = quarter_turns(quarter_turns(crop, 3), 1)
    assert pixel(whole) == pytest.approx((x, y), abs=1e-3)
    assert torch.equal(whole.image, crop.image)


def test_boxes_are_disturbed_as_far_as_the_settings_say(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(bop_source, "photometric", lambda image, rng: image)
    exact = source(dataset, tmp_path, box_shift=0, box_scale=(1, 1), turns=False).batch(0, 8)
    seen = exact.depth_m > 0
    side = torch.stack([seen.any(1).sum(1), seen.any(2).sum(1)]).amax(0)
    assert (side.float() - CROP / 1.5).abs().max() < 4  # the crop is 1.5 times as large as the box
    wide = source(dataset, tmp_path, turns=False).batch(0, 64)
    middle = torch.stack([(row > 0).float().nonzero().float().mean(0) for row in wide.depth_m])
    assert 6 < (middle - CROP / 2).std() < 30


def test_the_models_of_a_data_set_are_objects_to_train(copied, tmp_path):
    (copied / "models" / "objects.yaml").unlink()
    objects = load_objects(copied / "models")
    assert [item.class_id for item in objects] == ["wedge", "box", "disc"]
    assert [item.symmetries.is_trivial for item in objects] == [True, False, False]
    assert objects[1].mesh.texture is not None
    assert len(source(copied, tmp_path, objects=objects)) == 9


def test_what_is_held_out_is_never_trained_on(dataset, tmp_path):
    def pictures(part):
        made = source(dataset, tmp_path, part)
        index, rows = made._indices[0], np.concatenate(made._candidates)[:, 1]
        return {(int(index.scene_id[i]), int(index.image_id[i])) for i in index.image[rows]}

    assert pictures("training") == {(1, 0), (1, 1), (1, 2)}
    assert pictures("validation") == {(2, 0), (2, 1), (2, 2)}
    with pytest.raises(BopDataError, match="held_out"):
        source(dataset, tmp_path, "validation", held_out=0.1)


def test_depths_are_those_of_the_batch(dataset, tmp_path):
    made = source(dataset, tmp_path)
    object_index, tau_z = made.depths(7, 16)
    batch = made.batch(7, 16)
    assert torch.equal(object_index, batch.object_index)
    assert torch.allclose(tau_z, site_from_translation(batch.cam_from_obj[:, :3, 3], batch.K, CROP)[1], rtol=1e-4)


def test_weights_and_absent_objects(dataset, tmp_path):
    stranger = ObjectModel("stranger", OBJECTS[0].mesh, OBJECTS[0].symmetries)
    made = source(dataset, tmp_path, objects=[OBJECTS[0], stranger, OBJECTS[2]])
    drawn = made.batch(0, 32, torch.tensor([1.0, 50.0, 9.0])).object_index
    assert set(drawn.tolist()) == {0, 2}
    assert (drawn == 2).sum() > 3 * (drawn == 0).sum()


def test_classes_are_found_by_name_or_number_and_must_have_the_data_sets_mesh(dataset, tmp_path):
    renamed = [replace(item, class_id=f"part {i}") for i, item in enumerate(OBJECTS)]
    with pytest.raises(BopDataError, match="classes"):
        source(dataset, tmp_path, objects=renamed)
    made = source(dataset, tmp_path, objects=renamed, classes={"part 2": 3})
    assert set(made.batch(0, 8).object_index.tolist()) == {2}
    with pytest.raises(ValueError, match="bounding boxes"):
        source(dataset, tmp_path, objects=renamed, classes={"part 2": 1})
    with pytest.raises(ValueError, match="no object 9"):
        source(dataset, tmp_path, objects=renamed, classes={"part 2": 9})
    with pytest.raises(ValueError, match="mug"):
        source(dataset, tmp_path, classes={"mug": 1})
    moved = replace(OBJECTS[1].mesh, vertices=OBJECTS[1].mesh.vertices + np.float32(0.02))
    with pytest.raises(ValueError, match="bounding boxes"):
        source(dataset, tmp_path, objects=[ObjectModel("box", moved, OBJECTS[1].symmetries)])


def test_broken_pictures_are_passed_over_counted_and_reported(copied, tmp_path):
    scene = copied / "train_pbr" / "000001"
    (scene / "rgb" / "000000.png").write_bytes((scene / "rgb" / "000000.png").read_bytes()[:900])
    (scene / "mask_visib" / "000001_000002.png").unlink()
    lines = []
    made = source(copied, tmp_path, log=lines.append)
    batch, again = made.batch(0, 24), source(copied, tmp_path).batch(0, 24)
    assert torch.equal(batch.image, again.image)
    assert made.skipped > 5
    assert sum("passed over" in line for line in lines) == 1 + (made.skipped >= 10)
    assert "000000.png" in lines[-1] or "000001_000002.png" in lines[-1]
    for path in (scene / "rgb").iterdir():
        path.unlink()
    with pytest.raises(BopDataError, match=f"{bop_source.MAX_DRAWS} pictures"):
        source(copied, tmp_path).batch(0, 4)


def test_a_set_without_depth_has_none_and_a_broken_scene_is_left_out(copied, tmp_path):
    shutil.rmtree(copied / "train_pbr" / "000001" / "depth")
    (copied / "train_pbr" / "000002" / "scene_gt.json").write_text("{")
    lines = []
    made = source(copied, tmp_path, log=lines.append, held_out=0.01)
    batch = made.batch(0, 8)
    assert made.skipped == 0
    assert batch.depth_m.abs().max() == 0
    assert batch.visible.amax((1, 2)).min() > 0.9
    assert any("scene 2 is left out" in line for line in lines)


def test_the_index_is_read_once_and_again_when_the_truth_changes(copied, tmp_path, monkeypatch):
    source(copied, tmp_path)
    read = []
    genuine = BopDataset.images
    monkeypatch.setattr(BopDataset, "images", lambda self, i: read.append(i) or genuine(self, i))
    source(copied, tmp_path)
    assert read == []
    path = copied / "train_pbr" / "000001" / "scene_gt_info.json"
    path.write_text(path.read_text() + " ")
    source(copied, tmp_path)
    assert read == [1, 2]
    kept = next((tmp_path / "index").iterdir())
    kept.write_bytes(kept.read_bytes()[:500])
    source(copied, tmp_path)
    assert read == [1, 2, 1, 2]


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ValueError, match="box_scale"):
        BopSourceConfig(kind="bop", dataset="x", box_scale=(1.2, 0.8))


def test_a_run_mixes_rendered_scenes_with_pictures(dataset, tmp_path):
    sources = [
        {"kind": "synthetic", "weight": 1},
        {"kind": "bop", "weight": 3, "dataset": str(dataset), "held_out": 0.5},
    ]
    lines = []
    run = tiny_trainer(tmp_path, OBJECTS, lines.append, sources=sources, steps=2, prefetch_workers=2)
    assert isinstance(run.source, MixedSource)
    assert [run.source.counts(i, 4) for i in range(3)] == [[1, 3]] * 3
    run.train()
    assert any("instances, 9 more for validation" in line for line in lines)
    assert Bundle.load(tmp_path / "bundle").provenance["data"] == [
        "synthetic scenes rendered on the fly from the meshes (weight 1)",
        "small train_pbr (weight 3)",
    ]


def test_an_object_that_no_source_shows_is_named(dataset, tmp_path):
    stranger = ObjectModel("stranger", OBJECTS[0].mesh, OBJECTS[0].symmetries)
    with pytest.raises(ValueError, match="no source shows stranger"):
        tiny_trainer(
            tmp_path,
            [OBJECTS[0], stranger],
            sources=[{"kind": "bop", "dataset": str(dataset), "held_out": 0.5}],
        )


def test_shares_of_mixed_sources_are_exact_on_average():
    mixed = MixedSource([None, None, None], [1, 2, 0.2], seed=0)
    counts = torch.tensor([mixed.counts(i, 5) for i in range(2000)]).float()
    assert (counts.sum(1) == 5).all()
    assert torch.allclose(counts.mean(0), torch.tensor(mixed.shares * 5).float(), atol=0.06)
    assert mixed.counts(3, 5) == mixed.counts(3, 5)
    assert (counts.amax(0) - counts.amin(0) <= 2).all()
    with pytest.raises(ValueError, match="positive weights"):
        MixedSource([None], [0.0], seed=0)
