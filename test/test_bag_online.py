"""Online evaluation of a few frames through the node's own process, and the ways to start an evaluation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest
import small_bags as bags

from mrc_core.inference import PoseEstimator
from mrc_net_ros.bags.parameter_arguments import as_ros_arguments
from mrc_net_ros.bags.ros_arguments import split_ros_arguments
from mrc_net_ros.evaluate_bag import make_parser

ROOT = Path(__file__).resolve().parent.parent


def test_online_gives_the_offline_figures_and_latencies(tiny_bundle: Path, tmp_path: Path) -> None:
    estimator = PoseEstimator.from_bundle(tiny_bundle, device="cpu")
    scene = bags.make_scene(estimator, 3, moved_m=0.004)
    bag = bags.write_bag(tmp_path / "bag", [*bags.camera_messages(scene), *bags.truth_messages(scene)])
    command = [sys.executable, "-m", "mrc_net_ros.evaluate_bag", str(bag), "--bundle", str(tiny_bundle)]
    command += [
        "--output",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        "--online",
        "--rate",
        "0.05",
        "--no-video",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    frames = summary["frames"]
    assert frames["joined"] == 3
    assert frames["answered"] + sum(frames["not_answered"].values()) == 3
    assert frames["answered"] >= 2  # one may be replaced on a host that is busy elsewhere
    assert summary["errors"]["all"]["translation_error_mm"]["p90"] == pytest.approx(4.0, abs=0.05)
    latency = json.loads((tmp_path / "out/timing.json").read_text(encoding="utf-8"))["latency"]
    # images were received as they were taken, so the two differ by how late they were sent
    assert 0.0 < latency["image_to_poses"]["p50_ms"] <= latency["stamp_to_poses"]["p50_ms"] + 1e-6
    assert "Traceback" not in (tmp_path / "out/node.log").read_text(encoding="utf-8")


def test_parameters_reach_the_node_as_they_are() -> None:
    texts = as_ros_arguments({"bundle": "2024", "rectified": False, "class_map": ["3:a"], "sync_slop_s": 0.0})
    assert texts == {"bundle": "'2024'", "rectified": "false", "class_map": "['3:a']", "sync_slop_s": "0.0"}


def test_arguments_of_ros_are_told_apart() -> None:
    given = ["bag", "--param", "a:=b", "--ros-args", "-r", "__node:=x", "--", "--online"]
    assert split_ros_arguments(given) == (["bag", "--param", "a:=b", "--online"], given[3:7])
    assert split_ros_arguments(["bag", "--ros-args"]) == (["bag"], ["--ros-args"])


def test_the_command_finds_the_ros_package_beside_the_library(tmp_path: Path) -> None:
    (tmp_path / "mrc_core").symlink_to(
        ROOT / "mrc_core"
    )  # as an editable installation shows the library alone
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts/commands/mrc-net-evaluate-bag"), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "--online" in ended.stdout


def test_executables_and_command_are_installed() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for name in ("benchmark_node", "evaluate_bag", "play_bag", "soak_node"):
        path = ROOT / "scripts/executables" / name
        assert f"scripts/executables/{name}\n" in cmake
        assert os.access(path, os.X_OK)
        assert f"from mrc_net_ros.{name} import main" in path.read_text(encoding="utf-8")
    assert "scripts/commands/mrc-net-evaluate-bag" in (ROOT / "setup.py").read_text(encoding="utf-8")


class Recorded:
    """What a constructor of ROS's launch was called with; launch itself has no package for pip."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named

    def perform(self, context: dict[str, str]) -> str:
        """The text of a LaunchConfiguration."""
        return context[self.arguments[0]]


def test_the_launch_file_passes_every_argument_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for module_name, names in {
        "launch": ["LaunchContext", "LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "OpaqueFunction"],
        "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
        "launch_ros.parameter_descriptions": ["ParameterValue"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }.items():
        module = ModuleType(module_name)
        for name in names:
            setattr(module, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    # Imported anew with these modules
    monkeypatch.delitem(sys.modules, "mrc_net_ros.launching", raising=False)
    path = ROOT / "launch/evaluate_bag.launch.py"
    scope: dict[str, Any] = {"__name__": "evaluate_bag_launch"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    *declared, late = scope["generate_launch_description"]().arguments[0]
    for one in declared:
        assert len(one.named["description"]) > 15
    given = {one.arguments[0]: "1" for one in declared} | {"online": "true", "no_video": "True"}
    given |= {"device": "cpu", "tracking": "every_frame", "param": "rectified:=false"}
    (node,) = late.named["function"](given)
    words = [word.perform(given) if isinstance(word, Recorded) else word for word in node.named["arguments"]]
    options = vars(make_parser().parse_args(words))
    assert given.keys() == options.keys()
    assert (options["online"], options["no_video"], options["param"]) == (True, True, ["rectified:=false"])
    (node,) = late.named["function"](dict.fromkeys(given, ""))
    assert len(node.named["arguments"]) == 3  # bag, --bundle and its value
    with pytest.raises(RuntimeError, match="'online' is 'yes': it must be true or false"):
        late.named["function"](given | {"online": "yes"})
