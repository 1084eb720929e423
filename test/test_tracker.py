"""The logic of tracks, with a network that knows the truth: names, losses, explanations, late detections."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import torch
from scripted_network import ScriptedNetwork, at, box_of

from mrc_core.inference import Detection
from mrc_net_ros.association import Candidate, Gate, associated, overlaps
from mrc_net_ros.frame_estimation import estimate_together, finish
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.prepared_frame import FrameResult, PreparedFrame
from mrc_net_ros.rectification import CameraModel
from mrc_net_ros.synchroniser import Frame
from mrc_net_ros.tracker import Tracker

PICTURE = np.zeros((*harness.SIZE, 3), dtype=np.uint8)
MODELS: Any = {
    name: SimpleNamespace(centre=torch.zeros(3, dtype=torch.float64), diameter=0.2) for name in ("wedge", "disc")
}


class Scene:
    """One camera with a network that knows the truth."""

    def __init__(self, mode: str, **settings: Any) -> None:
        self.network = ScriptedNetwork()
        self.settings = NodeSettings(tracking=mode, **settings)
        self.tracker = Tracker(MODELS, self.network, mode == "every_frame")

    def frame(self, stamp_s: float, *seen: int, epoch: int = 0) -> FrameResult | None:
        """An image in which the objects of these numbers are detected; None where it is not taken."""
        head = harness.header(stamp_s)
        detected = [(self.network.objects[i][0], box_of(self.network.objects[i][1], harness.K)) for i in seen]
        messages = SimpleNamespace(detections=detected) if seen else None
        image: Any = SimpleNamespace(header=head)
        if not self.tracker.takes(Frame(image, messages, None, epoch=epoch)):  # type: ignore[arg-type]
            return None
        found = [Detection(c, box, 0.7) for c, box in detected]
        camera = CameraModel(harness.K, harness.SIZE)
        prepared = PreparedFrame(head, PICTURE, camera, found, [d.box_xyxy_px for d in found])
        prepared = self.tracker.plan(prepared, self.settings)
        (outcome,) = estimate_together([prepared], self.network, self.network)
        assert not isinstance(outcome, Exception), outcome
        return finish(prepared, outcome, (), self.tracker, self.settings)

    def names(self, stamp_s: float, *seen: int) -> list[str]:
        """``frame``'s instances: class, number, and + where stage 2 alone found it."""
        result = self.frame(stamp_s, *seen)
        assert result is not None
        return [f"{i.estimate.class_id}{i.number}{'+' * i.is_followed}" for i in result.instances]


def test_between_detections_images_are_followed_and_keep_their_names() -> None:
    scene = Scene("between_detections")
    scene.network.objects = [("wedge", at(0.2, 0.0, 1.0)), ("wedge", at(-0.2, 0.0, 1.0)), ("disc", at(0, 0.2, 1))]
    assert scene.frame(1.0) is None  # nothing to follow yet
    assert scene.names(1.1, 0, 1, 2) == ["wedge0", "wedge1", "disc0"]
    assert scene.names(1.2) == ["disc0+", "wedge0+", "wedge1+"]
    assert scene.names(1.3, 1) == ["wedge1", "disc0+", "wedge0+"]  # those that no detection has are followed
    assert scene.network.calls == [("detect", 3), ("follow", 3), ("detect", 1), ("follow", 2)]
    result = scene.frame(1.4)
    assert result is not None
    followed = result.instances[1].estimate
    np.testing.assert_allclose(followed.cam_from_obj, scene.network.objects[0][1])
    assert followed.detection.score == 0.0
    assert result.instances[1].box_px == pytest.approx(box_of(scene.network.objects[0][1], harness.K))
    assert scene.frame(1.4) is None  # answered


def test_every_frame_estimates_only_what_no_track_explains() -> None:
    scene = Scene("every_frame")
    scene.network.objects = [("wedge", at(0.2, 0.0, 1.0)), ("wedge", at(-0.2, 0.0, 1.0))]
    assert scene.names(1.0, 0) == ["wedge0"]
    assert scene.names(1.1, 0) == ["wedge0+"]
    assert scene.names(1.2, 0, 1) == ["wedge1", "wedge0+"]
    assert scene.names(1.3, 1, 0) == ["wedge0+", "wedge1+"]
    assert scene.network.calls == [
        ("detect", 1), ("follow", 1), ("detect", 1), ("follow", 1), ("follow", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["between_detections", "every_frame"])
def test_a_lost_track_returns_with_its_name_when_it_is_detected(mode: str) -> None:
    scene = Scene(mode)
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("wedge", at(0.4, 0.0, 1.0))]
    assert scene.names(1.0, 0, 1) == ["wedge0", "wedge1"]
    scene.network.objects[0] = ("wedge", at(-0.14, 0.0, 1.0))  # further than stage 2 can see
    assert scene.names(1.1) == ["wedge1+"]
    assert (scene.tracker.living, scene.tracker.take_lost(), scene.tracker.take_lost()) == (1, 1, 0)
    assert scene.names(1.2, 0) == ["wedge0", "wedge1+"]
    assert scene.names(1.3) == ["wedge0+", "wedge1+"]


