"""The node's life: what it does without a bundle, how it is configured later, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter

from mrc_net_ros.parameters import NodeSettings, read_parameters
from mrc_net_ros.pose_estimator import PoseEstimatorNode

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """ROS for the tests of this module."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


def _state(rig: harness.Rig) -> int:
    return rig.call(GetState, "get_state", GetState.Request()).current_state.id


def _change(rig: harness.Rig, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return rig.call(ChangeState, "change_state", request).success


def test_without_a_bundle_it_says_why_lives_and_can_be_configured_later(ros: None, tiny_bundle: Path) -> None:
    rig = harness.Rig("/lifecycle", bundle="/nowhere/bundle", device="cpu", image_qos="reliable")
    statuses: list[DiagnosticStatus] = []
    rig.peer.create_subscription(DiagnosticArray, "/diagnostics", lambda m: statuses.extend(m.status), 10)
    try:
        rig.wait_said("cannot be configured: /nowhere/bundle")
        rig.wait_said("configure' and '... activate'")
        rig.wait_for(lambda: statuses, "diagnostics")
        assert statuses[-1].level == DiagnosticStatus.ERROR
        assert statuses[-1].message.startswith("cannot be configured: /nowhere/bundle")
        assert _state(rig) == State.PRIMARY_STATE_UNCONFIGURED
        assert not _change(rig, Transition.TRANSITION_CONFIGURE)  # still no bundle, still alive

        assert rig.node.set_parameters([Parameter("bundle", value=str(tiny_bundle))])[0].successful
        assert _change(rig, Transition.TRANSITION_CONFIGURE)
        assert rig.images.get_subscription_count() == 0
        assert _change(rig, Transition.TRANSITION_ACTIVATE)
        assert _state(rig) == State.PRIMARY_STATE_ACTIVE
        rig.wait_ready()
        assert len(rig.answer(rig.send(1.0, [])).poses) == 0
        rig.wait_for(lambda: statuses[-1].level == DiagnosticStatus.OK, "good diagnostics")
        rig.wait_for(
            lambda: {v.key: v.value for v in statuses[-1].values}["frames"] == "1", "count of frames"
        )

        assert _change(rig, Transition.TRANSITION_DEACTIVATE)
        rig.wait_for(lambda: rig.images.get_subscription_count() == 0, "end of the subscription")
        assert _change(rig, Transition.TRANSITION_CLEANUP)
        assert rig.node.set_parameters([Parameter("image_transport", value="compressed")])[0].successful
        assert _state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    finally:
        rig.close()


def test_class_map_to_nothing_fails_at_configure(ros: None, tiny_bundle: Path) -> None:
    rig = harness.Rig("/map", bundle=str(tiny_bundle), device="cpu", class_map=["3:teapot"])
    try:
        rig.wait_said("'class_map' maps '3' to 'teapot', but the bundle has:")
        assert _state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    finally:
        rig.close()


def test_an_empty_list_is_the_default(ros: None) -> None:
    """`class_map: []` has no type in YAML, and rclpy leaves the parameter without a value."""
    context = rclpy.Context()
    given = ("autostart:=false", "class_map:=[]", "cameras:=[]")
    rclpy.init(args=["--ros-args", *(word for one in given for word in ("-p", one))], context=context)
    node = PoseEstimatorNode(namespace="/empty", context=context)
    assert read_parameters(node) == NodeSettings(autostart=False)
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_without_autostart_it_waits(ros: None, tiny_bundle: Path) -> None:
    rig = harness.Rig("/manual", bundle=str(tiny_bundle), device="cpu", autostart=False)
    try:
        time.sleep(0.3)
        assert _state(rig) == State.PRIMARY_STATE_UNCONFIGURED
        assert rig.said() == []
    finally:
        rig.close()


def test_a_signal_ends_the_process_cleanly(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    command = [
        sys.executable,
        "-m",
        "mrc_net_ros.pose_estimator",
        "--ros-args",
        "-p",
        "bundle:=/nowhere/bundle",
    ]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=os.environ)
        end_s = time.monotonic() + 60.0
        while "cannot be configured" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60.0) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("max_detections:=900", "max_detections out of range"),
        ("max_detections:=2.5", "expecting type 'INTEGER'"),
        ("tracking:=off", "expecting type 'STRING'; write a text that YAML takes for something else (off, true, 2024)"),
        ("time_budget_s:=1", "expecting type 'DOUBLE'; write a whole number with its point: 1.0"),
        ("cameras:=left", "expecting type 'STRING_ARRAY'; write a list of texts: [left, right]"),
    ],
)
def test_a_parameter_that_cannot_be_ends_with_a_message(given: str, reason: str) -> None:
    command = [sys.executable, "-m", "mrc_net_ros.pose_estimator", "--ros-args", "-p", given]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert ended.returncode == 2
    assert reason in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_failing_callback_ends_the_process_with_an_error() -> None:
    code = (
        "import sys\n"
        "from mrc_net_ros import pose_estimator\n"
        "pose_estimator.PoseEstimatorNode._on_diagnostics = lambda self: 1 / 0\n"
        "sys.exit(pose_estimator.main(['--ros-args', '-p', 'autostart:=false']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "the node ends, for a callback has failed" in ended.stdout + ended.stderr
    assert "ZeroDivisionError" in ended.stdout + ended.stderr
