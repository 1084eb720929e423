"""The demo's objects have the symmetries that they declare and no others, and the recording is what its README says."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
import yaml
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

DEMO = Path(__file__).resolve().parent.parent / "demo"
sys.path.insert(0, str(DEMO))  # the demo's scripts are no installed package

from objects.source import flask, tea_box, toolbox  # noqa: E402
from recording.layout import load_scene  # noqa: E402
from recording.trajectory import FRAME_COUNT  # noqa: E402
from recording.visibility import index_image, silhouette_area_px  # noqa: E402
from recording.vision_messages import vision_types  # noqa: E402

CLASS_IDS = ("tea_box", "bracket", "toolbox", "flask")
BUILDERS = {"tea_box": tea_box.build, "toolbox": toolbox.build, "flask": flask.build}


# --- objects ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries() -> dict[str, dict[str, Any]]:
    listed = yaml.safe_load((DEMO / "objects" / "objects.yaml").read_text(encoding="utf-8"))["objects"]
    return {entry["class_id"]: entry for entry in listed}


@pytest.fixture(scope="module")
def meshes(entries: dict[str, dict[str, Any]]) -> dict[str, trimesh.Trimesh]:
    return {
        k: trimesh.load(DEMO / "objects" / e["mesh"], force="mesh", process=False) for k, e in entries.items()
    }


def texture_at(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear colour (N, 3) at texture coordinates with v up."""
    height, width = image.shape[:2]
    column = (uv[:, 0] * width - 0.5).astype(np.float32)[None]
    row = ((1.0 - uv[:, 1]) * height - 0.5).astype(np.float32)[None]
    return cv2.remap(image, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0].astype(float)


