"""Starts one node ``pose_estimator`` for several cameras: one bundle in memory, one pass over their newest images."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("mrc_net_ros")

# As in mrc_net.launch.py
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
# Inputs of the node below a camera's name, and the arguments that say where they come from
INPUTS = {"image_rect": "image", "camera_info": "camera_info", "detections": "detections"}


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
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error."),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_node)])


def _node(context: LaunchContext) -> list[Node]:
    names = [name.strip() for name in LaunchConfiguration("cameras").perform(context).split(",")]
    cameras = [name for name in names if name]
    if not cameras:
        raise RuntimeError("the argument 'cameras' is empty: name the cameras, as in cameras:=left,right")
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _) in PARAMETERS.items()
        if LaunchConfiguration(name).perform(context)
    }
    remappings = []
    for camera in cameras:
        for topic, argument in INPUTS.items():
            source = LaunchConfiguration(argument).perform(context).replace("{camera}", camera)
            remappings.append((f"{camera}/{topic}", source))
            if topic == "image_rect":
                remappings.append((f"{camera}/{topic}/compressed", f"{source}/compressed"))
    demo_bundle = ["bundle:=", PathJoinSubstitution([SHARE, "demo", "bundle"])]
    node = Node(
        package="mrc_net_ros",
        executable="pose_estimator",
        name="pose_estimator",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[LaunchConfiguration("params_file"), {**given, "cameras": cameras}],
        remappings=remappings,
        # Before the files, so that anything else that names a bundle holds
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level"), "-p", demo_bundle],
    )
    return [node]
