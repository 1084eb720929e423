"""Starts the node ``pose_estimator`` for one camera; ``--show-args`` behind the launch command lists what it takes."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("mrc_net_ros")

# Arguments that are parameters of the node, their types, and what they are. Empty ones are not passed on, or they would
# override the parameters file.
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


def generate_launch_description() -> LaunchDescription:
    """The node. A parameter is the launch argument if given, else the parameters file's, else the node's default."""
    arguments = [
        *(
            DeclareLaunchArgument(name, default_value="", description=text)
            for name, (_, text) in PARAMETERS.items()
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([SHARE, "config", "mrc_net.yaml"]),
            description="Parameters file; of the arguments above, those that are given go before it.",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and its topics."
        ),
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
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error."),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_node)])


def _node(context: LaunchContext) -> list[Node]:
    # With their types, for a bundle's folder may be called 2024
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _) in PARAMETERS.items()
        if LaunchConfiguration(name).perform(context)
    }
    demo_bundle = ["bundle:=", PathJoinSubstitution([SHARE, "demo", "bundle"])]
    node = Node(
        package="mrc_net_ros",
        executable="pose_estimator",
        name="pose_estimator",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[LaunchConfiguration("params_file"), *([given] if given else [])],
        remappings=[
            ("image_rect", LaunchConfiguration("image")),
            ("image_rect/compressed", [LaunchConfiguration("image"), "/compressed"]),
            ("camera_info", LaunchConfiguration("camera_info")),
            ("detections", LaunchConfiguration("detections")),
        ],
        # On the command line these come before the files, and of two values the later one holds: the demo's bundle
        # is taken where nothing else names one.
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level"), "-p", demo_bundle],
    )
    return [node]
