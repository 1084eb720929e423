"""How much of a training step the making of samples takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import median
from typing import Any, TypeVar

Batch = TypeVar("Batch")


def measure_generator(
    make_batch: Callable[[int], Batch],
    train_step: Callable[[Batch], object],
    ahead: Callable[[int], Iterable[Batch]],
    batch_size: int,
    wait: Callable[[], None],
    device: str,
    repeats: int = 6,
) -> list[dict[str, Any]]:
    """Rows of what runs, samples/s, ms a batch and the generator's share of the time that both take.

    Generator and network take turns, so that whatever else the machine does meets both alike. On a CPU, where both want
    the same cores, the share is of their own processor time; on a GPU it is of the time by the clock.

    Args:
        make_batch: makes the batch of a number.
        train_step: forward, backward and optimiser on a batch.
        ahead: yields so many batches, made in the background as in training.
        batch_size: samples in a batch.
        wait: until the device has done all that was asked for.
        device: cpu or cuda.
    """
    batch = make_batch(0)
    for number in (1, 2):  # renderers, memory, the choice of convolutions
        train_step(batch)
        batch = make_batch(number)
    alone: dict[str, list[tuple[float, float]]] = {"generator": [], "network": []}
    for number in range(repeats):
        alone["generator"].append(_timed(partial(make_batch, 3 + number), wait))
        alone["network"].append(_timed(partial(train_step, batch), wait))
    clock = {name: median(seconds for seconds, _ in parts) for name, parts in alone.items()}
    own = {name: median(seconds for _, seconds in parts) for name, parts in alone.items()}
    counted = clock if device == "cuda" else own
    share = counted["generator"] / (counted["generator"] + counted["network"])

    stream: Iterator[Batch] = iter(ahead(repeats + 2))
    for _ in range(2):  # until the queue is as full as it will be
        train_step(next(stream))
    wait()
    started = time.perf_counter()
    for batch in stream:
        train_step(batch)
    wait()
    together = (time.perf_counter() - started) / repeats
    rows = [
        {"runs": name, "samples/s": batch_size / seconds, "ms a batch": 1000 * seconds}
        for name, seconds in (*clock.items(), ("both, as in training", together))
    ]
    shares = (share, 1 - share, 1.0)
    return [{**row, "share of the time, %": 100 * part} for row, part in zip(rows, shares)]


def _timed(call: Callable[[], object], wait: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of this thread's processor."""
    started, used = time.perf_counter(), time.thread_time()
    call()
    wait()
    return time.perf_counter() - started, time.thread_time() - used
