"""A recorded bag (rosbag2: sqlite3 or mcap): what topics it has, and its messages as they were recorded.

Messages of one instant come in an order that does not depend on the storage: that of the topics asked for, then that
of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader

from mrc_net_ros.bag_frames import BagError, message_class

STORAGE_SUFFIXES = (".db3", ".mcap")


@dataclass(frozen=True)
class RawMessage:
    """A message as it was recorded: CDR bytes, and when the recorder received it [ns]."""

    topic: str
    type_name: str
    received_ns: int
    cdr: bytes

    def read(self) -> Any:
        """The message.

        Raises:
            BagError: its type is not installed, or the bytes are none of it.
        """
        try:
            return deserialize_message(self.cdr, message_class(self.type_name))
        except Exception as error:  # rclpy raises whatever the type support does
            raise BagError(
                f"a message on {self.topic} cannot be read as {self.type_name} ({error}): install that message "
                "package in the version that the bag was recorded with"
            ) from error


@dataclass(frozen=True)
class RecordedTopic:
    """A topic of a bag. ``latched``: its publisher was transient local."""

    name: str
    type_name: str
    count: int
    latched: bool


class Recording:
    """A bag on disk: a folder with metadata.yaml, or a single .db3 or .mcap file.

    Raises:
        BagError: there is none, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise BagError(f"there is no bag '{path}'")
        if path.is_dir() and not (path / "metadata.yaml").is_file():
            raise BagError(
                f"'{path}' is no rosbag2: it has no metadata.yaml (ros2 bag reindex makes one anew; a lone .mcap or "
                ".db3 file can be named itself)"
            )
        if path.is_file() and path.suffix not in STORAGE_SUFFIXES:
            raise BagError(f"'{path}' is no bag: give its folder, or a file that ends in .db3 or .mcap")
        with closing(self._open()) as reader:
            self.topics = {
                c.topic: RecordedTopic(c.topic, c.msgtype, int(c.msgcount), _is_latched(c))
                for c in sorted(reader.connections, key=lambda c: c.topic)
            }
            self.start_ns = int(reader.start_time)
            self.end_ns = int(reader.end_time)
            self.message_count = int(reader.message_count)
        if not self.message_count:
            raise BagError(f"the bag '{path}' is empty: record it anew")

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return max(self.end_ns - 1 - self.start_ns, 0) * 1e-9

    def of_type(self, *type_names: str) -> list[str]:
        """The topics of these types."""
        return [topic.name for topic in self.topics.values() if topic.type_name in type_names]

    def messages(self, topics: Sequence[str]) -> Iterator[RawMessage]:
        """The messages of these topics as they were received; those of one instant in the topics' order.

        Raises:
            BagError: a topic is not in the bag, or the storage is damaged.
        """
        for topic in topics:
            if topic not in self.topics:
                raise BagError(f"'{self.path}' has no topic {topic}; it has {', '.join(self.topics)}")
        place = {topic: i for i, topic in enumerate(topics)}
        instant: list[RawMessage] = []
        for message in self._stored(set(topics)):
            if instant and message.received_ns != instant[0].received_ns:
                yield from sorted(instant, key=lambda m: place[m.topic])
                instant = []
            instant.append(message)
        yield from sorted(instant, key=lambda m: place[m.topic])

    def _stored(self, topics: set[str]) -> Iterator[RawMessage]:
        if not topics:
            return
        with closing(self._open()) as reader:
            wanted = [c for c in reader.connections if c.topic in topics]
            stored = reader.messages(connections=wanted)
            while True:
                try:
                    connection, received_ns, raw = next(stored)
                except StopIteration:
                    return
                except Exception as error:
                    raise BagError(f"'{self.path}' is damaged: {error}") from error
                yield RawMessage(connection.topic, connection.msgtype, int(received_ns), bytes(raw))

    def _open(self) -> Reader:
        try:
            reader = Reader(self.path)
            reader.open()
        except Exception as error:  # rosbags raises assertions and sqlite's errors beside its own
            raise BagError(f"'{self.path}' cannot be read as a rosbag2: {error}") from error
        return reader


def _is_latched(connection: Any) -> bool:
    profiles = getattr(connection.ext, "offered_qos_profiles", None) or []
    return any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)
