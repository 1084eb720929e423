"""The reader of BOP data sets: layouts that differ, units, and what is missing or damaged."""

import json
import shutil

import cv2
import numpy as np
import pytest
from evaluation_data import change_json, synthesize

from mrc_core.data.bop_dataset import BopDataset, Target
from mrc_core.data.bop_files import BopDataError
from mrc_core.data.bop_objects import YCBV_NAMES, read_points


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("bop") / "set")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "set")


def test_millimetres_become_metres(folder):
    dataset = BopDataset(folder)
    scene = folder / "test" / "000001"
    truth = json.loads((scene / "scene_gt.json").read_text())["0"][0]
    camera = json.loads((scene / "scene_camera.json").read_text())["0"]
    image = dataset.images(1)[0]
    first = image.ground_truth[0]
    assert first.cam_from_obj[:3, 3] * 1000 == pytest.approx(truth["cam_t_m2c"], abs=1e-9)
    assert first.cam_from_obj[:3, :3].flatten().tolist() == truth["cam_R_m2c"]
    assert image.K.flatten().tolist() == camera["cam_K"]
    raw = cv2.imread(str(scene / "depth" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert np.allclose(dataset.depth_m(1, 0), raw * camera["depth_scale"] / 1000, atol=1e-7)
    assert dataset.rgb(1, 0).tolist() == cv2.imread(str(scene / "rgb" / "000000.png"))[..., ::-1].tolist()
    item = next(item for item in dataset.objects.values() if item.name == "disc")
    assert item.diameter == pytest.approx(np.hypot(0.1, 0.04), abs=1e-4)
    assert np.ptp(item.points, axis=0) == pytest.approx([0.1, 0.1, 0.04], abs=1e-6)
    assert len(item.symmetries.transforms()) == 630


def test_boxes_and_masks_belong_to_their_instance(folder):
    dataset = BopDataset(folder)
    for truth in dataset.images(1)[1].ground_truth:
        mask = dataset.mask(1, 1, truth.gt_id)
        if not mask.any():
            assert truth.visib_fract == 0
            continue
        rows, columns = mask.nonzero()
        box = (columns.min(), rows.min(), columns.max(), rows.max())
        assert truth.box_visib_xyxy_px == pytest.approx(box)
        whole = dataset.mask(1, 1, truth.gt_id, visible=False)
        assert (mask & ~whole).sum() == 0


def test_points_are_the_vertices_as_stored(tmp_path):
    """Errors are means over vertices: none may be merged, dropped for want of a face, or split at texture seams."""
    path = tmp_path / "m.ply"
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n"
        "0 0 0\n100 0 0\n0 50 0\n100 0 0\n7 8 9\n3 0 1 2 6 0 0 1 0 0 1\n3 0 3 2 6 0 1 1 1 0 1\n"
    )
    assert read_points(path).tolist() == [[0, 0, 0], [0.1, 0, 0], [0, 0.05, 0], [0.1, 0, 0], [0.007, 0.008, 0.009]]


def test_grey_tif_and_jpg_pictures_are_found(folder):
    scene = folder / "test" / "000001"
    picture = cv2.imread(str(scene / "rgb" / "000000.png"), cv2.IMREAD_GRAYSCALE)
    (scene / "gray").mkdir()
    shutil.rmtree(scene / "rgb")
    cv2.imwrite(str(scene / "gray" / "000000.tif"), picture)
    cv2.imwrite(str(scene / "gray" / "000001.jpg"), picture)
    dataset = BopDataset(folder)
    assert np.array_equal(dataset.rgb(1, 0), np.repeat(picture[..., None], 3, axis=2))
    assert dataset.rgb(1, 1).shape == (180, 240, 3)
    assert dataset.image_size(1, 0) == (240, 180)
    with pytest.raises(BopDataError, match="no picture 000002"):
        dataset.rgb(1, 2)
    assert dataset.image_size(1, 2) == (240, 180)  # camera.json tells


def test_a_split_may_name_its_sensor(folder):
    (folder / "test").rename(folder / "test_primesense")
    dataset = BopDataset(folder)
    assert dataset.folder.name == "test_primesense"
    assert dataset.split == "test"
    assert dataset.scene_ids == [1, 2]
    with pytest.raises(BopDataError, match="no split 'val': choose from test_primesense"):
        BopDataset(folder, "val")


def test_targets_of_a_file_and_of_the_ground_truth_agree(folder):
    listed = BopDataset(folder).targets()
    (folder / "test_targets_bop19.json").unlink()
    derived = BopDataset(folder).targets()
    assert set(listed) == set(derived)
    assert all(isinstance(one, Target) and one.count > 0 for one in derived)
    assert max(one.count for one in derived) == 2


def test_names_of_objects(folder):
    assert [item.name for item in BopDataset(folder).objects.values()] == ["wedge", "disc", "box"]
    for models in ("models", "models_eval"):
        path = folder / models / "models_info.json"
        change_json(path, lambda info: {k: {a: b for a, b in v.items() if a != "name"} for k, v in info.items()})
    assert [i.name for i in BopDataset(folder).objects.values()] == [f"obj_00000{n}" for n in (1, 2, 3)]
    assert BopDataset(folder, name="ycbv").objects[1].name == "002_master_chef_can"
    assert len(YCBV_NAMES) == 21


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("harm", "use", "says"),
    [
        (lambda f: cut(f / "test/000001/depth/000000.png"), lambda d: d.depth_m(1, 0), "cut short or damaged"),
        (lambda f: cut(f / "test/000001/rgb/000000.png"), lambda d: d.rgb(1, 0), "cut short or damaged"),
        (lambda f: (f / "test/000001/depth/000000.png").unlink(), lambda d: d.depth_m(1, 0), "no depth picture"),
        (lambda f: (f / "test/000001/scene_camera.json").unlink(), lambda d: d.images(1), "scene_camera.json is"),
        (lambda f: (f / "test/000001/scene_gt_info.json").unlink(), lambda d: d.images(1), "scene_gt_info.json is"),
        (lambda f: cut(f / "test/000001/scene_gt.json"), lambda d: d.images(1), "not valid JSON"),
        (lambda f: shutil.rmtree(f / "test/000001"), lambda d: d.images(1), "000001 is missing"),
        (
            lambda f: change_json(f / "test/000001/scene_camera.json", lambda c: {"0": {"cam_K": [1, 2]}}),
            lambda d: d.images(1),
            "image 0 is not described",
        ),
        (
            lambda f: change_json(f / "test/000001/scene_gt_info.json", lambda c: {k: v[1:] for k, v in c.items()}),
            lambda d: d.images(1),
            "instances in scene_gt.json",
        ),
        (lambda f: change_json(f / "test_targets_bop19.json", lambda t: [{}]), lambda d: d.targets(), "entry 0"),
        (lambda f: change_json(f / "test_targets_bop19.json", lambda t: [*t, t[0]]), lambda d: d.targets(), "twice"),
        (lambda f: cut(f / "models_eval/obj_000001.ply"), lambda d: d.objects[1].points, "damaged"),
    ],
)
def test_what_is_missing_or_damaged_is_named(folder, harm, use, says):
    harm(folder)
    with pytest.raises(BopDataError, match=says):
        use(BopDataset(folder))


def test_a_scene_may_come_without_its_ground_truth(folder):
    (folder / "test/000001/scene_gt.json").unlink()
    dataset = BopDataset(folder)
    assert not dataset.has_ground_truth(1)
    assert dataset.has_ground_truth(2)
    assert all(image.ground_truth == () for image in dataset.images(1).values())


def test_folders_that_are_no_data_set(folder, tmp_path):
    with pytest.raises(BopDataError, match="is not a folder"):
        BopDataset(tmp_path / "none")
    with pytest.raises(BopDataError, match="no folder in it holds scenes"):
        BopDataset(tmp_path)
    for models in ("models", "models_eval"):
        shutil.rmtree(folder / models)
    with pytest.raises(BopDataError, match="models_info"):
        BopDataset(folder)
