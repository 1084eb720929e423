"""Starts the node ``pose_estimator``; ``--show-args`` behind the launch command lists what it takes."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """The node with its parameters file; the launch arguments below go before the file."""
    share = FindPackageShare("mrc_net_ros")
    arguments = [
        DeclareLaunchArgument(
            "bundle",
            default_value=PathJoinSubstitution([share, "demo", "bundle"]),
            description="Folder of the trained bundle.",
        ),
        DeclareLaunchArgument("device", default_value="auto", description="auto, cpu or cuda."),
        DeclareLaunchArgument(
            "image_transport",
            default_value="raw",
            description="raw (sensor_msgs/Image) or compressed (JPEG, PNG).",
        ),
        DeclareLaunchArgument(
            "image_qos", default_value="sensor_data", description="sensor_data or reliable."
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([share, "config", "mrc_net.yaml"]),
            description="Parameters file; the arguments above go before it.",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and its topics."
        ),
        DeclareLaunchArgument(
            "image",
            default_value="image_rect",
            description="Topic of the rectified image, without '/compressed'.",
        ),
        DeclareLaunchArgument(
            "camera_info", default_value="camera_info", description="Topic of the camera info."
        ),
        DeclareLaunchArgument(
            "detections", default_value="detections", description="Topic of the vision_msgs/Detection2DArray."
        ),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error."),
    ]
    texts = {
        name: ParameterValue(LaunchConfiguration(name), value_type=str)
        for name in ("bundle", "device", "image_transport", "image_qos")
    }
    node = Node(
        package="mrc_net_ros",
        executable="pose_estimator",
        name="pose_estimator",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[LaunchConfiguration("params_file"), texts],
        remappings=[
            ("image_rect", LaunchConfiguration("image")),
            ("image_rect/compressed", [LaunchConfiguration("image"), "/compressed"]),
            ("camera_info", LaunchConfiguration("camera_info")),
            ("detections", LaunchConfiguration("detections")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription([*arguments, node])
