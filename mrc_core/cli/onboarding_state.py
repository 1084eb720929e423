"""What an onboarding has done so far, so that the same command goes on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mrc_core.data.atomic_files import write_json

FILE = "onboarding.json"


class OnboardingState:
    """Markers of finished stages, and what the onboarding was started with, in a file of the output folder.

    Args:
        folder: the output folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._content: dict[str, Any] = {}
        path = folder / FILE
        if path.is_file():
            try:
                self._content = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path} is damaged ({error}): choose another --output") from error

    @property
    def is_new(self) -> bool:
        """Whether nothing was begun here."""
        return not self._content

    def claim(self, **given: Any) -> None:
        """Takes the folder for what is given, JSON-able, or checks that it was taken for the same; None: as before.

        Raises:
            ValueError: the folder holds something else, or an onboarding of something else.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file: choose another --output")
        if self.is_new:
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise ValueError(
                    f"{self.folder} already holds something else: choose a new or empty folder as --output"
                )
            self._content = {"given": given}
            self._write()
            return
        for name, value in given.items():
            there = self.given(name)
            if value is not None and value != there:
                raise ValueError(
                    f"{self.folder} was begun with another --{name.replace('_', '-')} ({_words(there)}): repeat the "
                    "first command to go on with it, or choose another --output"
                )

    def given(self, name: str) -> Any:
        """What the folder was taken for."""
        return self._content.get("given", {}).get(name)

    def facts(self, stage: str) -> Any:
        """What a finished stage left, None where it is not finished."""
        return self._content.get(stage)

    def finish(self, stage: str, facts: Any) -> None:
        """Marks a stage as finished, with JSON-able facts (not None)."""
        self._content[stage] = facts
        self._write()

    def _write(self) -> None:
        write_json(self.folder / FILE, self._content)


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "none")
