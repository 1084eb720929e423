"""The node's part of /diagnostics: its state and what is wrong, and the counters of each camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from mrc_net_ros.camera import Camera
from mrc_net_ros.process_memory import resident_memory_mb


@dataclass(frozen=True)
class NodeCondition:
    """How the node is: ``state`` of its lifecycle, ``trouble`` (empty: none), and what the table tells besides."""

    state: str
    trouble: str
    is_paused: bool
    bundle: str
    incompatible: Mapping[str, str]
    """What was last said of topics whose partners' QoS do not fit, by topic."""


def statuses(name: str, condition: NodeCondition, cameras: Sequence[Camera]) -> list[DiagnosticStatus]:
    """One status for the node; with several cameras one more for each, else the only one's counters join the node's.

    An error with its reason while the node is not active, a warning while something is wrong.
    """
    values = {
        "state": condition.state,
        "paused": str(condition.is_paused).lower(),
        "bundle": condition.bundle or "-",
        "memory [MB]": f"{resident_memory_mb():.0f}",
        "incompatible QoS": ", ".join(sorted(condition.incompatible)) or "-",
    }
    active = condition.state == "active"
    trouble = condition.trouble or next(iter(condition.incompatible.values()), "")
    if len(cameras) == 1 and not cameras[0].name:
        trouble = trouble or cameras[0].trouble or cameras[0].refusal
        return [_status(name, active, condition, trouble, {**values, **cameras[0].statistics.values()})]
    starved = {camera.name: camera.trouble or camera.refusal for camera in cameras}
    hungry = [camera for camera, why in starved.items() if why]
    trouble = trouble or (f"no frames from: {', '.join(hungry)}" if hungry else "")
    of_cameras = [
        _status(f"{name}: {c.name}", active, condition, starved[c.name], c.statistics.values())
        for c in cameras
    ]
    return [_status(name, active, condition, trouble, values), *of_cameras]


def _status(
    name: str, active: bool, condition: NodeCondition, trouble: str, values: Mapping[str, str]
) -> DiagnosticStatus:
    level = DiagnosticStatus.OK
    if trouble:
        level = DiagnosticStatus.WARN if active else DiagnosticStatus.ERROR
    message = trouble or ("paused" if active and condition.is_paused else condition.state)
    status = DiagnosticStatus(level=level, name=name, message=message)
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status
