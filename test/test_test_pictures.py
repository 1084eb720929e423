"""The demo's test pictures, all that needs no Blender: what is drawn, how it is described, and what is assembled."""

from __future__ import annotations

import ast
import json
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_detections import read_bop_detections
from mrc_core.data.bop_writer import clip_to_image
from mrc_core.data.object_set import load_objects
from mrc_core.geometry.mesh import Mesh

DEMO = Path(__file__).resolve().parent.parent / "demo"
sys.path.insert(0, str(DEMO))  # the demo's scripts are no installed package

import make_test_pictures  # noqa: E402
from pictures.arranging import Arrangement  # noqa: E402
from pictures.assembling import assemble  # noqa: E402
from pictures.describing import RAW_WHITE, describe, read_description, write_descriptions  # noqa: E402
from pictures.drawing import Picture, draw_picture, prop_of  # noqa: E402
from pictures.places import PLACES  # noqa: E402
from pictures.resting import find_top, pose_on, resting, stands_firmly, table_top  # noqa: E402
from pictures.sensor import develop, read_raw  # noqa: E402
from pictures.solids import sheet, slab, swept, turned, wedge  # noqa: E402
from pictures.stationery import binder, book  # noqa: E402
from pictures.things import Placed  # noqa: E402
from pictures.truth import Observer  # noqa: E402
from recording.trajectory import K as K_OF_THE_RECORDING  # noqa: E402

SIZE = (120, 160)
SEED = 3
CELL_M = 0.003


@pytest.fixture(scope="module")
def objects():
    return load_objects(DEMO / "objects")


@pytest.fixture(scope="module")
def pictures(objects) -> list[Picture]:
    """One of each place."""
    return [draw_picture(objects, scene_id, 1, SIZE, SEED) for scene_id in range(1, len(PLACES) + 1)]


def on_the_table(picture: Picture) -> list[Placed]:
    """What was put or laid, without table and room: those are modelled where they stand."""
    return [item for item in picture.things if not np.array_equal(item.world_from_prop, np.eye(4))]


def columns_of(item: Placed) -> dict[tuple[int, int], tuple[float, float]]:
    """Lowest and highest z over each cell of a grid that a thing covers."""
    prop = item.prop
    cloud = Mesh(prop.vertices.astype(np.float32), prop.faces.astype(np.int32)).sample_points(8000)
    cloud = np.concatenate([cloud, prop.vertices])
    points = cloud @ item.world_from_prop[:3, :3].T + item.world_from_prop[:3, 3]
    cells, place = np.unique(np.floor(points[:, :2] / CELL_M).astype(int), axis=0, return_inverse=True)
    low, high = np.full(len(cells), np.inf), np.full(len(cells), -np.inf)
    np.minimum.at(low, place.ravel(), points[:, 2])
    np.maximum.at(high, place.ravel(), points[:, 2])
    return {tuple(cell): (a, b) for cell, a, b in zip(cells.tolist(), low, high)}


# ---- what is drawn ---------------------------------------------------------------------------------------------------
def test_a_picture_depends_on_its_numbers_and_the_seed_alone(objects, pictures):
    again = describe(draw_picture(objects, 2, 1, SIZE, SEED))
    assert json.dumps(again) == json.dumps(describe(pictures[1]))
    assert describe(draw_picture(objects, 2, 1, SIZE, SEED + 1))["raw"] != again["raw"]


def test_things_rest_on_the_table_or_on_each_other_and_none_cuts_into_another(pictures):
    carried = 0
    for picture in pictures:
        things = on_the_table(picture)
        reach = np.concatenate([item.points[:, :2] for item in things]) / PLACES[picture.scene_id - 1].table
        assert np.abs(reach).max() <= 0.5  # nothing hangs over the edge
        solid = [columns_of(item) for item in things if item.prop.kind != "paper"]
        for number, columns in enumerate(solid):
            lowest = min(low for low, _ in columns.values())
            assert lowest > -0.002
            gaps = [lowest]  # to the table and to whatever is below
            for other in range(len(solid)):
                shared = columns.keys() & solid[other].keys()
                if other == number or not shared:
                    continue
                above = min(columns[cell][0] - solid[other][cell][1] for cell in shared)
                below = min(solid[other][cell][0] - columns[cell][1] for cell in shared)
                assert max(above, below) > -0.002
                if above > below:
                    gaps.append(above)
            assert min(gaps) < 0.002
            carried += lowest > 0.005
    assert carried > 0  # the test has seen something upon something


