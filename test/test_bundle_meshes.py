"""Bundles without their meshes: taken out, told by hash, put in again from a user's copies."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import yaml
from conftest import wedge_mesh
from PIL import Image

from mrc_core.cli import main
from mrc_core.cli.onboarding_meshes import read_meshes, write_objects
from mrc_core.data.object_set import load_objects
from mrc_core.geometry import Mesh
from mrc_core.geometry.mesh_source import MeshSource, source_of
from mrc_core.inference import Bundle, BundleError, PoseEstimator
from mrc_core.inference.bundle import make_bundle
from mrc_core.model import MRCNet, MRCNetConfig

ORIGIN = "https://example.org/scans"
BOX_FILES = ("textured.obj", "textured.mtl", "print.png")
MTL = "newmtl paint\nmap_Kd print.png\n"


def write_box(folder: Path, size=(0.1, 0.07, 0.15), subdivisions=1, seed=0) -> Path:
    """A textured box as scanners write one: obj, mtl and picture."""
    folder.mkdir(parents=True)
    solid = trimesh.creation.box(size)
    for _ in range(subdivisions):
        solid = solid.subdivide()
    lines = ["mtllib textured.mtl", "usemtl paint"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in solid.vertices]
    lines += [f"vt {x + 0.5:.6f} {z + 0.5:.6f}" for x, _, z in solid.vertices]
    lines += ["f " + " ".join(f"{i + 1}/{i + 1}" for i in face) for face in solid.faces]
    (folder / "textured.obj").write_text("\n".join(lines) + "\n")
    (folder / "textured.mtl").write_text(MTL)
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "print.png")
    return folder / "textured.obj"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with copies/ of a box and a wedge, and a bundle/ of them with random weights."""
    folder = tmp_path_factory.mktemp("made")
    paths = [write_box(folder / "copies" / "box"), folder / "copies" / "wedge" / "wedge.glb"]
    paths[1].parent.mkdir()
    wedge_mesh().save(paths[1])
    shutil.copy(paths[1], paths[1].with_name("textured.glb"))  # a name that says nothing, as the box's
    paths[1] = paths[1].with_name("textured.glb")
    meshes = read_meshes([str(path) for path in paths], None, f"  {ORIGIN}\n")
    objects = load_objects(write_objects(folder, meshes, None, None))
    torch.manual_seed(0)
    network = MRCNet(MRCNetConfig.small(2))
    limits = torch.tensor([[0.001, 0.004]] * 2)
    make_bundle(objects, network, limits, network.state_dict(), {"version": "test"}).save(folder / "bundle")
    return folder


@pytest.fixture(scope="module")
def stripped(made):
    assert main(["strip-meshes", str(made / "bundle"), "--output", str(made / "stripped")]) == 0
    return made / "stripped"


@pytest.fixture
def copies(made, tmp_path):
    """Copies under folders of other names."""
    shutil.copytree(made / "copies" / "box", tmp_path / "mine" / "a" / "google_16k")
    shutil.copytree(made / "copies" / "wedge", tmp_path / "mine" / "b")
    return tmp_path / "mine"


def join(bundle, copies, output, *more):
    return main(["join-meshes", str(bundle), "--meshes", str(copies), "--output", str(output), *more])


def edit(bundle, change):
    content = yaml.safe_load((bundle / "bundle.yaml").read_text())
    change(content["objects"])
    (bundle / "bundle.yaml").write_text(yaml.safe_dump(content))


# ---- there and back --------------------------------------------------------------------------------------------------
def test_all_files_of_a_mesh_are_recorded_and_reach_the_bundle(made):
    box, wedge = Bundle.load(made / "bundle").objects
    assert set(box.source.sha256) == set(BOX_FILES)
    assert list(wedge.source.sha256) == ["textured.glb"]
    assert (box.source.file, box.source.unit, box.source.origin) == ("textured.obj", "m", ORIGIN)
    assert box.source == source_of(made / "copies" / "box" / "textured.obj", "m", ORIGIN)


