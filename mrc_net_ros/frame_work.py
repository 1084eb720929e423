"""What the worker's thread does with the newest frames of all cameras: from messages to messages, in one pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mrc_net_ros.camera import Camera, Job
from mrc_net_ros.complaints import Complaints
from mrc_net_ros.frame_estimation import estimate_together, finish, prepare
from mrc_net_ros.loaded_bundle import LoadedBundle
from mrc_net_ros.openmp_helpers import send_helpers_home
from mrc_net_ros.overlay import OverlayPainter
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.prepared_frame import FrameResult, PreparedFrame
from mrc_net_ros.synchroniser import stamp_ns
from mrc_net_ros.thread_time import ThreadTime, thread_time
from mrc_net_ros.time_budget import PassTimes, shared_out
from mrc_net_ros.unusable_input import UnusableInput

OVERLAY_PATIENCE_S = 1.0
"""While frames wait, the overlay is left out, but not for longer than this."""


@dataclass(frozen=True)
class _Begun:
    """A frame in work; times in seconds, monotonic."""

    job: Job
    prepared: PreparedFrame
    started_s: float
    conversion: ThreadTime


class FrameWork:
    """Works with one bundle; made anew for another. Use it in one thread alone.

    Args:
        bundle: what is estimated.
        complaints: takes what is wrong with a frame.
        now_ns: the node's clock, which may be a simulated one.
    """

    def __init__(self, bundle: LoadedBundle, complaints: Complaints, now_ns: Callable[[], int]) -> None:
        self.bundle = bundle
        self._complaints, self._now_ns = complaints, now_ns
        self._pass_times = PassTimes()
        self._passes = 0
        self._painter: OverlayPainter | None = None

    def process(self, jobs: Sequence[Job], settings: NodeSettings) -> list[tuple[Camera, FrameResult]]:
        """Estimates and publishes. Returns what was published, for ``draw``.

        Late detections come first: what they tell of tracks holds for the newer image of the same camera.
        """
        late = [job for job in jobs if job.frame.is_late]
        rest = [job for job in jobs if not job.frame.is_late]
        return [one for part in (late, rest) if part for one in self._pass(part, settings)]

    def _pass(self, jobs: Sequence[Job], settings: NodeSettings) -> list[tuple[Camera, FrameResult]]:
        """One pass of the network over frames of different cameras."""
        pass_started_s = time.monotonic()
        begun = [one for job in jobs if (one := self._begin(job, settings)) is not None]
        if not begun:
            return []
        begun = self._within_budget(begun, settings.time_budget_s, pass_started_s)
        frames = [one.prepared for one in begun]
        estimate_started_s = time.monotonic()
        outcomes = estimate_together(
            frames, self.bundle.estimator, self.bundle.follower, settings.rounds_of_tracks
        )
        send_helpers_home()
        estimated_s = time.monotonic()
        size = sum(len(frame.scores) for frame in frames)
        if size:
            self._pass_times.add(size, estimated_s - estimate_started_s, estimated_s)
        published = []
        for one, outcome in zip(begun, outcomes):
            camera = one.job.camera
            if isinstance(outcome, Exception):
                self.failed(outcome, camera)
                continue
            publish_started = thread_time()
            result = finish(one.prepared, outcome, camera.steps, camera.tracker, settings)
            if one.prepared.plan.serves_tracks_alone:
                camera.statistics.add_late_detections()
                self._note_tracks(camera)
                continue
            parcels = camera.outputs.packed(result, self.bundle, settings)
            publication, packed_s = thread_time() - publish_started, time.monotonic()
            camera.outputs.send(parcels)
            durations_s = {"estimate": estimated_s - estimate_started_s, "transport": time.monotonic() - packed_s}
            self._count(one, result, publication, durations_s)
            published.append((camera, result))
        return published

    def draw(self, published: Sequence[tuple[Camera, FrameResult]], is_awaited: Callable[[], bool]) -> None:
        """Overlays of what was published, where somebody looks and no frame waits."""
        for camera, result in published:
            now_s = time.monotonic()
            if not camera.outputs.overlay_is_wanted:
                continue
            if is_awaited() and now_s - camera.overlay_at_s < OVERLAY_PATIENCE_S:
                continue
            if self._painter is None:
                self._painter = OverlayPainter(self.bundle)
            camera.outputs.publish_overlay(result, self._painter)
            camera.overlay_at_s = now_s

    def failed(self, error: Exception, camera: Camera) -> None:
        """Counts and names a frame that failed for no fault of its messages."""
        camera.statistics.add_dropped_frame("error")
        self._complaints(f"error {type(error).__name__}", f"a frame failed and is skipped: {error!r}")

    def _begin(self, job: Job, settings: NodeSettings) -> _Begun | None:
        """The messages' content, or None where there is nothing to do, or nothing of the frame can be used."""
        started, tracker = thread_time(), job.camera.tracker
        if tracker is not None and not tracker.takes(job.frame):
            return None
        try:
            prepared = prepare(job.frame, self.bundle.class_ids, settings, job.camera.models)
            if tracker is not None:
                prepared = tracker.plan(prepared, settings)
        except UnusableInput as error:
            job.camera.statistics.add_dropped_frame("refused")
            self._complaints(f"{job.camera.name} {error.kind}", str(error))
            return None
        except Exception as error:  # one camera must not stop the others
            self.failed(error, job.camera)
            return None
        return _Begun(job, prepared, started.wall_s, thread_time() - started)

    def _within_budget(self, begun: list[_Begun], budget_s: float, started_s: float) -> list[_Begun]:
        self._passes += 1
        wanted = sum(len(one.prepared.scores) for one in begun)
        if budget_s <= 0.0 or not wanted:
            return begun
        now_s = time.monotonic()
        fitting = self._pass_times.fitting(wanted, budget_s - (now_s - started_s), now_s)
        if fitting == wanted:
            return begun
        scores = [one.prepared.scores for one in begun]
        remedy = f"'time_budget_s' ({budget_s:g} s) has room for {fitting} in one pass"
        return [
            _Begun(
                one.job,
                one.prepared.keeping(places, "time_budget_s", remedy),
                one.started_s,
                one.conversion,
            )
            for one, places in zip(begun, shared_out(scores, fitting, first=self._passes))
        ]

    def _count(
        self, one: _Begun, result: FrameResult, publication: ThreadTime, durations_s: Mapping[str, float]
    ) -> None:
        now_s, frame, camera = time.monotonic(), one.job.frame, one.job.camera
        own_work = frame.callbacks + one.conversion + publication
        for problem in result.problems:
            self._complaints(f"{camera.name} {problem.kind}", problem.text, problem.once)
            if problem.once:
                camera.statistics.add_unknown_class(problem.kind.removeprefix("class "))
        durations_s = {
            **durations_s,
            "wait for detections": frame.complete_at_s - frame.image_at_s,
            "wait for network": one.started_s - frame.complete_at_s,
            "conversion": one.conversion.wall_s,
            "publication": publication.wall_s,
            "own work": own_work.wall_s,
            "own work CPU": own_work.cpu_s,
            "latency": now_s - frame.complete_at_s,
            "age": (self._now_ns() - stamp_ns(result.header.stamp)) / 1e9,
        }
        camera.statistics.add_frame(len(result.instances), result.dropped, durations_s)
        if any(instance.is_followed for instance in result.instances):
            camera.statistics.add_tracked_frame()
        self._note_tracks(camera)

    @staticmethod
    def _note_tracks(camera: Camera) -> None:
        if camera.tracker is not None:
            camera.statistics.note_tracks(camera.tracker.living, camera.tracker.take_lost())
