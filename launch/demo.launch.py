"""Plays the recorded camera into the node, and shows in RViz what comes out."""

from importlib.util import find_spec

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mrc_net_ros.launching import installed, log_level_argument, parameter_arguments

PASSED_ON = ("bundle", "device")
NAMESPACE = "camera"  # the topics in the demo's bag are /camera/image_rect/compressed and so on


def generate_launch_description() -> LaunchDescription:
    """Player, node and RViz; time is the recording's."""
    arguments = [
        *parameter_arguments(PASSED_ON),
        DeclareLaunchArgument(
            "bag",
            default_value=installed("demo", "bag"),
            description="Folder of a rosbag2 with /camera/image_rect/compressed, camera_info and detections.",
        ),
        DeclareLaunchArgument(
            "rate",
            default_value="1.0",
            description="Speed of playing, times real time; less for a slow computer.",
        ),
        DeclareLaunchArgument(
            "loop", default_value="true", description="true: start the bag again when it ends; false: once."
        ),
        DeclareLaunchArgument(
            "player",
            default_value="auto",
            description="ros2 (ros2 bag play), own (this package's play_bag), or auto: ros2 where it is installed.",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="true", description="true: show image, overlay, TF and meshes in RViz."
        ),
        log_level_argument(),
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(installed("launch", "mrc_net.launch.py")),
        launch_arguments={
            **{name: LaunchConfiguration(name) for name in (*PASSED_ON, "log_level")},
            "namespace": NAMESPACE,
            "image_transport": "compressed",
            "image_qos": "reliable",
            "use_sim_time": "true",
        }.items(),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", installed("config", "mrc_net.rviz")],
        parameters=[{"use_sim_time": True}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*arguments, node, rviz, OpaqueFunction(function=_player)])


def _player(context: LaunchContext) -> list:
    player = LaunchConfiguration("player").perform(context)
    if player not in ("auto", "ros2", "own"):
        raise RuntimeError(f"the argument 'player' is '{player}': it must be auto, ros2 or own")
    options = ["--rate", LaunchConfiguration("rate")]
    if LaunchConfiguration("loop").perform(context).lower() == "true":
        options.append("--loop")
    bag = LaunchConfiguration("bag")
    if player == "ros2" or (player == "auto" and find_spec("ros2bag") is not None):
        return [ExecuteProcess(cmd=["ros2", "bag", "play", bag, *options, "--clock"], output="screen")]
    return [
        Node(
            package="mrc_net_ros",
            executable="play_bag",
            arguments=[bag, *options, "--clock"],
            output="screen",
        )
    ]
