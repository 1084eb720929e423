"""Which topics of a bag are the camera and its detector: as named, else by type where only one has it."""

from __future__ import annotations

from dataclasses import dataclass

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import Recording

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
TYPES = {
    "image": (IMAGE, COMPRESSED_IMAGE),
    "camera_info": (CAMERA_INFO,),
    "detections": (DETECTIONS,),
}


@dataclass(frozen=True)
class CameraTopics:
    """The node's inputs in a bag."""

    image: str
    camera_info: str
    detections: str
    image_is_compressed: bool

    @property
    def names(self) -> tuple[str, str, str]:
        """In the order in which messages of one instant are taken: an image finds what belongs to it."""
        return self.camera_info, self.detections, self.image


def choose_topics(
    recording: Recording,
    image: str | None = None,
    camera_info: str | None = None,
    detections: str | None = None,
) -> CameraTopics:
    """The topics as they are named; those that are not are found by their type.

    Raises:
        BagError: a named one is not there or has another type; or none, or several, have the type.
    """
    names = {
        role: choose_topic(recording, role, TYPES[role], given)
        for role, given in (("image", image), ("camera_info", camera_info), ("detections", detections))
    }
    compressed = recording.topics[names["image"]].type_name == COMPRESSED_IMAGE
    return CameraTopics(**names, image_is_compressed=compressed)


def choose_topic(recording: Recording, role: str, type_names: tuple[str, ...], given: str | None) -> str:
    """One topic: the given one, else the only one of these types. Raises as ``choose_topics``."""
    expected, option = " or ".join(type_names), f"--{role.replace('_', '-')}"
    found = recording.of_type(*type_names)
    if given is not None:
        name = given if given.startswith("/") else f"/{given}"
        if name not in recording.topics:
            there = ", ".join(found) or "none; the bag has " + ", ".join(recording.topics)
            raise BagError(f"the bag has no topic {name} ({option}); of type {expected} there is: {there}")
        if recording.topics[name].type_name not in type_names:
            raise BagError(
                f"{name} ({option}) is of type {recording.topics[name].type_name}, but must be {expected}; "
                f"of that type there is: {', '.join(found) or 'none'}"
            )
        return name
    if not found:
        has = ", ".join(f"{topic.name} ({topic.type_name})" for topic in recording.topics.values())
        raise BagError(f"the bag has no topic of type {expected}, which the {role} needs; it has {has}")
    if len(found) > 1:
        raise BagError(f"several topics could be the {role}: choose with {option} one of {', '.join(found)}")
    return found[0]