def test_a_name_is_free_again_once_its_track_is_forgotten() -> None:
    scene = Scene("between_detections", track_timeout_s=1.0)
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("wedge", at(0.4, 0.0, 1.0))]
    scene.names(1.0, 0, 1)
    scene.network.objects = [("wedge", at(-0.5, 0.0, 1.0)), ("wedge", at(0.4, 0.0, 1.0))]
    assert scene.names(1.1, 0, 1) == ["wedge2", "wedge1"]  # too far to be the same; 0 is kept for the lost one
    scene.network.objects.append(("wedge", at(0.0, 0.3, 1.5)))
    assert scene.names(2.2, 2, 1) == ["wedge0", "wedge1"]  # 2 was not confirmed for more than a second either


def test_a_track_that_no_detection_confirms_ends_in_message_time() -> None:
    scene = Scene("every_frame", track_timeout_s=0.5)
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    scene.names(1.0, 0)
    assert scene.names(1.4) == ["wedge0+"]
    assert scene.names(1.45, 0) == ["wedge0+"]  # confirmed
    assert scene.names(1.9) == ["wedge0+"]
    assert scene.names(1.96) == []
    assert (scene.tracker.living, scene.tracker.take_lost()) == (0, 1)
    assert scene.frame(2.0) is None


def test_an_unsure_detected_pose_is_published_and_not_followed() -> None:
    scene = Scene("between_detections")
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    scene.network.detected_score = 0.1
    assert scene.names(1.0, 0) == ["wedge0"]
    assert scene.frame(1.1) is None
    assert scene.names(1.2, 0) == ["wedge0"]
    assert scene.tracker.take_lost() == 0


def test_an_unsure_pose_does_not_lead_away_from_where_the_object_was_last_seen() -> None:
    scene = Scene("between_detections")
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    assert scene.names(1.0, 0) == ["wedge0"]
    scene.network.detected_score = 0.1
    scene.network.objects = [("wedge", at(0.0, 0.0, 3.0))]  # a piece of it is seen, and taken for the whole
    assert scene.names(1.1, 0) == ["wedge0"]
    scene.network.detected_score = 0.9
    scene.network.objects = [("wedge", at(0.1, 0.0, 1.0))]  # beside that piece's box, far from that pose
    assert scene.names(1.2, 0) == ["wedge0"]


def test_an_unsure_pose_is_no_motion_and_its_box_is_the_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene("between_detections")
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    scene.names(1.0, 0)
    track, estimate = scene.tracker._tracks[0], scene.network.estimate_batch

    def too_deep(frames: Any) -> Any:
        return [[replace(one, cam_from_obj=at(0.0, 0.0, 1.9), score=0.1) for one in own] for own in estimate(frames)]

    monkeypatch.setattr(scene.network, "estimate_batch", too_deep)
    assert scene.names(1.1, 0) == ["wedge0"]
    assert track.sights[-1].middle_m[2] == 1.9
    assert track.sights[-1].box_px == pytest.approx(box_of(at(0.0, 0.0, 1.0), harness.K))
    assert track.sure_sight(2_000_000_000).middle_m[2] == 1.0
    monkeypatch.undo()
    assert scene.names(1.2, 0) == ["wedge0"]
    np.testing.assert_allclose(track.velocity_m_s, 0.0)  # from one sure pose to the next it has not moved
    np.testing.assert_allclose(track.predicted(1_300_000_000).estimate.cam_from_obj, at(0.0, 0.0, 1.0))


@pytest.mark.parametrize("mode", ["between_detections", "every_frame"])
@pytest.mark.parametrize("every", [1, 3, 100])
def test_two_of_a_class_keep_their_names_while_they_cross(mode: str, every: int) -> None:
    scene = Scene(mode)
    for step in range(25):
        x = -0.24 + 0.02 * step
        scene.network.objects = [("wedge", at(x, 0.0, 0.8)), ("wedge", at(-x, 0.03, 1.1))]
        seen = ((0, 1), (1, 0))[step % 2] if step % every == 0 else ()
        result = scene.frame(1.0 + step / 30, *seen)
        assert result is not None
        depth_by_name = {i.number: i.estimate.cam_from_obj[2, 3] for i in result.instances}
        assert depth_by_name == pytest.approx({0: 0.8, 1: 1.1}), step


def test_time_that_jumps_back_ends_all_tracks() -> None:
    scene = Scene("every_frame")
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    scene.names(10.0, 0)
    assert scene.frame(1.0, epoch=1) is None
    result = scene.frame(1.1, 0, epoch=1)
    assert result is not None
    assert [i.is_followed for i in result.instances] == [False]


