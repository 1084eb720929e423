"""The overlay video of a bag: MP4 where OpenCV has an encoder, else an animated WebP; and stills for the report."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

Picture = NDArray[np.uint8]
Item = TypeVar("Item")
MOST_WEBP_FRAMES = 300
"""A WebP is held in memory until it is written."""


class VideoWriter:
    """Writes pictures (H, W, 3), RGB, all of the size of the first, one after the other.

    Args:
        path: without an ending; ``.mp4`` or ``.webp`` is added.
        rate_hz: pictures a second.
    """

    def __init__(self, path: Path, rate_hz: float, fourcc: str = "mp4v") -> None:
        self._base, self._rate_hz, self._fourcc = path, rate_hz, fourcc
        self._video: cv2.VideoWriter | None = None
        self._stills: list[Picture] = []
        self._size: tuple[int, int] | None = None
        self.path: Path | None = None
        """The file, once the first picture is written."""

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, picture: Picture) -> None:
        """Adds a picture."""
        if self._size is None:
            self._start(picture)
        if picture.shape[:2] != self._size:
            assert self._size is not None
            picture = np.asarray(cv2.resize(picture, self._size[::-1]), dtype=np.uint8)
        if self._video is not None:
            self._video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        elif len(self._stills) < MOST_WEBP_FRAMES:
            self._stills.append(picture)

    def close(self) -> None:
        """Completes the file."""
        if self._video is not None:
            self._video.release()
            self._video = None
        if self._stills and self.path is not None:
            first, *others = [PilImage.fromarray(still) for still in self._stills]
            period_ms = round(1000 / self._rate_hz)
            first.save(self.path, save_all=True, append_images=others, duration=period_ms, loop=0, quality=75)
            self._stills = []

    def _start(self, picture: Picture) -> None:
        self._size = (picture.shape[0], picture.shape[1])
        mp4 = self._base.with_suffix(".mp4")
        code = cv2.VideoWriter.fourcc(*self._fourcc)
        video = cv2.VideoWriter(str(mp4), code, self._rate_hz, self._size[::-1])
        if video.isOpened():
            self._video, self.path = video, mp4
        else:
            video.release()
            mp4.unlink(missing_ok=True)
            self.path = self._base.with_suffix(".webp")


class EvenSample(Generic[Item]):
    """Keeps some of a stream whose length is not known, evenly spread: whenever too many are kept, every second goes.

    Args:
        most: kept at any time; half of it at least, once so many have come.
    """

    def __init__(self, most: int) -> None:
        self._most, self._stride, self._seen = most, 1, 0
        self.kept: list[Item] = []

    def add(self, item: Item) -> None:
        """Takes the next of the stream."""
        if self._seen % self._stride == 0:
            self.kept.append(item)
        self._seen += 1
        if len(self.kept) > self._most:
            self.kept = self.kept[::2]
            self._stride *= 2
