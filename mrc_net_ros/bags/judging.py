"""Judges the poses of a bag frame by frame, and follows each true object through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.geometry import Mesh, SymmetrySet
from mrc_core.geometry.symmetries import second_moment
from mrc_net_ros.bag_scores import MIN_VISIBLE, POINTS, WITHIN_DIAMETERS, PoseErrors, PoseJudge
from mrc_net_ros.bags.matching import Match
from mrc_net_ros.bags.truth import TrueObject
from mrc_net_ros.conversions import matrix_from_pose

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedObject:
    """One true object in one frame.

    ``order`` counts the answered frames from 0. ``instance`` names the object through the bag. ``instance_id`` is what
    was published with its pose; it, ``estimated``, ``nearest`` and ``errors`` are None where no pose came. Poses are
    (4, 4), metres, camera's optical frame; ``nearest`` is the pose equivalent to the true one nearest to the estimate.
    """

    order: int
    image_index: int
    stamp_ns: int
    class_id: str
    instance: str
    visible: float | None
    detected: bool
    instance_id: str | None
    true: Matrix
    estimated: Matrix | None
    nearest: Matrix | None
    errors: PoseErrors | None
    is_right: bool

    @property
    def counts(self) -> bool:
        """Whether it is judged: it was detected, and enough of it is visible as far as that is known."""
        return self.detected and (self.visible is None or self.visible >= MIN_VISIBLE)


class ObjectJudge:
    """Judges poses of one class, and knows which of its poses are equivalent.

    Args:
        mesh: in the frame that poses are given for.
        symmetries: in the same frame.
    """

    def __init__(self, mesh: Mesh, symmetries: SymmetrySet) -> None:
        self._judge = PoseJudge(mesh, symmetries)
        self._symmetries = symmetries
        points = torch.as_tensor(mesh.sample_points(POINTS, seed=0), dtype=torch.float64)
        self._moment = second_moment(points)
        vertices = np.asarray(mesh.vertices, dtype=np.float64)
        self.centre_m: Matrix = (vertices.min(axis=0) + vertices.max(axis=0)) / 2

    @property
    def diameter_m(self) -> float:
        """The object's diameter, metres."""
        return self._judge.diameter_m

    def errors(self, estimated: Matrix, true: Matrix) -> PoseErrors:
        """Errors of one pose (4, 4) against the true one."""
        return self._judge.errors(estimated, true)

    def nearest(self, pose: Matrix, reference: Matrix) -> Matrix:
        """Of the poses equivalent to ``pose`` (4, 4) the one nearest to ``reference`` (4, 4)."""
        given, other = torch.as_tensor(pose)[None], torch.as_tensor(reference)[None]
        return self._symmetries.nearest_pose(given, other, self._moment)[0].numpy()


class Tracks:
    """Names true objects that the record does not name: the nearest of the class in the frame before, in position."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Matrix]] = {}

    def name(self, truths: Sequence[TrueObject]) -> list[str]:
        """A name for each true object of the next frame."""
        names: list[str | None] = [truth.instance for truth in truths]
        for class_id in dict.fromkeys(truth.class_id for truth in truths):
            places = {
                i: t.cam_from_obj[:3, 3]
                for i, t in enumerate(truths)
                if t.class_id == class_id and t.instance is None
            }
            last = self._last.setdefault(class_id, {})
            gaps = sorted(
                (float(np.linalg.norm(place - before)), i, name)
                for i, place in places.items()
                for name, before in last.items()
            )
            taken: set[str] = set()
            for _, i, name in gaps:
                if names[i] is None and name not in taken:
                    names[i] = name
                    taken.add(name)
            for i, place in places.items():
                if names[i] is None:
                    names[i] = f"{class_id}#{len(last)}"
                last[names[i] or ""] = place
        return [name or "" for name in names]


def judge_matches(
    matches: Sequence[Match],
    names: Sequence[str],
    judges: Mapping[str, ObjectJudge],
    order: int,
    image_index: int,
    stamp_ns: int,
) -> list[JudgedObject]:
    """The rows of one frame; ``names`` are the objects' names through the bag."""
    rows = []
    for match, name in zip(matches, names):
        truth, pose = match.truth, match.pose
        estimated = matrix_from_pose(pose.pose.pose) if pose is not None else None
        errors, nearest, is_right = None, None, False
        if estimated is not None:
            judge = judges[truth.class_id]
            errors = judge.errors(estimated, truth.cam_from_obj)
            nearest = judge.nearest(truth.cam_from_obj, estimated)
            is_right = errors.add_m < WITHIN_DIAMETERS * judge.diameter_m
        rows.append(
            JudgedObject(
                order=order,
                image_index=image_index,
                stamp_ns=stamp_ns,
                class_id=truth.class_id,
                instance=name,
                visible=truth.visible,
                detected=match.detected,
                instance_id=pose.instance_id if pose is not None else None,
                true=truth.cam_from_obj,
                estimated=estimated,
                nearest=nearest,
                errors=errors,
                is_right=is_right,
            )
        )
    return rows
