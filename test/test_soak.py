"""Half a minute of the soak test, with demands that a busy machine can keep, and what it is made of.

The whole of it, on a quiet machine, is `make soak`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from mrc_net_ros.bag_frames import BagError, read_frames
from mrc_net_ros.bags.live_node import LiveNode
from mrc_net_ros.images import rgb_from_compressed, rgb_from_image
from mrc_net_ros.measuring.frame_sender import FrameSender
from mrc_net_ros.measuring.memory_growth import memory_growth
from mrc_net_ros.measuring.restamped import RestampedFrames
from mrc_net_ros.measuring.restarts import Restarter
from mrc_net_ros.measuring.soak import SoakFigures, SoakPlan, soak
from mrc_net_ros.measuring.soak_checks import SoakLimits, checks
from mrc_net_ros.soak_node import main
from mrc_net_ros.synchroniser import stamp_ns

ROOT = Path(__file__).resolve().parent.parent
BAG = ROOT / "demo/bag"
PARAMETERS = {
    "device": "cpu",
    "image_transport": "compressed",
    "image_qos": "reliable",
    # On a busy machine the node's callbacks may wait for longer than ten messages last
    "sync_queue_size": "100",
}


def test_half_a_minute_of_overload(tmp_path: Path) -> None:
    frames = RestampedFrames(read_frames(BAG))
    plan = SoakPlan(seconds=30.0, single_frames=20, restarts=0)
    figures = soak(frames, {**PARAMETERS, "bundle": str(ROOT / "demo/bundle")}, plan, tmp_path / "node.log")
    # Half of the results, for others' work makes single passes several times as long; a queue would delay them all.
    # An image that stayed for each frame would be 20 MB of JPEG, or 150 MB of pixels.
    limits = SoakLimits(percentile="p50", growth_mb=40.0, uncounted=15, unheard=15, least_rate=0.5)
    assert [check for check in checks(figures, limits) if not check.kept] == []
    assert figures.drop_reasons.keys() == {"replaced"}
    assert figures.dropped > 0.2 * figures.sent
    assert figures.results > 20


def test_restarts_do_not_make_the_node_larger(tiny_bundle: Path, tmp_path: Path) -> None:
    frames = RestampedFrames(read_frames(BAG))
    parameters = {**PARAMETERS, "bundle": str(tiny_bundle)}
    with LiveNode(frames.frames[0], parameters, "/restarts", tmp_path / "node.log") as live:
        live.wait_until_ready()
        memory = Restarter(live, FrameSender(live.player, frames)).restart(20)
        assert live.process.stop() == 0
    assert len(memory) == 20
    # The weights alone are 22 MB: bundles that stayed would be 220 MB from the first to the last fifth
    assert memory_growth(memory, warm_up=0.4).growth_mb < 60.0, memory


def test_growth_is_seen_through_noise_and_warm_up() -> None:
    rng = np.random.default_rng(0)
    filling = [(float(i), 100.0 + 5.0 * i) for i in range(20)]
    steady = [(20.0 + i, 200.0 + rng.normal(0.0, 2.0)) for i in range(80)]
    level = memory_growth(filling + steady)
    assert abs(level.growth_mb) < 2.0
    assert level.samples == 80
    leaking = memory_growth([(at_s, mb + 0.25 * at_s) for at_s, mb in filling + steady])
    assert leaking.growth_mb == pytest.approx(0.25 * 64.0, abs=2.0)  # between the middles of the outer fifths
    assert leaking.slope_mb_per_h == pytest.approx(900.0, rel=0.1)
    spike = [(at_s, 5000.0 if at_s == 99.0 else mb) for at_s, mb in filling + steady]
    assert abs(memory_growth(spike).growth_mb) < 2.0
    with pytest.raises(ValueError, match="only 4 samples"):
        memory_growth(steady[:5])


def _figures() -> SoakFigures:
    level = memory_growth([(float(i), 500.0) for i in range(20)])
    return SoakFigures(
        inference_alone_ms=70.0,
        inference_ms=75.0,
        sustainable_hz=13.0,
        wanted_hz=26.0,
        sent_hz=26.0,
        sent=100,
        answered=50,
        dropped=49,
        drop_reasons={"replaced": 49},
        received=50,
        latency_ms={"p50": 110.0, "p95": 150.0, "p99": 199.0, "max": 400.0},
        longest_gap_s=0.3,
        results=40,
        memory=level,
        memory_mb=[500.0] * 20,
        restart_memory=level,
        restart_memory_mb=[500.0] * 20,
        exit_status=0,
    )


@pytest.mark.parametrize(
    ("broken", "change"),
    [
        ("rate of sending", {"sent_hz": 20.0}),
        ("latency p99", {"latency_ms": {"p50": 110.0, "p95": 150.0, "p99": 201.0, "max": 400.0}}),
        ("sent, but neither answered nor counted as dropped", {"dropped": 47}),
        ("sent, but neither answered nor counted as dropped", {"dropped": 51}),
        ("answered, but not received", {"received": 49}),
        ("growth of memory", {"memory": memory_growth([(float(i), 500.0 + i) for i in range(20)])}),
        (
            "growth of memory over 20 restarts",
            {"restart_memory": memory_growth([(float(i), 500.0 + 3 * i) for i in range(20)])},
        ),
        ("exit status", {"exit_status": 1}),
    ],
)
def test_each_demand_can_be_broken(broken: str, change: dict[str, object]) -> None:
    assert all(check.kept for check in checks(_figures(), SoakLimits()))
    found = checks(replace(_figures(), **change), SoakLimits())  # type: ignore[arg-type]
    assert [check.name for check in found if not check.kept] == [broken]


@pytest.mark.parametrize("raw", [False, True])
def test_frames_are_sent_again_with_a_new_stamp(raw: bool) -> None:
    recorded = read_frames(BAG)
    frames = RestampedFrames(read_frames(BAG), 4, raw, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    assert 0 < len(frames.frames) < len(recorded)  # those with three detections are left out
    at_ns = 12 * 10**9 + 345
    sent = frames.frame(len(frames.frames), at_ns)  # the first one again
    image = deserialize_message(sent.image, Image if raw else CompressedImage)
    info = deserialize_message(sent.camera_info, CameraInfo)
    detections = deserialize_message(sent.detections, Detection2DArray)
    assert [stamp_ns(message.header.stamp) for message in (image, info, detections)] == [at_ns] * 3
    first = next(one for one in recorded if len(one.detections.message.detections) == 4)
    assert image.header.frame_id == first.image.message.header.frame_id
    assert detections.detections == first.detections.message.detections
    assert info.d[0] == 0.1
    pixels = rgb_from_image(image) if raw else rgb_from_compressed(image)
    np.testing.assert_array_equal(pixels, rgb_from_compressed(first.image.message))
    with pytest.raises(BagError, match="no frame of the bag has 9 detections"):
        RestampedFrames(recorded, 9)


def test_what_cannot_be_tested_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--restarts", "3"])
    assert "--restarts must be 0 or at least 20" in capsys.readouterr().err
    domain = harness.os.environ["ROS_DOMAIN_ID"]
    assert main(["--bag", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("soak_node: ")
    assert harness.os.environ["ROS_DOMAIN_ID"] == domain  # the other tests' own
