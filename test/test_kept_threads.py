"""Threads that are used again, and the worker that uses them."""

from __future__ import annotations

import threading

import pytest

from mrc_net_ros.kept_threads import run_in_kept_thread
from mrc_net_ros.worker import NewestFirstWorker

PATIENCE_S = 10.0


def _ran_in(name: str) -> threading.Thread:
    threads: list[threading.Thread] = []
    assert run_in_kept_thread(lambda: threads.append(threading.current_thread()), name).wait(PATIENCE_S)
    return threads[0]


def test_one_after_the_other_have_one_thread_and_at_once_they_have_two() -> None:
    first = _ran_in("kept")
    assert first.daemon
    assert _ran_in("kept again") is first
    assert first.name == "kept again"
    go_on, threads = threading.Event(), []

    def waiting() -> None:
        threads.append(threading.current_thread())
        go_on.wait(PATIENCE_S)

    done = run_in_kept_thread(waiting, "kept")
    assert _ran_in("kept") is not first
    assert not done.is_set()
    go_on.set()
    assert done.wait(PATIENCE_S)
    assert threads == [first]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_an_error_the_thread_is_not_used_again() -> None:
    def failing() -> None:
        failed.append(threading.current_thread())
        raise ValueError("as meant")

    failed: list[threading.Thread] = []
    assert run_in_kept_thread(failing, "kept").wait(PATIENCE_S)
    failed[0].join(PATIENCE_S)
    assert not failed[0].is_alive()
    assert _ran_in("kept") is not failed[0]


def test_the_next_worker_has_the_thread_of_one_that_has_stopped() -> None:
    def thread_of(worker: NewestFirstWorker[int]) -> threading.Thread:
        return worker.call(threading.current_thread)

    first = NewestFirstWorker[int](print, print)
    used = thread_of(first)
    beside = NewestFirstWorker[int](print, print)
    assert thread_of(beside) is not used
    first.stop()
    second = NewestFirstWorker[int](print, print)
    assert thread_of(second) is used
    second.stop()
    beside.stop()
    second.stop()  # again
