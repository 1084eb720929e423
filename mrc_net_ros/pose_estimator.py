"""The node ``pose_estimator``: images, camera infos and 2D detections in; poses and TF out.

A lifecycle node that configures and activates itself unless ``autostart`` is false.

- configure: parameters, bundle and names are checked, the network is loaded, publishers are made;
- activate: the network is warmed up, then the inputs are subscribed;
- deactivate: the inputs are released, and the GPU's memory;
- clean up: everything is as before configure, and all parameters may be changed.

A failed transition logs what to do and leaves the node alive.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import TransformBroadcaster
from vision_msgs.msg import Detection2DArray

from mrc_core.inference import Detection, PoseEstimator
from mrc_net_ros.complaints import Complaints
from mrc_net_ros.conversions import UnusableInput
from mrc_net_ros.frame_estimation import Estimator, FrameResult, estimate_frame
from mrc_net_ros.frame_statistics import FrameStatistics
from mrc_net_ros.msg import ObjectPoseArray
from mrc_net_ros.naming import topic_tokens
from mrc_net_ros.parameters import (
    NodeSettings,
    ParameterError,
    check_class_map,
    check_value,
    declare_parameters,
    is_live,
    is_own,
    read_parameters,
)
from mrc_net_ros.pose_messages import best_pose_messages, pose_array_message, transform_messages
from mrc_net_ros.starvation import StarvationWatch
from mrc_net_ros.synchroniser import Frame, FrameSynchroniser
from mrc_net_ros.worker import NewestFirstWorker

IMAGE_TOPIC = "image_rect"
COMPRESSED_TOPIC = "image_rect/compressed"
CAMERA_INFO_TOPIC = "camera_info"
DETECTIONS_TOPIC = "detections"
WARM_UP_PASSES = 2
DIAGNOSTICS_PERIOD_S = 1.0


@dataclass(frozen=True)
class _Job:
    """A frame on its way to the worker, with the time [s, monotonic] at which it was complete."""

    frame: Frame
    complete_at_s: float


class PoseEstimatorNode(LifecycleNode):
    """See the module's description, and docs/ros_api.md for topics and parameters."""

    def __init__(self, node_name: str = "pose_estimator", **node_arguments: object) -> None:
        super().__init__(node_name, **node_arguments)
        self.complaints = Complaints(lambda text: self.get_logger().warning(text))
        self._settings = NodeSettings()
        self._state = "unconfigured"
        self._trouble = "not configured"
        self._estimator: Estimator | None = None
        self._tokens: dict[str, str] = {}
        self._tf: TransformBroadcaster | None = None
        self._worker: NewestFirstWorker[_Job] | None = None
        self._synchroniser: FrameSynchroniser | None = None
        self._inputs: list[Subscription] = []
        self._outputs: dict[str, LifecyclePublisher] = {}
        self._statistics = FrameStatistics()
        self._watch = StarvationWatch()
        declare_parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady timers, so that a simulated clock that stands still does not hold up start and diagnostics
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(DIAGNOSTICS_PERIOD_S, self._on_diagnostics, clock=steady)
        self._autostart_timer = self.create_timer(0.0, self._on_autostart, clock=steady)

    @property
    def statistics(self) -> FrameStatistics:
        """What the node has counted since its last activation."""
        return self._statistics

    # ---- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Checks and loads everything; on failure the node stays unconfigured and says why."""
        try:
            self._settings = read_parameters(self)
            self._estimator = self._load_estimator()
            check_class_map(self._settings.class_map, self._estimator.class_ids)
            self._tokens = topic_tokens(self._estimator.class_ids)
            self._create_outputs()
        except Exception as error:  # whatever is wrong with a bundle must not end the node
            self._release()
            self._trouble = f"cannot be configured: {error}"
            self.get_logger().error(
                f"{self._trouble}\nThe node stays alive and unconfigured. Correct the parameter, then run "
                f"'ros2 lifecycle set {self.get_fully_qualified_name()} configure' and '... activate', or "
                "start it again."
            )
            return TransitionCallbackReturn.FAILURE
        self._state, self._trouble = "inactive", "configured, but not activated"
        self.get_logger().info(
            f"configured: {len(self._tokens)} classes ({', '.join(self._tokens)}) from "
            f"'{self._settings.bundle}'"
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Warms the network up, so that the first frame is as fast as the last, and subscribes the inputs."""
        worker: NewestFirstWorker[_Job] = NewestFirstWorker(self._process, self._on_worker_error)
        try:
            estimator = self._estimator or self._load_estimator()
            worker.call(lambda: self._warm_up(estimator))
        except Exception as error:  # out of memory, a driver: named, and the node lives
            worker.stop()
            self._trouble = f"cannot be activated: {error}"
            self.get_logger().error(self._trouble)
            return TransitionCallbackReturn.FAILURE
        self._estimator, self._worker = estimator, worker
        self._statistics = FrameStatistics()
        self._watch = StarvationWatch()
        self.complaints.forget()
        result = super().on_activate(state)
        self._create_inputs()
        self._state, self._trouble = "active", ""
        self.get_logger().info("active: waiting for images, camera infos and detections")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Releases the inputs and the GPU's memory."""
        self._stop_work()
        self._estimator = None
        _free_gpu_memory()
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

    def _load_estimator(self) -> Estimator:
        if not self._settings.bundle:
            raise ParameterError(
                "the parameter 'bundle' is empty: give the folder of a trained bundle, for example "
                "'--ros-args -p bundle:=demo/bundle'"
            )
        device = _resolve_device(self._settings.device)
        return PoseEstimator.from_bundle(self._settings.bundle, device=device)

    def _warm_up(self, estimator: Estimator) -> None:
        started_s = time.monotonic()
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
        matrix = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
        detections = [
            Detection(class_id, (260.0, 180.0, 380.0, 300.0), 1.0) for class_id in estimator.class_ids
        ]
        for _ in range(WARM_UP_PASSES):
            estimator.estimate(picture, matrix, detections[: self._settings.max_detections])
        self.get_logger().info(f"warmed up in {time.monotonic() - started_s:.1f} s")

    def _release(self) -> None:
        self._stop_work()
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}
        self._estimator = None
        self._tokens = {}
        _free_gpu_memory()

    def _stop_work(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        self._synchroniser = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    # ---- topics

    def _create_outputs(self) -> None:
        self._outputs["poses"] = self.create_lifecycle_publisher(ObjectPoseArray, "poses", 10)
        for class_id, token in self._tokens.items():
            self._outputs[f"pose/{class_id}"] = self.create_lifecycle_publisher(
                PoseStamped, f"pose/{token}", 10
            )
        if self._tf is None:
            self._tf = TransformBroadcaster(self)

    def _create_inputs(self) -> None:
        settings = self._settings
        synchroniser = FrameSynchroniser(self._on_frame, settings.sync_queue_size, settings.sync_slop_s)
        self._synchroniser = synchroniser
        compressed = settings.image_transport == "compressed"
        image_type, image_topic = (CompressedImage, COMPRESSED_TOPIC) if compressed else (Image, IMAGE_TOPIC)
        image_qos = _input_qos(settings.image_qos, settings.sync_queue_size)
        detections_qos = _input_qos(settings.detections_qos, settings.sync_queue_size)
        self._inputs = [
            self._subscribe(CameraInfo, CAMERA_INFO_TOPIC, synchroniser.add_camera_info, image_qos),
            self._subscribe(image_type, image_topic, synchroniser.add_image, image_qos),
            self._subscribe(Detection2DArray, DETECTIONS_TOPIC, synchroniser.add_detections, detections_qos),
        ]

    def _subscribe(
        self, message_type: type, topic: str, take: Callable[[Any], None], qos: QoSProfile
    ) -> Subscription:
        """Subscribes an input. A message that cannot be taken is left out: one publisher must not end the node."""

        def guarded(message: Any) -> None:
            try:
                take(message)
            except UnusableInput as error:
                self.complaints(error.kind, str(error))
            except Exception as error:
                self.complaints(
                    f"input {topic} {type(error).__name__}",
                    f"a message on {topic} cannot be taken and is left out: {error!r}",
                )

        return self.create_subscription(message_type, topic, guarded, qos)

    # ---- work

    def _on_frame(self, frame: Frame) -> None:
        if self._worker is not None and self._worker.submit(_Job(frame, time.monotonic())):
            self._statistics.add_replaced()
            self.complaints(
                "replaced",
                "frames come faster than the network runs: a waiting frame was replaced by a newer one",
            )

    def _process(self, job: _Job) -> None:
        """In the worker's thread: one frame from messages to messages."""
        estimator, settings = self._estimator, self._settings
        if estimator is None:
            return
        try:
            result = estimate_frame(job.frame, estimator, settings)
        except UnusableInput as error:
            self._statistics.add_refused()
            self.complaints(error.kind, str(error))
            return
        self._publish(result, settings)
        self._statistics.add_frame(
            len(result.instances), result.dropped, time.monotonic() - job.complete_at_s
        )
        for problem in result.problems:
            self.complaints(problem.kind, problem.text)

    def _publish(self, result: FrameResult, settings: NodeSettings) -> None:
        # TF first: who reacts to a pose finds its transform already there
        if settings.publish_tf and result.instances and self._tf is not None:
            if result.header.frame_id:
                self._tf.sendTransform(transform_messages(result, self._tokens, settings.tf_prefix))
            else:
                self.complaints(
                    "frame_id", "images come without header.frame_id, so no TF is sent: set it in the driver"
                )
        for class_id, message in best_pose_messages(result).items():
            self._outputs[f"pose/{class_id}"].publish(message)
        self._outputs["poses"].publish(pose_array_message(result))

    def _on_worker_error(self, error: Exception) -> None:
        if self.context.ok():
            self.complaints(f"error {type(error).__name__}", f"a frame failed and is skipped: {error!r}")

    # ---- parameters and diagnostics

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """All or nothing: one bad value rejects the whole request, with the reason."""
        try:
            for parameter in parameters:
                if not is_own(parameter.name):
                    continue
                check_value(parameter.name, parameter.value)
                if self._state in ("inactive", "active") and not is_live(parameter.name):
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

    def _on_diagnostics(self) -> None:
        if self._synchroniser is not None:
            synchroniser = self._synchroniser
            self._trouble = self._watch.trouble(
                synchroniser, [s.topic_name for s in self._inputs], time.monotonic()
            )
            if self._trouble:
                self.complaints("starved", self._trouble)
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [
            self._statistics.diagnostic_status(self.get_fully_qualified_name(), self._state, self._trouble)
        ]
        self._diagnostics.publish(message)


def _input_qos(kind: str, depth: int) -> QoSProfile:
    reliability = ReliabilityPolicy.RELIABLE if kind == "reliable" else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=depth, reliability=reliability)


