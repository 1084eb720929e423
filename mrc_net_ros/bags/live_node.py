"""The node in a process of its own with a bag player connected to it, as the demo and online evaluation need them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mrc_net_ros.bag_frames import BagFrame
from mrc_net_ros.bag_player import BagPlayer
from mrc_net_ros.node_process import NodeProcess

START_TIMEOUT_S = 300.0
SETTLE_S = 0.3  # connections are made one by one, and the inputs may come before the outputs


class LiveNodeError(RuntimeError):
    """The node cannot be used; the message says why."""


class LiveNode:
    """A context in which the node runs and ``player`` talks to it.

    Args:
        first: a frame of the bag; its messages' types become the topics' types.
        parameters: of the node, by name, as they would be written on the command line. ``image_transport`` tells the
            topic that images are published on.
        namespace: of the node and its topics.
        log: where the node's messages go.
    """

    def __init__(self, first: BagFrame, parameters: Mapping[str, str], namespace: str, log: Path) -> None:
        self._first, self._parameters = first, parameters
        self._namespace, self._log = namespace, log
        self.process: NodeProcess
        self.player: BagPlayer

    def __enter__(self) -> LiveNode:
        # Signals are ours: rclpy would tear the context down while the node is still being ended
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        compressed = self._parameters.get("image_transport") == "compressed"
        image_topic = "image_rect/compressed" if compressed else "image_rect"
        self.player = BagPlayer(self._first, image_topic, namespace=self._namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.player)
        self._spinning = threading.Thread(target=_spin, args=(self._executor,), daemon=True)
        self._spinning.start()
        try:
            self.process = NodeProcess(self._parameters, self._namespace, self._log).__enter__()
        except BaseException:
            self._end_ros()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.process.stop()
        finally:
            self._end_ros()

    def wait_until_ready(self) -> float:
        """Waits until the node has warmed up and its topics are connected. Returns the seconds it took.

        Raises:
            LiveNodeError: the node ended, could not be configured, or took too long.
        """
        started_s = time.monotonic()
        node = self.process
        while not self.player.is_matched():
            trouble = self.player.node_trouble()
            if trouble is not None:
                raise LiveNodeError(f"the node {trouble}")
            if node.exit_status is not None:
                raise LiveNodeError(f"the node ended with status {node.exit_status}:\n{node.last_lines()}")
            if time.monotonic() - started_s > START_TIMEOUT_S:
                raise LiveNodeError(
                    f"the node is not ready after {START_TIMEOUT_S:.0f} s:\n{node.last_lines()}"
                )
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        return time.monotonic() - started_s

    def _end_ros(self) -> None:
        self._executor.shutdown()
        self._spinning.join(timeout=5.0)
        self.player.destroy_node()
        rclpy.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
