"""Messages to arrays and back, without a node."""

from __future__ import annotations

import math

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CompressedImage
from tf_transformations import quaternion_from_matrix
from vision_msgs.msg import ObjectHypothesis, ObjectHypothesisWithPose

from mrc_net_ros.conversions import (
    UnusableInput,
    box_message,
    box_xyxy_px,
    detection_from_message,
    intrinsics,
    matrix_from_pose,
    pose_from_matrix,
    quaternion_xyzw,
    rgb_from_compressed,
    rgb_from_image,
)

HEAD = harness.header(1.0)


def test_known_quaternion_and_position() -> None:
    quarter_about_z = np.array(
        [[0.0, -1.0, 0.0, 0.1], [1.0, 0.0, 0.0, -0.2], [0.0, 0.0, 1.0, 0.9], [0.0, 0.0, 0.0, 1.0]]
    )
    pose = pose_from_matrix(quarter_about_z)
    assert (pose.position.x, pose.position.y, pose.position.z) == (0.1, -0.2, 0.9)
    quat_xyzw = np.array([pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w])
    np.testing.assert_allclose(
        quat_xyzw * np.sign(quat_xyzw[3]), [0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)], atol=1e-12
    )


def test_random_poses_come_back() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.sign(np.linalg.det(rotation))
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, rng.normal(size=3)
        np.testing.assert_allclose(matrix_from_pose(pose_from_matrix(matrix)), matrix, atol=1e-12)


def test_quaternions_are_those_of_tf_transformations() -> None:
    """Random rotations; none; half turns, where three of the four squares are zero or w is next to it."""
    turns = [np.zeros(3), *(angle * axis for angle in (math.pi, math.pi - 1e-9, 3.0) for axis in np.eye(3))]
    rotations = Rotation.concatenate([Rotation.random(500, random_state=3), Rotation.from_rotvec(turns)])
    for matrix in rotations.as_matrix():
        ours, theirs = np.array(quaternion_xyzw(matrix)), quaternion_from_matrix(matrix)
        assert ours[3] >= 0.0
        assert min(np.abs(ours - theirs).max(), np.abs(ours + theirs).max()) < 1e-14


def test_a_rotation_of_few_digits_gives_a_unit_quaternion() -> None:
    matrix = Rotation.random(random_state=1).as_matrix().astype(np.float16)
    assert math.hypot(*quaternion_xyzw(matrix)) == pytest.approx(1.0, abs=1e-12)


def test_float32_matrix_gives_proper_fields() -> None:
    pose = pose_from_matrix(np.diag([1.0, 1.0, 1.0, 1.0]).astype(np.float32) + np.float32(0.0))
    assert type(pose.position.x) is float
    assert type(pose.orientation.w) is float


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_raw_image_becomes_rgb(encoding: str) -> None:
    rgb = harness.picture(4)
    np.testing.assert_array_equal(rgb_from_image(harness.raw_image(HEAD, rgb, encoding)), rgb)


def test_raw_image_with_padded_rows_becomes_rgb() -> None:
    rgb = harness.picture(4)
    message = harness.raw_image(HEAD, rgb)
    padded = np.zeros((rgb.shape[0], rgb.shape[1] * 3 + 12), dtype=np.uint8)
    padded[:, : rgb.shape[1] * 3] = rgb.reshape(rgb.shape[0], -1)
    message.step = padded.shape[1]
    message.data = padded.tobytes()
    np.testing.assert_array_equal(rgb_from_image(message), rgb)


def test_grey_image_becomes_rgb() -> None:
    grey = harness.picture(4)[..., 0].copy()
    message = harness.raw_image(HEAD, harness.picture(4))
    message.encoding, message.step, message.data = "mono8", grey.shape[1], grey.tobytes()
    np.testing.assert_array_equal(rgb_from_image(message), np.repeat(grey[..., None], 3, axis=2))


def test_compressed_image_becomes_rgb() -> None:
    rgb = harness.picture(4)
    np.testing.assert_array_equal(rgb_from_compressed(harness.compressed_image(HEAD, rgb)), rgb)


def test_unusable_images_say_why() -> None:
    depth = harness.raw_image(HEAD, harness.picture())
    depth.encoding = "16UC1"
    with pytest.raises(UnusableInput, match="encoding is '16UC1'"):
        rgb_from_image(depth)
    short = harness.raw_image(HEAD, harness.picture())
    short.data = short.data[:1000]
    with pytest.raises(UnusableInput, match="has only 1000 bytes"):
        rgb_from_image(short)
    whole = harness.compressed_image(HEAD, harness.picture())
    with pytest.raises(UnusableInput, match="cannot be decoded"):
        rgb_from_compressed(CompressedImage(format="jpeg", data=whole.data[:200]))
    with pytest.raises(UnusableInput, match="cannot be decoded"):
        rgb_from_compressed(CompressedImage(format="jpeg"))
    with pytest.raises(UnusableInput, match="is depth"):
        rgb_from_compressed(CompressedImage(format="16UC1; compressedDepth png", data=whole.data))


