"""Starts one node ``pose_estimator`` for several cameras: one bundle in memory, one pass over their newest images."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mrc_net_ros.launching import (
    INPUTS,
    input_remappings,
    log_level_argument,
    node_arguments,
    pose_estimator,
)


def generate_launch_description() -> LaunchDescription:
    """The node. ``{camera}`` in a topic stands for each camera's name."""
    topics = [
        DeclareLaunchArgument(
            argument,
            default_value=f"{{camera}}/{topic}",
            description=f"Topic of each camera's {argument.replace('_', ' ')}; '{{camera}}' stands for its name.",
        )
        for topic, argument in INPUTS.items()
    ]
    arguments = [
        DeclareLaunchArgument(
            "cameras",
            default_value="left,right",
            description="Names of the cameras, with commas between them.",
        ),
        *topics,
        *node_arguments(),
        log_level_argument(),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_node)])


def _node(context: LaunchContext) -> list[Node]:
    names = [name.strip() for name in LaunchConfiguration("cameras").perform(context).split(",")]
    cameras = [name for name in names if name]
    if not cameras:
        raise RuntimeError("the argument 'cameras' is empty: name the cameras, as in cameras:=left,right")
    remappings = [pair for camera in cameras for pair in input_remappings(context, camera)]
    return [pose_estimator(context, remappings, cameras)]
