"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, with its folder; an interruption leaves the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # a fixed name, so that what an interruption leaves is taken over by the next run and not left to lie
    temporary = path.with_name(path.name + ".partial")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON, one line for each entry of the outer list or object, as BOP's files have it.

    Raises:
        ValueError: a number is NaN or infinite, for which JSON has no word.
    """
    if isinstance(content, Mapping):
        rows = [f"{json.dumps(str(key))}: {_line(value)}" for key, value in content.items()]
        ends = "{}"
    elif isinstance(content, (list, tuple)):
        rows, ends = [_line(value) for value in content], "[]"
    else:
        raise ValueError(f"a JSON file holds a list or an object, not {type(content).__name__}")
    body = "\n" + ",\n".join(f"  {row}" for row in rows) + "\n" if rows else ""
    write_bytes(path, (ends[0] + body + ends[1] + "\n").encode("utf-8"))


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
