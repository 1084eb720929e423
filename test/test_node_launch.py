"""The launch file, run with recording modules in place of ROS's launch, which has no package for pip.

What it names must exist: executable, parameters, topics, arguments. Which value of a parameter holds is asked of the
node itself, with the command line that launch makes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest

from mrc_net_ros.camera_inputs import CAMERA_INFO_TOPIC, COMPRESSED_TOPIC, DETECTIONS_TOPIC, IMAGE_TOPIC
from mrc_net_ros.parameter_specs import SPECS

ROOT = Path(__file__).resolve().parent.parent
NAMES = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument", "OpaqueFunction"],
    "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
    "launch_ros.substitutions": ["FindPackageShare"],
}


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
    if isinstance(thing, (list, tuple)):
        return [found for part in thing for found in _find(part, kind)]
    return []


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The launch description."""
    for module_name, names in NAMES.items():
        module = ModuleType(module_name)
        for name in names:
            setattr(module, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    path = ROOT / "launch/mrc_net.launch.py"
    scope: dict[str, Any] = {"__name__": "mrc_net_launch"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    return scope["generate_launch_description"]()


@pytest.fixture
def launch(description: Recorded) -> Callable[..., Recorded]:
    """Gives the node that is launched with these arguments."""

    def launched(**given: str) -> Recorded:
        declared = {
            a.arguments[0]: a.named["default_value"] for a in _find(description, "DeclareLaunchArgument")
        }
        assert given.keys() <= declared.keys()
        (late,) = _find(description, "OpaqueFunction")
        (node,) = late.named["function"]({**declared, **given})
        return node

    return launched


def test_every_argument_is_declared_described_and_used(
    description: Recorded, launch: Callable[..., Recorded]
) -> None:
    declared = {a.arguments[0]: a.named for a in _find(description, "DeclareLaunchArgument")}
    node = launch(**dict.fromkeys(declared, "x"))
    assert {c.arguments[0] for c in _find(node, "LaunchConfiguration")} == declared.keys()
    assert {"bundle", "device", "image_transport", "namespace", "params_file"} <= declared.keys()
    for name, named in declared.items():
        assert len(named["description"]) > 15, name
        assert "default_value" in named, name


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


def test_descriptions_name_the_parameters_and_their_defaults(description: Recorded) -> None:
    specs = {spec.name: spec for spec in SPECS}
    own = [a for a in _find(description, "DeclareLaunchArgument") if a.arguments[0] in specs]
    assert [a.arguments[0] for a in own] == ["bundle", "device", "image_transport", "image_qos"]
    for argument in own:
        name, text = argument.arguments[0], argument.named["description"]
        assert argument.named["default_value"] == ""
        assert all(choice in text for choice in specs[name].choices)
        assert name == "bundle" or text.endswith(f"else {specs[name].default}.")


def test_installed_files_that_it_names_exist(description: Recorded, launch: Callable[..., Recorded]) -> None:
    named = {}
    for path in _find([description, launch()], "PathJoinSubstitution"):
        share, *parts = path.arguments[0]
        assert share.arguments == ("mrc_net_ros",)
        named["/".join(parts)] = ROOT.joinpath(*parts)
    assert named.keys() == {"config/mrc_net.yaml", "demo/bundle"}
    assert named["config/mrc_net.yaml"].is_file()
    installed = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "install(DIRECTORY demo/bundle demo/objects DESTINATION share/${PROJECT_NAME}/demo" in installed


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
