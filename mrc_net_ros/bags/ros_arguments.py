"""Separates a command's own arguments from those of ROS, which launch adds.

rclpy's own function takes any ``name:=value`` for an old way of renaming topics, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

BEGIN, END = "--ros-args", "--"


def split_ros_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and those between ``--ros-args`` and ``--`` or the end, both included."""
    own: list[str] = []
    of_ros: list[str] = []
    inside = False
    for argument in arguments:
        inside = inside or argument == BEGIN
        (of_ros if inside else own).append(argument)
        inside = inside and argument != END
    return own, of_ros