def test_a_stripped_bundle_holds_no_mesh_and_says_how_to_complete_it(made, stripped):
    assert sorted(p.name for p in stripped.iterdir()) == ["bundle.yaml", "weights.safetensors"]
    assert (stripped / "weights.safetensors").read_bytes() == (
        made / "bundle" / "weights.safetensors"
    ).read_bytes()
    entry = yaml.safe_load((stripped / "bundle.yaml").read_text())["objects"][0]
    assert "mesh_sha256" not in entry
    for load in (Bundle.load, PoseEstimator.from_bundle):
        with pytest.raises(BundleError, match=r"meshes of box, wedge.*mrc-net join-meshes \S*stripped"):
            load(stripped)


def test_joined_it_is_the_bundle_that_it_was(made, stripped, copies, tmp_path):
    assert join(stripped, copies, tmp_path / "joined") == 0
    before, after = Bundle.load(made / "bundle"), Bundle.load(tmp_path / "joined")
    assert PoseEstimator.from_bundle(tmp_path / "joined").class_ids == ["box", "wedge"]
    for old, new in zip(before.objects, after.objects):
        for key in ("vertices", "faces", "normals", "uv", "texture", "vertex_colors"):
            assert np.array_equal(getattr(old.mesh, key), getattr(new.mesh, key)), key
        assert old.source == new.source
        assert torch.equal(old.centre, new.centre)
    assert after.provenance == before.provenance
    assert torch.equal(after.depth_limits, before.depth_limits)
    assert all(torch.equal(after.weights[name], tensor) for name, tensor in before.weights.items())
    for name in ("bundle.yaml", "meshes/box.glb", "meshes/wedge.glb"):
        assert (tmp_path / "joined" / name).read_bytes() == (made / "bundle" / name).read_bytes()
    # and it can be stripped again, to the same
    assert main(["strip-meshes", str(tmp_path / "joined"), "--output", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "bundle.yaml").read_bytes() == (stripped / "bundle.yaml").read_bytes()


def test_copies_in_millimetres_come_out_in_metres(tmp_path):
    """The unit is recorded: copies in millimetres come out in metres again."""
    box = write_box(tmp_path / "mm" / "crate", size=(100, 70, 150))
    meshes = read_meshes([str(box)], "mm")
    objects = load_objects(write_objects(tmp_path, meshes, None, None))
    network = MRCNet(MRCNetConfig.small(1))
    bundle = make_bundle(objects, network, torch.tensor([[0.001, 0.004]]), network.state_dict(), {})
    bundle.save(tmp_path / "bundle")
    assert main(["strip-meshes", str(tmp_path / "bundle"), "--output", str(tmp_path / "without")]) == 0
    assert join(tmp_path / "without", tmp_path / "mm", tmp_path / "joined") == 0
    assert Bundle.load(tmp_path / "joined").objects[0].diameter == pytest.approx(objects[0].diameter)


def test_some_meshes_may_stay(made, copies, tmp_path, capsys):
    options = ["--output", str(tmp_path / "half")]
    assert main(["strip-meshes", str(made / "bundle"), "--keep", "wedge", *options]) == 0
    assert [p.name for p in (tmp_path / "half" / "meshes").iterdir()] == ["wedge.glb"]
    shutil.rmtree(copies / "b")
    assert join(tmp_path / "half", copies, tmp_path / "joined") == 0
    assert Bundle.load(tmp_path / "joined").class_ids == ["box", "wedge"]


# ---- what does not fit -----------------------------------------------------------------------------------------------
def test_every_missing_or_differing_mesh_is_listed_with_where_to_get_it(stripped, copies, tmp_path, capsys):
    picture = copies / "a" / "google_16k" / "print.png"
    data = bytearray(picture.read_bytes())
    data[-5] ^= 1
    picture.write_bytes(data)
    shutil.rmtree(copies / "b")
    assert join(stripped, copies, tmp_path / "joined") == 1
    error = capsys.readouterr().err
    assert "2 of 2 meshes" in error
    assert "box: print.png is another file" in error
    assert "wedge: there is no textured.glb in" in error
    for item in Bundle.load(stripped.parent / "bundle").objects:
        assert all(digest in error for digest in item.source.sha256.values())
    assert error.count(ORIGIN) == 2
    assert not (tmp_path / "joined").exists()


def test_another_texture_of_the_same_mesh_is_taken_on_request(stripped, copies, tmp_path, capsys):
    pixels = np.zeros((16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(copies / "a" / "google_16k" / "print.png")
    assert join(stripped, copies, tmp_path / "joined") == 1
    assert "box: the size is right; --allow-other-meshes" in capsys.readouterr().err
    assert join(stripped, copies, tmp_path / "joined", "--allow-other-meshes") == 0
    assert "warning: box is not the mesh" in capsys.readouterr().err
    bundle = Bundle.load(tmp_path / "joined")
    assert not bundle.objects[0].mesh.texture.any()
    assert bundle.provenance["other_meshes"] == ["box"]
    assert bundle.objects[0].source == source_of(copies / "a" / "google_16k" / "textured.obj", "m", ORIGIN)


def test_another_scan_of_the_same_object_is_taken_on_request(stripped, copies, tmp_path, capsys):
    shutil.rmtree(copies / "a")
    write_box(copies / "box" / "google_64k", size=(0.101, 0.07, 0.15), subdivisions=2)
    assert join(stripped, copies, tmp_path / "joined") == 1
    assert join(stripped, copies, tmp_path / "joined", "--allow-other-meshes") == 0
    assert len(Bundle.load(tmp_path / "joined").objects[0].mesh.faces) == 12 * 16


@pytest.mark.parametrize(
    ("size", "moved"), [((0.12, 0.07, 0.15), 0.0), ((0.1, 0.07, 0.15), 0.02), ((0.15, 0.07, 0.1), 0.0)]
)
def test_a_mesh_of_another_size_or_place_is_refused_whatever_is_allowed(
    stripped, copies, tmp_path, capsys, size, moved
):
    shutil.rmtree(copies / "a")
    path = write_box(copies / "box" / "x", size=size)
    lines = [line.split() for line in path.read_text().splitlines()]
    lines = [["v", str(float(one[1]) + moved), *one[2:]] if one[0] == "v" else one for one in lines]
    path.write_text("\n".join(" ".join(one) for one in lines) + "\n")
    assert join(stripped, copies, tmp_path / "joined", "--allow-other-meshes") == 1
    assert "cannot be the same object" in capsys.readouterr().err


def test_a_mesh_in_a_folder_of_another_name_is_not_guessed(stripped, copies, tmp_path, capsys):
    """Every scan of a collection has the same file name and, often, the same materials."""
    shutil.rmtree(copies / "a")
    write_box(copies / "crate", size=(0.1005, 0.07, 0.15))
    assert join(stripped, copies, tmp_path / "joined", "--allow-other-meshes") == 1
    assert "1 files of that name" in capsys.readouterr().err


def test_the_geometry_is_checked_and_not_the_files_alone(stripped, copies, tmp_path, capsys):
    """As where another version of the reader makes something else of the same files."""
    bundle = shutil.copytree(stripped, tmp_path / "bundle")
    edit(bundle, lambda objects: objects[0]["shape"].update(sha256="0" * 64))
    assert join(bundle, copies, tmp_path / "joined") == 1
    assert "another geometry" in capsys.readouterr().err


def test_a_bundle_that_does_not_know_its_files_is_not_stripped(tiny_bundle, tmp_path, capsys):
    assert main(["strip-meshes", str(tiny_bundle), "--output", str(tmp_path / "out")]) == 1
    assert "wedge, disc came" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["strip-meshes", str(tiny_bundle), "--output", str(tmp_path / "out"), "--keep", "cup"]) == 1
    assert "no class cup" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["strip", "join"])
def test_nothing_is_written_over(made, stripped, copies, tmp_path, capsys, command):
    (tmp_path / "there").mkdir()
    if command == "strip":
        status = main(["strip-meshes", str(made / "bundle"), "--output", str(tmp_path / "there")])
    else:
        status = join(stripped, copies, tmp_path / "there")
    assert status == 1
    assert "is there already" in capsys.readouterr().err


def test_a_whole_bundle_and_a_folder_that_is_not_there_are_named(made, stripped, copies, tmp_path, capsys):
    assert join(made / "bundle", copies, tmp_path / "joined") == 1
    assert "has its meshes" in capsys.readouterr().err
    assert join(stripped, tmp_path / "nowhere", tmp_path / "joined") == 1
    assert "no such folder" in capsys.readouterr().err


# ---- a bundle.yaml from who knows where ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["../secret.png", "/etc/passwd", "a/../../secret", "..\\secret", "C:/secret", "./x", "", "a\x1b[2Jb"],
)
def test_file_names_that_leave_the_meshs_folder_are_refused(stripped, copies, tmp_path, capsys, name):
    bundle = shutil.copytree(stripped, tmp_path / "bundle")
    edit(bundle, lambda objects: objects[0]["source"]["sha256"].update({name: "0" * 64}))
    assert join(bundle, copies, tmp_path / "joined") == 1
    assert "no plain path inside" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: one["source"].update(file="sub/textured.obj"), "has no hash, or a folder"),
        (lambda one: one["source"].update(unit="miles"), "miles"),
        (lambda one: one["source"].update(origin="a\x1b[2Jb"), "control characters"),
        (lambda one: one["source"]["sha256"].update({"print.png": "12"}), "no SHA-256"),
        (lambda one: one.pop("source"), "neither a mesh nor"),
        (lambda one: one.pop("shape"), "neither a mesh nor"),
        (lambda one: one.update(class_id="../escape"), "cannot be used"),
    ],
)
def test_other_damage_is_named(stripped, copies, tmp_path, capsys, change, says):
    bundle = shutil.copytree(stripped, tmp_path / "bundle")
    edit(bundle, lambda objects: change(objects[0]))
    assert join(bundle, copies, tmp_path / "joined") == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "joined").exists()


