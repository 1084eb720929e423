"""How inputs come in, over real DDS: reliability by parameter, and images of a part of the sensor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage
from vision_msgs.msg import Detection2DArray

from mrc_core.inference import Detection, PoseEstimator
from mrc_net_ros.conversions import matrix_from_pose

BOX = (100.0, 90.0, 220.0, 230.0)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
INPUTS = ("image_rect/compressed", "camera_info", "detections")


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """ROS for the tests of this module."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


def _reliabilities(rig: harness.Rig) -> list[ReliabilityPolicy]:
    """What the node's subscriptions to its inputs ask for, as DDS tells it."""
    found = []
    for topic in INPUTS:
        (info,) = rig.peer.get_subscriptions_info_by_topic(rig.peer.resolve_topic_name(topic))
        found.append(info.qos_profile.reliability)
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["BEST_EFFORT", "BEST_EFFORT", "RELIABLE"]),
        ({"image_qos": "reliable", "detections_qos": "sensor_data"}, ["RELIABLE", "RELIABLE", "BEST_EFFORT"]),
    ],
)
def test_parameters_set_the_reliability_of_the_inputs(
    ros: None, tiny_bundle: Path, given: dict[str, str], expected: list[str]
) -> None:
    rig = harness.Rig("/qos", bundle=str(tiny_bundle), device="cpu", image_transport="compressed", **given)
    try:
        rig.wait_ready()
        assert [policy.name for policy in _reliabilities(rig)] == expected
    finally:
        rig.close()


def test_best_effort_inputs_are_heard(ros: None, tiny_bundle: Path) -> None:
    rig = harness.Rig(
        "/best_effort", bundle=str(tiny_bundle), device="cpu", image_transport="compressed",
        detections_qos="sensor_data",
    )  # fmt: skip
    try:
        rig.wait_ready()
        types = (CompressedImage, CameraInfo, Detection2DArray)
        images, infos, detections = (
            rig.peer.create_publisher(kind, topic, BEST_EFFORT) for kind, topic in zip(types, INPUTS)
        )
        rig.wait_for(
            lambda: all(p.get_subscription_count() == 1 for p in (images, infos, detections)), "subscriptions"
        )
        picture = np.full((*harness.SIZE, 3), 90, np.uint8)  # small once it is compressed: nothing is cut apart
        stamps = iter(range(1000))

        def answered() -> bool:  # a message may get lost, that is what best effort means
            head = harness.header(1.0 + 0.1 * next(stamps))
            infos.publish(harness.camera_info(head))
            detections.publish(Detection2DArray(header=head, detections=[harness.detection("wedge", BOX)]))
            images.publish(harness.compressed_image(head, picture))
            time.sleep(0.2)
            return any(len(message.poses) == 1 for message in list(rig.poses))

        rig.wait_for(answered, "poses")
        assert not any("cannot be heard" in text for text in rig.said())
    finally:
        rig.close()


def test_a_region_of_interest_and_binning_move_and_scale_the_intrinsics(ros: None, tiny_bundle: Path) -> None:
    rig = harness.Rig("/region", bundle=str(tiny_bundle), device="cpu", image_qos="reliable")
    try:
        rig.wait_ready()
        x, y, width, height, binning = 40, 20, 560, 440, 2
        rgb = np.ascontiguousarray(harness.picture(4)[: height // binning, : width // binning])
        head = harness.header(1.0)
        info = harness.camera_info(head)
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = x, y, width, height
        info.binning_x = info.binning_y = binning
        box = (60.0, 50.0, 150.0, 140.0)  # in the pixels of the image that comes
        rig.infos.publish(info)
        rig.detections.publish(Detection2DArray(header=head, detections=[harness.detection("wedge", box)]))
        rig.images.publish(harness.raw_image(head, rgb))
        (pose,) = rig.answer(head).poses
        matrix = harness.K.copy()
        matrix[:2, 2] -= (x, y)
        matrix[:2] /= binning
        estimator = PoseEstimator.from_bundle(tiny_bundle, device="cpu")
        (expected,) = estimator.estimate(rgb, matrix, [Detection("wedge", box, 0.9)])
        np.testing.assert_allclose(matrix_from_pose(pose.pose.pose), expected.cam_from_obj, atol=1e-4)
    finally:
        rig.close()


def test_an_image_takes_the_info_of_its_own_size_though_another_is_newer(ros: None, tiny_bundle: Path) -> None:
    """As after a camera has changed its mode and back, or where two modes share a topic."""
    rig = harness.Rig("/modes", bundle=str(tiny_bundle), device="cpu", image_qos="reliable")
    try:
        rig.wait_ready()
        known = harness.detection("wedge", BOX)
        assert len(rig.answer(rig.send(1.0, [known])).poses) == 1
        rig.infos.publish(harness.camera_info(harness.header(1.1), size=(720, 1280)))
        rig.wait_for(lambda: _infos_of(rig) == 2, "the other camera info")
        head = harness.header(1.2)
        rig.detections.publish(Detection2DArray(header=head, detections=[known]))
        rig.images.publish(harness.raw_image(head, harness.picture()))
        assert len(rig.answer(head).poses) == 1
    finally:
        rig.close()


def _infos_of(rig: harness.Rig) -> int:
    return len(rig.node.cameras[0].inputs.synchroniser.camera_infos._by_stamp)


def test_diagnostics_warn_until_the_first_detection_becomes_a_pose(ros: None, tiny_bundle: Path) -> None:
    rig = harness.Rig("/classes", bundle=str(tiny_bundle), device="cpu", image_qos="reliable")
    statuses = rig.received(DiagnosticArray, "/diagnostics", 10)
    try:
        rig.wait_ready()
        rig.node.cameras[0]._detections._patience_s = 1.0
        stamps = iter(range(1000))

        def sent_until(said: str) -> bool:
            rig.answer(rig.send(1.0 + 0.1 * next(stamps), [harness.detection("47", BOX)]))
            time.sleep(0.2)
            return bool(statuses) and said in statuses[-1].status[0].message

        rig.wait_for(lambda: sent_until("none has become a pose yet"), "warning")
        assert statuses[-1].status[0].level == DiagnosticStatus.WARN
        rig.answer(rig.send(900.0, [harness.detection("wedge", BOX)]))
        rig.wait_for(lambda: statuses[-1].status[0].level == DiagnosticStatus.OK, "good diagnostics")
        end_s = time.monotonic() + 3.0
        while time.monotonic() < end_s:  # from now on it is a detector that knows more than the bundle
            assert not sent_until("none has become")
    finally:
        rig.close()
