"""The tracks of one camera: which objects are followed, which detections they explain, and when they are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mrc_core.geometry import ObjectModel
from mrc_core.inference import Detection, Followed, PoseEstimate
from mrc_net_ros.association import AGAIN, EXPLAINED, SAME, Candidate, Gate, associated, overlaps
from mrc_net_ros.frame_estimation import Follower
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.prepared_frame import Instance, PreparedFrame
from mrc_net_ros.rectification import Box
from mrc_net_ros.synchroniser import Frame, stamp_ns
from mrc_net_ros.tracks import FramePlan, Sight, Track

Pair = tuple[PoseEstimate, Box]

ONE_OBJECT = Gate(0.5, 0.25)
"""Two tracks that overlap by more and lie nearer than this follow one object: no two can be in one place."""


@dataclass(frozen=True)
class _Answer:
    """What is published of a track in this image."""

    track: Track
    estimate: PoseEstimate
    box_px: Box
    is_followed: bool


class Tracker:
    """Tracks of one camera; a new one forgets everything. Use it in one thread alone.

    A track lives while its own score holds, its box is in the image and detections confirm it now and then. A lost
    one keeps its number for a while, so that the object has its name again when a detection finds it. A track keeps
    the network's own poses; which equivalent pose is published is a later step's choice.

    Args:
        models: of the bundle's objects, by class id.
        follower: projects meshes.
        every_frame: detections only start tracks and find lost or drifted ones; else they go before what stage 2 says.
    """

    def __init__(self, models: Mapping[str, ObjectModel], follower: Follower, every_frame: bool) -> None:
        self._centres = {name: item.centre.numpy() for name, item in models.items()}
        self._diameters = {name: item.diameter for name, item in models.items()}
        self._box, self._every_frame = follower.box, every_frame
        self._tracks: list[Track] = []
        self._answered_ns: int | None = None
        self._epoch = 0
        self._lost = 0

    @property
    def living(self) -> int:
        """How many objects are followed now."""
        return sum(track.living for track in self._tracks)

    def take_lost(self) -> int:
        """How many tracks were lost since this was asked last."""
        lost, self._lost = self._lost, 0
        return lost

    # ---- before the network

    def takes(self, frame: Frame) -> bool:
        """False where the image has no detections and nothing is followed, or was answered before.

        Time that has jumped back ends all tracks.
        """
        if frame.epoch != self._epoch:
            self._tracks, self._answered_ns, self._epoch = [], None, frame.epoch
        return frame.detections is not None or (self.living > 0 and self._is_news(stamp_ns(frame.image.header.stamp)))

    def plan(self, prepared: PreparedFrame, settings: NodeSettings) -> PreparedFrame:
        """The frame with what is followed in it, and only those detections that need an estimate."""
        now_ns = stamp_ns(prepared.header.stamp)
        is_news = self._is_news(now_ns)
        if is_news:
            self._end_old(now_ns, settings.track_timeout_s)
        living = [track for track in self._tracks if track.living]
        boxes = [Candidate(d.class_id, d.box_xyxy_px) for d in prepared.detections]
        known = [Candidate(t.class_id, t.sight(now_ns).box_px) for t in living]
        pairs = associated(boxes, known, EXPLAINED if self._every_frame else SAME)
        explained = [living[j] for _, j in pairs]
        wanted = list(range(len(boxes)))
        if self._every_frame:
            paired = {i for i, _ in pairs}
            wanted, following = [i for i in wanted if i not in paired], living
        else:
            following, explained = [track for track in living if track not in explained], []
        planned = replace(
            prepared,
            detections=[prepared.detections[i] for i in wanted],
            boxes_px=[prepared.boxes_px[i] for i in wanted],
            plan=FramePlan(following if is_news else (), explained, not is_news),
        )
        order = sorted(range(len(planned.scores)), key=lambda i: (i >= len(planned.plan.following), -planned.scores[i]))
        return planned.keeping(
            sorted(order[: settings.max_detections]), "max_detections", "'max_detections' limits the time a frame takes"
        )

    # ---- after it

    def update(
        self,
        prepared: PreparedFrame,
        detected: Sequence[Pair],
        followed: Sequence[Followed | None],
        settings: NodeSettings,
    ) -> list[Instance]:
        """Takes in what the network said. The poses to publish, of detections in their order, then of tracks by name.

        None are published of an image that was answered before: then tracks alone learn of its detections.

        Args:
            detected: of each detection the estimate and the box as it was received.
            followed: of each track of the plan; None where it left the image.
        """
        now_ns, plan = stamp_ns(prepared.header.stamp), prepared.plan
        for track in plan.explained:
            track.confirm(now_ns)
        if plan.serves_tracks_alone:
            self._learn(prepared, detected, now_ns, settings)
            return []
        self._answered_ns = now_ns
        # By where tracks were before this image: one that is led astray in it must not take another's detection
        owners = self._owners([estimate for estimate, _ in detected], now_ns)
        answers: dict[Track, _Answer] = {}
        for track, found in zip(plan.following, followed):
            answer = self._follow(track, found, prepared, now_ns, settings)
            if answer is not None:
                answers[track] = answer
        of_detections = self._take(prepared, list(zip(detected, owners)), answers, now_ns, settings)
        self._end_doubles(answers, now_ns)
        of_tracks = sorted(answers.values(), key=lambda one: (one.track.class_id, one.track.number))
        return [
            Instance(one.estimate, 0, one.box_px, one.track.number, one.is_followed)
            for one in (*of_detections, *of_tracks)
        ]

    def _follow(
        self, track: Track, found: Followed | None, prepared: PreparedFrame, now_ns: int, settings: NodeSettings
    ) -> _Answer | None:
        """What stage 2 says of a track; None where it is lost by that."""
        box = None if found is None else self._box(track.class_id, found.estimate.cam_from_obj, prepared.K)
        if found is None or box is None or not _is_sure(found.estimate, settings):
            self._lose(track)
            return None
        track.see(now_ns, found, box, self._middle(found.estimate))
        seen = replace(found.estimate, detection=Detection(track.class_id, box, 0.0))
        return _Answer(track, seen, prepared.camera.distorted_box(box), True)

    def _take(
        self,
        prepared: PreparedFrame,
        owned: Sequence[tuple[Pair, Track]],
        answers: dict[Track, _Answer],
        now_ns: int,
        settings: NodeSettings,
    ) -> list[_Answer]:
        """Gives each detected pose to its track. What is answered by that leaves ``answers``."""
        result = []
        for (estimate, box_px), track in owned:
            answer = answers.get(track)
            if self._every_frame and answer is not None and answer.estimate.score >= estimate.score:
                track.confirm(now_ns)
                continue
            answers.pop(track, None)
            self._see_detected(track, estimate, prepared, now_ns, settings)
            result.append(_Answer(track, estimate, box_px, False))
        return result

    def _learn(
        self, prepared: PreparedFrame, detected: Sequence[Pair], then_ns: int, settings: NodeSettings
    ) -> None:
        """What late detections say of an image that was answered before."""
        estimates = [estimate for estimate, _ in detected]
        for estimate, track in zip(estimates, self._owners(estimates, then_ns)):
            if track.living:
                if not self._every_frame:
                    self._correct(track, estimate, prepared.K, then_ns)
                track.confirm(then_ns)
            else:
                self._see_detected(track, estimate, prepared, then_ns, settings)

    def _correct(self, track: Track, estimate: PoseEstimate, K: NDArray[np.float64], then_ns: int) -> None:
        """Moves a track by what it was wrong by then, in the object's own frame, if the detected pose was surer."""
        then, last = track.sight(then_ns), track.followed.estimate
        if then.at_ns != then_ns or estimate.score < then.estimate.score:
            return
        wrong_by = np.linalg.inv(then.estimate.cam_from_obj) @ estimate.cam_from_obj
        corrected = replace(last, cam_from_obj=last.cam_from_obj @ wrong_by)
        box = self._box(track.class_id, corrected.cam_from_obj, K)
        if box is not None:
            track.sights.pop()  # what it moves by stays: this was no motion
            track.followed = replace(track.followed, estimate=corrected)
            track.sights.append(Sight(track.seen_ns, corrected, box, self._middle(corrected)))

    def _owners(self, estimates: Sequence[PoseEstimate], now_ns: int) -> list[Track]:
        """Of each detected pose its track, by near likeness, else by a looser one, else a new one without a pose yet.

        Living tracks come before lost ones, which may wait for an object that is gone; these are looked for where they
        were seen last, then where they were last seen surely.
        """
        # The detector's boxes, as in the plan: wherever the pose is, the image is explained
        found = [self._candidate(e.class_id, e.detection.box_xyxy_px, self._middle(e)) for e in estimates]
        owners: dict[int, Track] = {}
        lost_at = ((False, AGAIN, Track.sight), (False, AGAIN, Track.sure_sight))
        for living, gate, where in ((True, SAME, Track.sight), (True, AGAIN, Track.sight), *lost_at):
            free = [i for i in range(len(found)) if i not in owners]
            owned = set(owners.values())
            tracks = [track for track in self._tracks if track.living == living and track not in owned]
            sights = [where(track, now_ns) for track in tracks]
            known = [self._candidate(t.class_id, s.box_px, s.middle_m) for t, s in zip(tracks, sights)]
            for i, j in associated([found[i] for i in free], known, gate):
                owners[free[i]] = tracks[j]
        return [owners[i] if i in owners else self._new(e.class_id, now_ns) for i, e in enumerate(estimates)]

    def _new(self, class_id: str, now_ns: int) -> Track:
        taken = {track.number for track in self._tracks if track.class_id == class_id}
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        nothing = PoseEstimate(class_id, np.eye(4), 0.0, None, Detection(class_id, (0.0, 0.0, 0.0, 0.0)))
        track = Track(class_id, number, Followed(nothing), now_ns, now_ns)
        self._tracks.append(track)
        return track

    def _see_detected(
        self, track: Track, estimate: PoseEstimate, prepared: PreparedFrame, now_ns: int, settings: NodeSettings
    ) -> None:
        """A pose that is not sure enough is published, but not followed."""
        known, is_sure = replace(track.followed, estimate=estimate), _is_sure(estimate, settings)
        box = self._box_of(estimate, prepared) if is_sure else estimate.detection.box_xyxy_px
        track.see(now_ns, known, box, self._middle(estimate), is_sure)
        track.confirm(now_ns)
        if is_sure:
            track.living = True
        elif track.living:
            self._lose(track)

    def _lose(self, track: Track) -> None:
        track.living = False
        self._lost += 1

    def _end_old(self, now_ns: int, timeout_s: float) -> None:
        """Living tracks that nothing confirms end; lost ones are forgotten."""
        kept = []
        for track in self._tracks:
            since_ns = track.confirmed_ns if track.living else track.seen_ns
            if now_ns - since_ns <= timeout_s * 1e9:
                kept.append(track)
            elif track.living:
                self._lost += 1
        self._tracks = kept

    def _end_doubles(self, answers: dict[Track, _Answer], now_ns: int) -> None:
        """Of two tracks on one object that was confirmed last stays."""
        living = sorted((t for t in self._tracks if t.living), key=lambda t: -t.confirmed_ns)
        for i, track in enumerate(living):
            for other in living[i + 1 :]:
                is_older = track.living and other.living and other.confirmed_ns < track.confirmed_ns
                if is_older and self._are_one(track, other, now_ns):
                    self._lose(other)
                    self._tracks.remove(other)
                    answers.pop(other, None)

    def _are_one(self, track: Track, other: Track, now_ns: int) -> bool:
        if track.class_id != other.class_id:
            return False
        first, second = track.sight(now_ns), other.sight(now_ns)
        gap_m = float(np.linalg.norm(first.middle_m - second.middle_m))
        is_near = gap_m < ONE_OBJECT.largest_distance * self._diameters[track.class_id]
        return is_near and float(overlaps([first.box_px], [second.box_px])[0, 0]) > ONE_OBJECT.least_overlap

    def _candidate(self, class_id: str, box_px: Box, middle_m: NDArray[np.float64]) -> Candidate:
        return Candidate(class_id, box_px, middle_m, self._diameters[class_id])

    def _middle(self, estimate: PoseEstimate) -> NDArray[np.float64]:
        """Of the object (3,), in the camera's frame, metres."""
        pose = estimate.cam_from_obj
        at: NDArray[np.float64] = pose[:3, :3] @ self._centres[estimate.class_id] + pose[:3, 3]
        return at

    def _box_of(self, estimate: PoseEstimate, prepared: PreparedFrame) -> Box:
        """Of the mesh at its pose, whatever the detector saw of it."""
        box = self._box(estimate.class_id, estimate.cam_from_obj, prepared.K)
        return box if box is not None else estimate.detection.box_xyxy_px

    def _is_news(self, at_ns: int) -> bool:
        return self._answered_ns is None or at_ns > self._answered_ns


def _is_sure(estimate: PoseEstimate, settings: NodeSettings) -> bool:
    """Without calibration a score is no probability, and says nothing of a followed pose."""
    return not estimate.is_calibrated or estimate.score >= settings.track_min_score