def test_late_detections_start_and_confirm_tracks_and_publish_nothing() -> None:
    scene = Scene("every_frame", track_timeout_s=0.5)
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("disc", at(0.3, 0.0, 1.0))]
    scene.names(1.0, 0)
    for stamp_s in (1.1, 1.2, 1.3):
        assert scene.names(stamp_s) == ["wedge0+"]
    late = scene.frame(1.1, 0, 1)
    assert late is not None
    assert late.frame.plan.serves_tracks_alone
    assert late.instances == []
    assert scene.network.calls[-1] == ("detect", 1)  # the wedge was explained by where it was then
    assert scene.names(1.55) == ["disc0+", "wedge0+"]  # confirmed at 1.1
    assert scene.names(1.65) == []


def test_late_detections_correct_a_track_that_was_wrong_by_then() -> None:
    scene = Scene("between_detections")
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0))]
    scene.names(1.0, 0)
    scene.names(1.1)
    scene.network.objects = [("wedge", at(0.06, 0.0, 1.0))]
    scene.names(1.2)
    track = scene.tracker._tracks[0]
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.05))]  # what a detection says of 1.1: deeper by 5 cm
    scene.frame(1.1, 0)
    np.testing.assert_allclose(track.followed.estimate.cam_from_obj[:3, 3], (0.06, 0.0, 1.05), atol=1e-9)
    scene.network.detected_score = 0.5  # less sure than the track was: it confirms, and corrects nothing
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.02))]
    scene.frame(1.1, 0)
    np.testing.assert_allclose(track.followed.estimate.cam_from_obj[:3, 3], (0.06, 0.0, 1.05), atol=1e-9)


def test_an_object_that_moves_on_is_looked_for_ahead() -> None:
    scene = Scene("every_frame")
    for step in range(8):
        x = -0.3 + 0.01 * step * (step + 1)  # up to 0.14 m an image, more than stage 2's reach from the last pose
        scene.network.objects = [("wedge", at(x, 0.0, 1.0))]
        assert scene.names(1.0 + 0.1 * step, *([0] if step == 0 else [])), step


def test_two_tracks_on_one_object_become_one() -> None:
    scene = Scene("between_detections")
    scene.network.objects = [("wedge", at(0.0, 0.0, 1.0)), ("wedge", at(0.35, 0.0, 1.0))]
    assert scene.names(1.0, 0, 1) == ["wedge0", "wedge1"]
    scene.network.objects = [("wedge", at(0.04, 0.0, 1.0)), ("wedge", at(0.35, 0.0, 1.0))]
    scene.tracker._tracks[1].followed = scene.tracker._tracks[0].followed  # it has gone over to the other one
    assert scene.names(1.1, 0) == ["wedge0"]
    assert scene.names(1.2, 1) == ["wedge1", "wedge0+"]


def test_what_does_not_fit_is_dropped_and_lives_on() -> None:
    scene = Scene("between_detections", max_detections=2)
    scene.network.objects = [("wedge", at(x, 0.0, 1.0)) for x in (-0.3, 0.0, 0.3)]
    scene.names(1.0, 0, 1)
    result = scene.frame(1.1, 2)
    assert result is not None
    assert [(i.number, i.is_followed) for i in result.instances] == [(0, True), (1, True)]
    assert result.dropped == {"max_detections": 1}
    assert "1 of 3 detections and tracks were dropped" in result.problems[-1].text


def test_pairs_are_those_with_the_greatest_likeness_within_a_gate() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    np.testing.assert_allclose(overlaps([box], [(5.0, 0.0, 15.0, 10.0), (20.0, 0.0, 30.0, 10.0)]), [[1 / 3, 0]])
    a, b = Candidate("x", box), Candidate("x", (4.0, 0.0, 14.0, 10.0))
    assert associated([b, a], [a, b]) == [(0, 1), (1, 0)]
    assert associated([a], [Candidate("y", box)]) == []
    assert associated([a], [b], Gate(0.5, 0.0)) == []
    assert associated([], [a]) == []
    near, far = np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 2.0])
    deep = [Candidate("x", box, far, 0.2), Candidate("x", box, near, 0.2)]
    assert associated(deep, deep[::-1]) == [(0, 1), (1, 0)]
    elsewhere = Candidate("x", (50.0, 0.0, 60.0, 10.0), near + 0.02, 0.2)
    assert associated([elsewhere], deep) == [(0, 1)]  # by distance alone


def test_boxes_of_a_distorted_image_go_there_and_back() -> None:
    camera = CameraModel(harness.K, harness.SIZE, np.array([-0.3, 0.1, 0.001, -0.001, 0.0]))
    raw = (100.0, 90.0, 400.0, 330.0)
    there = camera.undistorted_box(raw)
    back = camera.distorted_box(there)
    assert there != pytest.approx(raw, abs=2.0)
    assert back[0] <= raw[0] + 0.5
    assert back[2] >= raw[2] - 0.5
    assert back == pytest.approx(raw, abs=8.0)  # boxes grow a little each way, for their edges bend
    plain = CameraModel(harness.K, harness.SIZE)
    assert plain.distorted_box((-50.0, 10.0, 900.0, 60.0)) == (-0.5, 10.0, 639.5, 60.0)