def _resolve_device(device: str) -> str:
    import torch

    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ParameterError(
            "'device' is 'cuda', but torch sees no CUDA device: check the driver, or use 'auto' or 'cpu'"
        )
    return ("cuda" if has_cuda else "cpu") if device == "auto" else device


def _free_gpu_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main(args: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM. Returns the process' exit status: 1 if a callback has failed."""
    stop, failed = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Signals are ours: rclpy would tear the context down under the worker's feet while it publishes
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = PoseEstimatorNode()
    except ParameterException as error:
        rclpy.logging.get_logger("pose_estimator").fatal(f"a parameter cannot be used: {error}")
        rclpy.shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=_spin, args=(executor, stop, failed), name="executor", daemon=True)
    spinning.start()
    stop.wait()
    executor.shutdown()
    spinning.join()
    node.destroy_node()
    rclpy.try_shutdown()
    return 1 if failed.is_set() else 0


def _spin(executor: SingleThreadedExecutor, stop: threading.Event, failed: threading.Event) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
    except Exception:  # whoever started the node must learn of it
        failed.set()
        rclpy.logging.get_logger("pose_estimator").fatal(
            f"the node ends, for a callback has failed:\n{traceback.format_exc()}"
        )
    finally:
        stop.set()


if __name__ == "__main__":
    sys.exit(main())
