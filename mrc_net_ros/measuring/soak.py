"""A running node under more frames than it can answer, for long: latency, drops and memory; then many restarts.

First the node answers one frame after the other, which tells the rate that it can sustain. Then frames come at a
multiple of that rate. At last it is deactivated and activated again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrc_net_ros.bag_player import BagPlayer
from mrc_net_ros.bags.live_node import LiveNode, LiveNodeError
from mrc_net_ros.measuring.frame_sender import FrameSender
from mrc_net_ros.measuring.memory_growth import MemoryGrowth, memory_growth
from mrc_net_ros.measuring.node_work import later_values, three_ms
from mrc_net_ros.measuring.restamped import RestampedFrames
from mrc_net_ros.measuring.restarts import Restarter
from mrc_net_ros.process_memory import resident_memory_mb

NAMESPACE = "/soak"
PASS_STAGES = ("conversion", "estimate", "publication", "transport")
"""What the node's thread does for a frame, one after the other."""
WARM_UP = 0.2
"""Share of the overload in which caches fill; memory and inference time are judged after it."""
RESTART_WARM_UP = 0.4
"""The same of the restarts: each one has threads of its own, which get the allocator's arenas one after the other."""
SAMPLE_PERIOD_S = 1.0
ANSWER_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class SoakPlan:
    """How long and how hard.

    Args:
        seconds: of overload.
        overload: times the rate that the node can sustain.
        single_frames: answered one by one, to find that rate.
        restarts: how often the node is deactivated and activated; fewer than 20 tell little of memory.
    """

    seconds: float = 600.0
    overload: float = 2.0
    single_frames: int = 60
    restarts: int = 20


@dataclass(frozen=True)
class SoakFigures:
    """What was measured. Times in ms, rates in Hz.

    Args:
        inference_alone_ms: median of the network's passes while frames came one by one.
        inference_ms: the same during the overload.
        sustainable_hz: frames that the node could answer one after the other, by its own times.
        wanted_hz, sent_hz: rate of sending that was aimed at, and that came out.
        sent: frames since activation, the single ones included.
        answered, dropped: of those, as the node counted them; ``drop_reasons`` as in its diagnostics.
        received: messages of poses that arrived here.
        latency_ms: from an image's publication to the reception of its poses, for those sent during the overload.
        longest_gap_s: between two results during the overload.
        memory: of the node's process during the overload.
        restart_memory: after each restart; None without restarts.
        exit_status: of the node, once it was asked to end.
    """

    inference_alone_ms: float
    inference_ms: float
    sustainable_hz: float
    wanted_hz: float
    sent_hz: float
    sent: int
    answered: int
    dropped: int
    drop_reasons: Mapping[str, int]
    received: int
    latency_ms: Mapping[str, float]
    longest_gap_s: float
    results: int
    memory: MemoryGrowth
    memory_mb: list[float]
    restart_memory: MemoryGrowth | None
    restart_memory_mb: list[float]
    exit_status: int

    def values(self) -> dict[str, Any]:
        """All of it, for JSON."""
        restarts = None if self.restart_memory is None else self.restart_memory.values()
        return {**vars(self), "memory": self.memory.values(), "restart_memory": restarts}


@dataclass
class _Watch:
    """Looks at the node's memory and diagnostics once a second while frames are sent."""

    live: LiveNode
    memory: list[tuple[float, float]] = field(default_factory=list)
    inference: list[tuple[float, float]] = field(default_factory=list)

    def look(self) -> None:
        """Takes a sample if the last one is old enough. Raises LiveNodeError if the node has ended."""
        now_s = time.monotonic()
        if self.memory and now_s - self.memory[-1][0] < SAMPLE_PERIOD_S:
            return
        process = self.live.process
        if process.exit_status is not None:
            raise LiveNodeError(f"the node ended with status {process.exit_status}:\n{process.last_lines()}")
        self.memory.append((now_s, resident_memory_mb(process.process_id)))
        _, values = self.live.player.node_values()
        self.inference.append((now_s, three_ms(values, "estimate")[0]))


