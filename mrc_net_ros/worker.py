"""One thread that always works on the newest frame, so that callbacks never wait for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFirstWorker(Generic[Item]):
    """A thread with a slot of depth one: a frame that has not been started yet is replaced by a newer one.

    Args:
        process: called in the thread with each item; what it raises goes to ``on_error`` and the thread goes
            on.
        on_error: called in the thread with the exception.
    """

    def __init__(self, process: Callable[[Item], None], on_error: Callable[[Exception], None]) -> None:
        self._process = process
        self._on_error = on_error
        self._wake = threading.Condition()
        self._slot: Item | None = None
        self._errands: list[tuple[Callable[[], None], Future[None]]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="pose_estimation", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> bool:
        """Hands over an item without waiting. Returns whether it replaced one that had not been started."""
        with self._wake:
            replaced = self._slot is not None
            self._slot = item
            self._wake.notify()
        return replaced

    def call(self, errand: Callable[[], None]) -> None:
        """Runs something in the worker's thread, before the next item, and waits. Raises what it raises.

        torch keeps threads and caches for each thread that calls it: what is warmed up here stays warm here.
        """
        done: Future[None] = Future()
        with self._wake:
            self._errands.append((errand, done))
            self._wake.notify()
        done.result()

    def stop(self) -> None:
        """Ends the thread after the item in work; an item in the slot is forgotten. May be called again."""
        with self._wake:
            self._stopping = True
            self._slot = None
            self._wake.notify()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._wake:
                while self._slot is None and not self._errands and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    for _, done in self._errands:
                        done.cancel()
                    return
                errands, self._errands = self._errands, []
                item, self._slot = self._slot, None
            for errand, done in errands:
                _run(errand, done)
            if item is None:
                continue
            try:
                self._process(item)
            except Exception as error:  # one bad frame must not end the node
                self._on_error(error)


def _run(errand: Callable[[], None], done: Future[None]) -> None:
    try:
        errand()
    except Exception as error:  # belongs to who waits
        done.set_exception(error)
    else:
        done.set_result(None)