def test_rectified_images_use_p_and_raw_ones_k() -> None:
    info = harness.camera_info(HEAD)
    other = np.array([[500.0, 0.0, 300.0], [0.0, 501.0, 200.0], [0.0, 0.0, 1.0]])
    info.p = [float(v) for v in np.hstack([other, [[-30.0], [0.0], [0.0]]]).reshape(12)]
    np.testing.assert_array_equal(intrinsics(info, harness.SIZE, rectified=True), other)
    np.testing.assert_array_equal(intrinsics(info, harness.SIZE, rectified=False), harness.K)
    info.p = [0.0] * 12
    np.testing.assert_array_equal(intrinsics(info, harness.SIZE, rectified=True), harness.K)


def test_region_of_interest_and_binning_move_the_centre() -> None:
    info = harness.camera_info(HEAD, size=(960, 1280))
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 800, 600
    info.binning_x = info.binning_y = 2
    matrix = intrinsics(info, (300, 400), rectified=True)
    expected = [[305.0, 0.0, (322.5 - 100) / 2], [0.0, 306.0, (238.0 - 40) / 2], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(matrix, expected)
    with pytest.raises(UnusableInput, match="400x300 pixels, but the image has 1280x960"):
        intrinsics(info, (960, 1280), rectified=True)


def test_uncalibrated_camera_is_refused() -> None:
    info = harness.camera_info(HEAD)
    info.k, info.p = [0.0] * 9, [0.0] * 12
    with pytest.raises(UnusableInput, match="not calibrated"):
        intrinsics(info, harness.SIZE, rectified=True)


def test_boxes_come_back_and_turned_ones_are_enclosed() -> None:
    box = (10.5, 20.25, 110.5, 60.25)
    message = box_message(box)
    assert box_xyxy_px(message, harness.SIZE) == pytest.approx(box)
    message.center.theta = math.pi / 2
    assert box_xyxy_px(message, harness.SIZE) == pytest.approx((40.5, -9.75, 80.5, 90.25))


@pytest.mark.parametrize("theta", [float("nan"), float("inf")])
def test_a_box_turned_by_no_number_says_why(theta: float) -> None:
    message = box_message((10.5, 20.25, 110.5, 60.25))
    message.center.theta = theta
    with pytest.raises(UnusableInput, match="not finite"):
        box_xyxy_px(message, harness.SIZE)


def test_boxes_that_pass_pass_the_estimators_check() -> None:
    rng = np.random.default_rng(7)
    message = box_message((0.0, 0.0, 1.0, 1.0))
    passed = 0
    for side in np.concatenate([1.0 + rng.uniform(-1e-9, 1e-9, 200), rng.uniform(0.9, 1.2, 200)]):
        message.center.position.x, message.center.position.y = (float(v) for v in rng.uniform(0, 400, 2))
        message.size_x = message.size_y = float(side)
        try:
            left, top, right, bottom = np.float32(box_xyxy_px(message, harness.SIZE))
        except UnusableInput:
            continue
        passed += 1
        assert min(right - left, bottom - top) >= 1.0
    assert passed > 50


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((float("nan"), 0.0, 10.0, 10.0), "not finite"),
        ((0.0, 0.0, float("inf"), 10.0), "not finite"),
        ((5.0, 5.0, 5.0, 10.0), "is empty"),
        ((20.0, 5.0, 10.0, 10.0), "is empty"),
        ((0.3, 5.0, 1.3, 10.0), "is empty"),  # exactly a pixel wide: less in the estimator's arithmetic
        ((-1e39, 5.0, 1e39, 10.0), "reaches further than 100000 px"),
        ((5.0, 5.0, 2e5, 10.0), "reaches further than 100000 px"),
        ((640.0, 5.0, 700.0, 10.0), "outside the image"),
        ((-20.0, 5.0, 0.0, 10.0), "outside the image"),
    ],
)
def test_unusable_boxes_say_why(box: tuple[float, float, float, float], reason: str) -> None:
    with pytest.raises(UnusableInput, match=reason):
        box_xyxy_px(harness.detection("x", box).bbox, harness.SIZE)


def test_best_known_hypothesis_is_taken() -> None:
    message = harness.detection("3", (0.0, 0.0, 10.0, 10.0), 0.4)
    for class_id, score in (("stranger", 0.99), ("box", 0.6), ("cup", 0.5)):
        hypothesis = ObjectHypothesis(class_id=class_id, score=score)
        message.results.append(ObjectHypothesisWithPose(hypothesis=hypothesis))
    found = detection_from_message(message, harness.SIZE, {"box", "cup", "can"}, {"3": "can"})
    assert (found.class_id, found.score) == ("box", 0.6)
    message.results = message.results[:1]
    found = detection_from_message(message, harness.SIZE, {"box", "cup", "can"}, {"3": "can"})
    assert (found.class_id, found.score) == ("can", 0.4)


def test_detections_without_a_usable_hypothesis_say_why() -> None:
    message = harness.detection("stranger", (0.0, 0.0, 10.0, 10.0))
    with pytest.raises(UnusableInput, match="'stranger' is not in the bundle, which has: box, cup"):
        detection_from_message(message, harness.SIZE, {"box", "cup"}, {})
    message.results = []
    with pytest.raises(UnusableInput, match="no hypothesis"):
        detection_from_message(message, harness.SIZE, {"box"}, {})
    nan = harness.detection("box", (0.0, 0.0, 10.0, 10.0), float("nan"))
    with pytest.raises(UnusableInput, match="score nan"):
        detection_from_message(nan, harness.SIZE, {"box"}, {})
