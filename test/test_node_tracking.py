"""Tracking over real DDS: images without detections are answered, tracks get lost and return, names stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from scripted_network import ScriptedNetwork, at, box_of
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

from mrc_core.inference import Detection, Followed, PoseEstimator, PoseFollower
from mrc_net_ros.conversions import matrix_from_pose

BOX = (240.0, 170.0, 400.0, 310.0)


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """ROS for the tests of this module."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


def _start(bundle: Path, name: str, **parameters: Any) -> harness.Rig:
    rig = harness.Rig(name, bundle=str(bundle), device="cpu", image_qos="reliable", **parameters)
    rig.wait_ready()
    return rig


@pytest.fixture(scope="module")
def between(ros: None, tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node that tracks between detections."""
    rig = _start(tiny_bundle, "/between", tracking="between_detections")
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def every(ros: None, tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node that tracks in every frame of two cameras."""
    rig = _start(tiny_bundle, "/every", tracking="every_frame", cameras=["left", "right"])
    yield rig
    rig.close()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> ScriptedNetwork:
    """In the place of a rig's network once ``_use`` has put it there."""
    return ScriptedNetwork()


def _use(rig: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = rig.node._estimation._work.bundle
    monkeypatch.setattr(bundle.estimator, "estimate_batch", network.estimate_batch)
    monkeypatch.setattr(bundle.follower, "follow_batch", network.follow_batch)
    monkeypatch.setattr(bundle.follower, "box", network.box)
    assert rig.call(Trigger, "reset_tracks", Trigger.Request()).success


def _image(stream: harness.Stream, stamp_s: float) -> Header:
    """Sends an image without detections, which are to come later or never."""
    head = harness.header(stamp_s)
    stream.infos.publish(harness.camera_info(head))
    stream.images.publish(harness.raw_image(head, harness.picture()))
    return head


def _whole(rig: harness.Rig, network: ScriptedNetwork, stamp_s: float, *seen: int, stream: int = 0) -> Header:
    """Sends detections of the objects of these numbers, and once they have arrived their image."""
    head, sender = harness.header(stamp_s), rig.streams[stream]
    joined = rig.node.cameras[stream].inputs.synchroniser
    before = joined.detections
    sender.detections.publish(_detections(head, network, *seen))
    rig.wait_for(lambda: joined.detections > before, "detections at the node")
    return _image(sender, stamp_s)


def _detections(head: Header, network: ScriptedNetwork, *seen: int) -> Detection2DArray:
    found = [harness.detection(network.objects[i][0], box_of(network.objects[i][1], harness.K)) for i in seen]
    return Detection2DArray(header=head, detections=found)


def _depths(rig: harness.Rig, head: Header, stream: int = 0) -> dict[str, float]:
    """Of the poses of a frame, by class and instance."""
    message = rig.streams[stream].answer(head)
    return {f"{p.class_id}_{p.instance_id}": round(p.pose.pose.position.z, 3) for p in message.poses}


def test_an_image_without_detections_is_answered_by_stage_two(between: harness.Rig, tiny_bundle: Path) -> None:
    estimator = PoseEstimator.from_bundle(tiny_bundle, device="cpu")
    first = between.send(1.0, [harness.detection("wedge", BOX)])
    (detected,) = between.answer(first).poses
    lone = _image(between.streams[0], 1.1)
    _image(between.streams[0], 1.2)  # hands the one before out
    (tracked,) = between.answer(lone).poses
    known = estimator.estimate(harness.picture(), harness.K, [Detection("wedge", BOX, 0.9)])
    (expected,) = PoseFollower(estimator).follow(harness.picture(), harness.K, [Followed(known[0])])
    assert expected is not None
    np.testing.assert_allclose(matrix_from_pose(tracked.pose.pose), expected.estimate.cam_from_obj, atol=1e-4)
    assert np.abs(matrix_from_pose(tracked.pose.pose) - matrix_from_pose(detected.pose.pose)).max() > 1e-3
    assert (tracked.instance_id, detected.instance_id) == ("0", "0")
    assert (tracked.detection_score, round(detected.detection_score, 3)) == (0.0, 0.9)
    assert [t.child_frame_id for t in between.transforms_of(lone)] == ["wedge_0"]


def test_a_lost_track_returns_with_a_detection(
    between: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(between, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("wedge", at(0.4, 0.0, 1.2))]
    head = _whole(between, network, 10.0, 0, 1)
    assert _depths(between, head) == {"wedge_0": 1.0, "wedge_1": 1.2}
    network.objects[0] = ("wedge", at(-0.14, 0.0, 1.05))  # it has jumped
    lone = _image(between.streams[0], 10.1)
    _image(between.streams[0], 10.15)
    assert _depths(between, lone) == {"wedge_1": 1.2}
    again = _whole(between, network, 10.2, 0)
    assert _depths(between, again) == {"wedge_0": 1.05, "wedge_1": 1.2}
    statistics = between.node.cameras[0].statistics
    assert (statistics.tracks, statistics.lost_tracks) == (2, 1)
    assert statistics.tracked_frames >= 2


def test_two_of_a_class_cross_and_keep_their_names(
    between: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(between, network, monkeypatch)
    asked = []
    for step in range(12):
        x = -0.22 + 0.04 * step
        network.objects = [("wedge", at(x, 0.0, 0.8)), ("wedge", at(-x, 0.03, 1.1))]
        if step % 4 == 0:
            asked.append(_whole(between, network, 20.0 + step / 30, *((0, 1), (1, 0))[step // 4 % 2]))
            assert _depths(between, asked[-1]) == {"wedge_0": 0.8, "wedge_1": 1.1}
        else:
            head = _image(between.streams[0], 20.0 + step / 30)
            asked.append(head)
            if step % 4 > 1:
                assert _depths(between, asked[-2]) == {"wedge_0": 0.8, "wedge_1": 1.1}
    names = {t.child_frame_id for head in asked[:-1] for t in between.transforms_of(head)}
    assert names == {"wedge_0", "wedge_1"}


def test_tracks_are_reset_by_the_service_and_by_time_that_jumps_back(
    between: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(between, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    for stamp_s, reset in ((30.0, True), (31.0, False)):
        assert _depths(between, _whole(between, network, stamp_s, 0)) == {"wedge_0": 1.0}
        if reset:
            answer = between.call(Trigger, "reset_tracks", Trigger.Request())
            assert (answer.success, answer.message) == (True, "all tracks are forgotten")
        since_s = stamp_s + 0.1 if reset else 5.0  # a bag that starts again
        network.calls.clear()
        lone = _image(between.streams[0], since_s)
        head = _whole(between, network, since_s + 0.1, 0)
        assert _depths(between, head) == {"wedge_0": 1.0}
        assert network.calls == [("detect", 1)]
        assert not any(message.header == lone for message in between.poses)


def test_late_detections_teach_tracks_and_answer_nothing_twice(
    between: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(between, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("disc", at(0.3, 0.0, 1.0))]
    assert _depths(between, _whole(between, network, 40.0, 0)) == {"wedge_0": 1.0}
    lone = _image(between.streams[0], 40.1)
    _image(between.streams[0], 40.2)
    assert _depths(between, lone) == {"wedge_0": 1.0}
    statistics = between.node.cameras[0].statistics
    before = statistics.late_detections
    between.streams[0].detections.publish(_detections(lone, network, 0, 1))
    between.wait_for(lambda: statistics.late_detections > before, "late detections taken in")
    waited = harness.header(40.2)
    _image(between.streams[0], 40.3)
    assert _depths(between, waited) == {"wedge_0": 1.0, "disc_0": 1.0}
    assert sum(message.header == lone for message in between.poses) == 1


def test_every_frame_does_not_wait_for_the_detector_and_cameras_have_their_own_tracks(
    every: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(every, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("wedge", at(0.3, 0.0, 1.4))]
    assert _depths(every, _whole(every, network, 1.0, 0)) == {"wedge_0": 1.0}
    ignored = _image(every.streams[1], 1.0)  # the right camera follows nothing yet
    for stamp_s in (1.1, 1.2):
        assert _depths(every, _image(every.streams[0], stamp_s)) == {"wedge_0": 1.0}
    assert _depths(every, _whole(every, network, 1.2, 1, stream=1), 1) == {"wedge_0": 1.4}
    network.calls.clear()
    assert _depths(every, _whole(every, network, 1.3, 0, 1)) == {"wedge_0": 1.0, "wedge_1": 1.4}
    assert network.calls == [("detect", 1), ("follow", 1)]  # one of the two was explained
    assert _depths(every, _image(every.streams[1], 1.4), 1) == {"wedge_0": 1.4}
    assert not any(message.header == ignored for message in every.streams[1].poses)
    names = {t.child_frame_id for t in every.transforms}
    assert {"left/wedge_0", "left/wedge_1", "right/wedge_0"} <= names


def test_detections_later_than_the_first_image_start_a_track(
    every: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(every, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    lone = _image(every.streams[0], 10.0)
    joined = every.node.cameras[0].inputs.synchroniser
    every.wait_for(lambda: lone.stamp.sec * 10**9 in joined._handed_out, "image at the node")
    every.streams[0].detections.publish(_detections(lone, network, 0))
    assert _depths(every, lone) == {"wedge_0": 1.0}  # nothing had answered it
    assert _depths(every, _image(every.streams[0], 10.1)) == {"wedge_0": 1.0}


def test_diagnostics_and_limits_of_tracks(
    every: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(every, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    _depths(every, _whole(every, network, 20.0, 0))
    statuses = every.received(DiagnosticArray, "/diagnostics", 10)
    assert every.node.set_parameters([Parameter("track_min_score", value=0.85)])[0].successful
    assert _depths(every, _image(every.streams[0], 20.1)) == {}  # stage 2 says 0.8
    assert every.node.set_parameters([Parameter("track_min_score", value=0.2)])[0].successful

    def rows() -> dict[str, str]:
        of_left = [s for m in list(statuses) for s in m.status if s.name.endswith(": left")]
        return {v.key: v.value for v in of_left[-1].values} if of_left else {}

    every.wait_for(lambda: rows().get("lost tracks", "0") != "0", "a lost track in the diagnostics")
    assert rows()["tracks"] == "0"
    assert int(rows()["tracked frames"]) > 0
    assert "late detections" in rows()
    assert "tracking' cannot change" in every.node.set_parameters([Parameter("tracking", value="off")])[0].reason


def test_rounds_of_stage_two_are_the_followers_choice_unless_they_are_set(
    every: harness.Rig, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(every, network, monkeypatch)
    network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    assert _depths(every, _whole(every, network, 30.0, 0)) == {"wedge_0": 1.0}
    for stamp_s, value, rounds in ((30.1, None, None), (30.2, 3, 3), (30.3, 0, None)):
        if value is not None:
            assert every.node.set_parameters([Parameter("track_rounds", value=value)])[0].successful
        network.calls.clear()
        assert _depths(every, _image(every.streams[0], stamp_s)) == {"wedge_0": 1.0}
        assert network.calls == [("follow", 1)]
        assert network.rounds == rounds
    for refused in (-1, 5):
        assert not every.node.set_parameters([Parameter("track_rounds", value=refused)])[0].successful
