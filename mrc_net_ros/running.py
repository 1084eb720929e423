"""Runs a node in this process until a signal comes, and tells by the exit status how it ended."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions


def run_until_signal(make_node: Callable[[], Any], name: str, args: list[str] | None) -> int:
    """Runs the node until SIGINT or SIGTERM.

    Returns:
        The exit status: 0, 1 if a callback has failed, 2 if a parameter cannot be used.
    """
    stop, failed = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Signals are ours: rclpy would tear the context down under the worker's feet while it publishes
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = make_node()
    except ParameterException as error:
        rclpy.logging.get_logger(name).fatal(f"a parameter cannot be used: {error}")
        rclpy.shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(
        target=_spin, args=(executor, name, stop, failed), name="executor", daemon=True
    )
    spinning.start()
    stop.wait()
    executor.shutdown()
    spinning.join()
    node.destroy_node()
    rclpy.try_shutdown()
    return 1 if failed.is_set() else 0


def _spin(
    executor: SingleThreadedExecutor, name: str, stop: threading.Event, failed: threading.Event
) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
    except Exception:  # whoever started the node must learn of it
        failed.set()
        rclpy.logging.get_logger(name).fatal(
            f"the node ends, for a callback has failed:\n{traceback.format_exc()}"
        )
    finally:
        stop.set()
