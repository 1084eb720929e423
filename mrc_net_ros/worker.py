"""One thread that always works on the newest frames, so that callbacks never wait for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from mrc_net_ros.kept_threads import run_in_kept_thread

Item = TypeVar("Item")
Result = TypeVar("Result")


class NewestFirstWorker(Generic[Item]):
    """A thread with a slot of depth one for each source of frames.

    A frame that has not been started yet is replaced by a newer one of its source. Whenever the thread is free it
    takes what is in all slots, so that no source waits for another.

    Args:
        process: called in the thread with the items of all filled slots, the longest waiting source first; what it
            raises goes to ``on_error`` and the thread goes on.
        on_error: called in the thread with the exception.
    """

    def __init__(self, process: Callable[[list[Item]], None], on_error: Callable[[Exception], None]) -> None:
        self._process = process
        self._on_error = on_error
        self._wake = threading.Condition()
        self._slots: dict[str, Item] = {}
        self._errands: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._done = run_in_kept_thread(self._run, "pose_estimation")

    @property
    def is_awaited(self) -> bool:
        """Whether a frame waits for the thread."""
        with self._wake:
            return bool(self._slots)

    def submit(self, item: Item, source: str = "") -> bool:
        """Hands over an item without waiting. Returns whether it replaced one that had not been started."""
        with self._wake:
            replaced = source in self._slots
            self._slots[source] = item
            self._wake.notify()
        return replaced

    def post(self, errand: Callable[[], Result]) -> Future[Result]:
        """Has something run in the worker's thread, before the next items, and does not wait.

        torch keeps threads and caches for each thread that calls it: what is warmed up here stays warm here.
        """
        done: Future[Result] = Future()
        with self._wake:
            if self._stopping:
                done.cancel()
                return done
            self._errands.append((errand, done))
            self._wake.notify()
        return done

    def call(self, errand: Callable[[], Result]) -> Result:
        """``post``, and waits. Raises what the errand raises."""
        return self.post(errand).result()

    def stop(self) -> None:
        """Ends the thread after the items in work; those in the slots are forgotten. May be called again."""
        with self._wake:
            self._stopping = True
            self._slots = {}
            self._wake.notify()
        if self._thread is not threading.current_thread():
            self._done.wait()

    def _run(self) -> None:
        self._thread = threading.current_thread()
        try:
            self._loop()
        finally:
            self._thread = None

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._slots and not self._errands and not self._stopping:
                    self._wake.wait()
                errands, self._errands = self._errands, []
                if self._stopping:
                    for _, done in errands:
                        done.cancel()
                    return
            for errand, done in errands:
                _run(errand, done)
            with self._wake:  # only now: what came during an errand replaces what waited for it
                items, self._slots = list(self._slots.values()), {}
            if not items:
                continue
            try:
                self._process(items)
            except Exception as error:  # one bad frame must not end the node
                self._on_error(error)


def _run(errand: Callable[[], Any], done: Future[Any]) -> None:
    try:
        result = errand()
    except Exception as error:  # belongs to who waits
        done.set_exception(error)
    else:
        done.set_result(result)
