"""A node under test and a peer that talks to it over DDS, in one process."""

from __future__ import annotations

import os

# Read when ROS is imported or initialised: nothing leaves the machine, and wrong field types are errors
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

import array
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Log
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose

from mrc_net_ros.msg import ObjectPoseArray
from mrc_net_ros.pose_estimator import PoseEstimatorNode

FRAME = "camera_optical_frame"
SIZE = (480, 640)
K = np.array([[610.0, 0.0, 322.5], [0.0, 612.0, 238.0], [0.0, 0.0, 1.0]])
TIMEOUT_S = 20.0
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


def header(stamp_s: float, frame_id: str = FRAME) -> Header:
    """A header with this stamp."""
    nanoseconds = round(stamp_s * 1e9)
    return Header(stamp=Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9), frame_id=frame_id)


def picture(seed: int = 0) -> np.ndarray:
    """A smooth random picture (480, 640, 3), RGB, uint8."""
    coarse = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return cv2.resize(coarse, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_CUBIC)


def camera_info(head: Header, size: tuple[int, int] = SIZE, distortion: Sequence[float] = ()) -> CameraInfo:
    """A camera info with K, and P as a rectified camera has it."""
    info = CameraInfo(header=head, height=size[0], width=size[1], distortion_model="plumb_bob")
    info.k = [float(v) for v in K.reshape(9)]
    info.p = [float(v) for v in np.hstack([K, np.zeros((3, 1))]).reshape(12)]
    info.d = [float(v) for v in distortion]
    return info


def compressed_image(head: Header, rgb: np.ndarray) -> CompressedImage:
    """The picture as PNG, so that nothing is lost."""
    _, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return CompressedImage(
        header=head, format="rgb8; png compressed bgr8", data=array.array("B", data.tobytes())
    )


def raw_image(head: Header, rgb: np.ndarray, encoding: str = "rgb8") -> Image:
    """The picture as it is; for bgr8 the channels are swapped."""
    pixels = np.ascontiguousarray(rgb[..., ::-1] if encoding == "bgr8" else rgb)
    data = array.array("B")
    data.frombytes(memoryview(pixels).cast("B"))
    return Image(
        header=head,
        height=rgb.shape[0],
        width=rgb.shape[1],
        encoding=encoding,
        step=rgb.shape[1] * 3,
        data=data,
    )


def detection(class_id: str, box: Sequence[float], score: float = 0.9) -> Detection2D:
    """A detection with its box as left, top, right, bottom."""
    message = Detection2D()
    message.results = [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=class_id, score=float(score)))
    ]
    message.bbox.center.position.x = (box[0] + box[2]) / 2.0
    message.bbox.center.position.y = (box[1] + box[3]) / 2.0
    message.bbox.size_x, message.bbox.size_y = float(box[2] - box[0]), float(box[3] - box[1])
    return message


def seconds(stamp: Time) -> float:
    """A stamp in seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


class Stream:
    """One camera's inputs to the node, and the poses that come back."""

    def __init__(self, rig: Rig, prefix: str, compressed: bool) -> None:
        self._rig, self.prefix, self.compressed = rig, prefix, compressed
        image_type, image_topic = (
            (CompressedImage, "image_rect/compressed") if compressed else (Image, "image_rect")
        )
        peer = rig.peer
        self.images = peer.create_publisher(image_type, prefix + image_topic, RELIABLE)
        self.infos = peer.create_publisher(CameraInfo, f"{prefix}camera_info", RELIABLE)
        self.detections = peer.create_publisher(Detection2DArray, f"{prefix}detections", RELIABLE)
        self.poses: list[ObjectPoseArray] = []
        peer.create_subscription(ObjectPoseArray, f"{prefix}poses", self.poses.append, RELIABLE)

    def wait_ready(self) -> None:
        """Waits until all topics are connected: the node subscribes once it is warmed up."""
        publishers = (self.images, self.infos, self.detections)
        self._rig.wait_for(
            lambda: all(p.get_subscription_count() == 1 for p in publishers), "subscription", 120.0
        )
        self._rig.wait_for(
            lambda: self._rig.peer.count_publishers(f"{self.prefix}poses") == 1, "publisher of poses"
        )

    def send(
        self,
        stamp_s: float,
        detections: Sequence[Detection2D],
        rgb: np.ndarray | None = None,
        frame_id: str = FRAME,
        **info: Any,
    ) -> Header:
        """Publishes a whole frame; returns its header."""
        head = header(stamp_s, frame_id)
        self.infos.publish(camera_info(head, **info))
        self.detections.publish(Detection2DArray(header=head, detections=list(detections)))
        rgb = picture() if rgb is None else rgb
        self.images.publish(compressed_image(head, rgb) if self.compressed else raw_image(head, rgb))
        return head

    def answer(self, head: Header) -> ObjectPoseArray:
        """Waits for the poses of the frame with this header, and for as many transforms."""
        rig = self._rig
        rig.wait_for(lambda: any(m.header == head for m in list(self.poses)), f"poses for {head.stamp}")
        message = next(m for m in list(self.poses) if m.header == head)
        rig.wait_for(lambda: len(rig.transforms_of(head)) >= len(message.poses), "transforms")
        return message


