"""The node's parameters: each declared once, with type, range, unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


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
        "cameras",
        [""],
        "Names of several cameras: each has its topics under '<name>/', and one pass of the network takes the newest "
        "images of all. Empty strings are skipped; without a name there is one camera with plain topic names.",
    ),
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
        "False: images are raw, the intrinsics are K, and the node takes the distortion D out of images and boxes.",
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
        "white_16bit",
        65535,
        "Value of white in images of 16 bits (mono16, rgb16, ...), for example 4095 for a camera of 12 bits.",
        limits=(255, 65535),
        live=True,
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
        "time_budget_s",
        0.0,
        "Time [s] that conversion and network may take for one pass; detections that are predicted not to fit are "
        "dropped and reported, the lowest scores first, and one is always estimated. 0: no limit.",
        limits=(0.0, 60.0),
        live=True,
    ),
    ParameterSpec(
        "tracking",
        "off",
        "off: every image is estimated from its own detections. between_detections: images without detections are "
        "answered by stage 2 alone, from where the objects were last. every_frame: all images are, at once; detections "
        "start new tracks and find lost ones again.",
        choices=("off", "between_detections", "every_frame"),
    ),
    ParameterSpec(
        "track_min_score",
        0.2,
        "A track whose own score (0..1) falls below this is lost until a detection finds it again. It means something "
        "with a calibrated bundle alone.",
        limits=(0.0, 1.0),
        live=True,
    ),
    ParameterSpec(
        "track_timeout_s",
        2.0,
        "Time [s], by the images' stamps, after which a track that no detection has confirmed ends, and after which a "
        "lost one is forgotten.",
        limits=(0.01, 60.0),
        live=True,
    ),
    ParameterSpec(
        "track_rounds",
        0,
        "How often stage 2 runs for a tracked pose. 0: once for an object that has hardly turned, whose last render "
        "serves again; for any other as often as for a detected pose of this bundle.",
        limits=(0, 4),
        live=True,
    ),
    ParameterSpec(
        "publish_tf", True, "Publish each pose as a leaf of TF under the image's frame.", live=True
    ),
    ParameterSpec("tf_prefix", "", "Put before the names of the TF leaves, for example 'arm1/'.", live=True),
    ParameterSpec(
        "publish_markers", True, "Publish the meshes at their poses as markers, for RViz.", live=True
    ),
)

SPEC_BY_NAME = {spec.name: spec for spec in SPECS}
