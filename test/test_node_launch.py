"""The launch file, run with recording modules in place of ROS's launch, which has no package for pip.

What it names must exist: executable, parameters, topics, arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest

from mrc_net_ros.parameters import SPECS
from mrc_net_ros.pose_estimator import CAMERA_INFO_TOPIC, COMPRESSED_TOPIC, DETECTIONS_TOPIC, IMAGE_TOPIC

ROOT = Path(__file__).resolve().parent.parent
NAMES = {
    "launch": ["LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument"],
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


def test_every_argument_is_declared_described_and_used(description: Recorded) -> None:
    declared = {a.arguments[0]: a.named for a in _find(description, "DeclareLaunchArgument")}
    used = {c.arguments[0] for node in _find(description, "Node") for c in _find(node, "LaunchConfiguration")}
    assert used == declared.keys()
    assert {"bundle", "device", "image_transport", "namespace", "params_file"} <= declared.keys()
    for name, named in declared.items():
        assert len(named["description"]) > 15, name
        assert "default_value" in named, name


def test_the_node_exists_and_takes_what_it_is_given(description: Recorded) -> None:
    (node,) = _find(description, "Node")
    assert node.named["package"] == "mrc_net_ros"
    assert (ROOT / "scripts/executables" / node.named["executable"]).is_file()
    assert f"scripts/executables/{node.named['executable']}" in (ROOT / "CMakeLists.txt").read_text(
        encoding="utf-8"
    )
    *files, values = node.named["parameters"]
    assert values.keys() <= {spec.name for spec in SPECS}
    assert [_find(file, "LaunchConfiguration")[0].arguments for file in files] == [("params_file",)]
    remapped = {source for source, _ in node.named["remappings"]}
    assert remapped == {IMAGE_TOPIC, COMPRESSED_TOPIC, CAMERA_INFO_TOPIC, DETECTIONS_TOPIC}


def test_defaults_of_the_arguments_are_those_of_the_parameters(description: Recorded) -> None:
    defaults = {spec.name: spec.default for spec in SPECS}
    for argument in _find(description, "DeclareLaunchArgument"):
        name, value = argument.arguments[0], argument.named["default_value"]
        if name in defaults and name != "bundle":
            assert value == defaults[name]
        for path in _find(value, "PathJoinSubstitution"):
            share, *parts = path.arguments[0]
            assert share.arguments == ("mrc_net_ros",)
            assert parts[0] in ("config", "demo")
            if parts[0] == "config":
                assert ROOT.joinpath(*parts).is_file()
