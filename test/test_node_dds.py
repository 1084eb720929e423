"""The node over real DDS: what comes in and what goes out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from vision_msgs.msg import Detection2DArray

from mrc_core.inference import Detection, PoseEstimator
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.frame_estimation import estimate_frame
from mrc_net_ros.msg import ObjectPoseArray
from mrc_net_ros.naming import topic_token
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.pose_messages import pose_array_message
from mrc_net_ros.rectification import camera_model
from mrc_net_ros.synchroniser import Frame

BOXES = [(100.0, 90.0, 220.0, 230.0), (300.0, 200.0, 390.0, 310.0), (420.0, 120.0, 600.0, 260.0)]


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """ROS for the tests of this module."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def estimator(tiny_bundle: Path) -> PoseEstimator:
    """The estimator that the node uses, to compare with."""
    return PoseEstimator.from_bundle(tiny_bundle, device="cpu")


@pytest.fixture(scope="module")
def rig(ros: None, tiny_bundle: Path, estimator: PoseEstimator) -> Iterator[harness.Rig]:
    """A node that takes compressed images."""
    tokens = [topic_token(class_id) for class_id in estimator.class_ids]
    rig = harness.Rig(
        "/compressed",
        tokens,
        bundle=str(tiny_bundle),
        device="cpu",
        image_transport="compressed",
        image_qos="reliable",
    )
    rig.wait_ready()
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def raw_rig(ros: None, tiny_bundle: Path, estimator: PoseEstimator) -> Iterator[harness.Rig]:
    """A node that takes raw images that may be distorted, with a class map, a TF prefix and at most two detections."""
    rig = harness.Rig(
        "/raw",
        bundle=str(tiny_bundle),
        device="cpu",
        image_qos="reliable",
        rectified=False,
        class_map=[f"7:{estimator.class_ids[0]}"],
        tf_prefix="arm/",
        max_detections=2,
    )
    rig.wait_ready()
    yield rig
    rig.close()


def test_wrong_field_types_are_errors_in_these_tests() -> None:
    with pytest.raises(AssertionError):
        Point().x = 1


def test_header_names_and_ranks(rig: harness.Rig, estimator: PoseEstimator) -> None:
    first, last = estimator.class_ids[0], estimator.class_ids[-1]
    sent = [(first, BOXES[0], 0.5), (last, BOXES[1], 0.8), (first, BOXES[2], 0.7)]
    head = rig.send(12.345678912, [harness.detection(*d) for d in sent], harness.picture(1))
    message = rig.answer(head)

    assert message.header == head
    assert [pose.header for pose in message.poses] == [head] * 3
    assert [pose.class_id for pose in message.poses] == [d[0] for d in sent]
    np.testing.assert_allclose(
        [pose.detection_score for pose in message.poses], [d[2] for d in sent], rtol=1e-6
    )
    centres = [(p.bbox.center.position.x, p.bbox.center.position.y) for p in message.poses]
    np.testing.assert_allclose(centres, [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in BOXES])

    transforms = {t.child_frame_id: t for t in rig.transforms_of(head)}
    names = {f"{topic_token(p.class_id)}_{p.instance_id}": p for p in message.poses}
    assert len(names) == 3
    assert transforms.keys() == names.keys()
    for name, pose in names.items():
        translation, rotation = transforms[name].transform.translation, transforms[name].transform.rotation
        assert (translation.x, translation.y, translation.z) == (
            pose.pose.pose.position.x,
            pose.pose.pose.position.y,
            pose.pose.pose.position.z,
        )
        assert rotation == pose.pose.pose.orientation

    of_first = sorted((p for p in message.poses if p.class_id == first), key=lambda p: p.instance_id)
    assert [p.instance_id for p in of_first] == ["0", "1"]
    assert of_first[0].score >= of_first[1].score
    received = rig.best[topic_token(first)]
    rig.wait_for(lambda: any(m.header == head for m in list(received)), "best pose")
    assert [m.pose for m in received if m.header == head] == [of_first[0].pose.pose]


