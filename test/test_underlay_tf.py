"""What the nodes rely on in tf2_ros, part of it over DDS; holds for the real package as for the stand-in."""

from __future__ import annotations

import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
tf2_ros = pytest.importorskip("tf2_ros")
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.time import Time  # noqa: E402

HALF = float(np.sqrt(0.5))


def transform(parent: str, child: str, position=(0.0, 0.0, 0.0), quat_xyzw=(0.0, 0.0, 0.0, 1.0), stamp_s=0.0):
    result = TransformStamped()
    result.header.frame_id, result.child_frame_id = parent, child
    result.header.stamp = Time(nanoseconds=round(stamp_s * 1e9)).to_msg()
    t, r = result.transform.translation, result.transform.rotation
    t.x, t.y, t.z = (float(v) for v in position)
    r.x, r.y, r.z, r.w = (float(v) for v in quat_xyzw)
    return result


def position(found: TransformStamped) -> list[float]:
    t = found.transform.translation
    return [t.x, t.y, t.z]


def rotation_xyzw(found: TransformStamped) -> list[float]:
    r = found.transform.rotation
    return [r.x, r.y, r.z, r.w]


@pytest.fixture
def buffer():
    return tf2_ros.Buffer()


def test_a_transform_is_found_in_both_directions(buffer):
    buffer.set_transform(transform("map", "camera", (1, 2, 3), (0, 0, HALF, HALF), 5.0), "test")
    found = buffer.lookup_transform("map", "camera", Time(seconds=5))
    assert (found.header.frame_id, found.child_frame_id) == ("map", "camera")
    assert found.header.stamp.sec == 5
    np.testing.assert_allclose(position(found), [1, 2, 3])
    back = buffer.lookup_transform("camera", "map", Time(seconds=5))
    np.testing.assert_allclose(position(back), [-2, 1, -3], atol=1e-12)
    np.testing.assert_allclose(np.abs(rotation_xyzw(back)), [0, 0, HALF, HALF], atol=1e-12)


def test_a_chain_through_a_common_parent(buffer):
    buffer.set_transform_static(transform("base", "camera", (0, 0, 1), (HALF, 0, 0, HALF)), "test")
    buffer.set_transform(transform("base", "arm", (1, 0, 0), stamp_s=2.0), "test")
    buffer.set_transform(transform("arm", "tool", (0, 0.5, 0), (0, 0, HALF, HALF), 2.0), "test")
    found = buffer.lookup_transform("camera", "tool", Time())
    # The tool lies at (1, 0.5, 0) in base; the camera at height 1 is turned by 90 degrees about x.
    np.testing.assert_allclose(position(found), [1, -1, -0.5], atol=1e-12)
    assert found.header.stamp.sec == 2


def test_between_two_stamps_it_is_interpolated(buffer):
    buffer.set_transform(transform("map", "camera", (0, 0, 0), stamp_s=1.0), "test")
    buffer.set_transform(transform("map", "camera", (2, 0, 4), (0, 0, HALF, HALF), 2.0), "test")
    found = buffer.lookup_transform("map", "camera", Time(nanoseconds=1_500_000_000))
    np.testing.assert_allclose(position(found), [1, 0, 2], atol=1e-9)
    eighth = np.pi / 8
    np.testing.assert_allclose(rotation_xyzw(found), [0, 0, np.sin(eighth), np.cos(eighth)], atol=1e-9)


def test_the_latest_common_time_is_taken(buffer):
    for stamp_s in (1.0, 2.0, 3.0):
        buffer.set_transform(transform("map", "base", (stamp_s, 0, 0), stamp_s=stamp_s), "test")
    for stamp_s in (1.0, 2.0):
        buffer.set_transform(transform("base", "camera", (0, stamp_s, 0), stamp_s=stamp_s), "test")
    found = buffer.lookup_transform("map", "camera", Time())
    assert found.header.stamp.sec == 2
    np.testing.assert_allclose(position(found), [2, 2, 0])


