"""The messages of one frame's poses. All carry the image's header: its stamp and its optical frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, PoseWithCovariance, TransformStamped
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose

from mrc_net_ros.conversions import box_message
from mrc_net_ros.loaded_bundle import KnownObject
from mrc_net_ros.msg import ObjectPose, ObjectPoseArray
from mrc_net_ros.naming import child_frame
from mrc_net_ros.object_info import vector
from mrc_net_ros.prepared_frame import FrameResult, Instance


def pose_array_message(result: FrameResult) -> ObjectPoseArray:
    """All poses of the frame, in the order of its detections, then those of tracks; empty where there is none."""
    message = ObjectPoseArray(header=result.header)
    message.poses = [_object_pose(result, instance) for instance in result.instances]
    return message


def best_pose_messages(result: FrameResult) -> dict[str, PoseStamped]:
    """The best-scored instance of each class in the frame, by class id."""
    return {
        instance.estimate.class_id: PoseStamped(header=result.header, pose=instance.pose)
        for instance in result.instances
        if instance.rank == 0
    }


def detections_3d_message(result: FrameResult, objects: Mapping[str, KnownObject]) -> Detection3DArray:
    """All poses of the frame as boxes around the meshes; the hypothesis has the mesh frame's pose, the box its own.

    The box's axes are those of the mesh's frame, its centre is the middle of the mesh's extents.
    """
    message = Detection3DArray(header=result.header)
    message.detections = [
        _detection_3d(result, instance, objects[instance.estimate.class_id]) for instance in result.instances
    ]
    return message


def transform_messages(result: FrameResult, tokens: Mapping[str, str], prefix: str) -> list[TransformStamped]:
    """One TF leaf under the image's frame for each instance; ``tokens`` maps class ids to frame names."""
    return [_transform(result, instance, tokens, prefix) for instance in result.instances]


def _pose_with_covariance(instance: Instance) -> PoseWithCovariance:
    message, covariance = PoseWithCovariance(pose=instance.pose), instance.estimate.covariance
    if covariance is not None:
        message.covariance = covariance.reshape(36).astype(np.float64)
    return message


def _object_pose(result: FrameResult, instance: Instance) -> ObjectPose:
    estimate = instance.estimate
    message = ObjectPose(header=result.header, class_id=estimate.class_id, instance_id=str(instance.number))
    message.pose = _pose_with_covariance(instance)
    message.score = float(estimate.score)
    message.detection_score = float(estimate.detection.score)
    message.bbox = box_message(instance.box_px)
    return message


def _detection_3d(result: FrameResult, instance: Instance, item: KnownObject) -> Detection3D:
    estimate = instance.estimate
    message = Detection3D(header=result.header, id=f"{estimate.class_id}_{instance.number}")
    hypothesis = ObjectHypothesis(class_id=estimate.class_id, score=float(estimate.score))
    message.results = [ObjectHypothesisWithPose(hypothesis=hypothesis, pose=_pose_with_covariance(instance))]
    centre, size = item.box_m
    rotation, position = estimate.cam_from_obj[:3, :3], estimate.cam_from_obj[:3, 3]
    x, y, z = (float(value) for value in position + rotation @ centre)
    message.bbox.center = Pose(position=Point(x=x, y=y, z=z), orientation=instance.pose.orientation)
    message.bbox.size = vector(size)
    return message


def _transform(
    result: FrameResult, instance: Instance, tokens: Mapping[str, str], prefix: str
) -> TransformStamped:
    message = TransformStamped(header=result.header)
    message.child_frame_id = child_frame(prefix, tokens[instance.estimate.class_id], instance.number)
    translation = message.transform.translation
    position = instance.pose.position
    translation.x, translation.y, translation.z = position.x, position.y, position.z
    message.transform.rotation = instance.pose.orientation
    return message
