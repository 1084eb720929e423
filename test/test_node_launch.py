"""The launch files, run with recording modules in place of ROS's launch, which has no package for pip.

What it names must exist: executable, parameters, topics, arguments. Which value of a parameter holds is asked of the
node itself, with the command line that launch makes.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, ItemsView
from pathlib import Path
from types import ModuleType
from typing import Any

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest
import yaml

from mrc_net_ros.camera import topic_prefix
from mrc_net_ros.camera_inputs import CAMERA_INFO_TOPIC, COMPRESSED_TOPIC, DETECTIONS_TOPIC, IMAGE_TOPIC
from mrc_net_ros.camera_outputs import MARKERS_TOPIC
from mrc_net_ros.parameter_specs import SPECS
from mrc_net_ros.parameters import NodeSettings

ROOT = Path(__file__).resolve().parent.parent
NAMES = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": [
        "DeclareLaunchArgument",
        "ExecuteProcess",
        "IncludeLaunchDescription",
        "OpaqueFunction",
    ],
    "launch.conditions": ["IfCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
    "launch_ros.substitutions": ["FindPackageShare"],
}
FILES = ["mrc_net", "multi_camera", "demo"]


class Recorded:
    """What a constructor was called with."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named

    def perform(self, context: dict[str, str]) -> str:
        """The text of a LaunchConfiguration."""
        return context[self.arguments[0]]