def test_a_gap_above_the_common_parent_does_no_harm(buffer):
    buffer.set_transform(transform("map", "base", stamp_s=9.0), "test")
    buffer.set_transform(transform("base", "camera", (0, 1, 0), stamp_s=5.0), "test")
    buffer.set_transform(transform("base", "arm", (1, 0, 0), stamp_s=5.0), "test")
    np.testing.assert_allclose(position(buffer.lookup_transform("camera", "arm", Time(seconds=5))), [1, -1, 0])
    with pytest.raises(tf2_ros.ExtrapolationException):
        buffer.lookup_transform("map", "arm", Time(seconds=5))


def test_what_is_not_known_is_refused(buffer):
    buffer.set_transform(transform("map", "camera", stamp_s=5.0), "test")
    buffer.set_transform(transform("map", "camera", stamp_s=6.0), "test")
    buffer.set_transform(transform("other_root", "lidar", stamp_s=5.0), "test")
    with pytest.raises(tf2_ros.LookupException):
        buffer.lookup_transform("map", "nowhere", Time())
    with pytest.raises(tf2_ros.ConnectivityException):
        buffer.lookup_transform("map", "lidar", Time())
    with pytest.raises(tf2_ros.ExtrapolationException):
        buffer.lookup_transform("map", "camera", Time(seconds=4))
    with pytest.raises(tf2_ros.ExtrapolationException):
        buffer.lookup_transform("map", "camera", Time(seconds=7))
    assert not buffer.can_transform("map", "camera", Time(seconds=7))
    assert buffer.can_transform("map", "camera", Time(nanoseconds=5_500_000_000))


def test_what_is_older_than_the_cache_is_forgotten():
    buffer = tf2_ros.Buffer(Duration(seconds=2.0))
    for stamp_s in (1.0, 2.0, 3.0, 4.0, 5.0):
        buffer.set_transform(transform("map", "camera", stamp_s=stamp_s), "test")
    assert buffer.can_transform("map", "camera", Time(seconds=4))
    assert not buffer.can_transform("map", "camera", Time(nanoseconds=1_500_000_000))


@pytest.fixture
def nodes():
    """A sender and a receiver in a context and a thread-free executor of their own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    created = [rclpy.create_node(f"tf_test_{name}", context=context) for name in ("sender", "receiver")]
    for node in created:
        executor.add_node(node)
    yield *created, executor
    for node in created:
        node.destroy_node()
    executor.shutdown()
    rclpy.shutdown(context=context)


def spin_until(executor, condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        executor.spin_once(timeout_sec=0.05)
    return bool(condition())


def test_transforms_travel_over_dds(nodes):
    sender, receiver, executor = nodes
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, receiver)
    broadcaster = tf2_ros.TransformBroadcaster(sender)
    assert spin_until(executor, lambda: sender.count_subscribers("/tf") > 0)
    several = [transform("camera", name, (x, 0, 1), stamp_s=3.0) for name, x in (("box_0", 0), ("mug_0", 1))]

    def arrived() -> bool:
        broadcaster.sendTransform(several)
        return buffer.can_transform("box_0", "mug_0", Time(seconds=3))

    assert spin_until(executor, arrived)
    np.testing.assert_allclose(position(buffer.lookup_transform("box_0", "mug_0", Time(seconds=3))), [1, 0, 0])
    listener.unregister()


def test_a_late_listener_gets_every_static_transform(nodes):
    sender, receiver, executor = nodes
    broadcaster = tf2_ros.StaticTransformBroadcaster(sender)
    broadcaster.sendTransform(transform("base", "camera", (0, 0, 9)))
    broadcaster.sendTransform(transform("base", "lidar", (0, 1, 0)))
    broadcaster.sendTransform(transform("base", "camera", (0, 0, 1)))  # replaces the first
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, receiver)
    assert spin_until(executor, lambda: buffer.can_transform("camera", "lidar", Time()))
    np.testing.assert_allclose(position(buffer.lookup_transform("camera", "lidar", Time())), [0, 1, -1])
    listener.unregister()
