"""Files of a synthetic BOP data set: their truth, checked without the code that wrote them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh
from small_dataset import (
    IMAGES,
    OBJECTS,
    SCENES,
    SIZE,
    instances,
    make_models,
    plain_disc,
    read_json,
    read_png,
    synthesize,
    textured_box,
)

from mrc_core.data.bop_models import model_info, surface_alone, write_ply
from mrc_core.data.bop_writer import InstanceRecord, clip_to_image, depth_picture, instance_info
from mrc_core.data.object_set import load_objects
from mrc_core.geometry import Mesh, ObjectModel, SymmetrySet
from mrc_core.rendering import create_renderer


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def dataset(models, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    assert synthesize(models, folder) == 0
    return folder


# ---- models ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: item.class_id)
def test_a_ply_gives_the_mesh_back(item, tmp_path):
    write_ply(tmp_path / "m.ply", item.mesh)
    again = Mesh.load(tmp_path / "m.ply", unit="mm")
    assert np.abs(again.vertices - item.mesh.vertices).max() < 1e-6
    assert np.array_equal(again.faces, item.mesh.faces)
    assert np.array_equal(again.normals, item.mesh.normals)
    for key in ("uv", "texture", "vertex_colors"):
        wanted, got = getattr(item.mesh, key), getattr(again, key)
        assert (wanted is None and got is None) or np.array_equal(wanted, got), key
    header = (tmp_path / "m.ply").read_bytes().split(b"end_header")[0].decode()
    assert header.startswith("ply\nformat binary_little_endian 1.0\n")
    assert ("TextureFile m.png" in header) == (item.mesh.texture is not None)
    wanted = {"box": "texture_u texture_v", "wedge": "red green blue", "disc": ""}[item.class_id].split()
    properties = [line.split()[-1] for line in header.splitlines() if line.startswith("property")]
    assert properties == ["x", "y", "z", "nx", "ny", "nz", *wanted, "vertex_indices"]


def test_models_for_errors_have_each_place_once():
    bare = surface_alone(textured_box())
    assert len(bare.vertices) == 8
    assert bare.texture is None
    assert bare.diameter == pytest.approx(textured_box().diameter, abs=1e-7)
    assert trimesh.Trimesh(bare.vertices, bare.faces).is_watertight
    loose = Mesh(np.vstack([plain_disc().vertices, [[1, 1, 1]]]), plain_disc().faces)
    assert len(surface_alone(loose).vertices) == len(plain_disc().vertices)
    assert model_info(ObjectModel("a", loose, SymmetrySet()))["size_x"] == pytest.approx(100, abs=0.1)


def test_models_info_is_in_millimetres(models):
    info = read_json(models / "models_info.json")
    assert info == read_json(models.parent / "models_eval" / "models_info.json")
    assert list(info) == ["1", "2", "3"]
    assert [entry["name"] for entry in info.values()] == ["wedge", "box", "disc"]
    box = info["2"]
    assert box["diameter"] == pytest.approx(np.linalg.norm([80, 50, 110]), abs=1e-3)
    assert [box[f"min_{a}"] for a in "xyz"] == pytest.approx([-10, -25, -5], abs=1e-3)
    assert [box[f"size_{a}"] for a in "xyz"] == pytest.approx([80, 50, 110], abs=1e-3)
    assert np.reshape(box["symmetries_discrete"], (4, 4))[0] == pytest.approx([-1, 0, 0, 60])
    assert info["3"]["symmetries_continuous"] == [{"axis": [0, 0, 1], "offset": [0, 0, 10]}]
    assert "symmetries_discrete" not in info["1"]


def test_models_can_be_trained_on(models):
    again = load_objects(models)
    assert [item.class_id for item in again] == ["wedge", "box", "disc"]
    for a, b in zip(OBJECTS, again):
        assert b.diameter == pytest.approx(a.diameter, abs=1e-6)
        assert torch.allclose(b.symmetries.transforms(8), a.symmetries.transforms(8), atol=1e-9)
        assert (a.mesh.texture is None) == (b.mesh.texture is None)


# ---- the records of an instance --------------------------------------------------------------------------------------
def test_boxes_and_counts_of_a_truncated_instance_by_hand():
    """A silhouette of 6 x 5 px from column -4, row 3 in an image of 8 x 10: two of its columns are inside."""
    silhouette = np.zeros((9, 8), bool)
    silhouette[2:7, 1:7] = True  # columns -4..1, rows 3..7
    visible = np.zeros((8, 10), bool)
    visible[3:6, 0:2] = True
    depth = np.full((8, 10), 500, np.uint16)
    depth[3, 0] = 0
    info = instance_info(InstanceRecord(1, np.eye(4), silhouette, (-5, 1), visible), depth)
    assert info["bbox_obj"] == [-4, 3, 5, 4]
    assert info["bbox_visib"] == [0, 3, 1, 2]
    assert (info["px_count_all"], info["px_count_valid"], info["px_count_visib"]) == (30, 9, 6)
    assert info["visib_fract"] == pytest.approx(0.2)


def test_an_instance_that_is_nowhere():
    nothing = InstanceRecord(1, np.eye(4), np.zeros((3, 3), bool), (50, 50), np.zeros((8, 10), bool))
    info = instance_info(nothing, np.ones((8, 10), np.uint16))
    assert info["bbox_obj"] == info["bbox_visib"] == [-1, -1, -1, -1]
    assert info["visib_fract"] == info["px_count_all"] == 0
    outside = InstanceRecord(1, np.eye(4), np.ones((3, 3), bool), (-50, 50), np.zeros((8, 10), bool))
    info = instance_info(outside, np.ones((8, 10), np.uint16))
    assert info["bbox_obj"] == [-50, 50, 2, 2]
    assert info["bbox_visib"] == [-1, -1, -1, -1]
    assert (info["px_count_all"], info["px_count_valid"], info["visib_fract"]) == (9, 0, 0)


def test_clipping_a_silhouette_that_is_larger_than_the_image():
    big = np.arange(20 * 30).reshape(20, 30) % 3 == 0
    assert np.array_equal(clip_to_image(big, (-7, -5), (8, 10)), big[5:13, 7:17])


def test_depth_beyond_16_bits_is_unknown():
    values = depth_picture(np.array([[0.0, 1.0, 6.5535, 6.5537, np.inf, np.nan, -1]]), 0.1)
    assert values.tolist() == [[0, 10000, 65535, 0, 0, 0, 0]]


# ---- the pictures ----------------------------------------------------------------------------------------------------
def first_hit_z(corners: np.ndarray, ray: np.ndarray) -> float:
    """z of the nearest intersection of a ray from the origin (z of its direction 1) with triangles (F, 3, 3)."""
    a, edge1, edge2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = np.cross(ray, edge2)
    determinant = (edge1 * p).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (-a * p).sum(axis=1) / determinant
        q = np.cross(-a, edge1)
        v = (q @ ray) / determinant
        t = (edge2 * q).sum(axis=1) / determinant
    hits = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    return float(t[hits].min()) if hits.any() else np.inf


def test_depth_is_where_pose_and_camera_put_the_surface(dataset):
    """Rays through visible pixels, met with the triangles of models/ under scene_gt and scene_camera."""
    rng = np.random.default_rng(0)
    meshes = {i + 1: Mesh.load(dataset / "models" / f"obj_{i + 1:06d}.ply", unit="mm") for i in range(3)}
    checked = 0
    for scene, key, number, K, pose, truth, _ in instances(dataset):
        depth_mm = read_png(scene / "depth" / f"{int(key):06d}.png") * 0.1
        visible = read_png(scene / "mask_visib" / f"{int(key):06d}_{number:06d}.png") > 0
        inner = (
            cv2.erode(visible.astype(np.uint8), np.ones((3, 3))) > 0
        )  # a pixel of the rim may go either way
        rows, columns = np.nonzero(inner & (depth_mm > 0))
        mesh = meshes[truth["obj_id"]]
        corners = (mesh.vertices @ pose[:3, :3].T + pose[:3, 3])[mesh.faces]
        for i in rng.permutation(len(rows))[:12]:
            ray = np.linalg.inv(K) @ [columns[i], rows[i], 1]
            assert abs(first_hit_z(corners, ray) * 1000 - depth_mm[rows[i], columns[i]]) < 0.2
            checked += 1
    assert checked > 200


def test_masks_counts_and_boxes_agree(dataset):
    classes = set()
    for scene, key, number, _, _, truth, info in instances(dataset):
        name = f"{int(key):06d}_{number:06d}.png"
        mask, visible = read_png(scene / "mask" / name), read_png(scene / "mask_visib" / name)
        assert mask.shape == visible.shape == SIZE
        assert set(np.unique(mask)) | set(np.unique(visible)) <= {0, 255}
        assert not (visible & ~mask).any()
        depth = read_png(scene / "depth" / f"{int(key):06d}.png")
        assert depth.dtype == np.uint16
        assert info["px_count_visib"] == (visible > 0).sum()
        assert info["px_count_valid"] == ((mask > 0) & (depth > 0)).sum()
        assert (mask > 0).sum() <= info["px_count_all"]
        assert info["visib_fract"] == pytest.approx(info["px_count_visib"] / info["px_count_all"])
        if (visible > 0).any():
            rows, columns = np.nonzero(visible)
            box = [columns.min(), rows.min(), np.ptp(columns), np.ptp(rows)]
            assert info["bbox_visib"] == box
            assert 2 * (depth[visible > 0] == 0).sum() <= (visible > 0).sum()  # no hole over a whole object
        classes.add(truth["obj_id"])
    assert classes == {1, 2, 3}


def test_whole_silhouettes_are_those_of_a_larger_canvas(dataset):
    """px_count_all and bbox_obj against a picture of three times the size around the image."""
    meshes = [item.mesh for item in load_objects(dataset / "models")]
    renderer = create_renderer("warp", meshes)
    height, width = SIZE
    truncated, shifts = 0, []
    for _, _, _, K, pose, truth, info in instances(dataset):
        shifted = torch.tensor(K)[None].clone()
        shifted[0, :2, 2] += torch.tensor([width, height])
        index = torch.tensor([truth["obj_id"] - 1])
        mask = (
            renderer.render(index, torch.tensor(pose)[None], shifted, (3 * height, 3 * width)).mask[0].numpy()
        )
        rows, columns = np.nonzero(mask)
        assert abs(int(mask.sum()) - info["px_count_all"]) <= 3
        box = [columns.min() - width, rows.min() - height, np.ptp(columns), np.ptp(rows)]
        shifts.append(np.abs(np.array(box) - info["bbox_obj"]))
        x, y, w, h = info["bbox_obj"]
        if x < 0 or y < 0 or x + w >= width or y + h >= height:
            truncated += 1
            assert info["visib_fract"] < 1
    assert truncated >= 2
    assert np.max(shifts) <= 1  # a pixel of the rim may go either way,
    assert np.mean(shifts) < 0.05  # but hardly ever does


def test_objects_hide_each_other_and_come_twice(dataset):
    fractions = [info["visib_fract"] for *_, info in instances(dataset)]
    assert 0.2 < np.mean([v < 0.9 for v in fractions]) < 0.8
    counts = [t["inst_count"] for t in read_json(dataset / "test_targets_bop19.json")]
    assert max(counts) == 2


def test_targets_and_camera(dataset):
    wanted: dict[tuple[int, int, int], int] = {}
    for scene, key, _, _, _, truth, info in instances(dataset):
        if info["visib_fract"] >= 0.1:
            where = (int(scene.name), int(key), truth["obj_id"])
            wanted[where] = wanted.get(where, 0) + 1
    targets = read_json(dataset / "test_targets_bop19.json")
    assert all(list(t) == ["im_id", "inst_count", "obj_id", "scene_id"] for t in targets)
    assert {(t["scene_id"], t["im_id"], t["obj_id"]): t["inst_count"] for t in targets} == wanted
    camera, first = (
        read_json(dataset / "camera.json"),
        read_json(dataset / "test/000001/scene_camera.json")["0"],
    )
    assert (camera["width"], camera["height"], camera["depth_scale"]) == (160, 120, 0.1)
    K = np.reshape(first["cam_K"], (3, 3))
    assert [camera[k] for k in ("fx", "fy", "cx", "cy")] == [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]
    other = read_json(dataset / "test/000002/scene_camera.json")
    assert len({json.dumps(entry) for entry in other.values()}) == 1
    assert other["0"]["cam_K"] != first["cam_K"]


def test_depth_is_filled_but_for_some_holes(dataset):
    holes = [np.mean(read_png(p) == 0) for p in sorted(dataset.glob("test/*/depth/*.png"))]
    assert len(holes) == SCENES * IMAGES
    assert max(holes) < 0.1
    assert max(holes) > 0


def test_pictures_and_preview(dataset):
    for path in sorted(dataset.glob("test/*/rgb/*.png")):
        picture = read_png(path)
        assert picture.shape == (*SIZE, 3)
        assert picture.std() > 10
    assert read_png(dataset / "preview.jpg").shape == (3 * SIZE[0], 3 * SIZE[1], 3)
