"""What the nodes rely on in message_filters; holds for the real package as for the stand-in."""

from __future__ import annotations

import pytest

message_filters = pytest.importorskip("message_filters")
from rclpy.clock import ClockType  # noqa: E402
from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402


class Source(message_filters.SimpleFilter):
    """A filter that a test feeds by hand."""

    def send(self, *stamps_ns: int, kind=Image) -> None:
        for stamp_ns in stamps_ns:
            self.signalMessage(message(stamp_ns, kind))


def message(stamp_ns: int, kind=Image):
    result = kind()
    result.header.stamp.sec, result.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return result


def stamp_of(msg) -> int:
    return msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec


@pytest.fixture
def sources() -> tuple[Source, Source]:
    return Source(), Source()


def collect(synchronizer) -> list[tuple[int, ...]]:
    """The stamps of everything that comes out from now on."""
    outputs: list[tuple[int, ...]] = []
    synchronizer.registerCallback(lambda *messages: outputs.append(tuple(stamp_of(m) for m in messages)))
    return outputs


def test_exact_joins_equal_stamps_only(sources):
    outputs = collect(message_filters.TimeSynchronizer(sources, 10))
    sources[0].send(5, 6, 7)
    sources[1].send(6, 8)
    assert outputs == [(6, 6)]
    sources[1].send(5)
    assert outputs == [(6, 6), (5, 5)]


def test_exact_hands_over_the_messages_in_the_order_of_the_filters(sources):
    received = []
    synchronizer = message_filters.TimeSynchronizer(sources, 10)
    synchronizer.registerCallback(lambda *messages: received.append(messages))
    sources[1].send(3, kind=CameraInfo)
    sources[0].send(3)
    assert [type(m) for m in received[0]] == [Image, CameraInfo]


def test_exact_distinguishes_seconds_and_nanoseconds(sources):
    outputs = collect(message_filters.TimeSynchronizer(sources, 10))
    sources[0].send(2_000_000_001)
    sources[1].send(2_000_000_000, 1_000_000_001)
    assert outputs == []


def test_a_pair_is_handed_over_once(sources):
    outputs = collect(message_filters.TimeSynchronizer(sources, 10))
    sources[0].send(4)
    sources[1].send(4, 4)
    assert outputs == [(4, 4)]


def test_a_full_queue_drops_the_smallest_stamp(sources):
    outputs = collect(message_filters.TimeSynchronizer(sources, 2))
    sources[0].send(10, 30, 20)  # 10 goes, though 30 arrived before 20
    sources[1].send(10, 20, 30)
    assert outputs == [(20, 20), (30, 30)]


def test_a_full_queue_starves_after_time_jumped_back(sources):
    outputs = collect(message_filters.TimeSynchronizer(sources, 2))
    sources[0].send(1000, 1001)
    for stamp in range(1, 20):
        sources[0].send(stamp)
        sources[1].send(stamp)
    assert outputs == []


def test_registered_arguments_follow_the_messages(sources):
    received = []
    synchronizer = message_filters.TimeSynchronizer(sources, 10)
    synchronizer.registerCallback(lambda a, b, *rest: received.append(rest), "left", 7)
    sources[0].send(1)
    sources[1].send(1)
    assert received == [("left", 7)]


def test_approximate_takes_what_lies_within_the_slop(sources):
    outputs = collect(message_filters.ApproximateTimeSynchronizer(sources, 10, 10e-9))
    sources[0].send(100)
    sources[1].send(120)
    assert outputs == []
    sources[1].send(106)
    assert outputs == [(100, 106)]


def test_approximate_prefers_the_nearest_stamp(sources):
    outputs = collect(message_filters.ApproximateTimeSynchronizer(sources, 10, 100e-9))
    sources[1].send(60, 95, 140)
    sources[0].send(100)
    assert outputs == [(100, 95)]


def test_approximate_drops_the_smallest_stamp_of_a_full_queue(sources):
    outputs = collect(message_filters.ApproximateTimeSynchronizer(sources, 2, 5e-9))
    sources[0].send(10, 30, 20)
    sources[1].send(11, 21)
    assert outputs == [(20, 21)]


def test_cache_answers_by_time():
    def at(nanoseconds: int) -> Time:
        return Time(nanoseconds=nanoseconds, clock_type=ClockType.ROS_TIME)

    source = Source()
    cache = message_filters.Cache(source, 3)
    source.send(10, 20, 30, 40)
    assert [stamp_of(m) for m in cache.getInterval(at(0), at(100))] == [20, 30, 40]
    assert stamp_of(cache.getElemBeforeTime(at(35))) == 30
    assert stamp_of(cache.getElemAfterTime(at(31))) == 40
    assert cache.getElemAfterTime(at(41)) is None
    assert cache.getLastestTime() == at(40)
