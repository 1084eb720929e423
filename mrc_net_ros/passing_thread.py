"""Work that must not leave OpenMP's helpers behind, so that the network is as fast in the worker's thread as it can be.

torch computes with OpenMP. Its runtime (libgomp) keeps helpers for every thread that has ever computed, until that
thread ends. Once there are more of them than processors it takes the processors for crowded: helpers then sleep between
the many small steps of a network instead of waiting for the next one, and a pass takes almost twice as long. So one
thread alone may keep helpers: the one that runs the network. All else that computes does so in a thread that ends.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def in_passing_thread(errand: Callable[[], Result]) -> Result:
    """Runs something in a thread of its own, waits until that has ended, and returns or raises what it does."""
    with ThreadPoolExecutor(1, thread_name_prefix="passing") as pool:
        return pool.submit(errand).result()
