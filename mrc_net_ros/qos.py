"""QoS of the topics, and what is said when a partner's does not fit: DDS alone would connect nothing, silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

RESULTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)

Report = Callable[[str, str], None]
"""Takes the topic's name and what to do about it."""


def input_qos(kind: str, depth: int) -> QoSProfile:
    """The QoS that a parameter's value (``sensor_data`` or ``reliable``) stands for."""
    reliability = ReliabilityPolicy.RELIABLE if kind == "reliable" else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=depth, reliability=reliability)


def subscribe(
    node: Any, message_type: type, topic: str, take: Callable[[Any], None], qos: QoSProfile, parameter: str,
    report: Report,
) -> Any:  # fmt: skip
    """A subscription that reports publishers it cannot hear; ``parameter`` is the one that sets its QoS."""

    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        remedy = (
            f"set '{parameter}' to 'sensor_data'" if policy == "RELIABILITY" else "change the publisher's QoS"
        )
        name = node.resolve_topic_name(topic)
        report(name, f"a publisher on {name} cannot be heard, for its QoS does not fit ({policy}): {remedy}")

    callbacks = SubscriptionEventCallbacks(incompatible_qos=incompatible)
    try:
        return node.create_subscription(message_type, topic, take, qos, event_callbacks=callbacks)
    except UnsupportedEventTypeError:  # some middlewares do not tell
        return node.create_subscription(message_type, topic, take, qos)


def advertise(node: Any, message_type: type, topic: str, qos: QoSProfile, report: Report) -> Any:
    """A lifecycle publisher that reports subscribers that cannot hear it."""

    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        offered = f"{qos.reliability.name}, {qos.durability.name}".lower()
        name = node.resolve_topic_name(topic)
        report(
            name,
            f"a subscriber of {name} hears nothing, for its QoS does not fit ({policy}): ask for {offered}",
        )

    callbacks = PublisherEventCallbacks(incompatible_qos=incompatible)
    try:
        return node.create_lifecycle_publisher(message_type, topic, qos, event_callbacks=callbacks)
    except UnsupportedEventTypeError:
        return node.create_lifecycle_publisher(message_type, topic, qos)
