"""Meshes: the four formats, appearance, units, and the errors a user meets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from mrc_core.geometry.mesh import Mesh

MTL = "newmtl a\nKd 1 0 0\nmap_Kd {}\n"
OBJ = """mtllib m.mtl
v 0 0 0
v 0.1 0 0
v 0.1 0.1 0
v 0 0.1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl a
f 1/1 2/2 3/3
f 1/1 3/3 4/4
"""


def checker() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(0, 255, (8, 16, 3), dtype=np.uint8)


def write_obj(folder: Path, mtl: str, obj: str = OBJ) -> Path:
    (folder / "m.mtl").write_text(mtl)
    path = folder / "m.obj"
    path.write_text(obj)
    return path


def triangle_at_corner(mesh: Mesh, corner: tuple[float, float, float]) -> int:
    """The vertex at a place."""
    distance = np.linalg.norm(mesh.vertices - np.array(corner), axis=1)
    assert distance.min() < 1e-6
    return int(distance.argmin())


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl"])
def test_every_format_gives_the_same_plain_mesh(tmp_path: Path, suffix: str) -> None:
    source = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
    source.apply_translation([0.01, 0.02, 0.03])
    path = tmp_path / f"ball.{suffix}"
    source.export(path)
    mesh = Mesh.load(path)
    assert mesh.name == "ball"
    assert len(mesh.faces) == len(source.faces)
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), [0.01, 0.02, 0.03], atol=1e-4)
    assert mesh.diameter == pytest.approx(0.1, rel=1e-5)
    outward = mesh.vertices - mesh.vertices.mean(axis=0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert (outward * mesh.normals).sum(axis=1).min() > 0.99
    assert mesh.uv is None
    assert mesh.texture is None
    assert mesh.vertex_colors is None


def test_units_scale_and_do_not_turn(tmp_path: Path) -> None:
    box = trimesh.creation.box((30, 60, 90))
    box.export(tmp_path / "box.stl")
    mesh = Mesh.load(tmp_path / "box.stl", unit="mm")
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [0.03, 0.06, 0.09], atol=1e-6)


def test_box_without_normals_keeps_its_edges_sharp(tmp_path: Path) -> None:
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / "box.stl")
    mesh = Mesh.load(tmp_path / "box.stl")
    assert len(mesh.vertices) == 24  # three normals at each of eight corners
    corners = mesh.vertices[mesh.faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    face_normals /= np.linalg.norm(face_normals, axis=1, keepdims=True)
    np.testing.assert_allclose(
        mesh.normals[mesh.faces], np.repeat(face_normals[:, None], 3, axis=1), atol=1e-6
    )


def test_obj_texture_and_orientation(tmp_path: Path) -> None:
    texture = checker()
    Image.fromarray(texture).save(tmp_path / "t.png")
    mesh = Mesh.load(write_obj(tmp_path, MTL.format("t.png")))
    np.testing.assert_array_equal(mesh.texture, texture)
    np.testing.assert_allclose(mesh.uv[triangle_at_corner(mesh, (0.1, 0.1, 0))], [1, 1])
    np.testing.assert_allclose(mesh.uv[triangle_at_corner(mesh, (0, 0.1, 0))], [0, 1])


def test_obj_diffuse_colour_without_texture(tmp_path: Path) -> None:
    mesh = Mesh.load(write_obj(tmp_path, "newmtl a\nKd 0.2 0.4 0.6\n"))
    assert mesh.texture is None
    np.testing.assert_array_equal(
        mesh.vertex_colors, np.tile(np.uint8([51, 102, 153]), (len(mesh.vertices), 1))
    )


def test_ply_vertex_colours(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.05)
    colors = np.random.default_rng(0).integers(0, 255, (len(ball.vertices), 3), dtype=np.uint8)
    ball.visual.vertex_colors = np.concatenate([colors, np.full((len(colors), 1), 255, np.uint8)], axis=1)
    ball.export(tmp_path / "ball.ply")
    mesh = Mesh.load(tmp_path / "ball.ply")
    for vertex, color in zip(ball.vertices, colors):
        np.testing.assert_array_equal(mesh.vertex_colors[triangle_at_corner(mesh, tuple(vertex))], color)


def test_ply_with_texture_file_comment(tmp_path: Path) -> None:
    Image.fromarray(checker()).save(tmp_path / "t.png")
    (tmp_path / "m.ply").write_text(
        "ply\nformat ascii 1.0\ncomment TextureFile t.png\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nproperty float texture_u\nproperty float texture_v\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n0 0 0 0 0\n0.1 0 0 1 0\n0 0.1 0 0 1\n3 0 1 2\n"
    )
    mesh = Mesh.load(tmp_path / "m.ply")
    np.testing.assert_array_equal(mesh.texture, checker())
    np.testing.assert_allclose(mesh.uv[triangle_at_corner(mesh, (0, 0.1, 0))], [0, 1])


def test_glb_scene_applies_node_transforms_and_linear_colour(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[0.2158605, 0.2158605, 0.2158605, 1.0])
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    box.visual = trimesh.visual.TextureVisuals(material=material)
    transform = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1])
    transform[:3, 3] = [0.5, 0, 0]
    scene.add_geometry(box, transform=transform)
    scene.add_geometry(trimesh.creation.box((0.1, 0.1, 0.1)))
    scene.export(tmp_path / "scene.glb")
    mesh = Mesh.load(tmp_path / "scene.glb")
    assert len(mesh.faces) == 24
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [0.55, 0.05, 0.05], atol=1e-6)
    moved = mesh.vertices[:, 0] > 0.2
    # glTF's 0.216 of linear light is 0.5 in an image.
    assert np.abs(mesh.vertex_colors[moved].astype(int) - 128).max() <= 1
    assert len(np.unique(mesh.vertex_colors[~moved])) == 1


def test_several_textures_become_one_atlas(tmp_path: Path) -> None:
    red, green = np.zeros((2, 32, 32, 3), np.uint8)
    red[:16], red[16:], green[..., 1] = (255, 0, 0), (100, 0, 0), 200
    Image.fromarray(red).save(tmp_path / "r.png")
    Image.fromarray(green).save(tmp_path / "g.png")
    mtl = "newmtl a\nmap_Kd r.png\nnewmtl b\nmap_Kd g.png\nnewmtl c\nKd 0 0 1\n"
    obj = OBJ + (
        "v 0.2 0 0\nv 0.3 0 0\nv 0.3 0.1 0\nvt 2 0\nvt 2 2\nusemtl b\nf 5/1 6/5 7/6\n"
        "v 0.4 0 0\nv 0.5 0 0\nv 0.5 0.1 0\nusemtl c\nf 8/1 9/1 10/1\n"
    )
    mesh = Mesh.load(write_obj(tmp_path, mtl, obj))

    def color_at(face: int) -> tuple[int, ...]:
        u, v = mesh.uv[mesh.faces[face]].mean(axis=0)
        height, width = mesh.texture.shape[:2]
        return tuple(int(c) for c in mesh.texture[int((1 - v) * height), int(u * width)])

    by_place = {
        round(float(mesh.vertices[mesh.faces[i], 0].mean()), 3): color_at(i) for i in range(len(mesh.faces))
    }
    assert by_place == {0.067: (100, 0, 0), 0.033: (255, 0, 0), 0.267: (0, 200, 0), 0.467: (0, 0, 255)}


# --- saving ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["textured", "coloured", "plain"])
def test_save_and_load_give_the_same_mesh(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.1)
    count = len(ball.vertices)
    extra = {
        "textured": {"uv": rng.random((count, 2)), "texture": checker()},
        "coloured": {"vertex_colors": rng.integers(0, 255, (count, 3), dtype=np.uint8)},
        "plain": {},
    }[kind]
    mesh = Mesh(ball.vertices, ball.faces, **extra)
    mesh.save(tmp_path / "m.glb")
    again = Mesh.load(tmp_path / "m.glb")
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    np.testing.assert_allclose(again.normals, mesh.normals, atol=1e-6)
    for key in ("uv", "texture", "vertex_colors"):
        before, after = getattr(mesh, key), getattr(again, key)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_allclose(after, before, atol=1e-6)


def test_save_needs_glb(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"saved as \.glb"):
        Mesh(np.eye(3), np.array([[0, 1, 2]])).save(tmp_path / "m.obj")


# --- diameter and sampling ---------------------------------------------------------------------------------------


def test_diameter_equals_the_slow_one() -> None:
    rng = np.random.default_rng(0)
    clouds = [
        rng.normal(size=(300, 3)),
        rng.normal(size=(300, 3)) * [1, 1, 0],
        rng.normal(size=(300, 1)) * [1, 2, 3],
    ]
    clouds += [np.zeros((3, 3)) + [[0, 0, 0], [1, 0, 0], [2, 0, 0]], rng.normal(size=(300, 3)) * [1, 1, 1e-9]]
    for cloud in clouds:
        slow = np.linalg.norm(cloud[:, None] - cloud[None], axis=2).max()
        mesh = Mesh(cloud, np.arange(len(cloud)).reshape(-1, 3))
        assert mesh.diameter == pytest.approx(slow, rel=1e-6)


def test_samples_are_even_and_repeatable() -> None:
    vertices = np.array([[0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]], float) * 0.1
    faces = np.array([[0, 4, 5], [0, 5, 3], [4, 1, 2], [4, 2, 5]])
    mesh = Mesh(vertices, faces)
    points = mesh.sample_points(30000, seed=4)
    assert points.shape == (30000, 3)
    assert (points[:, 0] < 0.1).mean() == pytest.approx(1 / 3, abs=0.015)
    np.testing.assert_allclose(points.mean(axis=0), [0.15, 0.05, 0], atol=0.002)
    np.testing.assert_array_equal(points, mesh.sample_points(30000, seed=4))
    assert not np.array_equal(points, mesh.sample_points(30000, seed=5))


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "unit", "hint"),
    [
        (90.0, "m", "unit='mm'"),
        (0.09, "mm", "unit='m'"),
        (5000.0, "cm", "unit='mm'"),
        (0.1, "cm", "unit='m'"),
    ],
)
def test_wrong_unit_names_the_likely_one(tmp_path: Path, size: float, unit: str, hint: str) -> None:
    trimesh.creation.box((size / 2, size / 3, size / 2)).export(tmp_path / "mug.stl")
    with pytest.raises(ValueError, match=hint) as error:
        Mesh.load(tmp_path / "mug.stl", unit=unit)
    assert "diameter" in str(error.value)


def test_unknown_unit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown unit 'km'"):
        Mesh.load(tmp_path / "x.stl", unit="km")


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Mesh.load(tmp_path / "none.ply")
    (tmp_path / "m.fbx").write_text("x")
    with pytest.raises(ValueError, match="use one of ply, obj, glb, stl"):
        Mesh.load(tmp_path / "m.fbx")


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl"])
def test_damaged_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"m.{suffix}").write_bytes(b"not a mesh at all")
    with pytest.raises(ValueError, match=f"m.{suffix}"):
        Mesh.load(tmp_path / f"m.{suffix}")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png", "C:\\secret.png"])
def test_texture_must_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "meshes"
    folder.mkdir()
    Image.fromarray(checker()).save(tmp_path / "secret.png")
    with pytest.raises(ValueError, match="outside its own folder"):
        Mesh.load(write_obj(folder, MTL.format(name)))


def test_material_library_must_not_leave_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "meshes"
    folder.mkdir()
    (tmp_path / "m.mtl").write_text("newmtl a\nKd 1 0 0\n")
    with pytest.raises(ValueError, match="outside its own folder"):
        Mesh.load(write_obj(folder, "", OBJ.replace("mtllib m.mtl", "mtllib ../m.mtl")))


def test_missing_texture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        Mesh.load(write_obj(tmp_path, MTL.format("gone.png")))


def test_nan_and_faces_out_of_range() -> None:
    vertices, faces = np.eye(3), np.array([[0, 1, 2]])
    with pytest.raises(ValueError, match="1 of 3 vertices are NaN"):
        Mesh(np.where(np.eye(3) * [1, 0, 0], np.nan, vertices), faces)
    with pytest.raises(ValueError, match="faces name vertices 0 to 3, but there are only 3"):
        Mesh(vertices, np.array([[0, 1, 3]]))
    with pytest.raises(ValueError, match="empty"):
        Mesh(np.zeros((0, 3)), np.zeros((0, 3), int))
    with pytest.raises(ValueError, match=r"uv has shape \(2, 2\)"):
        Mesh(vertices, faces, uv=np.zeros((2, 2)))


def test_nan_and_faces_out_of_range_in_files(tmp_path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "nan.ply").write_text(header + "0 0 0\nnan 0 0\n0 0.1 0\n3 0 1 2\n")
    with pytest.raises(ValueError, match="NaN"):
        Mesh.load(tmp_path / "nan.ply")
    (tmp_path / "range.ply").write_text(header + "0 0 0\n0.1 0 0\n0 0.1 0\n3 0 1 7\n")
    with pytest.raises(ValueError, match=r"only 3|damaged"):
        Mesh.load(tmp_path / "range.ply")
    (tmp_path / "empty.ply").write_text(header.replace("face 1", "face 0") + "0 0 0\n0.1 0 0\n0 0.1 0\n")
    with pytest.raises(ValueError, match="no triangles"):
        Mesh.load(tmp_path / "empty.ply")
