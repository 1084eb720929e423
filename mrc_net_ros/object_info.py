"""What the node tells of its objects once, whatever the images show: ``object_info``."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, Vector3

from mrc_net_ros.conversions import pose_from_matrix
from mrc_net_ros.loaded_bundle import KnownObject, LoadedBundle
from mrc_net_ros.msg import ObjectInfo, ObjectInfoArray, SymmetryAxis


def object_info_message(bundle: LoadedBundle) -> ObjectInfoArray:
    """All classes of the bundle, in its order."""
    message = ObjectInfoArray(bundle=bundle.path)
    message.objects = [_info(class_id, item) for class_id, item in bundle.objects.items()]
    return message


def _info(class_id: str, item: KnownObject) -> ObjectInfo:
    message = ObjectInfo(class_id=class_id, diameter=float(item.model.diameter), mesh_resource=item.mesh_url)
    centre, size = item.box_m
    message.bbox.center.position = _point(centre)
    message.bbox.size = vector(size)
    symmetries = item.model.symmetries
    message.symmetries_discrete = [pose_from_matrix(m) for m in symmetries.discrete[1:].numpy()]
    message.symmetries_continuous = [
        SymmetryAxis(
            axis=vector(np.asarray(turn.axis) / np.linalg.norm(turn.axis)),
            offset=_point(np.asarray(turn.offset)),
        )
        for turn in symmetries.continuous
    ]
    return message


def vector(numbers: np.ndarray) -> Vector3:
    """The message of (3,) numbers."""
    x, y, z = (float(v) for v in numbers)
    return Vector3(x=x, y=y, z=z)


def _point(numbers: np.ndarray) -> Point:
    x, y, z = (float(v) for v in numbers)
    return Point(x=x, y=y, z=z)
