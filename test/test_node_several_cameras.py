"""Two cameras in one node, over real DDS: topics of their own, one pass of the network, and neither starves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from mrc_core.inference import Detection, PoseEstimator
from mrc_net_ros.camera import Camera, Job
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.synchroniser import Frame

BOXES = [(100.0, 90.0, 220.0, 230.0), (300.0, 200.0, 390.0, 310.0), (420.0, 120.0, 600.0, 260.0)]
NAMES = ["left", "head/right"]
FRAMES = ["left_optical_frame", "right_optical_frame"]


@pytest.fixture(scope="module")
def rig(tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node with two cameras."""
    rclpy.init()
    rig = harness.Rig("/several", bundle=str(tiny_bundle), device="cpu", image_qos="reliable", cameras=NAMES)
    rig.wait_ready()
    yield rig
    rig.close()
    rclpy.try_shutdown()


def _send_both(rig: harness.Rig, stamp_s: float, detections: list, pictures: tuple = (1, 2)) -> list:
    """A frame of each camera with the same stamp."""
    return [
        stream.send(stamp_s, detections, harness.picture(seed), frame_id=frame_id)
        for stream, seed, frame_id in zip(rig.streams, pictures, FRAMES)
    ]


def _job(camera: Camera, stamp_s: float, frame_id: str) -> Job:
    """A frame as it reaches the worker."""
    head = harness.header(stamp_s, frame_id)
    detections = Detection2DArray(header=head, detections=[harness.detection("wedge", b) for b in BOXES])
    return Job(
        camera, Frame(harness.raw_image(head, harness.picture()), detections, harness.camera_info(head))
    )


def test_each_camera_gets_its_own_poses_frames_and_transforms(rig: harness.Rig, tiny_bundle: Path) -> None:
    heads = _send_both(rig, 5.0, [harness.detection("wedge", BOXES[0]), harness.detection("disc", BOXES[1])])
    estimator = PoseEstimator.from_bundle(tiny_bundle)
    seen = [Detection("wedge", BOXES[0], 0.9), Detection("disc", BOXES[1], 0.9)]
    for stream, head, seed, name in zip(rig.streams, heads, (1, 2), NAMES):
        message = stream.answer(head)
        assert message.header.frame_id == head.frame_id
        expected = estimator.estimate(harness.picture(seed), harness.K, seen)
        for pose, estimate in zip(message.poses, expected):
            np.testing.assert_allclose(matrix_from_pose(pose.pose.pose), estimate.cam_from_obj, atol=1e-5)
        children = {t.child_frame_id for t in rig.transforms_of(head)}
        assert children == {f"{name}/wedge_0", f"{name}/disc_0"}  # one parent for each frame of TF
        assert not any(m.header.frame_id != head.frame_id for m in stream.poses)
    topics = dict(rig.peer.get_topic_names_and_types())
    for name in NAMES:
        for topic in ("pose/wedge", "detections_3d", "markers"):
            assert f"/several/{name}/{topic}" in topics
        assert f"/several/pose_estimator/{name}/overlay" in topics
    assert "/several/object_info" in topics
    assert "/several/poses" not in topics


def test_frames_that_wait_are_estimated_in_one_pass_and_a_slow_camera_is_not_starved(
    rig: harness.Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = rig.node._estimation._work
    estimate, go_on, sizes = work.bundle.estimator.estimate_batch, threading.Event(), []

    def held(frames: list) -> list:
        sizes.append(len(frames))
        assert go_on.wait(20.0)
        return estimate(frames)

    monkeypatch.setattr(work.bundle.estimator, "estimate_batch", held)
    left, right = rig.streams
    one = [harness.detection("wedge", BOXES[0])]
    first = left.send(10.0, one, frame_id=FRAMES[0])
    rig.wait_for(lambda: sizes == [1], "first pass")
    slow = right.send(10.0, one, frame_id=FRAMES[1])
    fast = [left.send(10.1 + 0.1 * i, one, frame_id=FRAMES[0]) for i in range(4)]
    replaced = rig.node.cameras[0].statistics.dropped_frames
    rig.wait_for(lambda: replaced["replaced"] == 3, "three replaced frames of the fast camera")
    rig.wait_for(
        lambda: set(rig.node._estimation._worker._slots) == set(NAMES), "a frame of each camera that waits"
    )
    go_on.set()
    for stream, head in ((left, first), (left, fast[-1]), (right, slow)):
        assert len(stream.answer(head).poses) == 1
    assert sizes == [1, 2]
    assert rig.node.cameras[1].statistics.dropped_frames.total() == 0


def test_a_budget_for_one_detection_goes_round_the_cameras(rig: harness.Rig) -> None:
    assert rig.node.set_parameters([Parameter("time_budget_s", value=1e-4)])[0].successful
    work = rig.node._estimation._work
    frames = [_job(camera, 20.0, frame_id) for camera, frame_id in zip(rig.node.cameras, FRAMES)]
    served = []
    for _ in range(4):
        published = work.process(frames, rig.node._settings)
        served.append([len(result.instances) for _, result in published])
    assert sorted(served[0]) == [0, 1]
    assert served == [served[0], served[1], served[0], served[1]]
    assert served[0] != served[1]
    assert rig.node.set_parameters([Parameter("time_budget_s", value=0.0)])[0].successful


def test_a_camera_that_fails_does_not_stop_the_other(
    rig: harness.Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = rig.node._estimation._work.bundle.estimator
    estimate = estimator.estimate_batch

    def fail_on_black(frames: list) -> list:
        if any(rgb.max() == 0 for rgb, _, _ in frames):
            raise ZeroDivisionError("black")
        return estimate(frames)

    monkeypatch.setattr(estimator, "estimate_batch", fail_on_black)
    left, right = rig.streams
    one = [harness.detection("wedge", BOXES[0])]
    bad = left.send(30.0, one, np.zeros((*harness.SIZE, 3), np.uint8), frame_id=FRAMES[0])
    good = right.send(30.0, one, frame_id=FRAMES[1])
    assert len(right.answer(good).poses) == 1
    rig.wait_said("a frame failed and is skipped: ZeroDivisionError('black')")
    assert rig.node.cameras[0].statistics.dropped_frames["error"] == 1
    assert not any(m.header == bad for m in left.poses)


def test_diagnostics_and_overlay_are_each_cameras_own(rig: harness.Rig) -> None:
    statuses: dict[str, DiagnosticStatus] = {}
    rig.peer.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: statuses.update({s.name: s for s in m.status}), 10
    )
    overlays = rig.received(Image, "pose_estimator/head/right/overlay")
    rig.wait_for(lambda: rig.node.cameras[1].outputs.overlay_is_wanted, "listener")
    heads = _send_both(rig, 40.0, [harness.detection("wedge", BOXES[0])])
    for stream, head in zip(rig.streams, heads):
        stream.answer(head)
    rig.wait_for(lambda: overlays, "overlay")
    assert overlays[0].header == heads[1]
    names = ["/several/pose_estimator", *(f"/several/pose_estimator: {name}" for name in NAMES)]
    rig.wait_for(lambda: set(statuses) == set(names), "three statuses")
    rig.wait_for(
        lambda: all(int({v.key: v.value for v in statuses[name].values}["frames"]) > 1 for name in names[1:]),
        "counts of frames",
    )


def test_plain_topics_are_not_there(rig: harness.Rig) -> None:
    assert rig.peer.count_subscribers("image_rect") == 0
    assert rig.peer.count_publishers("poses") == 0
