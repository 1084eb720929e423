"""Symmetric objects do not flip: of all poses that look alike the one nearest to the last is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from std_msgs.msg import Header

from mrc_core.geometry import ObjectModel
from mrc_core.inference import PoseEstimate
from mrc_net_ros.prepared_frame import Instance
from mrc_net_ros.synchroniser import JUMP_BACK_S, stamp_ns

MEMORY_S = 1.0
"""An object that was not seen for so long, in message time, starts anew."""


@dataclass(frozen=True)
class _Last:
    at_ns: int
    cam_from_obj: NDArray[np.float64]


class StableSymmetry:
    """A step between estimation and publication, with a memory of its own for each class and instance.

    Nearest means the root-mean-square distance of the object's points; about an axis of revolution the turn that
    makes it least is taken exactly.

    Args:
        models: of the bundle's objects, by class id.
    """

    def __init__(self, models: Mapping[str, ObjectModel]) -> None:
        self._models = {name: model for name, model in models.items() if not model.symmetries.is_trivial}
        self._last: dict[tuple[str, int], _Last] = {}
        self._newest_ns = 0

    def __call__(self, header: Header, instances: list[Instance]) -> list[Instance]:
        """The instances with the poses to publish. Positions and looks stay: only which equivalent pose it is."""
        now_ns = stamp_ns(header.stamp)
        if now_ns < self._newest_ns - JUMP_BACK_S * 1e9:
            self._last.clear()  # a bag that starts again
            self._newest_ns = now_ns
        self._newest_ns = max(self._newest_ns, now_ns)
        self._last = {k: v for k, v in self._last.items() if now_ns - v.at_ns <= MEMORY_S * 1e9}
        return [self._stable(instance, now_ns) for instance in instances]

    def _stable(self, instance: Instance, now_ns: int) -> Instance:
        estimate, key = instance.estimate, (instance.estimate.class_id, instance.number)
        model = self._models.get(estimate.class_id)
        if model is None:
            return instance
        last = self._last.get(key)
        if last is not None:
            nearest = nearest_equivalent(model, estimate.cam_from_obj, last.cam_from_obj)
            instance = replace(instance, estimate=with_pose(estimate, nearest))
        self._last[key] = _Last(now_ns, instance.estimate.cam_from_obj)
        return instance


def nearest_equivalent(
    model: ObjectModel, cam_from_obj: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of all poses (4, 4) that look like ``cam_from_obj`` the one nearest to ``reference``, metres."""
    centred_from_obj = model.centred_from_obj()
    obj_from_centred = torch.linalg.inv(centred_from_obj)
    poses = torch.from_numpy(np.stack([cam_from_obj, reference]).astype(np.float64)) @ obj_from_centred
    nearest = model.centred_symmetries.nearest_pose(poses[:1], poses[1:], model.moment)[0]
    return np.asarray((nearest @ centred_from_obj).numpy(), dtype=np.float64)


def with_pose(estimate: PoseEstimate, cam_from_obj: NDArray[np.float64]) -> PoseEstimate:
    """The estimate with an equivalent pose (4, 4). Its covariance is moved to the new pose's origin.

    A small turn w about the camera's axes moves the new origin by w x d more than the old one, d being the way from
    the old to the new.
    """
    covariance = estimate.covariance
    if covariance is not None:
        x, y, z = cam_from_obj[:3, 3] - estimate.cam_from_obj[:3, 3]
        moved = np.eye(6)
        moved[:3, 3:] = -np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        covariance = moved @ covariance @ moved.T
    return replace(estimate, cam_from_obj=cam_from_obj, covariance=covariance)
