"""Messages that repeat with every frame are said once in a while, each kind for itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from threading import Lock


class Complaints:
    """Passes a message on at most once per period and kind; the next one tells how many were held back.

    rclpy throttles by the line of code that logs, which would let one kind of message hide another.

    Args:
        say: receives the text.
        period_s: least time between two messages of one kind.
        clock: seconds, monotonic.
    """

    def __init__(
        self, say: Callable[[str], None], period_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._period_s = period_s
        self._clock = clock
        self._last_s: dict[str, float] = {}
        self._held_back: dict[str, int] = {}
        self._lock = Lock()

    def __call__(self, kind: str, text: str, once: bool = False) -> None:
        """Says ``text`` unless something of this ``kind`` was said less than a period ago; ``once``: ever."""
        with self._lock:
            now = self._clock()
            period_s = math.inf if once else self._period_s
            if kind in self._last_s and now - self._last_s[kind] < period_s:
                self._held_back[kind] = self._held_back.get(kind, 0) + 1
                return
            self._last_s[kind] = now
            held_back = self._held_back.pop(kind, 0)
        self._say(f"{text} ({held_back} more like this since)" if held_back else text)

    def forget(self) -> None:
        """Lets every kind of message be said again at once."""
        with self._lock:
            self._last_s.clear()
            self._held_back.clear()
