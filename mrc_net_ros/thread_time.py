"""What a thread spends on a piece of work: time on the clock, and time that it had a processor."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class ThreadTime:
    """A point in time of the calling thread, or the difference of two such points, in seconds.

    Args:
        wall_s: on the monotonic clock. It includes what the thread waited for a processor or for Python's lock.
        cpu_s: that this thread itself ran. Threads that worked for it (OpenCV's) are not in it.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: ThreadTime) -> ThreadTime:
        return ThreadTime(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: ThreadTime) -> ThreadTime:
        return ThreadTime(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


NO_TIME = ThreadTime()


def thread_time() -> ThreadTime:
    """Now, of the calling thread: only differences within one thread mean something. It costs about a microsecond."""
    return ThreadTime(time.monotonic(), time.thread_time())
