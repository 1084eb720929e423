"""What the node publishes besides poses, over real DDS: object_info, boxes, markers, the overlay, diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

from mrc_core.inference import Bundle
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.images import rgb_from_image
from mrc_net_ros.msg import ObjectInfoArray, ObjectPoseArray

BOXES = [(100.0, 90.0, 220.0, 230.0), (300.0, 200.0, 390.0, 310.0), (420.0, 120.0, 600.0, 260.0)]
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@pytest.fixture(scope="module")
def rig(tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node that takes compressed images."""
    rclpy.init()
    rig = harness.Rig(
        "/outputs",
        bundle=str(tiny_bundle),
        device="cpu",
        image_transport="compressed",
        image_qos="reliable",
    )
    rig.wait_ready()
    yield rig
    rig.close()
    rclpy.try_shutdown()


def _of(messages: list, head: object) -> list:
    return [m for m in list(messages) if m.header == head]


def test_object_info_reaches_who_comes_late(rig: harness.Rig, tiny_bundle: Path) -> None:
    messages = rig.received(ObjectInfoArray, "object_info", LATCHED)
    rig.wait_for(lambda: messages, "object_info")
    bundle = Bundle.load(tiny_bundle)
    (message,) = messages
    assert message.bundle == str(tiny_bundle)
    assert [info.class_id for info in message.objects] == bundle.class_ids
    for info, model, file in zip(message.objects, bundle.objects, bundle.mesh_files):
        assert info.diameter == pytest.approx(model.diameter)
        assert info.mesh_resource == file.as_uri()
        low, high = model.mesh.vertices.min(axis=0), model.mesh.vertices.max(axis=0)
        centre, size = info.bbox.center.position, info.bbox.size
        np.testing.assert_allclose((centre.x, centre.y, centre.z), (low + high) / 2, atol=1e-6)
        np.testing.assert_allclose((size.x, size.y, size.z), high - low, atol=1e-6)
    wedge, disc = message.objects
    assert (len(wedge.symmetries_discrete), len(wedge.symmetries_continuous)) == (0, 0)
    (turn,) = disc.symmetries_continuous
    assert (turn.axis.x, turn.axis.y, turn.axis.z) == (0.0, 0.0, 1.0)


def test_boxes_in_space_enclose_the_meshes(rig: harness.Rig, tiny_bundle: Path) -> None:
    messages = rig.received(Detection3DArray, "detections_3d")
    rig.wait_for(lambda: rig.peer.count_publishers("detections_3d") == 1, "publisher")
    head = rig.send(10.0, [harness.detection("wedge", BOXES[0]), harness.detection("disc", BOXES[1])])
    poses = rig.answer(head).poses
    rig.wait_for(lambda: _of(messages, head), "detections_3d")
    (message,) = _of(messages, head)
    models = {model.class_id: model for model in Bundle.load(tiny_bundle).objects}
    assert len(message.detections) == 2
    for found, pose in zip(message.detections, poses):
        assert found.header == head
        assert found.id == f"{pose.class_id}_{pose.instance_id}"
        (result,) = found.results
        assert (result.hypothesis.class_id, result.pose) == (pose.class_id, pose.pose)
        assert result.hypothesis.score == pytest.approx(pose.score)
        vertices = models[pose.class_id].mesh.vertices.astype(float)
        cam_from_obj, cam_from_box = matrix_from_pose(pose.pose.pose), matrix_from_pose(found.bbox.center)
        seen = vertices @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
        inside = (seen - cam_from_box[:3, 3]) @ cam_from_box[:3, :3]
        half = np.array([found.bbox.size.x, found.bbox.size.y, found.bbox.size.z]) / 2
        np.testing.assert_allclose(inside.max(axis=0), half, atol=1e-5)
        np.testing.assert_allclose(inside.min(axis=0), -half, atol=1e-5)


def test_markers_show_meshes_and_take_off_what_has_gone(rig: harness.Rig) -> None:
    messages = rig.received(MarkerArray, "markers")
    rig.wait_for(lambda: rig.peer.count_publishers("markers") == 1, "publisher")

    def markers(head: object) -> list[Marker]:
        rig.wait_for(
            lambda: any(m.markers[-1].header == head for m in list(messages) if m.markers), "markers"
        )
        return next(m.markers for m in messages if m.markers and m.markers[-1].header == head)

    rig.answer(rig.send(20.0, []))  # a clean start
    head = rig.send(20.1, [harness.detection("wedge", b) for b in BOXES[:2]])
    poses = rig.answer(head).poses
    shown = [m for m in markers(head) if m.action == Marker.ADD]
    assert sorted((m.ns, m.id) for m in shown) == [("wedge", 0), ("wedge", 1)]
    by_id = {str(m.id): m for m in shown}
    for pose in poses:
        marker = by_id[pose.instance_id]
        assert marker.pose == pose.pose.pose
        assert (marker.type, marker.scale.x, marker.lifetime.sec) == (Marker.MESH_RESOURCE, 1.0, 2)
        assert marker.mesh_use_embedded_materials
        assert Path(marker.mesh_resource.removeprefix("file://")).is_file()
    head = rig.send(20.2, [harness.detection("disc", BOXES[0]), harness.detection("wedge", BOXES[1])])
    rig.answer(head)
    found = {(m.ns, m.id): m.action for m in markers(head)}
    assert found == {("wedge", 1): Marker.DELETE, ("disc", 0): Marker.ADD, ("wedge", 0): Marker.ADD}

    assert rig.node.set_parameters([Parameter("publish_markers", value=False)])[0].successful
    count = len(messages)
    rig.answer(rig.send(20.3, [harness.detection("disc", BOXES[0])]))
    rig.wait_for(lambda: len(messages) == count + 1, "deletions")
    assert {(m.ns, m.id, m.action) for m in messages[-1].markers} == {
        ("disc", 0, Marker.DELETE),
        ("wedge", 0, Marker.DELETE),
    }
    rig.answer(rig.send(20.4, [harness.detection("disc", BOXES[0])]))
    assert len(messages) == count + 1
    assert rig.node.set_parameters([Parameter("publish_markers", value=True)])[0].successful