def test_poses_are_the_estimators(rig: harness.Rig, estimator: PoseEstimator) -> None:
    rgb = harness.picture(2)
    classes = [estimator.class_ids[i % len(estimator.class_ids)] for i in range(3)]
    head = rig.send(20.0, [harness.detection(c, b) for c, b in zip(classes, BOXES)], rgb)
    message = rig.answer(head)
    expected = estimator.estimate(rgb, harness.K, [Detection(c, b, 0.9) for c, b in zip(classes, BOXES)])
    for pose, estimate in zip(message.poses, expected):
        np.testing.assert_allclose(matrix_from_pose(pose.pose.pose), estimate.cam_from_obj, atol=1e-5)
        assert pose.score == pytest.approx(estimate.score, abs=1e-5)


def test_a_frame_without_a_node_gives_the_same_poses(rig: harness.Rig, estimator: PoseEstimator) -> None:
    rgb, class_id = harness.picture(8), estimator.class_ids[0]
    seen = [harness.detection(class_id, BOXES[0], 0.6), harness.detection("teapot", BOXES[1])]
    head = rig.send(20.5, seen, rgb)
    frame = Frame(
        harness.compressed_image(head, rgb),
        Detection2DArray(header=head, detections=seen),
        harness.camera_info(head),
    )
    result = estimate_frame(frame, estimator, NodeSettings())
    assert result.dropped == {"unknown class": 1}
    assert [problem.kind for problem in result.problems] == ["class teapot"]
    # by way of bytes, where scores become float32
    sent = deserialize_message(serialize_message(pose_array_message(result)), ObjectPoseArray)
    assert sent == rig.answer(head)


def test_no_detection_gives_an_empty_array(rig: harness.Rig) -> None:
    head = rig.send(21.0, [])
    message = rig.answer(head)
    assert message.header == head
    assert len(message.poses) == 0
    assert rig.transforms_of(head) == []


def test_unknown_class_is_named_and_the_rest_goes_on(rig: harness.Rig, estimator: PoseEstimator) -> None:
    known = estimator.class_ids[0]
    head = rig.send(22.0, [harness.detection("teapot", BOXES[0]), harness.detection(known, BOXES[1])])
    assert [pose.class_id for pose in rig.answer(head).poses] == [known]
    rig.wait_said("the class 'teapot' is not in the bundle")


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((float("nan"), 10.0, 60.0, 80.0), "box is not finite"),
        ((50.0, 50.0, 50.0, 90.0), "box is empty"),
        ((-1e39, 50.0, 1e39, 90.0), "reaches further than"),
        ((900.0, 50.0, 990.0, 90.0), "lies outside the image"),
    ],
)
def test_bad_box_is_skipped_and_the_rest_goes_on(
    rig: harness.Rig, estimator: PoseEstimator, box: tuple[float, ...], reason: str
) -> None:
    known = estimator.class_ids[0]
    rig.node.complaints.forget()
    head = rig.send(
        23.0 + min(box[2], 2e3) / 1e4, [harness.detection(known, box), harness.detection(known, BOXES[1])]
    )
    poses = rig.answer(head).poses
    assert len(poses) == 1
    assert poses[0].bbox.center.position.x == pytest.approx((BOXES[1][0] + BOXES[1][2]) / 2)
    rig.wait_said(reason)


def test_camera_info_of_another_size_is_refused(rig: harness.Rig, estimator: PoseEstimator) -> None:
    known = harness.detection(estimator.class_ids[0], BOXES[0])
    dropped = rig.node.cameras[0].statistics.dropped_frames
    refused = dropped["refused"]
    bad = rig.send(24.0, [known], size=(720, 1280))
    rig.wait_said("camera_info is for an image of 1280x720 pixels, but the image has 640x480")
    assert dropped["refused"] == refused + 1
    good = rig.send(24.1, [known])
    assert len(rig.answer(good).poses) == 1
    assert not any(message.header == bad for message in rig.poses)


def test_diagnostics_warn_while_every_image_is_refused(
    rig: harness.Rig, estimator: PoseEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.node.cameras[0]._frames, "_patience_s", 1.0)
    statuses = rig.received(DiagnosticArray, "/diagnostics", 10)
    known = harness.detection(estimator.class_ids[0], BOXES[0])
    stamps = iter(range(1000))

    def warned() -> bool:
        rig.send(24.2 + 1e-3 * next(stamps), [known], size=(720, 1280))
        time.sleep(0.2)
        return bool(statuses) and "none can be used" in statuses[-1].status[0].message

    rig.wait_for(warned, "warning")
    assert statuses[-1].status[0].level == DiagnosticStatus.WARN
    assert len(rig.answer(rig.send(25.4, [known])).poses) == 1
    rig.wait_for(lambda: statuses[-1].status[0].level == DiagnosticStatus.OK, "good diagnostics")


