"""The one exception for messages that cannot be used."""

from __future__ import annotations


class UnusableInput(ValueError):
    """A message cannot be used. ``kind`` groups the reasons, so that each can be reported once in a while."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
