"""The node's services: load another bundle, pause, forget tracks. They answer without holding up the executor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol

from rclpy.task import Future as RosFuture
from std_srvs.srv import SetBool, Trigger

from mrc_net_ros.parameters import ParameterError
from mrc_net_ros.srv import LoadBundle


class Served(Protocol):
    """What the services ask of the node; it raises ParameterError, with the reason, where it refuses."""

    def begin_loading(self, path: str) -> Future[str]: ...

    def end_loading(self, path: str) -> None: ...

    def pause(self, wanted: bool) -> None: ...

    def reset_tracks(self) -> None: ...


class NodeServices:
    """``~/load_bundle``, ``~/pause`` and ``~/reset_tracks``.

    Args:
        node: a ROS node.
        served: does the work.
    """

    def __init__(self, node: Any, served: Served) -> None:
        self._node, self._served = node, served
        self.services = [
            node.create_service(LoadBundle, "~/load_bundle", self._on_load_bundle),
            node.create_service(SetBool, "~/pause", self._on_pause),
            node.create_service(Trigger, "~/reset_tracks", self._on_reset_tracks),
        ]

    async def _on_load_bundle(
        self, request: LoadBundle.Request, response: LoadBundle.Response
    ) -> LoadBundle.Response:
        try:
            loading = self._served.begin_loading(request.path)
            await self._finished(loading)
            response.message = loading.result()
            self._served.end_loading(request.path)
            response.success = True
        except CancelledError:
            response.message = f"'{request.path}' was not loaded: the node was deactivated before"
        except Exception as error:  # whatever is wrong with a bundle
            response.message = f"'{request.path}' was not loaded, and the old bundle is kept: {error}"
        if not response.success:
            self._node.get_logger().warning(response.message)
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            self._served.pause(bool(request.data))
            response.success, response.message = True, "paused" if request.data else "running"
        except ParameterError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_reset_tracks(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._served.reset_tracks()
            response.success, response.message = True, "all tracks are forgotten"
        except ParameterError as error:
            response.success, response.message = False, str(error)
        return response

    async def _finished(self, work: Future[Any]) -> None:
        """Waits for another thread's work, and lets the executor go on with other things."""
        done = RosFuture(executor=self._node.executor)
        done.add_done_callback(_nothing)  # it is what wakes the executor
        work.add_done_callback(lambda _: done.set_result(None))
        await done


_nothing: Callable[[Any], None] = lambda _: None  # noqa: E731