def _find(thing: Any, kind: str) -> list[Recorded]:
    """All recorded constructions of this kind inside of a structure."""
    if isinstance(thing, Recorded):
        own = [thing] if type(thing).__name__ == kind else []
        return own + _find([*thing.arguments, *thing.named.values()], kind)
    if isinstance(thing, dict):
        return _find([*thing.keys(), *thing.values()], kind)
    if isinstance(thing, (list, tuple, ItemsView)):
        return [found for part in thing for found in _find(part, kind)]
    return []


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Recorded]:
    """Gives the launch description of a file."""
    for module_name, names in NAMES.items():
        module = ModuleType(module_name)
        for name in names:
            setattr(module, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    # What the launch files share is imported anew with these modules, and not left to others
    monkeypatch.delitem(sys.modules, "mrc_net_ros.launching", raising=False)

    def describe(name: str) -> Recorded:
        path = ROOT / f"launch/{name}.launch.py"
        scope: dict[str, Any] = {"__name__": name}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
        return scope["generate_launch_description"]()

    return describe


@pytest.fixture
def description(described: Callable[[str], Recorded]) -> Recorded:
    """The launch description for one camera."""
    return described("mrc_net")


def _declared(description: Recorded) -> dict[str, dict[str, Any]]:
    """The arguments of a launch file, each with its default and description."""
    return {a.arguments[0]: a.named for a in _find(description, "DeclareLaunchArgument")}


def _late(description: Recorded, **given: str) -> list[Recorded]:
    """What the launch file makes once its arguments are known."""
    declared = {name: named["default_value"] for name, named in _declared(description).items()}
    assert given.keys() <= declared.keys()
    (late,) = _find(description, "OpaqueFunction")
    return late.named["function"]({**declared, **given})


@pytest.fixture
def launch(description: Recorded) -> Callable[..., Recorded]:
    """Gives the node that is launched for one camera with these arguments."""

    def launched(**given: str) -> Recorded:
        (node,) = _late(description, **given)
        return node

    return launched


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_declared_described_and_used(
    described: Callable[[str], Recorded], name: str
) -> None:
    description = described(name)
    declared = _declared(description)
    asked: set[str] = set()
    perform = Recorded.perform

    def noted(self: Recorded, context: dict[str, str]) -> str:
        asked.add(self.arguments[0])
        return perform(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorded, "perform", noted)
        given = {argument: "x" for argument in declared if argument not in ("player", "loop")}
        made = _late(description, **given)
    used = asked | {c.arguments[0] for c in _find([description, made], "LaunchConfiguration")}
    assert used == declared.keys()
    for argument, named in declared.items():
        assert len(named["description"]) > 15, argument
        assert "default_value" in named, argument


def test_what_they_share_needs_launch_alone() -> None:
    """`ros2 launch` may run in a Python without torch; and what is installed must not import the source tree."""
    tree = ast.parse((ROOT / "mrc_net_ros/launching.py").read_text(encoding="utf-8"))
    roots = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    assert roots == {"__future__", "collections", "launch", "launch_ros"}


def test_the_node_exists_and_takes_what_it_is_given(launch: Callable[..., Recorded]) -> None:
    node = launch()
    assert node.named["package"] == "mrc_net_ros"
    assert (ROOT / "scripts/executables" / node.named["executable"]).is_file()
    assert f"scripts/executables/{node.named['executable']}" in (ROOT / "CMakeLists.txt").read_text(
        encoding="utf-8"
    )
    remapped = {source for source, _ in node.named["remappings"]}
    assert remapped == {IMAGE_TOPIC, COMPRESSED_TOPIC, CAMERA_INFO_TOPIC, DETECTIONS_TOPIC}


def test_only_given_arguments_go_before_the_parameters_file(launch: Callable[..., Recorded]) -> None:
    (file,) = launch().named["parameters"]
    assert file.arguments == ("params_file",)
    file, values = launch(device="cpu", bundle="/a").named["parameters"]
    assert file.arguments == ("params_file",)
    assert list(values) == ["bundle", "device"]
    assert all(value.named["value_type"] is str for value in values.values())
    (_, values) = launch(rectified="false", use_sim_time="true").named["parameters"]
    assert {name: value.named["value_type"] for name, value in values.items()} == {
        "rectified": bool,
        "use_sim_time": bool,
    }


@pytest.mark.parametrize("name", ["mrc_net", "multi_camera"])
def test_descriptions_name_the_parameters_and_their_defaults(
    described: Callable[[str], Recorded], name: str
) -> None:
    specs = {spec.name: spec for spec in SPECS}
    declared = _declared(described(name))
    own = [argument for argument in declared if argument in specs and argument != "cameras"]
    assert own == ["bundle", "device", "image_transport", "image_qos", "rectified", "tracking"]
    for argument in own:
        text = declared[argument]["description"]
        assert declared[argument]["default_value"] == ""
        assert all(choice in text for choice in specs[argument].choices)
        default = str(specs[argument].default).lower()
        assert argument == "bundle" or text.endswith(f"else {default}.")


def test_several_cameras_are_remapped_each_for_itself(described: Callable[[str], Recorded]) -> None:
    description = described("multi_camera")
    (node,) = _late(description, cameras="left, right", image="/rig/{camera}/color/image_raw")
    file, values = node.named["parameters"]
    assert (file.arguments, values) == (("params_file",), {"cameras": ["left", "right"]})
    NodeSettings.from_values(values)  # the node takes them
    inputs = (IMAGE_TOPIC, COMPRESSED_TOPIC, CAMERA_INFO_TOPIC, DETECTIONS_TOPIC)
    remapped = dict(node.named["remappings"])
    assert remapped.keys() == {topic_prefix(c) + topic for c in ("left", "right") for topic in inputs}
    assert remapped["left/image_rect"] == "/rig/left/color/image_raw"
    assert remapped["right/image_rect/compressed"] == "/rig/right/color/image_raw/compressed"
    assert remapped["right/detections"] == "right/detections"
    with pytest.raises(RuntimeError, match="'cameras' is empty"):
        _late(description, cameras=" ,")


def test_the_demo_plays_its_bag_into_the_node(
    described: Callable[[str], Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    description = described("demo")
    (included,) = _find(description, "IncludeLaunchDescription")
    passed = dict(included.named["launch_arguments"])
    assert passed.keys() <= _declared(described("mrc_net")).keys()
    recorded = yaml.safe_load((ROOT / "demo/bag/metadata.yaml").read_text(encoding="utf-8"))
    topics = {
        one["topic_metadata"]["name"]
        for one in recorded["rosbag2_bagfile_information"]["topics_with_message_count"]
    }
    inputs = (COMPRESSED_TOPIC, CAMERA_INFO_TOPIC, DETECTIONS_TOPIC)
    assert {f"/{passed['namespace']}/{topic}" for topic in inputs} <= topics
    assert (passed["image_transport"], passed["use_sim_time"]) == ("compressed", "true")

    (process,) = _late(description, player="ros2", loop="false")
    command = process.named["cmd"]
    assert command[:3] == ["ros2", "bag", "play"]
    assert "--loop" not in command
    (node,) = _late(description, player="own")
    assert (node.named["package"], node.named["executable"]) == ("mrc_net_ros", "play_bag")
    assert node.named["arguments"][-2:] == ["--loop", "--clock"]
    assert type(_late(description)[0]).__name__ == "Node"  # there is no ros2bag here
    with pytest.raises(RuntimeError, match="must be auto, ros2 or own"):
        _late(description, player="vlc")


def test_rviz_shows_what_the_node_publishes(described: Callable[[str], Recorded]) -> None:
    config = yaml.safe_load((ROOT / "config/mrc_net.rviz").read_text(encoding="utf-8"))
    displays = {
        d["Class"].split("/")[1] + " " + d["Name"]: d for d in config["Visualization Manager"]["Displays"]
    }
    assert {name.split()[0] for name in displays} == {"Image", "MarkerArray", "TF"}
    (included,) = _find(described("demo"), "IncludeLaunchDescription")
    namespace = dict(included.named["launch_arguments"])["namespace"]
    topics = {d["Topic"]["Value"] for d in displays.values() if "Topic" in d}
    assert topics == {
        f"/{namespace}/{COMPRESSED_TOPIC}",
        f"/{namespace}/{MARKERS_TOPIC}",
        f"/{namespace}/pose_estimator/overlay",
    }
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] == "camera_optical_frame"


def test_every_line_of_the_parameters_file_says_what_it_means() -> None:
    lines = (ROOT / "config/mrc_net.yaml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if line.startswith("    ")]
    assert len(values) == len(SPECS)
    specs = {spec.name: spec for spec in SPECS}
    for line in values:
        name = line.lstrip(" #").split(":")[0]
        comment = line.split("#")[-1]
        assert len(comment) > 15, line
        assert ("(live)" in comment) == specs[name].live, line
        assert specs[name].limits is None or "[" in comment, line  # a number has its unit


def test_installed_files_that_they_name_exist(described: Callable[[str], Recorded]) -> None:
    named = {}
    for name in FILES:
        description = described(name)
        for path in _find([description, _late(description)], "PathJoinSubstitution"):
            share, *parts = path.arguments[0]
            assert share.arguments == ("mrc_net_ros",)
            named["/".join(parts)] = ROOT.joinpath(*parts)
    files = {"config/mrc_net.yaml", "config/mrc_net.rviz", "launch/mrc_net.launch.py"}
    assert named.keys() == {*files, "demo/bundle", "demo/bag"}
    assert all(named[file].is_file() for file in files)
    installed = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert (
        "install(DIRECTORY demo/bundle demo/bag demo/objects DESTINATION share/${PROJECT_NAME}/demo"
        in installed
    )
    assert "install(DIRECTORY launch config DESTINATION share/${PROJECT_NAME}" in installed


@pytest.mark.parametrize(
    ("file_text", "given", "holds"),
    [
        (None, "", "/demo/bundle"),  # the file that is the argument's default names none
        ("/**: {ros__parameters: {device: cpu}}", "", "/demo/bundle"),
        ("/**: {ros__parameters: {bundle: /of_file}}", "", "/of_file"),
        ("/pose_estimator: {ros__parameters: {bundle: /of_file}}", "", "/of_file"),
        ("pose_estimator: {ros__parameters: {bundle: /of_file}}", "", "/of_file"),
        ("/**: {ros__parameters: {bundle: /of_file}}", "/given", "/given"),
        ("/pose_estimator: {ros__parameters: {bundle: /of_file}}", "/given", "/given"),
    ],
)
def test_which_bundle_holds(
    launch: Callable[..., Recorded], tmp_path: Path, file_text: str | None, given: str, holds: str
) -> None:
    file = ROOT / "config/mrc_net.yaml"
    if file_text is not None:
        file = tmp_path / "user.yaml"
        file.write_text(file_text, encoding="utf-8")
    node = launch(bundle=given)
    # launch_ros: the arguments, then the node's name, then each entry of `parameters` as a file; values get the name
    *first, option, (assign, _) = node.named["arguments"]
    assert (first[0], option, assign) == ("--ros-args", "-p", "bundle:=")
    command = ["--ros-args", option, f"{assign}/demo/bundle"]
    command += ["--ros-args", "-r", "__node:=pose_estimator", "-r", "__ns:=/", "--params-file", str(file)]
    for values in node.named["parameters"][1:]:
        assert list(values) == ["bundle"]
        last = tmp_path / "values.yaml"
        last.write_text(f"/pose_estimator: {{ros__parameters: {{bundle: {given}}}}}", encoding="utf-8")
        command += ["--params-file", str(last)]
    assert _bundle_of_node(command) == holds


def _bundle_of_node(arguments: list[str]) -> str:
    """The parameter `bundle` of a node that was started with these arguments."""
    code = (
        "import rclpy, sys\n"
        "from mrc_net_ros.pose_estimator import PoseEstimatorNode\n"
        "rclpy.init(args=sys.argv)\n"
        "print('bundle is', PoseEstimatorNode().get_parameter('bundle').value, flush=True)\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.split("bundle is ")[1].split()[0]
