"""Threads that are used again: a new thread may get memory of its own from the allocator, which it does not give back.

A node that is deactivated and activated again would otherwise grow by what a network leaves in the memory of each new
thread, until all of the allocator's arenas have had their share.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

_Errands = SimpleQueue[tuple[Callable[[], None], str, threading.Event]]

_idle: list[_Errands] = []


def run_in_kept_thread(errand: Callable[[], None], name: str) -> threading.Event:
    """Starts an errand in a thread that an earlier one has left, else in a new one.

    The threads are daemons: they do not hold up the end of the process.

    Args:
        name: of the thread while it runs the errand.

    Returns:
        What is set once the errand is done.
    """
    done = threading.Event()
    try:
        errands = _idle.pop()
    except IndexError:
        errands = SimpleQueue()
        threading.Thread(target=_serve, args=(errands,), daemon=True).start()
    errands.put((errand, name, done))
    return done


def _serve(errands: _Errands) -> None:
    while True:
        errand, threading.current_thread().name, done = errands.get()
        try:
            errand()
        except BaseException:  # this thread ends, and is not used again
            done.set()
            raise
        del errand  # what it holds (a network) must not wait here for the next one
        _idle.append(errands)
        done.set()