def painted_points(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position, outward normal and colour of the middle of every triangle."""
    if mesh.visual.kind == "texture":
        image = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
        colors = texture_at(image, np.asarray(mesh.visual.uv)[mesh.faces].mean(axis=1))
    else:
        colors = np.asarray(mesh.visual.vertex_colors)[:, :3][mesh.faces].mean(axis=1)
    return np.asarray(mesh.triangles_center), np.asarray(mesh.face_normals), colors


def disagreement(mesh: trimesh.Trimesh, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (m) and mean colour difference (of 255) of each turned triangle to the one it lands on."""
    position, normal, color = painted_points(mesh)
    # Normals, scaled to a centimetre, keep the two faces of a thin wall apart.
    tree = cKDTree(np.hstack([position, 0.01 * normal]))
    distance, nearest = tree.query(np.hstack([position @ rotation.T, 0.01 * normal @ rotation.T]))
    return distance, np.abs(color - color[nearest]).mean(axis=1)


def test_there_are_four_objects_of_the_promised_size(
    entries: dict[str, dict[str, Any]], meshes: dict[str, trimesh.Trimesh]
) -> None:
    assert tuple(entries) == CLASS_IDS
    for class_id, mesh in meshes.items():
        hull = mesh.convex_hull.vertices
        diameter = np.linalg.norm(hull[:, None] - hull[None], axis=2).max()
        assert entries[class_id]["unit"] == "m"
        assert 0.20 <= diameter <= 0.28, class_id
        assert 1000 <= len(mesh.faces) <= 5000, class_id
        np.testing.assert_allclose(mesh.bounds.sum(axis=0), 0.0, atol=1e-6, err_msg=class_id)


@pytest.mark.parametrize("class_id", CLASS_IDS)
def test_surfaces_are_closed_and_normals_point_outwards(
    meshes: dict[str, trimesh.Trimesh], class_id: str
) -> None:
    mesh = meshes[class_id]
    welded = trimesh.Trimesh(np.round(mesh.vertices, 6), mesh.faces, process=True)
    assert welded.is_watertight
    assert welded.volume > 0
    corner_normals = mesh.vertex_normals[mesh.faces]
    assert np.einsum("fij,fj->fi", corner_normals, mesh.face_normals).min() > 0.5


@pytest.mark.parametrize("class_id", sorted(BUILDERS))
def test_the_files_are_what_the_script_makes(meshes: dict[str, trimesh.Trimesh], class_id: str) -> None:
    made, stored = BUILDERS[class_id](), meshes[class_id]
    np.testing.assert_allclose(made.vertices, stored.vertices, atol=1e-6)
    np.testing.assert_array_equal(made.faces, stored.faces)
    if made.visual.kind == "texture":
        images = [
            np.asarray(m.visual.material.baseColorTexture.convert("RGB"), float) for m in (made, stored)
        ]
        assert np.abs(images[0] - images[1]).mean() < 1.0
    else:
        np.testing.assert_array_equal(made.visual.vertex_colors, stored.visual.vertex_colors)


def test_the_tea_box_looks_different_after_every_half_turn(
    entries: dict[str, dict[str, Any]], meshes: dict[str, trimesh.Trimesh]
) -> None:
    assert not entries["tea_box"]["symmetries_discrete"]
    assert not entries["tea_box"]["symmetries_continuous"]
    for axis in "xyz":
        distance, color = disagreement(
            meshes["tea_box"], Rotation.from_euler(axis, 180, degrees=True).as_matrix()
        )
        assert distance.max() < 1e-4  # the shape alone is symmetric ...
        assert color.mean() > 40  # ... the print is not


def test_the_bracket_has_neither_symmetry_nor_mirror_image(
    entries: dict[str, dict[str, Any]], meshes: dict[str, trimesh.Trimesh]
) -> None:
    assert not entries["bracket"]["symmetries_discrete"]
    assert not entries["bracket"]["symmetries_continuous"]
    mesh = meshes["bracket"]
    points, others = (trimesh.sample.sample_surface(mesh, 4000, seed=seed)[0] for seed in (0, 1))
    tree = cKDTree(points)
    assert tree.query(others)[0].mean() < 0.003
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.eye(3)[list(axes)] * np.array(signs)[:, None]
            if not np.array_equal(turn, np.eye(3)):
                assert tree.query(points @ turn.T)[0].mean() > 0.005, turn
    for degrees in range(20, 360, 20):
        for axis in "xyz":
            turn = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
            assert tree.query(points @ turn.T)[0].mean() > 0.005, (axis, degrees)
    assert len(np.unique(mesh.visual.vertex_colors, axis=0)) == 1


def test_the_toolbox_maps_onto_itself_by_half_a_turn_only(
    entries: dict[str, dict[str, Any]], meshes: dict[str, trimesh.Trimesh]
) -> None:
    declared = entries["toolbox"]["symmetries_discrete"]
    assert len(declared) == 1
    assert not entries["toolbox"]["symmetries_continuous"]
    matrix = np.array(declared[0], float).reshape(4, 4)
    np.testing.assert_array_equal(matrix, np.diag([-1.0, -1.0, 1.0, 1.0]))
    distance, color = disagreement(meshes["toolbox"], matrix[:3, :3])
    assert distance.max() < 1e-6
    assert color.max() < 1.0
    for axis, degrees in (("z", 90), ("x", 180), ("y", 180)):
        distance, color = disagreement(
            meshes["toolbox"], Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
        )
        assert distance.mean() > 0.005, (axis, degrees)


def test_the_flask_is_a_solid_of_revolution_that_cannot_be_turned_over(
    entries: dict[str, dict[str, Any]], meshes: dict[str, trimesh.Trimesh]
) -> None:
    assert entries["flask"]["symmetries_continuous"] == [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]
    assert not entries["flask"]["symmetries_discrete"]
    mesh = meshes["flask"]
    segments = 72
    for steps in (1, 7, 36):
        turn = Rotation.from_euler("z", 360 / segments * steps, degrees=True).as_matrix()
        distance, color = disagreement(mesh, turn)
        assert distance.max() < 1e-6
        assert color.max() == 0.0
    # Between its steps a turn moves the surface by no more than the polygon differs from its circle.
    radius = np.linalg.norm(mesh.vertices[:, :2], axis=1).max()
    assert radius * (1 - np.cos(np.pi / segments)) < 5e-5
    distance, color = disagreement(mesh, np.diag([1.0, -1.0, -1.0]))
    assert distance.mean() > 0.004
    assert color.mean() > 20


# --- recording -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    class_id: str
    cam_from_obj: np.ndarray
    visib_fract: float
    extents: np.ndarray


@dataclass(frozen=True)
class Frame:
    stamp_ns: int
    image: np.ndarray
    camera_info: Any
    detections: list[Any]
    truths: list[Truth]

    @property
    def K(self) -> np.ndarray:
        return np.asarray(self.camera_info.k).reshape(3, 3)


def truth_of(detection: Any) -> Truth:
    result = detection.results[0]
    position, turn = result.pose.pose.position, result.pose.pose.orientation
    cam_from_obj = np.eye(4)
    cam_from_obj[:3, :3] = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    cam_from_obj[:3, 3] = position.x, position.y, position.z
    size = detection.bbox.size
    return Truth(
        result.hypothesis.class_id, cam_from_obj, result.hypothesis.score, np.array([size.x, size.y, size.z])
    )


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    typestore = get_typestore(Stores.ROS2_HUMBLE)
    typestore.register(vision_types())
    by_stamp: dict[int, dict[str, Any]] = {}
    with Reader(DEMO / "bag") as reader:
        for connection, log_time_ns, raw in reader.messages():
            message = typestore.deserialize_cdr(raw, connection.msgtype)
            assert message.header.frame_id == "camera_optical_frame"
            stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            assert stamp_ns == log_time_ns
            by_stamp.setdefault(stamp_ns, {})[connection.topic] = message
    result = []
    for stamp_ns, messages in sorted(by_stamp.items()):
        assert len(messages) == 4, f"topics {sorted(messages)} only at {stamp_ns}"
        compressed = messages["/camera/image_rect/compressed"]
        assert compressed.format == "jpeg"
        image = cv2.imdecode(np.asarray(compressed.data), cv2.IMREAD_COLOR)
        result.append(
            Frame(
                stamp_ns,
                image,
                messages["/camera/camera_info"],
                list(messages["/camera/detections"].detections),
                [truth_of(d) for d in messages["/camera/ground_truth"].detections],
            )
        )
    return result


def box_of(detection: Any) -> np.ndarray:
    """(center_x, center_y, width, height) in pixels."""
    center = detection.bbox.center.position
    return np.array([center.x, center.y, detection.bbox.size_x, detection.bbox.size_y])


def project(mesh: trimesh.Trimesh, cam_from_obj: np.ndarray, K: np.ndarray) -> np.ndarray:
    points = (mesh.vertices @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]) @ K.T
    return points[:, :2] / points[:, 2:]


