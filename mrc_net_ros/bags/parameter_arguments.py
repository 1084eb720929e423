"""The node's parameters as arguments, ``name:=value``, checked as the node checks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mrc_net_ros.parameters import SPECS, NodeSettings, ParameterError

NOT_HERE = {
    "autostart": "nothing is started",
    "cameras": "one camera is evaluated, that of --image",
    "image_transport": "the bag's image topic tells it",
}


def read_assignments(assignments: Sequence[str], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter values by name.

    Args:
        assignments: ``name:=value`` with the value in YAML, as behind ``-p`` of a ROS node.
        fixed: values that have an option of their own, or follow from the bag.

    Raises:
        ParameterError: no assignment, an unknown name, a wrong type or a value out of range.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition(":=")
        if not sign:
            raise ParameterError(f"--param '{assignment}' must be written as name:=value")
        if name in NOT_HERE or name in fixed:
            why = NOT_HERE.get(name, f"it has an option of its own, --{name}")
            raise ParameterError(f"--param {name}: leave it out, {why}")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ParameterError(f"--param {name}: '{text}' cannot be read: {error}") from error
    values.update(fixed)
    _check_types(values)
    NodeSettings.from_values(values)
    return values


def as_ros_arguments(values: Mapping[str, Any]) -> dict[str, str]:
    """The values as the texts that a ROS node takes behind ``-p name:=``."""
    return {
        name: yaml.safe_dump(value, default_flow_style=True, width=10**9).split("\n")[0]
        for name, value in values.items()
    }


def _check_types(values: dict[str, Any]) -> None:
    defaults = {spec.name: spec.default for spec in SPECS}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(default, float) and type(value) is int:
            values[name] = float(value)  # more lenient than ROS, which wants the point
        elif default is not None and type(value) is not type(default):
            expected = {
                "bool": "true or false",
                "int": "an integer",
                "float": "a number",
                "list": "a list of texts",
            }
            kind = expected.get(type(default).__name__, "a text")
            raise ParameterError(f"--param {name}: '{value}' must be {kind}")
        elif isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
            raise ParameterError(f"--param {name}: every entry must be a text, such as '3:tea_box'")
