"""`mrc-net symmetries` as a user runs it: the table, the pictures, and what it writes into objects.yaml."""

import cv2
import numpy as np
import pytest
import torch
import trimesh
import yaml
from conftest import ROOT, wedge_mesh

from mrc_core.cli import main
from mrc_core.cli.objects_file import with_symmetries, write_symmetries
from mrc_core.data.object_set import load_objects
from mrc_core.geometry import ContinuousSymmetry, Mesh, SymmetrySet
from mrc_core.rendering import create_renderer
from mrc_core.visualisation.symmetry_picture import PANEL_PX, draw_symmetry

HALF_TURN = torch.diag(torch.tensor([-1.0, -1, 1, 1])).double()
HALF_TURN[0, 3] = 0.02  # about x = 10 mm
LATHE = SymmetrySet(continuous=(ContinuousSymmetry((0, 0, 1), (0.01, 0, 0)),))
TURN = SymmetrySet(HALF_TURN[None])

BLOCK = """\
# my objects
objects:
- class_id: mug   # the blue one
  mesh: mug.glb
  symmetries_discrete:
  - [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1]
  # measured twice
  unit: mm
  symmetries_continuous: []

- class_id: drill
  mesh: drill.obj   # from the vendor
# the end
"""
FLOW = "objects: [{class_id: mug, unit: mm, mesh: mug.glb}, {class_id: drill, mesh: drill.obj}]  # short\n"


def entries(text: str) -> dict:
    return {one["class_id"]: one for one in yaml.safe_load(text)["objects"]}


@pytest.mark.parametrize("text", [BLOCK, FLOW])
def test_what_a_person_wrote_stays(text):
    after = with_symmetries(text, {"mug": TURN, "drill": LATHE})
    mug, drill = entries(after)["mug"], entries(after)["drill"]
    assert mug["symmetries_discrete"] == [[-1, 0, 0, 20, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]  # in mm
    assert mug["symmetries_continuous"] == drill["symmetries_discrete"] == []
    assert drill["symmetries_continuous"] == [{"axis": [0, 0, 1], "offset": [0.01, 0, 0]}]
    comments = [
        part
        for part in ("# my objects", "# the blue one", "# measured twice", "# from the vendor", "# the end")
        if part in text
    ]
    assert all(comment in after for comment in [*comments, *(["# short"] if text == FLOW else [])])
    untouched = {k: v for k, v in entries(text)["mug"].items() if not k.startswith("symmetries")}
    assert {k: v for k, v in mug.items() if not k.startswith("symmetries")} == untouched
    # once more changes what was written, and nothing else
    assert with_symmetries(after, {"mug": TURN, "drill": LATHE}) == after


def test_a_file_that_is_none_and_a_class_that_is_not_there_are_refused():
    with pytest.raises(ValueError, match="not laid out"):
        with_symmetries("objects:\n- mesh: a.glb\n", {})
    with pytest.raises(ValueError, match="no class cup"):
        with_symmetries(BLOCK, {"cup": TURN})


def test_no_copy_of_an_older_file_is_lost(tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text(BLOCK)
    first = write_symmetries(path, {"mug": TURN})
    second = write_symmetries(path, {"mug": LATHE})
    assert first.read_text() == BLOCK
    assert second != first
    assert entries(second.read_text())["mug"]["symmetries_discrete"]
    assert entries(path.read_text())["mug"]["symmetries_continuous"]


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """A folder of a box in millimetres that is off its origin, and a wedge; neither declares a symmetry."""
    folder = tmp_path_factory.mktemp("objects")
    trimesh.creation.box([100, 70, 150]).apply_translation([30, 0, 10]).export(folder / "box.ply")
    wedge_mesh().save(folder / "wedge.glb")
    (folder / "objects.yaml").write_text(
        "objects:\n- {class_id: box, mesh: box.ply, unit: mm}  # from CAD\n- class_id: wedge\n  mesh: wedge.glb\n"
    )
    return folder


def test_the_command_proposes_draws_and_writes(objects, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    command = ["symmetries", "--objects", str(objects), "--output", str(pictures)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "half a turn" in out
    assert "wedge: no symmetry" in out
    assert "declares other symmetries" in out
    assert sorted(p.name for p in pictures.iterdir()) == ["box_1.png", "box_2.png", "box_3.png"]
    assert load_objects(objects)[0].symmetries.is_trivial
    assert main([*command, "--write"]) == 0
    box, wedge = load_objects(objects)
    assert len(box.symmetries.discrete) == 4
    assert wedge.symmetries.is_trivial
    half = box.symmetries.discrete[[bool(m[2, 2] > 0 and m[0, 0] < 0) for m in box.symmetries.discrete]]
    assert half[0, 0, 3] == pytest.approx(0.06)  # about x = 30 mm
    assert "# from CAD" in (objects / "objects.yaml").read_text()
    capsys.readouterr()
    assert main(command) == 0
    assert "declares the same symmetries" in capsys.readouterr().out


def test_files_alone_will_do(objects, tmp_path, capsys):
    command = ["symmetries", "--mesh", str(objects / "box.ply"), "--unit", "mm", "--output", str(tmp_path)]
    assert main(command) == 0
    assert "box_3.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mesh", "{}/box.ply", "--unit", "mm", "--write"], "--write needs --objects"),
        (["--mesh", "{}/box.ply"], "pass unit='mm'"),
        (["--mesh", "{}/cup.ply"], "does not exist"),
        (["--mesh", "{}/wedge.glb", "{}/wedge.glb"], "the same class"),
        (["--objects", "{}", "--shape-tolerance", "-1"], "tolerances must be above 0"),
    ],
)
def test_bad_input_gives_one_line(objects, tmp_path, capsys, options, says):
    command = ["symmetries", *(part.format(objects) for part in options), "--output", str(tmp_path)]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1


def reds(picture: np.ndarray) -> float:
    """Share of the last column's pixels that are red."""
    column = picture[-3 * PANEL_PX :, -PANEL_PX:].astype(int)
    return float((column[..., 0] - column[..., 1] > 80).mean())


def test_the_picture_shows_what_a_turn_changes():
    tea_box = next(
        item for item in load_objects(ROOT / "demo" / "objects") if item.class_id == "tea_box"
    ).mesh
    plain = Mesh(tea_box.vertices, tea_box.faces, tea_box.normals)
    half = np.diag([-1.0, -1, 1, 1])
    drawn = [
        draw_symmetry(
            create_renderer("warp", [m]), 0, m.vertices, (0, 0, 1), (0, 0, 0), half, ["a line " * 40]
        )
        for m in (tea_box, plain)
    ]
    assert drawn[0].shape == drawn[1].shape
    assert drawn[0].shape[1] == 3 * PANEL_PX
    assert reds(drawn[0]) > 0.1
    assert reds(drawn[1]) < 0.002
    quarter = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    turned = draw_symmetry(
        create_renderer("warp", [plain]), 0, plain.vertices, (0, 0, 1), (0, 0, 0), quarter, []
    )
    assert reds(turned) > 0.02


def test_an_old_picture_does_not_stay_beside_new_ones(objects, tmp_path):
    for name in ("box_9.png", "box_other_9.png", "mine.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    main(["symmetries", "--mesh", str(objects / "box.ply"), "--unit", "mm", "--output", str(tmp_path)])
    assert {p.name for p in tmp_path.iterdir()} == {
        "box_1.png",
        "box_2.png",
        "box_3.png",
        "box_other_9.png",
        "mine.png",
    }
