"""Makes the ground truth that the command line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.topic_choice import CameraTopics
from mrc_net_ros.bags.truth import GroundTruth, NoTruth
from mrc_net_ros.bags.truth_bop import BopTruth, classes_by_obj_id
from mrc_net_ros.bags.truth_tf import TfTruth
from mrc_net_ros.bags.truth_topic import DETECTION_3D_ARRAY, POSE_STAMPED, DetectionTruth, PoseTruth

FORMS = "auto, none, topic:NAME, tf, tf:PREFIX, bop:PATH or bop_stamp:PATH"
AUTO_SUFFIX = "ground_truth"


def choose_truth(
    spec: str, gt_classes: Sequence[str], recording: Recording, topics: CameraTopics, class_ids: Sequence[str]
) -> GroundTruth:
    """The source of true poses.

    Args:
        spec: one of ``FORMS``. auto: the topic of type Detection3DArray whose name ends in ground_truth, if there is
            just one, else none: the node's own detections must never be taken for the truth.
        gt_classes: as on the command line: a class for a topic of PoseStamped, ``OBJ_ID:CLASS`` for BOP.
        class_ids: of the bundle.

    Raises:
        BagError: the form is unknown, or the source cannot be used.
    """
    kind, _, rest = spec.partition(":")
    if spec == "none":
        return NoTruth()
    if spec == "auto":
        found = [t for t in recording.of_type(DETECTION_3D_ARRAY) if t.endswith(AUTO_SUFFIX)]
        return DetectionTruth(recording, found[0]) if len(found) == 1 else NoTruth()
    if kind == "topic" and rest:
        return _from_topic(rest if rest.startswith("/") else f"/{rest}", gt_classes, recording, class_ids)
    if kind == "tf":
        return TfTruth(recording, rest, class_ids)
    if kind in ("bop", "bop_stamp") and rest:
        pairs = dict(entry.split(":", 1) for entry in gt_classes if ":" in entry)
        if len(pairs) < len(gt_classes):
            raise BagError("--gt-class must be OBJ_ID:CLASS for a scene_gt.json, for example 1:tea_box")
        classes = classes_by_obj_id(class_ids, pairs)
        return BopTruth(Path(rest), kind == "bop_stamp", classes, recording.topics[topics.image].count)
    raise BagError(f"--gt '{spec}' is none of: {FORMS}")


def _from_topic(
    topic: str, gt_classes: Sequence[str], recording: Recording, class_ids: Sequence[str]
) -> GroundTruth:
    there = ", ".join(recording.of_type(DETECTION_3D_ARRAY, POSE_STAMPED)) or "none"
    if topic not in recording.topics:
        raise BagError(
            f"the bag has no topic {topic} (--gt); of the types that can be a ground truth: {there}"
        )
    type_name = recording.topics[topic].type_name
    if type_name == DETECTION_3D_ARRAY:
        return DetectionTruth(recording, topic)
    if type_name != POSE_STAMPED:
        raise BagError(
            f"{topic} (--gt) is of type {type_name}, but must be {DETECTION_3D_ARRAY} or {POSE_STAMPED}; "
            f"there is: {there}"
        )
    if len(gt_classes) != 1 or gt_classes[0] not in class_ids:
        raise BagError(
            f"{topic} is a {POSE_STAMPED}, which names no class: say it with one --gt-class, one of: "
            f"{', '.join(class_ids)}"
        )
    return PoseTruth(recording, topic, gt_classes[0])
