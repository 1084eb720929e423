"""Batches made ahead of the trainer by background threads, in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD = 2  # batches that wait, finished, beside those that are being made


def prefetch(make: Callable[[int], T], start: int, stop: int, workers: int = 1) -> Iterator[T]:
    """Yields make(start), ..., make(stop - 1) in this order, whatever the number of threads that make them.

    An exception in `make` is raised here, at its turn. Closing the iterator ends the threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    pending: deque[Future[T]] = deque()
    try:
        for index in range(start, stop):
            pending.append(pool.submit(make, index))
            if len(pending) >= workers + AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class TimedBatches(Generic[T]):
    """An iterator that knows how long its consumer waited for it."""

    def __init__(self, batches: Iterator[T]) -> None:
        self._batches = batches
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        started = time.monotonic()
        try:
            return next(self._batches)
        finally:
            self.waited_s += time.monotonic() - started

    def close(self) -> None:
        """Ends the threads that make batches."""
        self._batches.close()  # type: ignore[attr-defined]
