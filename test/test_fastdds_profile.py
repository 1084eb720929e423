"""The DDS profile for large images: it is read, and the shared memory is as large as it says."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest
import rclpy

PROFILE = Path(__file__).resolve().parent.parent / "config/fastdds_large_images.xml"
SHARED_MEMORY = Path("/dev/shm")
LARGEST_OWN_SEGMENT = """
import os, rclpy
from pathlib import Path
before = set(os.listdir("/dev/shm"))
rclpy.init()
node = rclpy.create_node("segments")
mine = [Path("/dev/shm", name) for name in set(os.listdir("/dev/shm")) - before]
print(max((file.stat().st_size for file in mine if file.exists()), default=0))
"""

pytestmark = pytest.mark.skipif(
    "fastrtps" not in rclpy.get_rmw_implementation_identifier() or not SHARED_MEMORY.is_dir(),
    reason="needs Fast DDS and shared memory",
)


def _largest_segment(**environment: str) -> int:
    command = [sys.executable, "-c", LARGEST_OWN_SEGMENT]
    run = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "XMLPARSER" not in run.stdout + run.stderr
    return int(run.stdout.split()[-1])


def test_a_process_with_the_profile_has_shared_memory_for_large_images() -> None:
    root = ET.parse(PROFILE).getroot()
    sizes = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    segment = int(sizes["segment_size"] or 0)
    assert segment >= 2 * 1920 * 1080 * 3
    named = {name: str(PROFILE) for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")}
    assert segment <= _largest_segment(**named) < 2 * segment
    assert _largest_segment() < segment
