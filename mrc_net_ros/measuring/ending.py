"""Ends a run in order when it is told to: the node has a session of its own and would outlive this process."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def end_in_order() -> None:
    """From now on SIGTERM and SIGHUP raise SystemExit with 128 + the signal, so that contexts end what they began."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    for other in SIGNALS:  # once is enough, a second signal must not cut the way out short
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)
