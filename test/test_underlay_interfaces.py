"""The messages: field for field what every robot has, or its type hashes would not match and nothing would arrive."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
from tf2_msgs import msg as tf2_messages
from vision_msgs import msg as vision_messages

from mrc_net_ros import msg as our_messages

HEADER = ("header", "std_msgs/Header")
POSE_WITH_COVARIANCE = "geometry_msgs/PoseWithCovariance"
VISION = {
    "Point2D": [("x", "double"), ("y", "double")],
    "Pose2D": [("position", "vision_msgs/Point2D"), ("theta", "double")],
    "BoundingBox2D": [("center", "vision_msgs/Pose2D"), ("size_x", "double"), ("size_y", "double")],
    "BoundingBox3D": [("center", "geometry_msgs/Pose"), ("size", "geometry_msgs/Vector3")],
    "ObjectHypothesis": [("class_id", "string"), ("score", "double")],
    "ObjectHypothesisWithPose": [("hypothesis", "vision_msgs/ObjectHypothesis"), ("pose", POSE_WITH_COVARIANCE)],
    "Detection2D": [
        HEADER,
        ("results", "sequence<vision_msgs/ObjectHypothesisWithPose>"),
        ("bbox", "vision_msgs/BoundingBox2D"),
        ("id", "string"),
    ],
    "Detection2DArray": [HEADER, ("detections", "sequence<vision_msgs/Detection2D>")],
    "Detection3D": [
        HEADER,
        ("results", "sequence<vision_msgs/ObjectHypothesisWithPose>"),
        ("bbox", "vision_msgs/BoundingBox3D"),
        ("id", "string"),
    ],
    "Detection3DArray": [HEADER, ("detections", "sequence<vision_msgs/Detection3D>")],
    "VisionInfo": [
        HEADER,
        ("method", "string"),
        ("database_location", "string"),
        ("database_version", "int32"),
    ],
}
TF2 = {
    "TFMessage": [("transforms", "sequence<geometry_msgs/TransformStamped>")],
    "TF2Error": [("error", "uint8"), ("error_string", "string")],
}
OURS = {
    "ObjectPose": [
        HEADER,
        ("class_id", "string"),
        ("instance_id", "string"),
        ("pose", POSE_WITH_COVARIANCE),
        ("score", "float"),
        ("detection_score", "float"),
        ("bbox", "vision_msgs/BoundingBox2D"),
    ],
    "ObjectPoseArray": [HEADER, ("poses", "sequence<mrc_net_ros/ObjectPose>")],
}
CASES = [
    (package, name, fields)
    for package, table in ((vision_messages, VISION), (tf2_messages, TF2), (our_messages, OURS))
    for name, fields in table.items()
]


@pytest.mark.parametrize(("package", "name", "fields"), CASES, ids=[case[1] for case in CASES])
def test_fields_in_their_order(package, name: str, fields: list[tuple[str, str]]):
    actual = getattr(package, name).get_fields_and_field_types()
    assert list(actual.items()) == fields


def test_error_codes_of_tf2():
    names = ["NO", "LOOKUP", "CONNECTIVITY", "EXTRAPOLATION", "INVALID_ARGUMENT", "TIMEOUT", "TRANSFORM"]
    assert [getattr(tf2_messages.TF2Error, f"{name}_ERROR") for name in names] == list(range(7))


MESSAGES = [our_messages.ObjectPoseArray, vision_messages.Detection2DArray, tf2_messages.TFMessage]


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_survive_serialisation(kind):
    from rclpy.serialization import deserialize_message, serialize_message

    message = kind()
    if kind is our_messages.ObjectPoseArray:
        pose = our_messages.ObjectPose(class_id="tea_box", instance_id="0", score=0.5, detection_score=0.25)
        pose.bbox.center.position.x = 12.5
        pose.pose.pose.position.z = 0.75
        message.poses.append(pose)
        message.header.frame_id = "camera_optical"
    assert deserialize_message(serialize_message(message), kind) == message
