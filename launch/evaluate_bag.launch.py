"""Evaluates a recorded bag; ``--show-args`` behind the launch command lists what it takes."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mrc_net_ros.launching import installed

# Options of evaluate_bag with their descriptions; empty ones are not passed on.
OPTIONS = {
    "output": "Folder for the results; empty: out/bag.",
    "image": "Image topic, raw or compressed; empty: the only one of its type in the bag.",
    "camera_info": "Camera info topic; empty: the only one in the bag.",
    "detections": "Detection2DArray topic; empty: the only one in the bag.",
    "gt": "Ground truth: auto, none, topic:NAME, tf, tf:PREFIX, bop:PATH or bop_stamp:PATH; empty: auto.",
    "gt_class": "Class of a PoseStamped ground truth, or OBJ_ID:CLASS for a scene_gt.json; empty: none is said.",
    "start": "Seconds after the first image's stamp; empty: from the first image.",
    "duration": "Seconds to evaluate; empty: to the end.",
    "frames": "At most so many images; empty: all.",
    "every": "Every n-th image; empty: each.",
    "tracking": "off, between_detections or every_frame; empty: off.",
    "detections_every": "Only every n-th message of detections is let through; empty: each.",
    "device": "auto, cpu or cuda; empty: auto.",
    "rate": "With online: times real time; empty: 1.0.",
    "domain": "With online: ROS_DOMAIN_ID; empty: one of its own.",
}
SWITCHES = {
    "online": "true: play through live topics into the node's process; false: estimate in one process.",
    "no_video": "true: figures alone, without video and pictures; false: all.",
}


def generate_launch_description() -> LaunchDescription:
    """The command, with a launch argument for each of its options."""
    arguments = [
        DeclareLaunchArgument("bag", description="Folder of a rosbag2 (sqlite3 or mcap); must be given."),
        DeclareLaunchArgument(
            "bundle",
            default_value=installed("demo", "bundle"),
            description="Folder of the trained bundle; the demo's if not given.",
        ),
        *(DeclareLaunchArgument(name, default_value="", description=text) for name, text in OPTIONS.items()),
        *(
            DeclareLaunchArgument(name, default_value="false", description=text)
            for name, text in SWITCHES.items()
        ),
        DeclareLaunchArgument(
            "param",
            default_value="",
            description="One parameter of the node as NAME:=VALUE; empty: none is changed.",
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_command)])


def _command(context: LaunchContext) -> list[Node]:
    words: list[object] = [LaunchConfiguration("bag"), "--bundle", LaunchConfiguration("bundle")]
    for name in (*OPTIONS, "param"):
        if LaunchConfiguration(name).perform(context):
            words += [_option(name), LaunchConfiguration(name)]
    words += [_option(name) for name in SWITCHES if _is_true(context, name)]
    # launch adds --ros-args behind these; evaluate_bag leaves them alone
    return [Node(package="mrc_net_ros", executable="evaluate_bag", output="screen", arguments=words)]


def _is_true(context: LaunchContext, name: str) -> bool:
    text = LaunchConfiguration(name).perform(context).lower()
    if text not in ("true", "false", ""):
        raise RuntimeError(f"the argument '{name}' is '{text}': it must be true or false")
    return text == "true"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