def test_images_of_another_frame_name_the_missing_camera_info(
    rig: harness.Rig, estimator: PoseEstimator
) -> None:
    head = harness.header(26.0, "left_optical_frame")
    known = harness.detection(estimator.class_ids[0], BOXES[0])
    rig.detections.publish(Detection2DArray(header=head, detections=[known]))
    rig.images.publish(harness.compressed_image(head, harness.picture()))
    rig.wait_said("none from the image's frame")
    rig.infos.publish(harness.camera_info(head))  # late, but the frame has waited for it
    message = rig.answer(head)
    assert message.header.frame_id == "left_optical_frame"
    assert rig.transforms_of(head)[0].header.frame_id == "left_optical_frame"


def test_a_bag_that_starts_again_goes_on(rig: harness.Rig, estimator: PoseEstimator) -> None:
    known = harness.detection(estimator.class_ids[0], BOXES[0])
    assert len(rig.answer(rig.send(40.0, [known])).poses) == 1
    for i in range(12):  # images without detections fill the queue with stamps that are never matched
        rig.images.publish(harness.compressed_image(harness.header(41.0 + 0.1 * i), harness.picture()))
    for i in range(3):
        head = rig.send(30.0 + 0.1 * i, [known])
        assert len(rig.answer(head).poses) == 1


def test_a_negative_stamp_is_left_out_and_the_node_goes_on(
    rig: harness.Rig, estimator: PoseEstimator
) -> None:
    known = harness.detection(estimator.class_ids[0], BOXES[0])
    waiting = harness.header(60.0)
    rig.infos.publish(harness.camera_info(waiting))
    rig.images.publish(harness.compressed_image(waiting, harness.picture()))
    for stamp_s in (-1.5, -1.4):
        rig.send(stamp_s, [known])
    rig.wait_said("a message of the image topic has a negative stamp (-1.500 s)")
    rig.wait_said("a message of the detections topic has a negative stamp (-1.500 s)")
    rig.detections.publish(Detection2DArray(header=waiting, detections=[known]))
    assert len(rig.answer(waiting).poses) == 1  # not taken for a bag that starts again: what waited was kept
    assert len(rig.answer(rig.send(60.1, [known])).poses) == 1
    assert sum("negative stamp" in text for text in rig.said()) == 2  # once for each topic
    assert not any(message.header.stamp.sec < 0 for message in rig.poses)