def test_the_overlay_is_drawn_for_listeners_alone_after_the_poses(
    rig: harness.Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    outputs = rig.node.cameras[0].outputs
    draw = outputs.publish_overlay

    def counted(result: object, painter: object) -> None:
        rig.wait_for(lambda: _of(rig.poses, result.header), "poses before the overlay")
        drawn.append(1)
        draw(result, painter)

    monkeypatch.setattr(outputs, "publish_overlay", counted)
    rig.answer(rig.send(30.0, [harness.detection("wedge", BOXES[0])]))
    rig.answer(rig.send(30.1, []))
    assert drawn == []
    images = rig.received(Image, "pose_estimator/overlay")
    rig.wait_for(lambda: outputs.overlay_is_wanted, "listener")
    rgb = harness.picture(3)
    head = rig.send(30.2, [harness.detection("wedge", BOXES[0])], rgb)
    rig.answer(head)
    rig.wait_for(lambda: _of(images, head), "overlay")
    picture = rgb_from_image(images[-1])
    changed = np.abs(picture.astype(int) - rgb).max(axis=2) > 30
    assert picture.shape == rgb.shape
    assert 100 < changed.sum() < 0.2 * changed.size
    assert drawn == [1]


def test_diagnostics_tell_times_drops_and_who_cannot_be_heard(rig: harness.Rig) -> None:
    statuses: list[DiagnosticStatus] = []
    rig.peer.create_subscription(DiagnosticArray, "/diagnostics", lambda m: statuses.extend(m.status), 10)
    now_s = rig.node.get_clock().now().nanoseconds / 1e9
    for i in range(3):
        head = rig.send(
            now_s + 0.1 * i, [harness.detection("cup", BOXES[0]), harness.detection("disc", BOXES[1])]
        )
        rig.answer(head)
    count = len(statuses)
    rig.wait_for(lambda: len(statuses) > count + 1, "diagnostics")
    values = {v.key: v.value for v in statuses[-1].values}
    for stage in (
        "callbacks",
        "wait for detections",
        "wait for network",
        "conversion",
        "estimate",
        "publication",
        "transport",
        "own work",
        "own work CPU",
        "latency",
    ):
        p50, p95, most = (float(values[f"{stage} {name} [ms]"]) for name in ("p50", "p95", "max"))
        assert 0.0 <= p50 <= p95 <= most < 2e4, stage
    own = ("callbacks", "conversion", "publication")
    at_most = sum(float(values[f"{stage} max [ms]"]) for stage in own)
    assert float(values["conversion p50 [ms]"]) < float(values["own work p50 [ms]"]) < at_most + 0.1
    assert 0.1 < float(values["own work CPU p50 [ms]"]) < float(values["own work max [ms]"]) + 0.1
    assert float(values["estimate p50 [ms]"]) > 1.0
    assert float(values["conversion p50 [ms]"]) > 0.1
    assert int(values["dropped detections, unknown class"]) >= 3
    assert values["unknown classes"] == "cup"
    assert float(values["memory [MB]"]) > 50.0
    rig.wait_said("the class 'cup' is not in the bundle")
    assert sum("'cup'" in text for text in rig.said()) == 1  # once

    # a subscriber that asks for more than is offered, and a publisher that offers less than is asked for
    rig.peer.create_subscription(ObjectPoseArray, "poses", lambda m: None, LATCHED)
    rig.wait_said("a subscriber of /outputs/poses hears nothing, for its QoS does not fit (DURABILITY)")
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    rig.peer.create_publisher(CameraInfo, "camera_info", best_effort)
    rig.wait_said("camera_info cannot be heard, for its QoS does not fit (RELIABILITY): set 'image_qos' to")
    rig.wait_for(lambda: statuses[-1].level == DiagnosticStatus.WARN, "warning")
    keys = {v.key: v.value for v in statuses[-1].values}
    assert keys["incompatible QoS"] == "/outputs/camera_info, /outputs/poses"
