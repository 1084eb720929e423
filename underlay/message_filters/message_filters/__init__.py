"""Join messages of several topics by their stamps: the part of ROS 2 message_filters that Python nodes use.

Names, signatures and behaviour are those of the real package, its rule for full queues included: the entry with the
SMALLEST stamp is dropped, and nothing is ever reset. After time has jumped back (a bag that starts again), new
messages are therefore the ones that are dropped; whoever expects jumps builds a new synchroniser.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

__all__ = ["ApproximateTimeSynchronizer", "Cache", "SimpleFilter", "Subscriber", "TimeSynchronizer"]


class SimpleFilter:
    """A source of messages that others register callbacks with."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
        """Call `cb(*messages, *args)` for each output; returns the number of the connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand an output to every callback."""
        for callback, args in list(self.callbacks.values()):
            callback(*msg, *args)


class Subscriber(SimpleFilter):
    """A subscription as the first filter of a chain.

    `Subscriber(node, msg_type, topic, qos_profile=10, **kwargs)`; the keyword arguments are those of
    `Node.create_subscription`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.node = args[0]
        self.topic = args[2]
        if len(args) < 4:
            kwargs.setdefault("qos_profile", 10)
        message_type, topic, *rest = args[1:]
        self.sub = self.node.create_subscription(message_type, topic, self.callback, *rest, **kwargs)

    def callback(self, msg: Any) -> None:
        self.signalMessage(msg)

    def getTopic(self) -> str:
        return self.topic

    def __getattr__(self, key: str) -> Any:
        # Reached only for names that are not set: the subscription's own attributes, as with the real class.
        if key == "sub":
            raise AttributeError(key)
        return getattr(self.sub, key)


class Cache(SimpleFilter):
    """The last `cache_size` messages of a filter in the order of their stamps; it passes them on as well."""

    def __init__(self, f: SimpleFilter | None = None, cache_size: int = 1, allow_headerless: bool = False) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.allow_headerless = allow_headerless
        self.cache_msgs: list[Any] = []
        self.cache_times: list[Time] = []
        if f is not None:
            self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        stamp = _stamp_of(msg, self.allow_headerless)
        if stamp is None:
            return
        if len(self.cache_msgs) >= self.cache_size:
            del self.cache_msgs[0], self.cache_times[0]
        place = sum(1 for t in self.cache_times if t <= stamp)
        self.cache_msgs.insert(place, msg)
        self.cache_times.insert(place, stamp)
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Time, to_stamp: Time) -> list[Any]:
        """All messages with from_stamp <= stamp <= to_stamp."""
        pairs = zip(self.cache_msgs, self.cache_times)
        return [msg for msg, stamp in pairs if from_stamp <= stamp <= to_stamp]

    def getElemAfterTime(self, stamp: Time) -> Any:
        """The oldest message at or after `stamp`, or None."""
        return next((m for m, t in zip(self.cache_msgs, self.cache_times) if t >= stamp), None)

    def getElemBeforeTime(self, stamp: Time) -> Any:
        """The newest message at or before `stamp`, or None."""
        older = [m for m, t in zip(self.cache_msgs, self.cache_times) if t <= stamp]
        return older[-1] if older else None

    def getLastestTime(self) -> Time | None:  # misspelt, as in the real package
        return self.cache_times[-1] if self.cache_times else None

    def getOldestTime(self) -> Time | None:
        return self.cache_times[0] if self.cache_times else None

    def getLast(self) -> Any:
        return self.cache_msgs[-1] if self.cache_msgs else None


class TimeSynchronizer(SimpleFilter):
    """Passes on one message of each filter as soon as all of them have one with exactly the same stamp."""

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.Lock()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:
        self.queues: list[dict[int, Any]] = [{} for _ in fs]  # stamp in nanoseconds -> message
        self.input_connections = [
            f.registerCallback(self.add, queue, index) for index, (f, queue) in enumerate(zip(fs, self.queues))
        ]

    def _enqueue(self, stamp_ns: int, msg: Any, queue: dict[int, Any]) -> None:
        queue[stamp_ns] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        with self.lock:
            self._enqueue(Time.from_msg(msg.header.stamp).nanoseconds, msg, my_queue)
            common = set(self.queues[0]).intersection(*self.queues[1:])
            complete = [[queue.pop(stamp) for queue in self.queues] for stamp in sorted(common)]
        for messages in complete:
            self.signalMessage(*messages)


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """As TimeSynchronizer, for stamps that differ by at most `slop` seconds.

    allow_headerless: messages without a header take part with the time of their arrival.
    """

    def __init__(
        self, fs: Sequence[SimpleFilter], queue_size: int, slop: float, allow_headerless: bool = False
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        stamp = _stamp_of(msg, self.allow_headerless)
        if stamp is None:
            return
        with self.lock:
            self._enqueue(stamp.nanoseconds, msg, my_queue)
            stamps = self._match(stamp.nanoseconds, my_queue)
            if stamps is None:
                return
            messages = [queue.pop(t) for queue, t in zip(self.queues, stamps)]
        self.signalMessage(*messages)

    def _match(self, stamp_ns: int, my_queue: dict[int, Any]) -> tuple[int, ...] | None:
        """One stamp of each queue, all within the slop of each other, nearest to `stamp_ns` first."""
        slop_ns = self.slop.nanoseconds
        candidates = []
        for queue in self.queues:
            if queue is my_queue:
                near = [stamp_ns] if stamp_ns in queue else []
            else:
                near = sorted((t for t in queue if abs(t - stamp_ns) <= slop_ns), key=lambda t: abs(t - stamp_ns))
            candidates.append(near)
        for stamps in itertools.product(*candidates):
            if max(stamps) - min(stamps) < slop_ns:
                return stamps
        return None


def _stamp_of(msg: Any, allow_headerless: bool) -> Time | None:
    if hasattr(msg, "header") and hasattr(msg.header, "stamp"):
        return Time.from_msg(msg.header.stamp)
    if allow_headerless:
        return ROSClock().now()
    get_logger("message_filters").warning(
        f"{type(msg).__name__} has no header and cannot be synchronised; allow_headerless=True would take the time of "
        "its arrival"
    )
    return None
