"""Evaluates a bag: every frame is answered, its poses are joined to the true objects and judged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mrc_net_ros.bags.answers import Answer, PoseSource
from mrc_net_ros.bags.judging import JudgedObject, ObjectJudge, Tracks, judge_matches
from mrc_net_ros.bags.matching import match_frame
from mrc_net_ros.bags.replay import Replay, ReplayCounts, ReplayedFrame
from mrc_net_ros.bags.truth import GroundTruth
from mrc_net_ros.msg import ObjectPose
from mrc_net_ros.parameters import NodeSettings

Observer = Callable[[ReplayedFrame, Answer], None]


@dataclass(frozen=True)
class PoseRecord:
    """A pose as it was published, and what became of it; ``judged`` is None where no true object belongs to it."""

    order: int
    image_index: int
    stamp_ns: int
    pose: ObjectPose
    judged: JudgedObject | None


@dataclass
class Evaluation:
    """All that came of a bag. Only answered frames are judged; the others are counted with their reasons."""

    counts: ReplayCounts
    truth: str
    poses: list[PoseRecord] = field(default_factory=list)
    judged: list[JudgedObject] = field(default_factory=list)
    answered: int = 0
    detections: int = 0
    with_truth: int = 0
    unanswered_images: dict[int, str] = field(default_factory=dict)
    """Why images were not answered, by their index."""
    answered_images: set[int] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    """What was left out of answered frames: how many, by kind."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first of each kind, in words."""
    unknown_classes: Counter[str] = field(default_factory=Counter)
    """Entries of the ground truth whose class the bundle has not."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Times of each stage, one for each frame that has it."""

    @property
    def unanswered(self) -> Counter[str]:
        """How many images were not answered, by reason."""
        return Counter(self.unanswered_images.values())


def evaluate(
    replay: Replay,
    source: PoseSource,
    truth: GroundTruth,
    judges: Mapping[str, ObjectJudge],
    settings: NodeSettings,
    observer: Observer | None = None,
) -> Evaluation:
    """Answers and judges all frames of a replay.

    Args:
        replay: the bag's frames.
        source: gives the poses of each frame.
        truth: gives the true poses of each frame.
        judges: by class of the bundle.
        settings: the node's parameters, for the classes and boxes of detections.
        observer: is shown every frame with its answer, in their order.
    """
    result = Evaluation(replay.counts, truth.description)
    tracks = Tracks()
    read_s = time.perf_counter()
    for replayed in replay:
        result.counts = replay.counts
        result.seconds.setdefault("read", []).append(time.perf_counter() - read_s)
        answer = source.answer(replayed)
        if replayed.frame.is_late and replayed.image_index in result.answered_images:
            continue  # tracks have learnt from late detections; the image was judged before
        _note(result, replayed, answer)
        if answer.poses is not None:
            _judge(result, replayed, answer, truth, judges, settings, tracks)
        if observer is not None:
            observer(replayed, answer)
        read_s = time.perf_counter()
    result.counts = replay.counts
    return result


def _note(result: Evaluation, replayed: ReplayedFrame, answer: Answer) -> None:
    for stage, value in answer.seconds.items():
        result.seconds.setdefault(stage, []).append(value)
    if answer.poses is None:
        result.unanswered_images[replayed.image_index] = answer.reason
        return
    result.answered_images.add(replayed.image_index)
    result.unanswered_images.pop(replayed.image_index, None)
    if replayed.frame.detections is not None:
        result.detections += len(replayed.frame.detections.detections)
    for problem in answer.problems:
        result.left_out[problem.kind] += 1
        result.examples.setdefault(problem.kind, problem.text)


def _judge(
    result: Evaluation,
    replayed: ReplayedFrame,
    answer: Answer,
    truth: GroundTruth,
    judges: Mapping[str, ObjectJudge],
    settings: NodeSettings,
    tracks: Tracks,
) -> None:
    assert answer.poses is not None
    order = result.answered
    result.answered += 1
    rows: list[JudgedObject] = []
    owner: dict[int, JudgedObject] = {}
    truths = truth.objects(replayed)
    if truths is not None:
        result.with_truth += 1
        result.unknown_classes.update(t.class_id for t in truths if t.class_id not in judges)
        matches, _ = match_frame(
            replayed.frame,
            truths,
            truth.follows_detections(replayed),
            answer.poses.poses,
            settings,
            {class_id: judge.centre_m for class_id, judge in judges.items()},
            replayed.recorded,
        )
        names = tracks.name([match.truth for match in matches])
        rows = judge_matches(matches, names, judges, order, replayed.image_index, replayed.stamp_ns)
        owner = {id(match.pose): row for match, row in zip(matches, rows) if match.pose is not None}
    result.judged += rows
    result.poses += [
        PoseRecord(order, replayed.image_index, replayed.stamp_ns, pose, owner.get(id(pose)))
        for pose in answer.poses.poses
    ]