def test_objects_are_visible_enough_and_the_quick_look_agrees_with_the_truth(pictures):
    fractions = []
    for picture in pictures:
        observer = Observer(picture.things)
        record = observer.record(picture.K, SIZE, picture.cam_from_world, np.zeros((*SIZE, 3), np.uint8))
        exact = [item.visible.sum() / item.silhouette.sum() for item in record.instances]
        quick = observer.visible_fractions(picture.K, SIZE, picture.cam_from_world[None])[0]
        np.testing.assert_allclose(quick, exact, atol=0.03)
        assert 2 <= len(exact) <= 4
        fractions += exact
    assert np.mean(np.array(fractions) >= 0.29) > 0.8
    assert np.mean(np.array(fractions) < 0.9) > 0.2


def test_cameras_are_those_of_the_places_and_of_nobody_else():
    seen = set()
    for place in PLACES:
        K = place.K((480, 640))
        assert (K[0, 0], K[1, 1], K[0, 2], K[1, 2]) == pytest.approx(place.camera)
        assert 0.005 < abs(K[0, 0] / K[1, 1] - 1) < 0.015
        assert np.abs(K[:2, 2] - (319.5, 239.5)).max() > 5
        assert np.abs(K - K_OF_THE_RECORDING).max() > 10
        seen.add(K[0, 0])
        corner = np.array([-0.5, -0.5, 1.0])  # every size shows the same field of view
        np.testing.assert_allclose(np.linalg.solve(K, corner), np.linalg.solve(place.K((240, 320)), corner))
    assert len(seen) == 5
    assert min(seen) < 0.75 * 640  # wider and longer than training draws
    assert max(seen) > 1.7 * 640


def test_every_material_is_one_that_the_other_side_knows(pictures):
    tree = ast.parse((DEMO / "blender" / "patterns.py").read_text())
    known = {"flat", "paint", "print", "glow", "planks"}
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "PATTERNS":
            known |= {key.value for key in node.value.keys}
    tops = [top for place in PLACES for top in place.tops]
    parts = [part for picture in pictures for item in picture.things for part in item.prop.parts]
    assert {spec["kind"] for spec in [*tops, *(part.material for part in parts)]} <= known
    for part in parts:
        assert (part.material["kind"] == "print") == (part.texture is not None)
        assert part.material["kind"] != "print" or part.surface.uv is not None


# ---- how things rest -------------------------------------------------------------------------------------------------
def test_resting_poses_are_stable(objects):
    table = table_top((1.0, 1.0))
    for item in objects:
        prop = prop_of(item, np.random.default_rng(0))
        rest = resting(prop)
        assert len(rest.rotations) >= 6
        assert rest.rotations[0][2, 2] == pytest.approx(1)  # the first one stands
        firm = 0
        for rotation, probability in zip(rest.rotations, rest.probability):
            pose = pose_on(table, prop, rotation, np.zeros(2))
            assert Placed(prop, pose).points[:, 2].min() == pytest.approx(0, abs=1e-9)
            firm += probability * stands_firmly(table, prop, pose)
        assert firm > 0.45 or item.class_id == "flask"  # the flask lies on a line, and could roll


def test_things_stand_upon_others_only_where_their_weight_is_carried(objects):
    rng = np.random.default_rng(1)
    box = prop_of(objects[0], rng)
    table = Arrangement((1.0, 0.8))
    assert table.put(book(rng), np.eye(3), (0.1, 0.1))
    assert table.put_upon(box, np.eye(3), 0, rng)
    top = find_top(table.placed[0])
    pose = table.placed[1].world_from_prop
    assert stands_firmly(top, box, pose)
    beside = pose.copy()
    beside[:2, 3] = top.outline_xy.max(axis=0) + 0.01
    assert not stands_firmly(top, box, beside)


def test_a_slanting_top_tilts_what_stands_on_it(objects):
    rng = np.random.default_rng(2)
    folder, flask = binder(rng), prop_of(objects[3], rng)
    placed = Placed(folder, np.eye(4))
    top = find_top(placed)
    pose = pose_on(top, flask, np.eye(3), top.outline_xy.mean(axis=0))
    tilt = np.degrees(np.arccos(pose[2, 2]))
    assert 5 < tilt < 17
    np.testing.assert_allclose(pose[:3, 2], folder.deck, atol=1e-6)
    above = (Placed(flask, pose).points - top.origin) @ top.plane[:, 2]
    assert above.min() == pytest.approx(0, abs=1e-9)


