"""Runs the node ``pose_estimator`` in a process of its own, for the demo and for bag evaluation."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

STOP_TIMEOUT_S = 15.0


class NodeProcess:
    """The node as a child process, ended with the context.

    Args:
        parameters: ROS parameters by name, as they would be written on the command line.
        namespace: of the node and its topics.
        log: where the node's messages go.
    """

    def __init__(self, parameters: Mapping[str, str], namespace: str, log: Path) -> None:
        self.log = log
        self._command = [
            sys.executable,
            "-m",
            "mrc_net_ros.pose_estimator",
            "--ros-args",
            "-r",
            f"__ns:={namespace}",
        ]
        for name, value in parameters.items():
            self._command += ["-p", f"{name}:={value}"]

    def __enter__(self) -> NodeProcess:
        self._file = self.log.open("w", encoding="utf-8")
        # A process group of its own: Ctrl+C in the terminal reaches the parent alone, which ends the child in order
        self._process = subprocess.Popen(
            self._command, stdout=self._file, stderr=subprocess.STDOUT, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def process_id(self) -> int:
        """The process' id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The process' exit status, or None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Asks the node to end as Ctrl+C does, insists after a while, and returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._file.close()
        return int(self._process.returncode)

    def last_lines(self, count: int = 20) -> str:
        """The end of what the node has said."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
