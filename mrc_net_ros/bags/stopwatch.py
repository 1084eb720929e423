"""Times what is done inside of it."""

from __future__ import annotations

import time
from types import TracebackType


class Stopwatch:
    """A context that may be entered again: ``wall_s`` and ``cpu_s`` (of this process) are sums, in seconds."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0
        self._wall_s = self._cpu_s = 0.0

    def __enter__(self) -> Stopwatch:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_s += time.perf_counter() - self._wall_s
        self.cpu_s += time.process_time() - self._cpu_s
