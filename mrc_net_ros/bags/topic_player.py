"""Publishes a bag's messages through rclpy, with the time between them as it was recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from mrc_net_ros.bag_frames import BagError, message_class
from mrc_net_ros.bags.recording import RecordedTopic, Recording

DEPTH = 100
CLOCK_PERIOD_S = 0.02
"""Of /clock, in wall time, while nothing else is due."""
LATCHED_TOPICS = ("/tf_static", "/robot_description", "/map")
LONGEST_SLEEP_S = 0.05
"""So that a stop is seen soon."""


@dataclass(frozen=True)
class PlaybackOptions:
    """How a bag is played.

    Args:
        rate: times real time.
        topics: those to play; empty: all.
        remap: new names of topics.
        reliable: QoS of what is not latched: reliable, or as sensors send (best effort).
        clock: publish /clock with the recording's time.
        start_s: seconds after the bag's first message.
    """

    rate: float = 1.0
    topics: Sequence[str] = ()
    remap: Mapping[str, str] = field(default_factory=dict)
    reliable: bool = True
    clock: bool = False
    start_s: float = 0.0


class TopicPlayer(Node):
    """A publisher for each topic of a bag whose type is installed; the others are in ``skipped``, with the reason.

    Raises:
        BagError: a topic that is to be played or renamed is not in the bag, or nothing can be played.
    """

    def __init__(self, recording: Recording, options: PlaybackOptions) -> None:
        wanted = chosen_topics(recording, options)
        super().__init__("play_bag")
        self._recording, self._options = recording, options
        self._outlets: dict[str, Publisher] = {}
        self.skipped: dict[str, str] = {}
        for topic in wanted:
            try:
                kind = message_class(topic.type_name)
            except (ImportError, AttributeError, ValueError):
                self.skipped[topic.name] = f"its type {topic.type_name} is not installed"
                continue
            name = options.remap.get(topic.name, topic.name)
            self._outlets[topic.name] = self.create_publisher(kind, name, _qos(topic, options.reliable))
        if not self._outlets:
            self.destroy_node()
            raise BagError(f"no topic of the bag can be played: {'; '.join(self.skipped.values())}")
        self._clock = self.create_publisher(Clock, "/clock", 10) if options.clock else None

    @property
    def played(self) -> dict[str, str]:
        """The name under which each topic is published."""
        return {topic: outlet.topic_name for topic, outlet in self._outlets.items()}

    def play(self, goes_on: Callable[[], bool]) -> int:
        """Plays the bag once, as long as ``goes_on``. Returns how many messages were published."""
        count = 0
        start_ns = self._recording.start_ns + round(self._options.start_s * 1e9)
        started_s = time.monotonic()
        for message in self._recording.messages(list(self._outlets)):
            outlet = self._outlets[message.topic]
            if message.received_ns < start_ns:
                if _is_latched(self._recording.topics[message.topic]):
                    outlet.publish(message.cdr)  # what holds for all times holds here too
                continue
            due_s = started_s + (message.received_ns - start_ns) * 1e-9 / self._options.rate
            if not self._wait_until(due_s, started_s, start_ns, goes_on):
                return count
            self._tell_time(message.received_ns)
            outlet.publish(message.cdr)
            count += 1
        return count

    def _wait_until(self, due_s: float, started_s: float, start_ns: int, goes_on: Callable[[], bool]) -> bool:
        """Waits, with the clock going on. Returns False if playing is to stop."""
        while goes_on():
            now_s = time.monotonic()
            if now_s >= due_s:
                return True
            self._tell_time(start_ns + round((now_s - started_s) * self._options.rate * 1e9))
            period_s = CLOCK_PERIOD_S if self._clock is not None else LONGEST_SLEEP_S
            time.sleep(min(due_s - now_s, period_s))
        return False

    def _tell_time(self, now_ns: int) -> None:
        if self._clock is not None:
            self._clock.publish(Clock(clock=Time(sec=now_ns // 10**9, nanosec=now_ns % 10**9)))


def chosen_topics(recording: Recording, options: PlaybackOptions) -> list[RecordedTopic]:
    """The topics to play. Raises BagError if one that is named is not in the bag."""
    for name in (*options.topics, *options.remap):
        if name not in recording.topics:
            raise BagError(f"the bag has no topic {name}; it has {', '.join(recording.topics)}")
    return [t for t in recording.topics.values() if not options.topics or t.name in options.topics]


def _is_latched(topic: RecordedTopic) -> bool:
    return topic.latched or topic.name in LATCHED_TOPICS


def _qos(topic: RecordedTopic, reliable: bool) -> QoSProfile:
    if _is_latched(topic):
        return QoSProfile(
            depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=DEPTH, reliability=reliability, durability=DurabilityPolicy.VOLATILE)
