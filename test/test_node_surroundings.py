"""What surrounds a node on a robot: other nodes, late messages, a bundle that vanishes, another clock."""

from __future__ import annotations

import array
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from mrc_net_ros.srv import LoadBundle

BOX = (100.0, 90.0, 220.0, 230.0)
SEEN = [harness.detection("wedge", BOX)]
QUIET_S = 0.5


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """ROS for the tests of this module."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


def make_rig(namespace: str, bundle: Path, **parameters: object) -> harness.Rig:
    """A node that takes compressed images."""
    return harness.Rig(
        namespace,
        bundle=str(bundle),
        device="cpu",
        image_transport="compressed",
        image_qos="reliable",
        **parameters,
    )


@pytest.fixture(scope="module")
def rigs(ros: None, tiny_bundle: Path) -> Iterator[tuple[harness.Rig, harness.Rig]]:
    """Two nodes in namespaces of their own."""
    left, right = make_rig("/left", tiny_bundle), make_rig("/right", tiny_bundle, tf_prefix="right/")
    left.wait_ready()
    right.wait_ready()
    yield left, right
    left.close()
    right.close()


@pytest.fixture(scope="module")
def raw_rig(ros: None, tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node that takes raw images."""
    rig = harness.Rig("/raw", bundle=str(tiny_bundle), device="cpu", image_qos="reliable")
    rig.wait_ready()
    yield rig
    rig.close()


def test_two_nodes_in_namespaces_do_not_mix(rigs: tuple[harness.Rig, harness.Rig]) -> None:
    left, right = rigs
    first, second = left.send(10.0, SEEN), right.send(20.0, SEEN * 2)
    assert len(left.answer(first).poses) == 1
    assert len(right.answer(second).poses) == 2
    time.sleep(QUIET_S)
    assert [message.header for message in left.poses] == [first]
    assert [message.header for message in right.poses] == [second]
    # TF is one for all nodes: names must tell them apart
    assert {t.child_frame_id for t in left.transforms_of(first)} == {"wedge_0"}
    assert {t.child_frame_id for t in left.transforms_of(second)} == {"right/wedge_0", "right/wedge_1"}


def test_a_camera_info_that_comes_late_completes_the_frame(ros: None, tiny_bundle: Path) -> None:
    rig = make_rig("/late", tiny_bundle)
    try:
        rig.wait_ready()
        head = harness.header(30.0)
        rig.detections.publish(Detection2DArray(header=head, detections=SEEN))
        rig.images.publish(harness.compressed_image(head, harness.picture()))
        time.sleep(QUIET_S)
        assert not rig.poses
        rig.infos.publish(harness.camera_info(head))
        assert len(rig.answer(head).poses) == 1
    finally:
        rig.close()


def test_detections_without_an_image_hold_nothing_up(rigs: tuple[harness.Rig, harness.Rig]) -> None:
    rig, _ = rigs
    for stamp_s in (40.0, 40.1, 40.2):
        rig.detections.publish(Detection2DArray(header=harness.header(stamp_s), detections=SEEN))
    head = rig.send(40.3, SEEN)
    assert len(rig.answer(head).poses) == 1
    assert not [m for m in rig.poses if 40.0 <= harness.seconds(m.header.stamp) < 40.25]


def test_a_bundle_that_vanishes_is_missed_when_it_is_needed_alone(
    ros: None, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    rig = make_rig("/vanishing", bundle)
    try:
        rig.wait_ready()
        shutil.rmtree(bundle)
        assert len(rig.answer(rig.send(50.0, SEEN)).poses) == 1  # all of it is in memory
        answer = rig.call(LoadBundle, "load_bundle", LoadBundle.Request(path=str(bundle)))
        assert not answer.success
        assert "bundle.yaml" in answer.message
        assert len(rig.answer(rig.send(51.0, SEEN)).poses) == 1
        assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert rig.node.trigger_activate() == TransitionCallbackReturn.FAILURE
        rig.wait_said("cannot be activated")
        shutil.copytree(tiny_bundle, bundle)
        assert rig.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        rig.wait_ready()
        assert len(rig.answer(rig.send(52.0, SEEN)).poses) == 1
    finally:
        rig.close()


def test_a_simulated_clock_tells_the_age_and_may_stand_still(ros: None, tiny_bundle: Path) -> None:
    rig = make_rig("/simulated", tiny_bundle, use_sim_time=True)
    try:
        rig.wait_ready()
        clock = rig.peer.create_publisher(Clock, "/clock", 10)
        rig.wait_for(lambda: clock.get_subscription_count() >= 1, "subscription of /clock")


        def set_clock(now_s: float) -> None:
            now = harness.header(now_s).stamp
            rig.wait_for(
                lambda: (
                    clock.publish(Clock(clock=now)) or rig.node.get_clock().now().nanoseconds == round(now_s * 1e9)
                ),
                "simulated time",
            )

        set_clock(100.25)
        for stamp_s in (100.0, 100.1):
            assert len(rig.answer(rig.send(stamp_s, SEEN)).poses) == 1
        statistics = rig.node.cameras[0].statistics
        rig.wait_for(lambda: statistics.frames == 2, "counted frames")
        age_ms = statistics.percentiles_ms("age")
        assert age_ms is not None
        assert age_ms[0] == pytest.approx(200.0, abs=1.0)  # of 250 and 150 ms, however long the network took
        set_clock(50.3)  # the bag starts again, and time with it
        for stamp_s in (50.0, 50.1):
            assert len(rig.answer(rig.send(stamp_s, SEEN)).poses) == 1
        rig.wait_for(lambda: statistics.frames == 4, "counted frames")
        age_ms = statistics.percentiles_ms("age")
        assert age_ms is not None
        assert age_ms[0] == pytest.approx(225.0, abs=1.0)  # of 250, 150, 300 and 200 ms
        assert age_ms[2] == pytest.approx(300.0, abs=1.0)
    finally:
        rig.close()


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "rgb16", "mono16"])
def test_mosaics_and_sixteen_bits_are_estimated(raw_rig: harness.Rig, encoding: str) -> None:
    rgb = harness.picture(3)
    if encoding == "bayer_rggb8":
        pixels = rgb[..., 1].copy()
        pixels[::2, ::2], pixels[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    else:
        pixels = (rgb if encoding == "rgb16" else rgb[..., 1]).astype(np.uint16) * 257
    stamp_s = 60.0 + len(encoding) + len(raw_rig.poses)
    head = harness.header(stamp_s)
    raw_rig.infos.publish(harness.camera_info(head))
    raw_rig.detections.publish(Detection2DArray(header=head, detections=SEEN))
    data = array.array("B", pixels.tobytes())
    step = len(data) // harness.SIZE[0]
    height, width = harness.SIZE
    raw_rig.images.publish(
        Image(header=head, height=height, width=width, encoding=encoding, step=step, data=data)
    )
    (found,) = raw_rig.answer(head).poses
    assert found.class_id == "wedge"
    if encoding == "rgb16":  # the same picture in eight bits gives the same pose
        (same,) = raw_rig.answer(raw_rig.send(stamp_s + 0.5, SEEN, rgb)).poses
        assert found.pose.pose == same.pose.pose
