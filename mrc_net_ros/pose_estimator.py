"""The node ``pose_estimator``: images, camera infos and 2D detections in; poses and TF out.

A lifecycle node that configures and activates itself unless ``autostart`` is false.

- configure: parameters, bundle and names are checked, the network is loaded, publishers are made;
- activate: the network is warmed up, then the inputs are subscribed;
- deactivate: the inputs are released, and the GPU's memory;
- clean up: everything is as before configure, and all parameters may be changed.

A failed transition logs what to do and leaves the node alive.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from tf2_ros import TransformBroadcaster

from mrc_net_ros.camera import Camera, topic_prefix
from mrc_net_ros.camera_inputs import CameraInputs
from mrc_net_ros.camera_outputs import CameraOutputs
from mrc_net_ros.complaints import Complaints
from mrc_net_ros.estimation import Estimation
from mrc_net_ros.loaded_bundle import LoadedBundle, free_gpu_memory, load_bundle
from mrc_net_ros.msg import ObjectInfoArray
from mrc_net_ros.node_diagnostics import NodeCondition, statuses
from mrc_net_ros.node_services import NodeServices
from mrc_net_ros.object_info import object_info_message
from mrc_net_ros.parameters import (
    NodeSettings,
    ParameterError,
    check_value,
    declare_parameters,
    is_live,
    is_own,
    read_parameters,
)
from mrc_net_ros.qos import LATCHED, advertise
from mrc_net_ros.running import run_until_signal

OBJECT_INFO_TOPIC = "object_info"
DIAGNOSTICS_PERIOD_S = 1.0
INCOMPATIBLE_SHOWN_S = 30.0


class PoseEstimatorNode(LifecycleNode):
    """See the module's description, and docs/ros_api.md for topics, services and parameters."""

    def __init__(self, node_name: str = "pose_estimator", **node_arguments: object) -> None:
        super().__init__(node_name, **node_arguments)
        self.complaints = Complaints(lambda text: self.get_logger().warning(text))
        self._settings = NodeSettings()
        self._state = "unconfigured"
        self._trouble = "not configured"
        self._bundle: LoadedBundle | None = None  # between configure and activate
        self._estimation: Estimation | None = None  # while active
        self._cameras: list[Camera] = []
        self._tf: TransformBroadcaster | None = None
        self._object_info: Any = None
        self._incompatible: dict[str, tuple[float, str]] = {}
        declare_parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._own_services = NodeServices(self, self)
        # Steady timers, so that a simulated clock that stands still does not hold up start and diagnostics
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(DIAGNOSTICS_PERIOD_S, self._on_diagnostics, clock=steady)
        self._autostart_timer = self.create_timer(0.0, self._on_autostart, clock=steady)

    @property
    def cameras(self) -> list[Camera]:
        """The cameras, in the order of the parameter; one without a name where it is empty."""
        return self._cameras

    # ---- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Checks and loads everything; on failure the node stays unconfigured and says why."""
        try:
            self._settings = read_parameters(self)
            bundle = load_bundle(self._settings.bundle, self._settings)
            self._create_outputs(bundle)
        except Exception as error:  # whatever is wrong with a bundle must not end the node
            self._release()
            self._trouble = f"cannot be configured: {error}"
            self.get_logger().error(
                f"{self._trouble}\nThe node stays alive and unconfigured. Correct the parameter, then run "
                f"'ros2 lifecycle set {self.get_fully_qualified_name()} configure' and '... activate', or "
                "start it again."
            )
            return TransitionCallbackReturn.FAILURE
        self._bundle = bundle
        self._state, self._trouble = "inactive", "configured, but not activated"
        self.get_logger().info(f"configured: {bundle.in_words}")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Warms the network up, so that the first frame is as fast as the last, and subscribes the inputs."""
        now_ns: Callable[[], int] = lambda: int(self.get_clock().now().nanoseconds)  # noqa: E731
        estimation = Estimation(
            self._cameras, lambda: self._settings, self.complaints, now_ns, self._announce, self.get_logger()
        )
        try:
            bundle = self._bundle or load_bundle(self._settings.bundle, self._settings)
            estimation.start(bundle)
        except Exception as error:  # out of memory, a driver: named, and the node lives
            estimation.stop()
            self._trouble = f"cannot be activated: {error}"
            self.get_logger().error(self._trouble)
            return TransitionCallbackReturn.FAILURE
        self._estimation, self._bundle = estimation, None
        self._incompatible.clear()
        self.complaints.forget()
        result = super().on_activate(state)
        self._announce(bundle)
        for camera in self._cameras:
            self._create_inputs(camera, estimation)
        self._state, self._trouble = "active", ""
        self.get_logger().info("active: waiting for images, camera infos and detections")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Releases the inputs and the GPU's memory."""
        self._stop_work()
        for camera in self._cameras:
            camera.outputs.clear_markers()
        self._bundle = None
        free_gpu_memory()
        self._state, self._trouble = "inactive", "deactivated"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to what was before configure."""
        self._release()
        self._state, self._trouble = "unconfigured", "not configured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends all work; only destroying the node is left."""
        self._release()
        self._state, self._trouble = "finalized", "shut down"
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        """Ends the worker's thread, then the node."""
        self._stop_work()
        super().destroy_node()

    def _on_autostart(self) -> None:
        self._autostart_timer.cancel()
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _create_outputs(self, bundle: LoadedBundle) -> None:
        if self._tf is None:
            self._tf = TransformBroadcaster(self)
        self._object_info = advertise(
            self, ObjectInfoArray, OBJECT_INFO_TOPIC, LATCHED, self._report_incompatible
        )
        for name in self._settings.cameras or ("",):
            outputs = CameraOutputs(
                self, topic_prefix(name), self._tf, self.complaints, self._report_incompatible
            )
            self._cameras.append(Camera(name, outputs))
            outputs.set_classes(bundle.tokens, active=False)

    def _create_inputs(self, camera: Camera, estimation: Estimation) -> None:
        camera.inputs = CameraInputs(
            self,
            topic_prefix(camera.name),
            self._settings,
            lambda frame: estimation.submit(camera, frame),
            self.complaints,
            self._report_incompatible,
            lambda spent: camera.statistics.add_callbacks(spent.wall_s),
        )

    def _announce(self, bundle: LoadedBundle) -> None:
        self._object_info.publish(object_info_message(bundle))

    def _release(self) -> None:
        self._stop_work()
        for camera in self._cameras:
            camera.outputs.destroy()
        self._cameras = []
        if self._object_info is not None:
            self.destroy_lifecycle_publisher(self._object_info)
            self._object_info = None
        self._bundle = None
        free_gpu_memory()

    def _stop_work(self) -> None:
        for camera in self._cameras:
            if camera.inputs is not None:
                camera.inputs.destroy()
            camera.inputs, camera.trouble, camera.refusal = None, "", ""
        if self._estimation is not None:
            self._estimation.stop()
            self._estimation = None

    # ---- services

    def begin_loading(self, path: str) -> Future[str]:
        """Has another bundle loaded. Raises ParameterError where that cannot even begin."""
        return self._running().begin_loading(path)

    def end_loading(self, path: str) -> None:
        """Shows the loaded bundle's path in the parameter; until clean-up it is the one that is loaded."""
        self._settings = replace(self._settings, bundle=path)
        self.set_parameters([Parameter("bundle", value=path)])

    def pause(self, wanted: bool) -> None:
        """Takes no more frames, or takes them again. Raises as ``begin_loading``."""
        self._running().is_paused = wanted

    def reset_tracks(self) -> None:
        """Has all tracks forgotten before the next frame. Raises as ``begin_loading``, and without tracking."""
        estimation = self._running()
        if self._settings.tracking == "off":
            raise ParameterError(
                "there is no tracking: every frame is estimated from its own detections, for 'tracking' is 'off'"
            )
        estimation.reset_tracks()

    def _running(self) -> Estimation:
        if self._estimation is None:
            raise ParameterError(f"the node is {self._state}: configure and activate it first")
        return self._estimation

    # ---- parameters and diagnostics

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """All or nothing: one bad value rejects the whole request, with the reason."""
        try:
            for parameter in parameters:
                if not is_own(parameter.name):
                    continue
                check_value(parameter.name, parameter.value)
                changes = parameter.value != getattr(self._settings, parameter.name)
                if self._state in ("inactive", "active") and not is_live(parameter.name) and changes:
                    raise ParameterError(
                        f"'{parameter.name}' cannot change while the node is {self._state}: deactivate it "
                        "and clean it up first"
                    )
            if self._state in ("inactive", "active"):
                changed = {p.name: p.value for p in parameters if is_own(p.name)}
                self._settings = self._settings.with_changes(changed)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _report_incompatible(self, topic: str, text: str) -> None:
        self._incompatible[topic] = (time.monotonic(), text)
        self.complaints(f"QoS {topic}", text)

    def _on_diagnostics(self) -> None:
        for camera in self._cameras:
            camera.look_for_trouble()
            if camera.trouble:
                self.complaints(f"{camera.name} starved", camera.trouble)
        now_s = time.monotonic()
        condition = NodeCondition(
            self._state,
            self._trouble,
            self._estimation is not None and self._estimation.is_paused,
            self._settings.bundle,
            {
                k: text
                for k, (at_s, text) in self._incompatible.items()
                if now_s - at_s < INCOMPATIBLE_SHOWN_S
            },
        )
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = statuses(self.get_fully_qualified_name(), condition, self._cameras)
        self._diagnostics.publish(message)


def main(args: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM. Returns the process' exit status."""
    return run_until_signal(PoseEstimatorNode, "pose_estimator", args)


if __name__ == "__main__":
    sys.exit(main())
