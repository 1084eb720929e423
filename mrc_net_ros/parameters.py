"""The parameters' values: checked, and read into one typed record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rclpy.exceptions import (
    InvalidParameterTypeException,
    ParameterException,
    ParameterUninitializedException,
)
from rclpy.node import Node

from mrc_net_ros.parameter_specs import SPEC_BY_NAME, SPECS, ParameterSpec

# Topic tokens that ROS accepts, one or several
CAMERA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


class ParameterError(ValueError):
    """A parameter's value cannot be used; the message names the parameter and the remedy."""


@dataclass(frozen=True)
class NodeSettings:
    """The parameters' values, checked. Units as in the parameters' descriptions."""

    bundle: str = ""
    device: str = "auto"
    autostart: bool = True
    cameras: tuple[str, ...] = ()
    image_transport: str = "raw"
    rectified: bool = True
    image_qos: str = "sensor_data"
    detections_qos: str = "reliable"
    sync_queue_size: int = 10
    sync_slop_s: float = 0.0
    class_map: Mapping[str, str] = field(default_factory=dict)
    white_16bit: int = 65535
    min_detection_score: float = 0.0
    max_detections: int = 16
    time_budget_s: float = 0.0
    tracking: str = "off"
    track_min_score: float = 0.2
    track_timeout_s: float = 2.0
    track_rounds: int = 0
    publish_tf: bool = True
    tf_prefix: str = ""
    publish_markers: bool = True

    @property
    def rounds_of_tracks(self) -> int | None:
        """``track_rounds`` as `PoseFollower` takes it: None where each object gets those that it needs."""
        return self.track_rounds or None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> NodeSettings:
        """The settings from parameter values by name.

        Raises:
            ParameterError: a name is unknown or a value is not among those allowed.
        """
        return cls().with_changes(values)

    def with_changes(self, values: Mapping[str, Any]) -> NodeSettings:
        """These settings with some parameter values changed. Raises as ``from_values``."""
        for name, value in values.items():
            check_value(name, value)
        changes = dict(values)
        if "class_map" in changes:
            changes["class_map"] = parse_class_map(changes["class_map"])
        if "cameras" in changes:
            changes["cameras"] = parse_cameras(changes["cameras"])
        return replace(self, **changes)


def check_value(name: str, value: Any) -> None:
    """Raises ParameterError if this parameter may not have this value."""
    spec = SPEC_BY_NAME.get(name)
    if spec is None:
        raise ParameterError(f"there is no parameter '{name}'; there are: {', '.join(SPEC_BY_NAME)}")
    if spec.choices and value not in spec.choices:
        raise ParameterError(f"'{name}' is '{value}', but must be one of: {', '.join(spec.choices)}")
    if spec.limits is not None and not spec.limits[0] <= value <= spec.limits[1]:
        raise ParameterError(f"'{name}' is {value}, but must be from {spec.limits[0]} to {spec.limits[1]}")
    if name == "class_map":
        parse_class_map(value)
    if name == "cameras":
        parse_cameras(value)
    if name == "tf_prefix" and value.startswith("/"):
        raise ParameterError(
            f"'tf_prefix' is '{value}', but TF has no frames with a leading '/': write '{value.lstrip('/')}'"
        )


def parse_cameras(entries: Sequence[str]) -> tuple[str, ...]:
    """The cameras' names. Empty strings are skipped: YAML has no empty typed list.

    Raises:
        ParameterError: a name that cannot stand in a topic, or that comes twice.
    """
    names = tuple(name for name in entries if name)
    for name in names:
        if not CAMERA_NAME.fullmatch(name):
            raise ParameterError(
                f"'cameras' has the name '{name}': letters, digits and '_' are allowed, not first a digit, and '/' "
                "between two names"
            )
        if names.count(name) > 1:
            raise ParameterError(f"'cameras' names '{name}' twice: keep one of them")
    return names


def parse_class_map(entries: Sequence[str]) -> dict[str, str]:
    """``["3:tea_box"]`` -> ``{"3": "tea_box"}``. Empty strings are skipped: YAML has no empty typed list.

    Raises:
        ParameterError: an entry has no colon, an empty side, or a detector's id that came before.
    """
    mapping: dict[str, str] = {}
    for entry in entries:
        if not entry:
            continue
        detector_id, _, class_id = entry.partition(":")
        if not detector_id or not class_id:
            raise ParameterError(f"'class_map' has the entry '{entry}': write it as 'detector_id:class_id'")
        if detector_id in mapping:
            raise ParameterError(
                f"'class_map' names the detector's id '{detector_id}' twice: keep one of the entries"
            )
        mapping[detector_id] = class_id
    return mapping


def check_class_map(class_map: Mapping[str, str], class_ids: Sequence[str]) -> None:
    """Raises ParameterError if the map leads to a class that the bundle has not."""
    for detector_id, class_id in class_map.items():
        if class_id not in class_ids:
            raise ParameterError(
                f"'class_map' maps '{detector_id}' to '{class_id}', but the bundle has: {', '.join(class_ids)}"
            )


def is_live(name: str) -> bool:
    """Whether the parameter may change while the node is configured; those of rclpy (use_sim_time) may."""
    spec = SPEC_BY_NAME.get(name)
    return spec is None or spec.live


def is_own(name: str) -> bool:
    """Whether the parameter is one of this node's, not one that rclpy declares."""
    return name in SPEC_BY_NAME


TYPE_HINTS = {
    str: "write a text that YAML takes for something else (off, true, 2024) in quotes of its own: \"'off'\"",
    float: "write a whole number with its point: 1.0",
    list: "write a list of texts: [left, right]",
}


def declare_parameters(node: Node) -> None:
    """Declares all parameters; raises rclpy's ParameterException where a value has a wrong type or range."""
    for spec in SPECS:
        try:
            node.declare_parameter(spec.name, spec.default, spec.descriptor())
        except InvalidParameterTypeException as error:
            hint = TYPE_HINTS.get(type(spec.default))
            if hint is None:
                raise
            reason = str(error).removesuffix(f": {spec.name}")
            raise ParameterException(f"{reason}; {hint}", spec.name) from error


def read_parameters(node: Node) -> NodeSettings:
    """The present values of a node whose parameters are declared.

    Raises:
        ParameterError: a value is not allowed.
    """
    return NodeSettings.from_values({spec.name: _value(node, spec) for spec in SPECS})


def _value(node: Node, spec: ParameterSpec) -> Any:
    """The present value; the default where there is none, as after an empty list, which has no type in YAML."""
    try:
        value = node.get_parameter(spec.name).value
    except ParameterUninitializedException:
        value = None
    return spec.default if value is None else value
