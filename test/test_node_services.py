"""The node's services over real DDS: another bundle while it runs, pause, tracks; and the time budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from conftest import make_random_bundle
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool, Trigger

from mrc_core.inference import Detection, PoseEstimator
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.msg import ObjectInfoArray
from mrc_net_ros.node_process import NodeProcess
from mrc_net_ros.srv import LoadBundle

BOXES = [(100.0, 90.0, 220.0, 230.0), (300.0, 200.0, 390.0, 310.0), (420.0, 120.0, 600.0, 260.0)]
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with other weights, one class of the first one and one of its own."""
    return make_random_bundle(
        tmp_path_factory.mktemp("bundle") / "other", class_ids=("wedge", "2 plate"), seed=5
    )


@pytest.fixture(scope="module")
def rig(tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node that takes compressed images."""
    rclpy.init()
    rig = harness.Rig(
        "/services",
        ["wedge"],
        bundle=str(tiny_bundle),
        device="cpu",
        image_transport="compressed",
        image_qos="reliable",
    )
    rig.wait_ready()
    yield rig
    rig.close()
    rclpy.try_shutdown()


def _load(rig: harness.Rig, path: object) -> LoadBundle.Response:
    return rig.call(LoadBundle, "load_bundle", LoadBundle.Request(path=str(path)))


def test_a_bundle_that_cannot_be_used_leaves_the_old_one_at_work(rig: harness.Rig, tmp_path: Path) -> None:
    damaged = make_random_bundle(tmp_path / "damaged")
    (damaged / "weights.safetensors").write_bytes(b"short")
    colliding = make_random_bundle(tmp_path / "colliding", class_ids=("a b", "a-b"))
    for path, reason in (
        ("/nowhere", "is not a bundle"),
        (damaged, "was altered or cut short"),
        (colliding, "would both be published on 'pose/a_b'"),
        ("", "is empty"),
    ):
        answer = _load(rig, path)
        assert not answer.success
        assert reason in answer.message
        assert "the old bundle is kept" in answer.message
    for i, class_id in enumerate(("wedge", "disc")):
        head = rig.send(1.0 + i, [harness.detection(class_id, BOXES[0])])
        assert [pose.class_id for pose in rig.answer(head).poses] == [class_id]


def test_another_bundle_takes_over_with_its_classes_topics_and_info(
    rig: harness.Rig, tiny_bundle: Path, other_bundle: Path
) -> None:
    infos = rig.received(ObjectInfoArray, "object_info", LATCHED)
    rig.wait_for(lambda: infos, "object_info")
    answer = _load(rig, other_bundle)
    assert answer.success, answer.message
    assert str(other_bundle) in answer.message
    rig.wait_for(lambda: len(infos) == 2, "object_info of the new bundle")
    assert [info.class_id for info in infos[1].objects] == ["wedge", "2 plate"]
    rig.wait_for(lambda: rig.peer.count_publishers("pose/obj_2_plate") == 1, "topic of a new class")
    rig.wait_for(lambda: rig.peer.count_publishers("pose/disc") == 0, "end of a topic")
    assert rig.node.get_parameter("bundle").value == str(other_bundle)
    plates = rig.received(PoseStamped, "pose/obj_2_plate")
    rig.wait_for(
        lambda: len(rig.peer.get_subscriptions_info_by_topic("/services/pose/obj_2_plate")) == 1, "match"
    )
    time.sleep(0.2)  # the other side of the match

    rgb = harness.picture(9)
    head = rig.send(10.0, [harness.detection(c, b) for c, b in zip(("wedge", "2 plate", "disc"), BOXES)], rgb)
    poses = rig.answer(head).poses
    assert [pose.class_id for pose in poses] == ["wedge", "2 plate"]
    expected = PoseEstimator.from_bundle(other_bundle).estimate(
        rgb, harness.K, [Detection("wedge", BOXES[0], 0.9), Detection("2 plate", BOXES[1], 0.9)]
    )
    for pose, estimate in zip(poses, expected):
        np.testing.assert_allclose(matrix_from_pose(pose.pose.pose), estimate.cam_from_obj, atol=1e-5)
    rig.wait_for(lambda: [m for m in list(plates) if m.header == head], "pose of the new class")
    rig.wait_for(lambda: [m for m in list(rig.best["wedge"]) if m.header == head], "pose of the old class")
    assert {t.child_frame_id for t in rig.transforms_of(head)} == {"wedge_0", "obj_2_plate_0"}
    assert _load(rig, tiny_bundle).success
    assert len(rig.answer(rig.send(11.0, [harness.detection("disc", BOXES[0])])).poses) == 1


def test_a_paused_node_says_so_and_goes_on(rig: harness.Rig) -> None:
    statuses: list[DiagnosticStatus] = []
    rig.peer.create_subscription(DiagnosticArray, "/diagnostics", lambda m: statuses.extend(m.status), 10)
    answer = rig.call(SetBool, "pause", SetBool.Request(data=True))
    assert (answer.success, answer.message) == (True, "paused")
    dropped = rig.node.cameras[0].statistics.dropped_frames
    paused = rig.send(20.0, [harness.detection("wedge", BOXES[0])])
    rig.wait_for(lambda: dropped["paused"] == 1, "count of the frame")
    rig.wait_for(lambda: statuses and statuses[-1].message == "paused", "diagnostics")
    assert {v.key: v.value for v in statuses[-1].values}["paused"] == "true"
    assert rig.call(SetBool, "pause", SetBool.Request(data=False)).message == "running"
    rig.answer(rig.send(20.1, [harness.detection("wedge", BOXES[0])]))
    assert not any(m.header == paused for m in rig.poses)


def test_without_tracking_there_is_nothing_to_reset(rig: harness.Rig) -> None:
    answer = rig.call(Trigger, "reset_tracks", Trigger.Request())
    assert (answer.success, answer.message[:20]) == (False, "there is no tracking")


def test_a_time_budget_keeps_the_best_and_reports_the_rest(rig: harness.Rig) -> None:
    scores = (0.2, 0.9, 0.5)
    detections = [harness.detection("wedge", b, s) for b, s in zip(BOXES, scores)]
    assert len(rig.answer(rig.send(30.0, detections)).poses) == 3
    assert rig.node.set_parameters([Parameter("time_budget_s", value=1e-4)])[0].successful
    (best,) = rig.answer(rig.send(30.1, detections)).poses
    assert best.detection_score == pytest.approx(0.9)
    rig.wait_said("2 of 3 detections were dropped, those with the lowest scores: 'time_budget_s' (0.0001 s)")
    rig.wait_for(
        lambda: rig.node.cameras[0].statistics.dropped_detections["time_budget_s"] == 2, "count of drops"
    )
    assert rig.node.set_parameters([Parameter("time_budget_s", value=60.0)])[0].successful
    assert len(rig.answer(rig.send(30.2, detections)).poses) == 3
    assert rig.node.set_parameters([Parameter("time_budget_s", value=0.0)])[0].successful


def test_services_of_a_node_that_is_not_active_say_so(rig: harness.Rig, tiny_bundle: Path) -> None:
    assert rig.node.trigger_deactivate().name == "SUCCESS"
    assert "the node is inactive" in _load(rig, tiny_bundle).message
    answer = rig.call(SetBool, "pause", SetBool.Request(data=True))
    assert not answer.success
    assert "the node is inactive" in answer.message


def test_a_node_in_a_process_of_its_own_loads_a_bundle_and_goes_on(
    rig: harness.Rig, tiny_bundle: Path, other_bundle: Path, tmp_path: Path
) -> None:
    """There the executor has one thread, which must not be held up by the service."""
    parameters = {"bundle": str(tiny_bundle), "device": "cpu", "image_qos": "reliable"}
    infos: list[ObjectInfoArray] = []
    peer = rclpy.create_node("other_peer", namespace="/process")
    rig.executor.add_node(peer)
    with NodeProcess(parameters, "/process", tmp_path / "node.log") as node:
        peer.create_subscription(ObjectInfoArray, "object_info", infos.append, LATCHED)
        client = peer.create_client(LoadBundle, "pose_estimator/load_bundle")
        rig.wait_for(lambda: infos, "object_info", 120.0)
        loading = client.call_async(LoadBundle.Request(path=str(other_bundle)))
        rig.wait_for(loading.done, "answer", 120.0)
        assert loading.result().success, loading.result().message
        rig.wait_for(lambda: len(infos) == 2, "object_info of the new bundle")
        pausing = peer.create_client(SetBool, "pose_estimator/pause").call_async(SetBool.Request(data=True))
        rig.wait_for(pausing.done, "answer")
        assert pausing.result().success
        assert node.stop() == 0, node.last_lines()
    rig.executor.remove_node(peer)
    peer.destroy_node()
