"""What the launch files of this package share: arguments, and the node ``pose_estimator`` made of them.

It imports ROS's launch alone, so that `ros2 launch` works in a Python that has not the node's own requirements.
"""

from __future__ import annotations

from collections.abc import Sequence

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "mrc_net_ros"

PARAMETERS = {
    "bundle": (str, "Folder of the trained bundle; empty: the parameters file's, else the demo's bundle."),
    "device": (str, "auto, cpu or cuda; empty: the parameters file's, else auto."),
    "image_transport": (
        str,
        "raw (sensor_msgs/Image) or compressed (JPEG, PNG); empty: the parameters file's, else raw.",
    ),
    "image_qos": (str, "sensor_data or reliable; empty: the parameters file's, else sensor_data."),
    "rectified": (
        bool,
        "true, or false for images with lens distortion; empty: the parameters file's, else true.",
    ),
    "tracking": (
        str,
        "off, between_detections or every_frame; empty: the parameters file's, else off.",
    ),
    "use_sim_time": (
        bool,
        "true: time is /clock's, for bags and simulators; empty: the parameters file's, else false.",
    ),
}
"""Arguments that are parameters of the node, their types, and what they are. Empty ones are not passed on, or they
would override the parameters file."""

INPUTS = {"image_rect": "image", "camera_info": "camera_info", "detections": "detections"}
"""Inputs of the node, and the arguments that say where they come from."""


def installed(*parts: str) -> PathJoinSubstitution:
    """The path of a file or folder that is installed with this package."""
    return PathJoinSubstitution([FindPackageShare(PACKAGE), *parts])


def parameter_arguments(names: Sequence[str] = tuple(PARAMETERS)) -> list[DeclareLaunchArgument]:
    """Launch arguments for these of ``PARAMETERS``."""
    return [DeclareLaunchArgument(name, default_value="", description=PARAMETERS[name][1]) for name in names]


def node_arguments() -> list[DeclareLaunchArgument]:
    """Launch arguments for all of ``PARAMETERS``, the parameters file and the namespace."""
    return [
        *parameter_arguments(),
        DeclareLaunchArgument(
            "params_file",
            default_value=installed("config", "mrc_net.yaml"),
            description="Parameters file; of the arguments above, those that are given go before it.",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and its topics."
        ),
    ]


def log_level_argument() -> DeclareLaunchArgument:
    """The launch argument of the node's log level."""
    return DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error.")


def input_remappings(context: LaunchContext, camera: str = "") -> list[tuple[str, str]]:
    """Where a camera's inputs come from, by the arguments that ``INPUTS`` names.

    Args:
        camera: its name, which replaces ``{camera}`` in the arguments; empty for the only camera.
    """
    prefix, remappings = f"{camera}/" if camera else "", []
    for topic, argument in INPUTS.items():
        source = LaunchConfiguration(argument).perform(context).replace("{camera}", camera)
        remappings.append((prefix + topic, source))
        if topic == "image_rect":
            remappings.append((f"{prefix}{topic}/compressed", f"{source}/compressed"))
    return remappings


def pose_estimator(
    context: LaunchContext, remappings: Sequence[tuple[str, str]], cameras: Sequence[str] = ()
) -> Node:
    """The node. A parameter is the launch argument if given, else the parameters file's, else the node's default.

    Args:
        context: knows the arguments of ``node_arguments`` and ``log_level_argument``.
        remappings: of its inputs.
        cameras: names of several cameras; without one the parameter is left as it is.
    """
    # With their types, for a bundle's folder may be called 2024
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _) in PARAMETERS.items()
        if LaunchConfiguration(name).perform(context)
    }
    values = {**given, "cameras": list(cameras)} if cameras else given
    return Node(
        package=PACKAGE,
        executable="pose_estimator",
        name="pose_estimator",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[LaunchConfiguration("params_file"), *([values] if values else [])],
        remappings=list(remappings),
        # On the command line these come before the files, and of two values the later one holds: the demo's bundle
        # is taken where nothing else names one.
        arguments=[
            "--ros-args",
            "--log-level",
            LaunchConfiguration("log_level"),
            "-p",
            ["bundle:=", installed("demo", "bundle")],
        ],
    )
