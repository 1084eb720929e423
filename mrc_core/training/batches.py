"""Batches made ahead of the trainer by one background thread, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(make: Callable[[int], T], start: int, stop: int, depth: int = 3) -> Iterator[T]:
    """Yields make(start), ..., make(stop - 1); up to `depth` of them are made ahead.

    An exception in `make` is raised here, at its turn. Closing the iterator ends the thread.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def hand_over(item: tuple[T | None, BaseException | None]) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        for index in range(start, stop):
            try:
                item: tuple[T | None, BaseException | None] = (make(index), None)
            except BaseException as error:  # handed to the consumer, who raises it
                item = (None, error)
            if not hand_over(item) or item[1] is not None:
                return

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            batch, error = ready.get()
            if error is not None:
                raise error
            yield batch  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()
