"""The transforms of a bag (/tf and /tf_static): how one frame lay in another at a stamp.

Unlike a live buffer it remembers the whole bag, so that order and length do not matter.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.synchroniser import stamp_ns

Matrix = NDArray[np.float64]
MOST_FRAMES = 100
"""A longer chain is a loop."""


class NotKnown(LookupError):
    """The bag does not tell this transform at this stamp; the message says why."""


@dataclass
class _Edge:
    """parent_from_child, over time."""

    parent: str
    stamps_ns: list[int] = field(default_factory=list)
    poses: list[Matrix] = field(default_factory=list)


class TransformTree:
    """Transforms by child frame. Fill it with ``add``, then ask with ``lookup``."""

    def __init__(self) -> None:
        self._moving: dict[str, _Edge] = {}
        self._fixed: dict[str, _Edge] = {}

    def add(self, message: Any, is_static: bool) -> None:
        """Takes all transforms of a tf2_msgs/TFMessage.

        Raises:
            BagError: a rotation that is no unit quaternion, or a frame that changes its parent.
        """
        for transform in message.transforms:
            parent, child = _plain(transform.header.frame_id), _plain(transform.child_frame_id)
            edges = self._fixed if is_static else self._moving
            edge = edges.setdefault(child, _Edge(parent))
            if edge.parent != parent:
                raise BagError(
                    f"the TF frame '{child}' has two parents in the bag, '{edge.parent}' and '{parent}': "
                    "record one tree"
                )
            at_ns = stamp_ns(transform.header.stamp)
            pose = _matrix(transform, child)
            if is_static:
                edge.stamps_ns, edge.poses = [at_ns], [pose]
                continue
            place = bisect.bisect_left(edge.stamps_ns, at_ns)
            repeated = place < len(edge.stamps_ns) and edge.stamps_ns[place] == at_ns
            edge.stamps_ns[place : place + repeated] = [at_ns]
            edge.poses[place : place + repeated] = [pose]

    @property
    def child_frames(self) -> list[str]:
        """The frames that have a parent."""
        return sorted(self._moving.keys() | self._fixed.keys())

    def is_known(self, frame: str) -> bool:
        """Whether the frame is a child or a parent."""
        edges = [*self._moving.values(), *self._fixed.values()]
        return _plain(frame) in self.child_frames or any(edge.parent == _plain(frame) for edge in edges)

    def lookup(self, target: str, source: str, at_ns: int) -> Matrix:
        """target_from_source (4, 4), metres: takes points of the source frame into the target frame.

        Between two stamps translation is interpolated on a line and rotation on the shortest arc.

        Raises:
            NotKnown: the frames are not connected, or a transform between them does not reach to this stamp.
        """
        above_source, source_gap = self._upwards(_plain(source), at_ns)
        above_target, target_gap = self._upwards(_plain(target), at_ns)
        for frame, common_from_source in above_source.items():
            if frame in above_target:
                result: Matrix = np.linalg.inv(above_target[frame]) @ common_from_source
                return result
        raise NotKnown(source_gap or target_gap or f"'{source}' and '{target}' are not connected")

    def _upwards(self, frame: str, at_ns: int) -> tuple[dict[str, Matrix], str | None]:
        """ancestor_from_frame by ancestor, the frame itself first; and why the chain ends early, if it does."""
        chain, pose, current = {frame: np.eye(4)}, np.eye(4), frame
        for _ in range(MOST_FRAMES):
            edge = self._moving.get(current)
            if edge is not None:
                parent_from_current = _between(edge, at_ns)
                if parent_from_current is None:
                    first, last = edge.stamps_ns[0] * 1e-9, edge.stamps_ns[-1] * 1e-9
                    return chain, (
                        f"the transform of '{current}' is known from {first:.3f} to {last:.3f} s, not at "
                        f"{at_ns * 1e-9:.3f} s"
                    )
            elif current in self._fixed:
                edge = self._fixed[current]
                parent_from_current = edge.poses[0]
            else:
                return chain, None
            pose, current = parent_from_current @ pose, edge.parent
            chain[current] = pose
        raise BagError(f"the TF frame '{frame}' is part of a loop: record a tree")


def _between(edge: _Edge, at_ns: int) -> Matrix | None:
    after = bisect.bisect_left(edge.stamps_ns, at_ns)
    if after < len(edge.stamps_ns) and edge.stamps_ns[after] == at_ns:
        return edge.poses[after]
    if after in (0, len(edge.stamps_ns)):
        return None
    start_ns, end_ns = edge.stamps_ns[after - 1], edge.stamps_ns[after]
    share = (at_ns - start_ns) / (end_ns - start_ns)
    first, second = edge.poses[after - 1], edge.poses[after]
    pose = np.eye(4)
    turns = Rotation.from_matrix(np.stack([first[:3, :3], second[:3, :3]]))
    pose[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    pose[:3, 3] = (1.0 - share) * first[:3, 3] + share * second[:3, 3]
    return pose


def _matrix(transform: Any, child: str) -> Matrix:
    q, t = transform.transform.rotation, transform.transform.translation
    quat_xyzw = np.array([q.x, q.y, q.z, q.w])
    if not np.isfinite([*quat_xyzw, t.x, t.y, t.z]).all() or abs(np.linalg.norm(quat_xyzw) - 1.0) > 1e-2:
        raise BagError(
            f"a transform of '{child}' in the bag has NaN or no unit quaternion: correct its publisher"
        )
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quat_xyzw).as_matrix()
    pose[:3, 3] = (t.x, t.y, t.z)
    return pose


def _plain(frame: str) -> str:
    return frame.lstrip("/")
