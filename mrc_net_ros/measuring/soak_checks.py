"""What a soak test demands, and whether it was kept."""

from __future__ import annotations

from dataclasses import dataclass

from mrc_net_ros.measuring.soak import SoakFigures


@dataclass(frozen=True)
class SoakLimits:
    """What is demanded.

    Args:
        percentile: of the latencies that must keep the limit, ``p50``, ``p95`` or ``p99``.
        passes: inference times, as measured during the overload, that a result may take; and
        extra_ms: what comes on top. A frame waits for the pass in work, then has its own.
        growth_mb: of memory during the overload, from the first fifth after the warm-up to the last.
        restart_growth_mb: the same over the restarts, where the allocator's steps are larger.
        uncounted: frames that may be missing in the node's counts: those in flight, and those that DDS's queue lost
            before the node's callbacks could take them.
        unheard: results that may have been lost on the way here.
        least_rate: share of the wanted rate that must have been sent, or nothing was shown.
    """

    percentile: str = "p99"
    passes: float = 2.0
    extra_ms: float = 50.0
    growth_mb: float = 8.0
    restart_growth_mb: float = 20.0
    uncounted: int = 2
    unheard: int = 0
    least_rate: float = 0.9

    def latency_ms(self, inference_ms: float) -> float:
        """What a result may take with this inference time."""
        return self.passes * inference_ms + self.extra_ms


@dataclass(frozen=True)
class Check:
    """One demand: what it is, what was measured, what is allowed, and whether that was kept."""

    name: str
    measured: str
    allowed: str
    kept: bool


def checks(figures: SoakFigures, limits: SoakLimits) -> list[Check]:
    """All demands, in the order in which they are told."""
    latency = figures.latency_ms[limits.percentile]
    allowed_ms = limits.latency_ms(figures.inference_ms)
    uncounted = figures.sent - figures.answered - figures.dropped
    unheard = figures.answered - figures.received
    found = [
        Check(
            "rate of sending",
            f"{figures.sent_hz:.1f} frames/s",
            f"at least {limits.least_rate * figures.wanted_hz:.1f}",
            figures.sent_hz >= limits.least_rate * figures.wanted_hz,
        ),
        Check(
            f"latency {limits.percentile}",
            f"{latency:.0f} ms",
            f"{allowed_ms:.0f} ms: {limits.passes:g} x {figures.inference_ms:.0f} + {limits.extra_ms:g}",
            latency <= allowed_ms,
        ),
        Check(
            "sent, but neither answered nor counted as dropped",
            f"{uncounted} of {figures.sent}",
            f"0 to {limits.uncounted}",
            0 <= uncounted <= limits.uncounted,
        ),
        Check(
            "answered, but not received",
            str(unheard),
            f"0 to {limits.unheard}",
            0 <= unheard <= limits.unheard,
        ),
        _growth("growth of memory", figures.memory.growth_mb, limits.growth_mb),
    ]
    if figures.restart_memory is not None:
        name = f"growth of memory over {len(figures.restart_memory_mb)} restarts"
        found.append(_growth(name, figures.restart_memory.growth_mb, limits.restart_growth_mb))
    found.append(Check("exit status", str(figures.exit_status), "0", figures.exit_status == 0))
    return found


def _growth(name: str, growth_mb: float, limit_mb: float) -> Check:
    return Check(name, f"{growth_mb:+.1f} MB", f"{limit_mb:g} MB", growth_mb <= limit_mb)
