"""The launch files with ROS's own launch, where it is installed: what they start comes up, and ends when told to.

Elsewhere they are run with recording modules, see test_node_launch.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest

pytest.importorskip("launch_ros")
ROOT = Path(__file__).resolve().parent.parent
ACTIVE = "active: waiting for images, camera infos and detections"
PLAYED = "Round 1: 288 messages"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, ends_itself, wanted, *given = sys.argv[1:]
missing = set(wanted.split("|"))

def on_output(event):
    text = event.text.decode()
    print(text, end="", flush=True)
    missing.difference_update([one for one in missing if one in text])
    return None if missing or ends_itself == "True" else Shutdown(reason="all has been said")

included = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path), launch_arguments=[tuple(one.split(":=", 1)) for one in given]
)
listening = RegisterEventHandler(OnProcessIO(on_stdout=on_output, on_stderr=on_output))
service = LaunchService(argv=given, noninteractive=True)
service.include_launch_description(LaunchDescription([listening, included]))
sys.exit(service.run() or len(missing))
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment with a prefix in which the package lies as CMake installs it."""
    prefix = tmp_path / "prefix"
    share, executables = prefix / "share/mrc_net_ros", prefix / "lib/mrc_net_ros"
    index = prefix / "share/ament_index/resource_index/packages"
    for folder in (share, executables, index):
        folder.mkdir(parents=True)
    (index / "mrc_net_ros").touch()
    for name in ("launch", "config", "demo", "package.xml"):
        (share / name).symlink_to(ROOT / name)
    for script in (ROOT / "scripts/executables").iterdir():
        started = executables / script.name
        started.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
        started.chmod(0o755)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    others = [str(prefix), *filter(None, [os.environ.get("AMENT_PREFIX_PATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "AMENT_PREFIX_PATH": os.pathsep.join(others),
        "ROS_LOG_DIR": str(tmp_path / "log"),
    }


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("mrc_net", ["tracking:=off", "rectified:=false", "namespace:=/arm", "image:=/camera/image_raw"], [ACTIVE]),
        ("multi_camera", ["cameras:=left,right", "image:=/rig/{camera}/image_rect"], [ACTIVE]),
        ("demo", ["rviz:=false", "player:=own", "loop:=false", "rate:=4.0"], [ACTIVE, PLAYED]),
        (
            "evaluate_bag",
            [f"bag:={ROOT}/demo/bag", "frames:=2", "no_video:=true", "param:=max_detections:=2"],
            ["Report and tables: "],
        ),
    ],
)
def test_what_is_launched_comes_up_and_ends(
    installed: dict[str, str], tmp_path: Path, name: str, given: list[str], wanted: list[str]
) -> None:
    ends_itself = name == "evaluate_bag"
    more = [f"output:={tmp_path}/out"] if ends_itself else []
    path = str(ROOT / f"launch/{name}.launch.py")
    command = [sys.executable, "-c", RUN, path, str(ends_itself), "|".join(wanted), *given, *more]
    ended = subprocess.run(
        command, cwd=tmp_path, env=installed, capture_output=True, text=True, timeout=300, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "Traceback" not in said
    assert "process has died" not in said
    if name == "mrc_net":
        assert "[arm.pose_estimator]" in said
