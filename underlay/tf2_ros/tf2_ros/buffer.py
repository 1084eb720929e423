"""Remembers transforms and answers how one frame lay in another, now or at a time."""

from __future__ import annotations

import bisect
import threading
import time as wall
from dataclasses import dataclass, field

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros.errors import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.rigid import Rigid

_POLL_SECONDS = 0.02


@dataclass
class _Edge:
    """What is known of one child frame: samples in the order of their stamps."""

    static: bool
    stamps: list[int] = field(default_factory=list)  # nanoseconds
    parents: list[str] = field(default_factory=list)
    poses: list[Rigid] = field(default_factory=list)  # parent_from_child

    def insert(self, stamp: int, parent: str, pose: Rigid, keep_ns: int) -> None:
        if self.static:
            self.stamps, self.parents, self.poses = [stamp], [parent], [pose]
            return
        if self.stamps and stamp < self.stamps[-1] - keep_ns:
            return  # older than what is remembered
        place = bisect.bisect_left(self.stamps, stamp)
        replaced = int(place < len(self.stamps) and self.stamps[place] == stamp)
        self.stamps[place : place + replaced] = [stamp]
        self.parents[place : place + replaced] = [parent]
        self.poses[place : place + replaced] = [pose]
        expired = bisect.bisect_left(self.stamps, self.stamps[-1] - keep_ns)
        del self.stamps[:expired], self.parents[:expired], self.poses[:expired]

    def at(self, child: str, stamp: int) -> tuple[str, Rigid]:
        """(parent, parent_from_child) at a stamp; 0 asks for the latest. Raises ExtrapolationException."""
        if self.static or stamp == 0:
            return self.parents[-1], self.poses[-1]
        after = bisect.bisect_left(self.stamps, stamp)
        if after < len(self.stamps) and self.stamps[after] == stamp:
            return self.parents[after], self.poses[after]
        if after in (0, len(self.stamps)):
            where, nearest = ("past", self.stamps[0]) if after == 0 else ("future", self.stamps[-1])
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the {where}. Requested time {stamp / 1e9:.6f} but the "
                f"{'earliest' if after == 0 else 'latest'} data of frame [{child}] is at time {nearest / 1e9:.6f}"
            )
        before = after - 1
        if self.parents[before] != self.parents[after]:
            return self.parents[before], self.poses[before]
        fraction = (stamp - self.stamps[before]) / (self.stamps[after] - self.stamps[before])
        return self.parents[before], self.poses[before].towards(self.poses[after], fraction)


class Buffer:
    """The transforms of the last `cache_time` (10 s by default), and all static ones."""

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        self._keep_ns = (Duration(seconds=10.0) if cache_time is None else cache_time).nanoseconds
        self._edges: dict[str, _Edge] = {}
        self._lock = threading.RLock()
        self._node = node

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Remember a transform that holds at its stamp. Raises InvalidArgumentException."""
        self._set(transform, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Remember a transform that holds at all times. Raises InvalidArgumentException."""
        self._set(transform, static=True)

    def clear(self) -> None:
        """Forget everything but the static transforms."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008 (the real signature; never changed)
    ) -> TransformStamped:
        """target_from_source: takes points of source_frame into target_frame, at `time`; Time() is the latest.

        Waits for up to `timeout`, for which another thread has to spin the listener. Raises a TransformException.
        """
        deadline = wall.monotonic() + timeout.nanoseconds / 1e9
        while True:
            try:
                return self._lookup(target_frame, source_frame, time.nanoseconds)
            except InvalidArgumentException:
                raise
            except TransformException:
                if wall.monotonic() >= deadline:
                    raise
            wall.sleep(_POLL_SECONDS)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008 (the real signature; never changed)
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether lookup_transform would succeed; with `return_debug_tuple` also why not."""
        try:
            self.lookup_transform(target_frame, source_frame, time, timeout)
        except TransformException as error:
            return (False, str(error)) if return_debug_tuple else False
        return (True, "") if return_debug_tuple else True

    def _set(self, transform: TransformStamped, static: bool) -> None:
        child, parent = transform.child_frame_id.lstrip("/"), transform.header.frame_id.lstrip("/")
        if not child or not parent or child == parent:
            raise InvalidArgumentException(f"a transform needs two different frames, not [{parent}] and [{child}]")
        q, p = transform.transform.rotation, transform.transform.translation
        quat = np.array([q.x, q.y, q.z, q.w])
        length = float(np.linalg.norm(quat))
        if not np.isfinite([*quat, p.x, p.y, p.z]).all() or abs(length - 1.0) > 1e-2:
            raise InvalidArgumentException(f"the transform from [{parent}] to [{child}] has NaN or no unit quaternion")
        stamp = Time.from_msg(transform.header.stamp).nanoseconds
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or edge.static != static:
                edge = self._edges[child] = _Edge(static)
            edge.insert(stamp, parent, Rigid(quat / length, np.array([p.x, p.y, p.z])), self._keep_ns)

    def _lookup(self, target: str, source: str, stamp: int) -> TransformStamped:
        for frame in (target, source):
            if not frame or frame.startswith("/"):
                raise InvalidArgumentException(f"Invalid frame name [{frame}]: it must not be empty or start with '/'")
        with self._lock:
            self._require_known(target, source)
            if stamp == 0:
                stamp = self._latest_common(target, source)
            above_target, target_gap = self._chain(target, stamp)
            above_source, source_gap = self._chain(source, stamp)
        common = next((frame for frame in above_source if frame in above_target), None)
        if common is None:
            raise source_gap or target_gap or _not_connected(target, source)
        pose = above_target[common].inverse().then(above_source[common])
        result = TransformStamped()
        result.header.stamp = Time(nanoseconds=stamp).to_msg()
        result.header.frame_id, result.child_frame_id = target, source
        rotation, translation = result.transform.rotation, result.transform.translation
        rotation.x, rotation.y, rotation.z, rotation.w = (float(v) for v in pose.quat_xyzw)
        translation.x, translation.y, translation.z = (float(v) for v in pose.translation)
        return result

    def _require_known(self, *frames: str) -> None:
        known = set(self._edges).union(*(edge.parents for edge in self._edges.values()))
        for frame in frames:
            if frame not in known:
                raise LookupException(f'"{frame}" passed to lookupTransform argument does not exist.')

    def _chain(self, frame: str, stamp: int) -> tuple[dict[str, Rigid], ExtrapolationException | None]:
        """ancestor -> ancestor_from_frame, from the frame itself upwards, and why it ends below the root, if it does.

        A transform that does not cover the time ends the chain, which is no error where the common ancestor lies below.
        """
        chain, pose, current = {frame: Rigid.identity()}, Rigid.identity(), frame
        while current in self._edges:
            try:
                parent, parent_from_current = self._edges[current].at(current, stamp)
            except ExtrapolationException as gap:
                return chain, gap
            pose, current = parent_from_current.then(pose), parent
            if current in chain:
                raise ConnectivityException(f"the frames above [{frame}] form a loop")
            chain[current] = pose
        return chain, None

    def _latest_common(self, target: str, source: str) -> int:
        """The latest time (ns) that every moving transform between the frames covers; 0 if none moves."""
        paths = [list(self._chain(frame, 0)[0]) for frame in (target, source)]
        common = next((frame for frame in paths[1] if frame in paths[0]), None)
        if common is None:
            raise _not_connected(target, source)
        between = [frame for path in paths for frame in path[: path.index(common)]]
        return min((self._edges[f].stamps[-1] for f in between if not self._edges[f].static), default=0)


def _not_connected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(f"[{target}] and [{source}] are not in the same tree")
