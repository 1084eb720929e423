"""Names that ROS accepts, made from class ids that may hold anything.

A class id such as ``002 master-chef`` is fine in a bundle, but neither a topic token nor a TF frame may look
like that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_]")


class NamingError(ValueError):
    """The class ids of a bundle cannot be turned into distinct ROS names."""


def topic_token(class_id: str) -> str:
    """The class id as one token of a topic: other characters become ``_``, a leading digit gets ``obj_``.

    Raises:
        NamingError: the class id is empty.
    """
    if not class_id:
        raise NamingError("a class id in the bundle is empty: give every object a class_id")
    token = _NOT_ALLOWED.sub("_", class_id)
    return f"obj_{token}" if token[0].isdigit() else token


def topic_tokens(class_ids: Iterable[str]) -> dict[str, str]:
    """The token of every class id.

    Raises:
        NamingError: two classes would share a token, so that their poses would be mixed on one topic.
    """
    tokens: dict[str, str] = {}
    owners: dict[str, str] = {}
    for class_id in class_ids:
        token = topic_token(class_id)
        if token in owners and owners[token] != class_id:
            raise NamingError(
                f"the classes '{owners[token]}' and '{class_id}' would both be published on 'pose/{token}': "
                "rename one of them in the bundle"
            )
        owners[token] = class_id
        tokens[class_id] = token
    return tokens


def child_frame(prefix: str, token: str, number: int) -> str:
    """The TF frame of the instance with this number: its track's or its rank (0 is the best of its class)."""
    return f"{prefix}{token}_{number}"
