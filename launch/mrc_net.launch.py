"""Starts the node ``pose_estimator`` for one camera; ``--show-args`` behind the launch command lists what it takes."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from mrc_net_ros.launching import input_remappings, log_level_argument, node_arguments, pose_estimator


def generate_launch_description() -> LaunchDescription:
    """The node, and where its inputs come from."""
    arguments = [
        *node_arguments(),
        DeclareLaunchArgument(
            "image",
            default_value="image_rect",
            description="Topic of the image, without '/compressed'.",
        ),
        DeclareLaunchArgument(
            "camera_info", default_value="camera_info", description="Topic of the camera info."
        ),
        DeclareLaunchArgument(
            "detections", default_value="detections", description="Topic of the vision_msgs/Detection2DArray."
        ),
        log_level_argument(),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_node)])


def _node(context: LaunchContext) -> list[Node]:
    return [pose_estimator(context, input_remappings(context))]