def test_the_bag_is_small_and_has_enough_frames_at_ten_hertz(frames: list[Frame]) -> None:
    assert sum(path.stat().st_size for path in (DEMO / "bag").iterdir()) <= 15e6
    assert len(frames) == FRAME_COUNT >= 60
    assert set(np.diff([frame.stamp_ns for frame in frames])) == {100_000_000}


def test_images_and_intrinsics_agree(frames: list[Frame]) -> None:
    for frame in frames:
        info = frame.camera_info
        assert frame.image.shape == (480, 640, 3)
        assert (info.height, info.width) == (480, 640)
        assert info.distortion_model == "plumb_bob"
        assert not np.any(info.d)
        np.testing.assert_array_equal(np.reshape(info.r, (3, 3)), np.eye(3))
        np.testing.assert_array_equal(np.reshape(info.p, (3, 4)), np.hstack([frame.K, np.zeros((3, 1))]))
        # Neither burnt out nor in the dark.
        assert 60 < frame.image.mean() < 190
        assert (frame.image.min(axis=2) >= 254).mean() < 0.02


def test_detections_and_ground_truth_are_in_the_same_order(frames: list[Frame]) -> None:
    for frame in frames:
        assert sorted(truth.class_id for truth in frame.truths) == sorted(CLASS_IDS)
        for detection, truth in zip(frame.detections, frame.truths):
            assert detection.results[0].hypothesis.class_id == truth.class_id
            assert 0.7 <= detection.results[0].hypothesis.score <= 0.99
            assert detection.id == ""
            assert truth.visib_fract >= 0.1
        assert all(truth.visib_fract < 0.1 for truth in frame.truths[len(frame.detections) :])


def test_a_third_of_the_detections_is_partly_hidden(frames: list[Frame]) -> None:
    visible = np.array([t.visib_fract for frame in frames for t in frame.truths[: len(frame.detections)]])
    assert 0.30 <= np.mean((visible >= 0.3) & (visible <= 0.8)) <= 0.36
    assert np.mean(visible > 0.8) > 0.6


def test_the_camera_goes_around_the_table(frames: list[Frame]) -> None:
    middles, azimuths, elevations = [], [], []
    for frame in frames:
        truths = {truth.class_id: truth.cam_from_obj for truth in frame.truths}
        for index in range(len(frame.detections)):
            middles.append(np.linalg.norm(frame.truths[index].cam_from_obj[:3, 3]))
        # The tea box stands upright, so its frame differs from the world's by a turn about z and a shift.
        upright = truths["tea_box"]
        center = np.mean([pose[:3, 3] for pose in truths.values()], axis=0)
        toward_camera = upright[:3, :3].T @ -center
        azimuths.append(np.arctan2(toward_camera[1], toward_camera[0]))
        elevations.append(np.degrees(np.arcsin(toward_camera[2] / np.linalg.norm(toward_camera))))
    assert 0.40 <= min(middles) < 0.45
    assert 1.10 < max(middles) <= 1.20
    assert abs(np.degrees(np.unwrap(azimuths)[-1] - np.unwrap(azimuths)[0])) >= 265
    assert 12 <= min(elevations) <= 18
    assert 72 <= max(elevations) <= 78


