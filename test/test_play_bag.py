"""play_bag over real DDS: what was recorded arrives unchanged, under the names that were asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
import small_bags as bags
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.topic_player import PlaybackOptions, chosen_topics
from mrc_net_ros.play_bag import main, read_remaps

ROOT = Path(__file__).resolve().parent.parent
COUNT = 4
PERIOD_S = 0.2


class Listener:
    """Keeps what arrives, with the time of its arrival."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("listener")
        self.infos: list[tuple[float, bytes]] = []
        self.clocks: list[float] = []
        self.transforms: list[TFMessage] = []
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self.node.create_subscription(
            CameraInfo, "/played/info", lambda b: self.infos.append((time.monotonic(), b)), reliable, raw=True
        )
        self.node.create_subscription(TFMessage, "/tf_static", self.transforms.append, latched)
        self.node.create_subscription(
            Clock, "/clock", lambda m: self.clocks.append(harness.seconds(m.clock)), reliable
        )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A peer in this process."""
    made = Listener()
    yield made
    made.close()


def camera_info(number: int) -> CameraInfo:
    """The n-th message of the bag."""
    return harness.camera_info(harness.header(50.0 + PERIOD_S * number))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Camera infos, a static transform, and a topic whose type nobody has."""
    path = tmp_path_factory.mktemp("bags") / "bag"
    typestore = get_typestore(Stores.ROS2_HUMBLE)
    typestore.register(
        get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage")
    )
    typestore.register(get_types_from_msg("float64 x", "nobody_msgs/msg/Thing"))
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        infos = writer.add_connection("/info", "sensor_msgs/msg/CameraInfo", typestore=typestore)
        static = writer.add_connection("/tf_static", "tf2_msgs/msg/TFMessage", typestore=typestore)
        things = writer.add_connection("/things", "nobody_msgs/msg/Thing", typestore=typestore)
        start_ns = 70 * 10**9  # received long after it was taken: the stamps must stay
        transform = bags.transform(0, "a", "b", np.eye(4))
        writer.write(static, start_ns, serialize_message(TFMessage(transforms=[transform])))
        writer.write(things, start_ns, b"\x00\x01\x00\x00" + bytes(8))
        for number in range(COUNT):
            at_ns = start_ns + round(PERIOD_S * number * 1e9)
            writer.write(infos, at_ns, serialize_message(camera_info(number)))
    return path


def start(bag: Path, said: Path, *more: str) -> subprocess.Popen[bytes]:
    """play_bag in a process of its own."""
    command = [sys.executable, "-m", "mrc_net_ros.play_bag", str(bag), *more]
    with said.open("w") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, env=os.environ)


def wait(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_messages_arrive_unchanged_again_and_again(listener: Listener, bag: Path, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    playing = start(
        bag, said, "--loop", "--remap", "/info:=/played/info", "--clock", "--rate", "0.5", "--delay", "3"
    )
    try:
        wait(lambda: len(listener.infos) >= 3 * COUNT or playing.poll() is not None)
        assert playing.poll() is None, said.read_text()
        playing.send_signal(signal.SIGINT)
        assert playing.wait(timeout=60.0) == 0, said.read_text()
    finally:
        playing.kill()
        playing.wait()
    sent = [camera_info(number) for number in range(COUNT)]
    arrived = [(at_s, deserialize_message(data, CameraInfo)) for at_s, data in list(listener.infos)]
    first = [message for _, message in arrived].index(sent[0])  # a busy host may connect later than it starts
    assert [message for _, message in arrived[first : first + 2 * COUNT]] == sent + sent
    took_s = arrived[first + COUNT - 1][0] - arrived[first][0]
    assert took_s > 0.5 * PERIOD_S * (COUNT - 1)  # 2 is right; the first may be late
    assert {t.child_frame_id for message in listener.transforms for t in message.transforms} == {"b"}
    assert listener.clocks
    assert all(70.0 <= at < 71.0 for at in listener.clocks)
    text = said.read_text()
    assert text.count("/things is skipped: its type nobody_msgs/msg/Thing is not installed") == 1
    assert "Round 2" in text
    assert "Traceback" not in text


def test_what_cannot_be_played_gives_one_line(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, expected in (
        ([str(tmp_path / "nothing")], "there is no bag"),
        ([str(bag), "--rate", "0"], "--rate is 0: it must be positive"),
        ([str(bag), "--rate", "nan"], "--rate is nan: it must be positive"),
        ([str(bag), "--start", "100"], "--start is 100 s, but the bag lasts 0.6 s"),
        ([str(bag), "--remap", "/info:=bad name"], "topic name must not contain characters other than"),
        ([str(bag), "--delay", "inf"], "--start and --delay must be numbers of seconds"),
        ([str(bag), "--remap", "/info"], "must be written as OLD:=NEW"),
    ):
        assert main(arguments) == 1
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1


def test_topics_are_chosen_and_renamed(bag: Path) -> None:
    recording = Recording(bag)
    assert [t.name for t in chosen_topics(recording, PlaybackOptions(topics=["/info"]))] == ["/info"]
    with pytest.raises(BagError, match="the bag has no topic /nothing; it has /info"):
        chosen_topics(recording, PlaybackOptions(topics=["/nothing"]))
    assert read_remaps(["/a:=/b", "/c:=d"]) == {"/a": "/b", "/c": "d"}
