"""Pictures of a folder, for backgrounds: found once, read when they are needed."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Decoding at a half or a quarter of the size is several times faster. A file's size tells enough: a camera's JPEG of
# a megapixel takes some 300 kB.
HALF_BYTES, QUARTER_BYTES = 400_000, 1_600_000
CROP = (0.5, 1.0)  # side of the square that is cut out of a picture, over its shorter side

_log = logging.getLogger(__name__)


class ImageFolder:
    """All pictures below a folder, in the order of their paths. Calls may come from several threads.

    A picture that cannot be read is left out with a warning; `unreadable` lists all such.

    Raises:
        FileNotFoundError: no such folder, or no picture in it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"{self.path} is no folder: name one that holds pictures for backgrounds")
        self.files = sorted(file for file in self.path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not self.files:
            raise FileNotFoundError(f"{self.path} holds no picture ({', '.join(SUFFIXES)})")
        self._unreadable: set[Path] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def unreadable(self) -> list[Path]:
        """The files that were asked for so far and could not be read."""
        return sorted(self._unreadable)

    def crop(self, rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
        """A random square of a random picture, (side, side, 3), RGB.

        Raises:
            ValueError: no file of the folder can be read.
        """
        first = int(rng.integers(len(self)))
        share, at_x, at_y = rng.uniform(*CROP), rng.random(), rng.random()
        mirrored = rng.random() < 0.5
        for i in range(len(self)):  # past unreadable ones to the next, so that the result depends on rng alone
            image = self._read(self.files[(first + i) % len(self)])
            if image is not None:
                break
        else:
            raise ValueError(f"none of the {len(self)} pictures below {self.path} can be read")
        height, width = image.shape[:2]
        size = max(1, round(share * min(height, width)))
        x, y = round(at_x * (width - size)), round(at_y * (height - size))
        square = image[y : y + size, x : x + size, ::-1]
        method = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
        small = cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=method)
        return np.ascontiguousarray(small[:, ::-1] if mirrored else small)

    def _read(self, file: Path) -> NDArray[np.uint8] | None:
        if file in self._unreadable:
            return None
        try:
            data = np.fromfile(file, np.uint8)
            mode = cv2.IMREAD_COLOR
            if len(data) > QUARTER_BYTES:
                mode = cv2.IMREAD_REDUCED_COLOR_4
            elif len(data) > HALF_BYTES:
                mode = cv2.IMREAD_REDUCED_COLOR_2
            image = cv2.imdecode(data, mode) if len(data) else None
        except (OSError, cv2.error):
            image = None
        if image is None or image.ndim != 3:
            with self._lock:
                self._unreadable.add(file)
                count = len(self._unreadable)
            _log.warning("%s cannot be read and is left out (%d of %d so far)", file, count, len(self))
            return None
        return np.asarray(image, dtype=np.uint8)