def soak(
    frames: RestampedFrames,
    parameters: Mapping[str, str],
    plan: SoakPlan,
    log: Path,
    say: Callable[[str], None] = lambda text: None,
) -> SoakFigures:
    """Runs it all.

    Args:
        parameters: of the node, by name, as they would be written on the command line.
        log: takes the node's messages.
        say: takes a line at the beginning of each part.

    Raises:
        LiveNodeError: the node cannot be used, ended, or answers nothing.
    """
    with LiveNode(frames.frames[0], parameters, NAMESPACE, log) as live:
        say(f"The node is ready after {live.wait_until_ready():.1f} s.")
        sender, player = FrameSender(live.player, frames), live.player
        for _ in range(plan.single_frames):
            if sender.answered(ANSWER_TIMEOUT_S) is None:
                raise LiveNodeError(
                    f"no poses came in {ANSWER_TIMEOUT_S:.0f} s:\n{live.process.last_lines()}"
                )
        alone = later_values(player, 2)
        sustainable_hz = 1e3 / sum(three_ms(alone, stage)[0] for stage in PASS_STAGES)
        wanted_hz = plan.overload * sustainable_hz
        say(
            f"It can sustain {sustainable_hz:.1f} frames/s; sending {wanted_hz:.1f} frames/s for {plan.seconds:g} s."
        )
        watch, singles = _Watch(live), len(sender.sent_s)
        started_s = time.monotonic()

        def goes_on() -> bool:
            watch.look()
            return time.monotonic() - started_s < plan.seconds

        sender.send_steadily(wanted_hz, goes_on)
        sent_hz = (len(sender.sent_s) - singles) / (time.monotonic() - started_s)
        values, received = _settled(player), player.received()
        loaded = [at_ns for at_ns in list(sender.sent_s)[singles:] if at_ns in received]
        if len(loaded) < 2:
            raise LiveNodeError("no poses came during the overload")
        latency_ms = [1e3 * (received[at_ns][1] - sender.sent_s[at_ns]) for at_ns in loaded]
        sent = len(sender.sent_s)
        say(f"Deactivating and activating it {plan.restarts} times.")
        restarts = Restarter(live, sender).restart(plan.restarts) if plan.restarts else []
        exit_status = live.process.stop()
    reason_prefix = "dropped frames, "
    return SoakFigures(
        inference_alone_ms=three_ms(alone, "estimate")[0],
        inference_ms=_median_after_warm_up(watch.inference),
        sustainable_hz=sustainable_hz,
        wanted_hz=wanted_hz,
        sent_hz=sent_hz,
        sent=sent,
        answered=int(values["frames"]),
        dropped=int(values["dropped frames"]),
        drop_reasons={
            key.removeprefix(reason_prefix): int(count)
            for key, count in values.items()
            if key.startswith(reason_prefix)
        },
        received=len(received),
        latency_ms=_distribution(latency_ms),
        longest_gap_s=float(np.diff([received[at_ns][1] for at_ns in loaded]).max()),
        results=len(loaded),
        memory=memory_growth(watch.memory, WARM_UP),
        memory_mb=[round(mb, 2) for _, mb in watch.memory],
        restart_memory=memory_growth(restarts, RESTART_WARM_UP) if restarts else None,
        restart_memory_mb=[round(mb, 2) for _, mb in restarts],
        exit_status=exit_status,
    )


def _settled(player: BagPlayer) -> dict[str, str]:
    """The node's diagnostics once it counts nothing new. Raises LiveNodeError if that does not end."""
    end_s, before = time.monotonic() + SETTLE_TIMEOUT_S, ("", "")
    while time.monotonic() < end_s:
        values = later_values(player, 2)
        counts = values["frames"], values["dropped frames"]
        if counts == before:
            return values
        before = counts
    raise LiveNodeError(
        f"the node was still counting frames {SETTLE_TIMEOUT_S:.0f} s after the last was sent"
    )


def _median_after_warm_up(samples: list[tuple[float, float]]) -> float:
    from_s = samples[0][0] + WARM_UP * (samples[-1][0] - samples[0][0])
    return float(np.median([value for at_s, value in samples if at_s >= from_s]))


def _distribution(values: list[float]) -> dict[str, float]:
    points = np.percentile(values, (50, 95, 99, 100))
    return dict(zip(("p50", "p95", "p99", "max"), (float(point) for point in points)))
