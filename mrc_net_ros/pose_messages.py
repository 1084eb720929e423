"""The messages of one frame's poses. All carry the image's header: its stamp and its optical frame."""

from __future__ import annotations

from collections.abc import Mapping

from geometry_msgs.msg import PoseStamped, TransformStamped

from mrc_net_ros.conversions import box_message, pose_from_matrix
from mrc_net_ros.frame_estimation import FrameResult, Instance
from mrc_net_ros.msg import ObjectPose, ObjectPoseArray
from mrc_net_ros.naming import child_frame


def pose_array_message(result: FrameResult) -> ObjectPoseArray:
    """All poses of the frame, in the order of its detections; empty where there is none."""
    message = ObjectPoseArray(header=result.header)
    message.poses = [_object_pose(result, instance) for instance in result.instances]
    return message


def best_pose_messages(result: FrameResult) -> dict[str, PoseStamped]:
    """The best-scored instance of each class in the frame, by class id."""
    return {
        instance.estimate.class_id: PoseStamped(
            header=result.header, pose=pose_from_matrix(instance.estimate.cam_from_obj)
        )
        for instance in result.instances
        if instance.rank == 0
    }


def transform_messages(result: FrameResult, tokens: Mapping[str, str], prefix: str) -> list[TransformStamped]:
    """One TF leaf under the image's frame for each instance; ``tokens`` maps class ids to frame names."""
    return [_transform(result, instance, tokens, prefix) for instance in result.instances]


def _object_pose(result: FrameResult, instance: Instance) -> ObjectPose:
    estimate = instance.estimate
    message = ObjectPose(header=result.header, class_id=estimate.class_id, instance_id=str(instance.rank))
    message.pose.pose = pose_from_matrix(estimate.cam_from_obj)
    if estimate.covariance is not None:
        message.pose.covariance = [float(value) for value in estimate.covariance.reshape(36)]
    message.score = float(estimate.score)
    message.detection_score = float(estimate.detection.score)
    message.bbox = box_message(estimate.detection.box_xyxy_px)
    return message


def _transform(
    result: FrameResult, instance: Instance, tokens: Mapping[str, str], prefix: str
) -> TransformStamped:
    pose = pose_from_matrix(instance.estimate.cam_from_obj)
    message = TransformStamped(header=result.header)
    message.child_frame_id = child_frame(prefix, tokens[instance.estimate.class_id], instance.rank)
    translation = message.transform.translation
    translation.x, translation.y, translation.z = pose.position.x, pose.position.y, pose.position.z
    message.transform.rotation = pose.orientation
    return message