# ---- info ------------------------------------------------------------------------------------------------------------
def test_info_says_what_is_missing_and_where_to_get_it(made, stripped, capsys):
    assert main(["info", "--bundle", str(stripped)]) == 0
    out = capsys.readouterr().out
    digests = Bundle.load(made / "bundle").objects[0].source.sha256.values()
    assert all(digest in out for digest in digests)
    assert ORIGIN in out
    assert f"mrc-net join-meshes {stripped} --meshes" in out
    assert main(["info", "--bundle", str(stripped), "--json"]) == 0
    without = json.loads(capsys.readouterr().out)
    assert main(["info", "--bundle", str(made / "bundle"), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    for old, new in zip(whole.pop("objects"), without.pop("objects")):
        assert old.items() <= new.items()
        assert not new["has_mesh"]
    assert whole == without


def test_info_checks_a_users_copies(made, stripped, copies, capsys):
    (copies / "b" / "textured.glb").unlink()
    assert main(["info", "--bundle", str(stripped), "--meshes", str(copies)]) == 0
    out = capsys.readouterr().out
    assert f"box: {copies / 'a' / 'google_16k' / 'textured.obj'} is the right one" in out
    assert "wedge: there is no textured.glb" in out
    assert main(["info", "--bundle", str(stripped), "--meshes", str(copies), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["meshes_found"]
    assert [found[name]["is_same"] for name in ("box", "wedge")] == [True, False]
    assert main(["info", "--bundle", str(made / "bundle"), "--meshes", str(copies)]) == 1
    assert "leave --meshes out" in capsys.readouterr().err


# ---- parts -----------------------------------------------------------------------------------------------------------
def test_a_source_is_no_part_of_what_an_object_is(made):
    """Known objects stay known, and data sets go on, where nothing but the words on the origin changed."""
    from dataclasses import replace

    from mrc_core.data.synthesis_record import fingerprint

    box = load_objects(made)[0]
    assert fingerprint(box) == fingerprint(replace(box, source=None))


def test_a_texture_in_a_folder_below_is_recorded_by_its_path(tmp_path):
    path = write_box(tmp_path / "box")
    (path.parent / "maps").mkdir()
    (path.parent / "print.png").rename(path.parent / "maps" / "print.png")
    (path.parent / "textured.mtl").write_text(MTL.replace("print.png", "maps\\print.png"))
    source = source_of(path, "m")
    assert set(source.sha256) == {"textured.obj", "textured.mtl", "maps/print.png"}
    assert MeshSource.model_validate(source.model_dump()) == source
    assert Mesh.load(path).texture is not None