class Rig:
    """A node with these parameters, and a peer with publishers for its inputs and subscriptions to what it sends.

    ``streams`` has one for each of the parameter ``cameras``; the first one's methods and lists are the rig's own.
    """

    def __init__(self, namespace: str, classes: Sequence[str] = (), **parameters: Any) -> None:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = PoseEstimatorNode(namespace=namespace, parameter_overrides=overrides)
        self.peer = rclpy.create_node("peer", namespace=namespace)
        latched = QoSProfile(
            depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self.transforms: list[Any] = []
        self.best: dict[str, list[PoseStamped]] = {name: [] for name in classes}
        self.logs: list[Log] = []
        self.peer.create_subscription(
            TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), RELIABLE
        )
        self.peer.create_subscription(Log, "/rosout", self._on_log, latched)
        for name, received in self.best.items():
            self.peer.create_subscription(PoseStamped, f"pose/{name}", received.append, RELIABLE)
        compressed = parameters.get("image_transport") == "compressed"
        prefixes = [f"{name}/" for name in parameters.get("cameras", ())] or [""]
        self.streams = [Stream(self, prefix, compressed) for prefix in prefixes]
        first = self.streams[0]
        self.images, self.infos, self.detections, self.poses = (
            first.images,
            first.infos,
            first.detections,
            first.poses,
        )
        self.send, self.answer = first.send, first.answer
        self.executor = MultiThreadedExecutor(num_threads=2)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends everything."""
        self.executor.shutdown()
        self._thread.join(timeout=5.0)
        self.node.destroy_node()
        self.peer.destroy_node()

    def received(self, message_type: type, topic: str, qos: Any = None) -> list[Any]:
        """A list that fills with the messages of a topic from now on."""
        messages: list[Any] = []
        self.peer.create_subscription(message_type, topic, messages.append, qos or RELIABLE)
        return messages

    def call(self, service_type: type, name: str, request: Any) -> Any:
        """The answer of one of the node's own services."""
        client = self.peer.create_client(service_type, f"pose_estimator/{name}")
        assert client.wait_for_service(10.0)
        future = client.call_async(request)
        self.wait_for(future.done, f"answer of {name}", 120.0)
        return future.result()

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Waits until the condition holds, or fails the test with what the node has said."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f"no {what} in {timeout_s} s; the node said: {self.said()}"
            time.sleep(0.005)

    def wait_ready(self) -> None:
        """Waits until all topics are connected."""
        for stream in self.streams:
            stream.wait_ready()

    def transforms_of(self, head: Header) -> list[Any]:
        """The transforms received with this header."""
        return [t for t in list(self.transforms) if t.header == head]

    def said(self) -> list[str]:
        """All that the node has logged, as it came over /rosout."""
        return [log.msg for log in list(self.logs)]

    def wait_said(self, text: str) -> None:
        """Waits until the node has logged something with this text."""
        self.wait_for(lambda: any(text in message for message in self.said()), f"message with '{text}'")

    def _on_log(self, log: Log) -> None:
        if log.name == self.node.get_logger().name:
            self.logs.append(log)

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass
