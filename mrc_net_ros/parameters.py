"""The node's parameters: declared once with type, range, unit and meaning, and read into one typed record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node


class ParameterError(ValueError):
    """A parameter's value cannot be used; the message names the parameter and the remedy."""


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter. ``live`` ones may change while the node runs, the others while it is unconfigured."""

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    live: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows, and what rclpy checks by itself."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = "one of: " + ", ".join(self.choices)
        if self.limits is not None:
            low, high = self.limits
            if isinstance(self.default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
                ]
        return descriptor


SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec("bundle", "", "Folder of the trained bundle (bundle.yaml, weights.safetensors, meshes/)."),
    ParameterSpec(
        "device",
        "auto",
        "Where the network runs; auto takes CUDA where there is one.",
        choices=("auto", "cpu", "cuda"),
    ),
    ParameterSpec("autostart", True, "Configure and activate without waiting for a lifecycle manager."),
    ParameterSpec(
        "image_transport",
        "raw",
        "raw subscribes to image_rect (sensor_msgs/Image), compressed to image_rect/compressed "
        "(sensor_msgs/CompressedImage).",
        choices=("raw", "compressed"),
    ),
    ParameterSpec(
        "rectified",
        True,
        "True: images are rectified, the intrinsics are P's left 3x3 (K where P is zero) and D is ignored. "
        "False: images are raw, the intrinsics are K, and a camera with distortion (D not zero) is refused.",
    ),
    ParameterSpec(
        "image_qos",
        "sensor_data",
        "QoS of image and camera_info: sensor_data (best effort) or reliable.",
        choices=("sensor_data", "reliable"),
    ),
    ParameterSpec(
        "detections_qos",
        "reliable",
        "QoS of detections: reliable or sensor_data (best effort).",
        choices=("sensor_data", "reliable"),
    ),
    ParameterSpec(
        "sync_queue_size",
        10,
        "Messages of each input that wait for their partner; at 30 Hz, 10 bridge a detector that takes "
        "330 ms.",
        limits=(1, 200),
    ),
    ParameterSpec(
        "sync_slop_s",
        0.0,
        "Largest difference [s] of the stamps of an image and its detections; 0 demands equal stamps.",
        limits=(0.0, 1.0),
    ),
    ParameterSpec(
        "class_map",
        [""],
        "Detector's ids to the bundle's class ids, each as 'detector_id:class_id'; ids not named here "
        "stay as they are.",
    ),
    ParameterSpec(
        "min_detection_score",
        0.0,
        "Detections with a lower detector's score (0..1) are left out.",
        limits=(0.0, 1.0),
        live=True,
    ),
    ParameterSpec(
        "max_detections",
        16,
        "Detections of a frame that are estimated, best score first; the rest is dropped and reported.",
        limits=(1, 256),
        live=True,
    ),
    ParameterSpec(
        "publish_tf", True, "Publish each pose as a leaf of TF under the image's frame.", live=True
    ),
    ParameterSpec("tf_prefix", "", "Put before the names of the TF leaves, for example 'arm1/'.", live=True),
)

_SPEC_BY_NAME = {spec.name: spec for spec in SPECS}


@dataclass(frozen=True)
class NodeSettings:
    """The parameters' values, checked. Units as in the parameters' descriptions."""

    bundle: str = ""
    device: str = "auto"
    autostart: bool = True
    image_transport: str = "raw"
    rectified: bool = True
    image_qos: str = "sensor_data"
    detections_qos: str = "reliable"
    sync_queue_size: int = 10
    sync_slop_s: float = 0.0
    class_map: Mapping[str, str] = field(default_factory=dict)
    min_detection_score: float = 0.0
    max_detections: int = 16
    publish_tf: bool = True
    tf_prefix: str = ""

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
        return replace(self, **changes)


def check_value(name: str, value: Any) -> None:
    """Raises ParameterError if this parameter may not have this value."""
    spec = _SPEC_BY_NAME.get(name)
    if spec is None:
        raise ParameterError(f"there is no parameter '{name}'; there are: {', '.join(_SPEC_BY_NAME)}")
    if spec.choices and value not in spec.choices:
        raise ParameterError(f"'{name}' is '{value}', but must be one of: {', '.join(spec.choices)}")
    if spec.limits is not None and not spec.limits[0] <= value <= spec.limits[1]:
        raise ParameterError(f"'{name}' is {value}, but must be from {spec.limits[0]} to {spec.limits[1]}")
    if name == "class_map":
        parse_class_map(value)


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
    spec = _SPEC_BY_NAME.get(name)
    return spec is None or spec.live


def is_own(name: str) -> bool:
    """Whether the parameter is one of this node's, not one that rclpy declares."""
    return name in _SPEC_BY_NAME


def declare_parameters(node: Node) -> None:
    """Declares all parameters; rclpy raises where a value has a wrong type or range."""
    for spec in SPECS:
        node.declare_parameter(spec.name, spec.default, spec.descriptor())


def read_parameters(node: Node) -> NodeSettings:
    """The present values of a node whose parameters are declared.

    Raises:
        ParameterError: a value is not allowed.
    """
    return NodeSettings.from_values({spec.name: node.get_parameter(spec.name).value for spec in SPECS})
