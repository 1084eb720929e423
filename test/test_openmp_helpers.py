"""OpenMP's helpers: none are left behind that would slow the network down, and none stay after a pass."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import pytest
import rclpy

from mrc_net_ros import frame_work

ROOT = Path(__file__).resolve().parent.parent
COUNT_HELPERS = """
import os, sys, time, torch
from mrc_net_ros.loaded_bundle import load_bundle, warm_up
from mrc_net_ros.openmp_helpers import send_helpers_home
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.worker import NewestFirstWorker

def settled(most, patience_s):
    # the system may take a moment to end a thread
    end_s = time.monotonic() + patience_s
    while (count := len(os.listdir("/proc/self/task"))) > most and time.monotonic() < end_s:
        time.sleep(0.01)
    return count

torch.set_num_threads(5)
before = settled(0, 0.0)
bundle = load_bundle(sys.argv[1], NodeSettings(device="cpu"))
loaded = settled(before + 1, 10.0)
worker = NewestFirstWorker(print, print)
worker.call(lambda: warm_up(bundle, 4))
busy = settled(0, 0.0)
worker.call(send_helpers_home)
print(loaded - before, busy - loaded, settled(loaded + 1, 10.0) - loaded)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_only_the_workers_thread_keeps_helpers_and_sends_them_home() -> None:
    """Of torch's five threads: loading leaves none (Warp may have one of its own), the worker has itself and four."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COUNT_HELPERS, str(ROOT / "demo/bundle")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    left, while_computing, after = map(int, run.stdout.split()[-3:])
    assert left <= 1
    assert while_computing == 5
    assert after == 1


def test_the_node_sends_them_home_after_a_pass(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(frame_work, "send_helpers_home", lambda: sent.append(threading.current_thread().name))
    rclpy.init()
    rig = harness.Rig("/helpers", bundle=str(tiny_bundle), device="cpu", image_qos="reliable")
    try:
        rig.wait_ready()
        rig.answer(rig.send(1.0, []))
    finally:
        rig.close()
        rclpy.try_shutdown()
    assert sent == ["pose_estimation"]