def test_an_input_that_raises_is_named_and_the_node_goes_on(
    rig: harness.Rig, estimator: PoseEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = harness.detection(estimator.class_ids[0], BOXES[0])
    with monkeypatch.context() as patch:
        patch.setattr(rig.node.cameras[0].inputs, "on_frame", _fail)
        rig.send(70.0, [known])
        rig.wait_said("cannot be taken and is left out: ZeroDivisionError('no frame')")
    assert len(rig.answer(rig.send(70.1, [known])).poses) == 1


def _fail(_: object) -> None:
    raise ZeroDivisionError("no frame")


def test_results_are_reliable(rig: harness.Rig, estimator: PoseEstimator) -> None:
    for topic in ("poses", f"pose/{topic_token(estimator.class_ids[0])}"):
        name = rig.peer.resolve_topic_name(topic)
        publishers = rig.peer.get_publishers_info_by_topic(name)
        assert [p.qos_profile.reliability for p in publishers] == [ReliabilityPolicy.RELIABLE]


def test_live_parameter_applies_and_others_are_rejected(rig: harness.Rig, estimator: PoseEstimator) -> None:
    client = AsyncParameterClient(rig.peer, "pose_estimator")
    assert client.wait_for_services(5.0)

    def set_parameters(*parameters: Parameter) -> list:
        future = client.set_parameters_atomically(list(parameters))
        rig.wait_for(future.done, "answer")
        return future.result().result

    threshold = Parameter("min_detection_score", value=0.6)
    rejected = set_parameters(threshold, Parameter("image_transport", value="raw"))
    assert not rejected.successful
    assert "'image_transport' cannot change while the node is active" in rejected.reason
    assert rig.node.get_parameter("min_detection_score").value == 0.0
    rejected = set_parameters(threshold, Parameter("tf_prefix", value="/arm/"))
    assert not rejected.successful
    assert "TF has no frames with a leading '/': write 'arm/'" in rejected.reason

    assert set_parameters(threshold).successful
    known = estimator.class_ids[0]
    head = rig.send(50.0, [harness.detection(known, BOXES[0], 0.5), harness.detection(known, BOXES[1], 0.7)])
    assert [round(pose.detection_score, 3) for pose in rig.answer(head).poses] == [0.7]
    assert set_parameters(Parameter("min_detection_score", value=0.0)).successful


def test_raw_images_class_map_prefix_and_limit(raw_rig: harness.Rig, estimator: PoseEstimator) -> None:
    rgb = harness.picture(3)
    scores = (0.9, 0.2, 0.6)
    head = raw_rig.send(10.0, [harness.detection("7", b, s) for b, s in zip(BOXES, scores)], rgb)
    message = raw_rig.answer(head)
    np.testing.assert_allclose([pose.detection_score for pose in message.poses], (0.9, 0.6), rtol=1e-6)
    assert {pose.class_id for pose in message.poses} == {estimator.class_ids[0]}
    token = topic_token(estimator.class_ids[0])
    assert {t.child_frame_id for t in raw_rig.transforms_of(head)} == {f"arm/{token}_0", f"arm/{token}_1"}
    raw_rig.wait_said("1 of 3 detections were dropped")
    expected = estimator.estimate(rgb, harness.K, [Detection(estimator.class_ids[0], BOXES[0], 0.9)])
    np.testing.assert_allclose(
        matrix_from_pose(message.poses[0].pose.pose), expected[0].cam_from_obj, atol=1e-4
    )


def test_a_distorted_raw_image_and_its_boxes_are_undistorted(
    raw_rig: harness.Rig, estimator: PoseEstimator
) -> None:
    lens = (-0.3, 0.1, 0.001, -0.001, 0.0)
    rgb, class_id = harness.picture(5), estimator.class_ids[0]
    head = raw_rig.send(11.0, [harness.detection("7", BOXES[1])], rgb, distortion=lens)
    (pose,) = raw_rig.answer(head).poses
    camera = camera_model(harness.camera_info(head, distortion=lens), harness.SIZE, rectified=False)
    seen = Detection(class_id, camera.undistorted_box(BOXES[1]), 0.9)
    (expected,) = estimator.estimate(camera.picture(rgb), harness.K, [seen])
    np.testing.assert_allclose(matrix_from_pose(pose.pose.pose), expected.cam_from_obj, atol=1e-4)
    # the box in the message is the one that came, in the raw image's pixels
    assert (pose.bbox.size_x, pose.bbox.size_y) == (BOXES[1][2] - BOXES[1][0], BOXES[1][3] - BOXES[1][1])


def test_a_lens_model_that_is_not_known_is_refused(raw_rig: harness.Rig) -> None:
    head = harness.header(11.2)
    info = harness.camera_info(head, distortion=(0.1,) * 5)
    info.distortion_model = "omnidirectional"
    raw_rig.infos.publish(info)
    raw_rig.detections.publish(Detection2DArray(header=head, detections=[harness.detection("7", BOXES[0])]))
    raw_rig.images.publish(harness.raw_image(head, harness.picture()))
    raw_rig.wait_said("camera_info.distortion_model is 'omnidirectional', which the node cannot undistort")
    assert len(raw_rig.answer(raw_rig.send(11.3, [harness.detection("7", BOXES[0])])).poses) == 1
    assert not any(message.header == head for message in raw_rig.poses)


def test_depth_image_is_refused(raw_rig: harness.Rig) -> None:
    head = harness.header(12.0)
    depth = harness.raw_image(head, harness.picture())
    depth.encoding = "16UC1"
    raw_rig.infos.publish(harness.camera_info(head))
    raw_rig.detections.publish(Detection2DArray(header=head, detections=[harness.detection("7", BOXES[0])]))
    raw_rig.images.publish(depth)
    raw_rig.wait_said("the image's encoding is '16UC1'")
    assert len(raw_rig.answer(raw_rig.send(12.1, [harness.detection("7", BOXES[0])])).poses) == 1
    assert not any(message.header == head for message in raw_rig.poses)
