"""Finished scenes of a long computation on disk, so that an interrupted one goes on where it stopped.

One JSON file a scene, written aside and renamed. Its key is a hash of everything that its content depends on: a scene
that was computed from other input is not met again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mrc_core.data.atomic_files import write_bytes


class SceneParts:
    """A folder of finished scenes, made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, scene_id: int, key: str) -> Any:
        """What was saved under this key, or None: none yet, another key, or a file that a full disk left."""
        try:
            content = json.loads(self._path(scene_id).read_text(encoding="utf-8"))
            return content["content"] if content["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, scene_id: int, key: str, content: Any) -> None:
        """Keeps JSON-able content."""
        write_bytes(self._path(scene_id), json.dumps({"key": key, "content": content}).encode("utf-8"))

    def _path(self, scene_id: int) -> Path:
        return self._folder / f"scene_{scene_id:06d}.json"
