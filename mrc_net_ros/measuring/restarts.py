"""Deactivates and activates a running node again and again, and looks at its memory each time."""

from __future__ import annotations

import threading
import time

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from mrc_net_ros.bags.live_node import LiveNode, LiveNodeError
from mrc_net_ros.measuring.frame_sender import FrameSender
from mrc_net_ros.process_memory import resident_memory_mb

TRANSITION_TIMEOUT_S = 120.0
FIRST_ANSWER_S = 5.0
"""A frame that is sent while the node is still connecting can get lost: then another one is sent."""


class Restarter:
    """Use it while nothing else is sent.

    Args:
        live: the node, active.
        sender: of its frames; each restart is followed by one that the node answers.
    """

    def __init__(self, live: LiveNode, sender: FrameSender) -> None:
        self._live, self._sender = live, sender
        self._client = live.player.create_client(ChangeState, "pose_estimator/change_state")

    def restart(self, times: int) -> list[tuple[float, float]]:
        """Restarts the node that often. Returns after each time [s, monotonic] its memory [MB].

        Raises:
            LiveNodeError: a transition fails or takes too long, or no poses come after it.
        """
        memory = []
        for number in range(1, times + 1):
            self._change(Transition.TRANSITION_DEACTIVATE, f"deactivation {number}")
            self._change(Transition.TRANSITION_ACTIVATE, f"activation {number}")
            self._live.wait_until_ready()
            end_s = time.monotonic() + TRANSITION_TIMEOUT_S
            while self._sender.answered(FIRST_ANSWER_S) is None:
                if time.monotonic() > end_s:
                    raise LiveNodeError(f"no poses came after activation {number}")
            memory.append((time.monotonic(), resident_memory_mb(self._live.process.process_id)))
        return memory

    def _change(self, transition: int, what: str) -> None:
        done = threading.Event()
        future = self._client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        future.add_done_callback(lambda _: done.set())
        if not done.wait(TRANSITION_TIMEOUT_S):
            raise LiveNodeError(f"{what} was not answered in {TRANSITION_TIMEOUT_S:.0f} s")
        if not future.result().success:
            raise LiveNodeError(f"{what} failed:\n{self._live.process.last_lines()}")