def test_boxes_are_off_by_up_to_seven_percent(
    frames: list[Frame], meshes: dict[str, trimesh.Trimesh]
) -> None:
    errors = []
    for frame in frames:
        for detection, truth in zip(frame.detections, frame.truths):
            pixels = project(meshes[truth.class_id], truth.cam_from_obj, frame.K)
            low, high = pixels.min(axis=0), pixels.max(axis=0)
            if truth.visib_fract < 0.995 or min(low) < 20 or (high > (620, 460)).any():
                continue
            box = box_of(detection)
            errors.append(
                np.concatenate([(box[:2] - (low + high) / 2) / (high - low), box[2:] / (high - low) - 1])
            )
    # Rasterised silhouettes are up to a pixel larger or smaller than projected vertices.
    assert len(errors) > 20
    assert np.abs(errors).max() < 0.07 + 0.02
    assert (np.std(errors, axis=0) > 0.025).all()
    assert (np.std(errors, axis=0) < 0.06).all()
    assert (np.abs(np.mean(errors, axis=0)) < 0.02).all()


def test_extents_are_the_meshes(frames: list[Frame], meshes: dict[str, trimesh.Trimesh]) -> None:
    for truth in frames[0].truths:
        np.testing.assert_allclose(truth.extents, meshes[truth.class_id].extents, atol=1e-6)


def silhouette(mesh: trimesh.Trimesh, pixels: np.ndarray) -> np.ndarray:
    mask = np.zeros((480, 640), np.uint8)
    for triangle in np.round(pixels[mesh.faces] * 16).astype(np.int32):
        cv2.fillConvexPoly(mask, triangle, 255, cv2.LINE_8, 4)
    return mask


@pytest.mark.parametrize("class_id", CLASS_IDS)
def test_ground_truth_sits_on_the_objects_in_the_pictures(
    frames: list[Frame], meshes: dict[str, trimesh.Trimesh], class_id: str
) -> None:
    """The silhouette's outline lies on the picture's edges, more so than the same outline shifted by a few pixels."""
    shifts = [(0, 0)] + [(4 * x, 4 * y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    strengths = []
    for frame in frames[::2]:
        truth = next(t for t in frame.truths if t.class_id == class_id)
        if truth.visib_fract < 0.9:
            continue
        mask = silhouette(meshes[class_id], project(meshes[class_id], truth.cam_from_obj, frame.K))
        outline = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        outline[:8], outline[-8:], outline[:, :8], outline[:, -8:] = False, False, False, False
        smooth = cv2.GaussianBlur(frame.image.astype(np.float32), (0, 0), 0.8)
        gradient = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).max(
            axis=2
        )
        strengths.append([gradient[np.roll(outline, shift, axis=(0, 1))].mean() for shift in shifts])
    assert len(strengths) >= 8
    mean = np.mean(strengths, axis=0)
    assert mean[0] > 1.3 * mean[1:].max(), mean


def test_visible_shares_come_from_the_scene(frames: list[Frame]) -> None:
    """Hidden area counted anew for some frames, from the bag's own poses and the layout of the table."""
    items = load_scene(DEMO / "objects")
    for frame in frames[5::24]:
        flask_truth = next(truth for truth in frame.truths if truth.class_id == "flask")
        flask_item = next(item for item in items if item.name == "flask")
        cam_from_world = flask_truth.cam_from_obj @ np.linalg.inv(flask_item.world_from_obj)
        seen = index_image(items, cam_from_world, frame.K, (480, 640))
        for truth in frame.truths:
            index = next(i for i, item in enumerate(items) if item.name == truth.class_id)
            np.testing.assert_allclose(
                cam_from_world @ items[index].world_from_obj, truth.cam_from_obj, atol=1e-9
            )
            share = np.sum(seen == index) / silhouette_area_px(items[index], cam_from_world, frame.K)
            assert share == pytest.approx(truth.visib_fract, abs=0.003)