def test_surfaces_face_outwards():
    ring = np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0.05, 0.02]])
    u, v = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 4))
    shapes = [slab((0, 0, 0), (1, 2, 3)), wedge(1, 1, 0.2, 0.5), turned([(0, 0), (1, 0), (1, 1), (0, 1)])]
    shapes += [swept(ring, 0.01), sheet(np.stack([u, v, 0 * u], axis=-1))]
    for shape in shapes:
        corners = shape.vertices[shape.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        agree = np.einsum("fx,fx->f", across, shape.normals[shape.faces].mean(axis=1))
        assert (agree[np.linalg.norm(across, axis=1) > 1e-12] > 0).all()
    volumes = [np.linalg.det(s.vertices[s.faces]).sum() / 6 for s in shapes[:3]]
    assert volumes == pytest.approx([6, 0.35, np.pi], rel=0.01)


# ---- how it is described ---------------------------------------------------------------------------------------------
def test_descriptions_come_back_as_they_were(pictures, tmp_path):
    stored = write_descriptions(tmp_path, pictures[:2])
    for item, picture in zip(stored, pictures):
        back = read_description(item.description)
        assert json.dumps(describe(back)) == json.dumps(describe(picture))
        assert item.raw.parent == tmp_path / "raw"
        assert not item.raw.exists()
    # meshes are shared, and those that no picture names any more may stay: they are not looked at
    assert write_descriptions(tmp_path, pictures[1:2])[0] == stored[1]
    assert [path.name for path in (tmp_path / "descriptions").iterdir()] == ["000002_000001.json"]


def test_a_raw_picture_is_known_by_all_that_it_depends_on(pictures):
    picture = pictures[0]
    name = describe(picture)["raw"]
    changed = dict(vars(picture))
    assert describe(Picture(**changed | {"sensor": {"noise": 9.0}}))["raw"] == name  # developing comes later
    for key, value in {
        "lens": {"f_number": 1.4, "focus_m": 1.0},
        "seed": 5,
        "lights": picture.lights[1:],
    }.items():
        assert describe(Picture(**changed | {key: value}))["raw"] != name


# ---- what is assembled -----------------------------------------------------------------------------------------------
def stand_in(path: Path) -> np.ndarray:
    """A linear picture (H, W, 3) in place of a rendered one."""
    return np.random.default_rng(zlib.crc32(path.name.encode())).uniform(0.05, 0.4, (*SIZE, 3))


@pytest.fixture(scope="module")
def dataset(objects, pictures, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    stored = write_descriptions(folder / "source", pictures[:2])
    targets, detections = assemble(folder, objects, stored, 0.07, SEED, read=stand_in)
    assert targets == detections > 3
    return folder


def test_the_data_set_has_the_truth(dataset, pictures):
    data = BopDataset(dataset)
    assert [info.name for info in data.objects.values()] == ["tea_box", "bracket", "toolbox", "flask"]
    for picture in pictures[:2]:
        image = data.images(picture.scene_id)[0]
        np.testing.assert_allclose(image.K, picture.K)
        ours = [item for item in picture.things if item.obj_id]
        assert [truth.obj_id for truth in image.ground_truth] == [item.obj_id for item in ours]
        for truth, item in zip(image.ground_truth, ours):
            np.testing.assert_allclose(
                truth.cam_from_obj, picture.cam_from_world @ item.world_from_prop, atol=1e-9
            )


def test_depth_is_where_rays_meet_the_table(dataset, pictures):
    picture = pictures[0]
    record = Observer(picture.things).record(
        picture.K, SIZE, picture.cam_from_world, np.zeros((*SIZE, 3), np.uint8)
    )
    stored = (
        cv2.imread(str(dataset / "test" / "000001" / "depth" / "000000.png"), cv2.IMREAD_UNCHANGED) * 2e-4
    )
    np.testing.assert_allclose(stored, np.where(record.depth_m < 13, record.depth_m, 0), atol=1.1e-4)
    rows, columns = np.indices(SIZE)
    rays = (
        np.stack([columns, rows, np.ones(SIZE)], axis=-1)
        @ np.linalg.inv(picture.K).T
        @ picture.cam_from_world[:3, :3]
    )
    eye = -picture.cam_from_world[:3, :3].T @ picture.cam_from_world[:3, 3]
    table = -eye[2] / rays[..., 2]
    where = eye + table[..., None] * rays
    x, y = PLACES[0].table
    inside = (table > 0) & (abs(where[..., 0]) < x / 2 - 0.01) & (abs(where[..., 1]) < y / 2 - 0.01)
    assert inside.mean() > 0.2
    assert (stored[inside] < table[inside] + 3e-4).all()  # nothing is seen through the table
    assert np.mean(abs(stored[inside] - table[inside]) < 3e-4) > 0.3  # and much of it is free
    for item in record.instances:
        assert not (item.visible & ~clip_to_image(item.silhouette, item.silhouette_origin_px, SIZE)).any()


def test_detections_are_those_of_a_noisy_detector(dataset):
    found, problems = read_bop_detections(dataset / "detections" / "synthetic_test.json")
    assert problems == []
    for scene_id in (1, 2):
        infos = json.loads((dataset / "test" / f"{scene_id:06d}" / "scene_gt_info.json").read_text())["0"]
        here = [item for item in found if item.scene_id == scene_id]
        assert len(here) == sum(info["visib_fract"] >= 0.1 for info in infos)


@pytest.mark.parametrize("brightness", [0.01, 0.2, 5.0])
def test_developing_exposes_adds_noise_and_repeats(brightness):
    sensor = {"stops": 0.0, "vignette": 0.2, "noise": 1.0, "sharpen": 0.3, "jpeg": 92, "seed": 7}
    ramp = brightness * np.linspace(0.2, 1.0, SIZE[1])[None, :, None] * np.array([1.0, 0.8, 0.6])
    linear = np.broadcast_to(ramp, (*SIZE, 3))
    picture = develop(linear, sensor)
    assert picture.dtype == np.uint8
    assert 80 < picture.mean() < 150  # whatever the light
    assert (np.diff(picture[:, 10:-10].mean(axis=(0, 2)).reshape(-1, 10).mean(axis=1)) > 0).all()
    np.testing.assert_array_equal(picture, develop(linear, sensor))
    assert (picture != develop(linear, sensor | {"seed": 8})).any()
    spread = picture[40:80, 70:90].astype(float)
    assert 0.5 < (spread - spread.mean(axis=0)).std() < 6


# ---- the command -----------------------------------------------------------------------------------------------------
STAND_IN_FOR_BLENDER = """\
import json, sys
from pathlib import Path
import cv2, numpy as np
folder = Path(sys.argv[3])
for path in sorted((folder / "descriptions").glob("*.json")):
    content = json.loads(path.read_text())
    if not (folder / content["raw"]).exists():
        cv2.imwrite(str(folder / content["raw"]), np.full((*content["size"], 3), 3000, np.uint16))
"""


def command(monkeypatch, output: Path, *more: str) -> int:
    options = [
        "--output",
        output,
        "--scenes",
        1,
        "--images",
        2,
        "--width",
        SIZE[1],
        "--height",
        SIZE[0],
        *more,
    ]
    monkeypatch.setattr(sys, "argv", ["make_test_pictures.py", *map(str, options)])
    return make_test_pictures.main()


def test_the_command_keeps_what_is_rendered(monkeypatch, tmp_path, capsys):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN_FOR_BLENDER)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    python.chmod(0o755)
    output = tmp_path / "pictures"
    assert command(monkeypatch, output, "--blender-python", tmp_path / "nowhere", "--images", 1) == 1
    assert "does not exist" in capsys.readouterr().out
    assert command(monkeypatch, output, "--blender-python", python) == 0
    assert "2 of them are to be rendered" in capsys.readouterr().out
    raws = sorted((output / "source" / "raw").iterdir())
    np.testing.assert_allclose(read_raw(raws[0], RAW_WHITE), 3000 / 65535 * RAW_WHITE)
    raws[0].unlink()
    before = raws[1].stat().st_mtime_ns
    assert command(monkeypatch, output, "--blender-python", python) == 0
    assert "1 of them are to be rendered" in capsys.readouterr().out
    assert raws[0].exists()
    assert raws[1].stat().st_mtime_ns == before
    assert len(BopDataset(output).images(1)) == 2
