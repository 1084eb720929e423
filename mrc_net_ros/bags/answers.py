"""What the estimator, or the node, says about a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.msg import ObjectPoseArray
from mrc_net_ros.prepared_frame import Problem


@dataclass(frozen=True)
class Answer:
    """The poses of a frame as the node publishes them, or None and the reason why there are none.

    ``problems`` are what was left out of the frame; ``seconds`` are the times of its stages.
    """

    poses: ObjectPoseArray | None
    reason: str = ""
    problems: Sequence[Problem] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


class PoseSource(Protocol):
    """Gives the answer to each frame."""

    def answer(self, replayed: ReplayedFrame) -> Answer: ...
