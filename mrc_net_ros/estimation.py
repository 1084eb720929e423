"""The estimation of an active node: the worker's thread, the bundle that it works with, and how that is replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from mrc_net_ros.camera import Camera, Job
from mrc_net_ros.complaints import Complaints
from mrc_net_ros.frame_statistics import FrameStatistics
from mrc_net_ros.frame_work import FrameWork
from mrc_net_ros.loaded_bundle import LoadedBundle, free_gpu_memory, load_bundle, warm_up
from mrc_net_ros.parameters import NodeSettings, ParameterError
from mrc_net_ros.synchroniser import Frame
from mrc_net_ros.worker import NewestFirstWorker


class Estimation:
    """Takes frames from the executor's thread and publishes from its own.

    Args:
        cameras: whose frames come.
        settings: gives the present settings, some of which may change at any time.
        complaints: takes what is wrong with frames.
        now_ns: the node's clock.
        announce: called with a bundle that has replaced another, in the worker's thread.
        logger: rclpy's.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        settings: Callable[[], NodeSettings],
        complaints: Complaints,
        now_ns: Callable[[], int],
        announce: Callable[[LoadedBundle], None],
        logger: Any,
    ) -> None:
        self._cameras, self._settings, self._complaints = cameras, settings, complaints
        self._now_ns, self._announce, self._logger = now_ns, announce, logger
        self._work: FrameWork | None = None
        self._is_loading = False
        self.is_paused = False
        self._worker: NewestFirstWorker[Job] = NewestFirstWorker(self._process, self._on_error)

    def start(self, bundle: LoadedBundle) -> None:
        """Warms the network up, in the worker's thread, and waits for it. Raises what goes wrong."""
        self._worker.call(lambda: self._warm_up(bundle))
        for camera in self._cameras:
            camera.statistics = FrameStatistics()
        self._use(bundle)

    def stop(self) -> None:
        """Ends after the frames in work."""
        self._worker.stop()
        self._work = None
        for camera in self._cameras:
            camera.forget()

    def submit(self, camera: Camera, frame: Frame) -> None:
        """Takes a complete frame; the newest one of a camera waits while others are in work.

        Late detections wait beside it: else newer images would keep pushing them out, and no track would start.
        """
        if self.is_paused:
            camera.statistics.add_dropped_frame("paused")
        elif frame.is_late:
            if self._worker.submit(Job(camera, frame), f"{camera.name} late"):
                camera.statistics.add_dropped_frame("late detections")
        elif self._worker.submit(Job(camera, frame), camera.name):
            if self._is_loading:
                camera.statistics.add_dropped_frame("bundle was loaded")
                return
            camera.statistics.add_dropped_frame("replaced")
            self._complaints(
                f"{camera.name} replaced",
                "frames come faster than the network runs: a waiting frame was replaced by a newer one",
            )

    def reset_tracks(self) -> None:
        """Has the worker forget all tracks before the next frame, and does not wait for it."""
        self._worker.post(self._reset_tracks)

    def _reset_tracks(self) -> None:
        if self._work is not None:
            for camera in self._cameras:
                camera.start_over(self._work.bundle, self._settings().tracking)

    def begin_loading(self, path: str) -> Future[str]:
        """Has the worker load another bundle and put it in the place of the old one, which is kept if that fails.

        Until the new one is warm no frame is estimated; both take memory at that time.

        Returns:
            What was loaded, in words; or the error.

        Raises:
            ParameterError: another one is being loaded.
        """
        if self._is_loading:
            raise ParameterError("another bundle is being loaded: wait for it")
        self._is_loading = True
        return self._worker.post(lambda: self._load_and_replace(path))

    def _load_and_replace(self, path: str) -> str:
        """Between two frames, so that whatever is published belongs to one bundle."""
        try:
            bundle = load_bundle(path, self._settings())
            self._warm_up(bundle)
            for camera in self._cameras:
                camera.outputs.set_classes(bundle.tokens, active=True)
                camera.outputs.clear_markers()
            self._use(bundle)
            self._announce(bundle)
        finally:
            self._is_loading = False
            free_gpu_memory()
        self._logger.info(f"loaded: {bundle.in_words}")
        return f"loaded: {bundle.in_words}"

    def _warm_up(self, bundle: LoadedBundle) -> None:
        started_s = time.monotonic()
        settings = self._settings()
        warm_up(bundle, settings.max_detections, settings.tracking != "off")
        self._logger.info(f"warmed up in {time.monotonic() - started_s:.1f} s")

    def _use(self, bundle: LoadedBundle) -> None:
        self._work = FrameWork(bundle, self._complaints, self._now_ns)
        for camera in self._cameras:
            camera.start_over(bundle, self._settings().tracking)

    def _process(self, jobs: list[Job]) -> None:
        """In the worker's thread: the newest frame of each camera, from messages to messages."""
        if self._work is not None:
            published = self._work.process(jobs, self._settings())
            self._work.draw(published, lambda: self._worker.is_awaited)

    def _on_error(self, error: Exception) -> None:
        self._complaints(f"error {type(error).__name__}", f"a frame failed and is skipped: {error!r}")
