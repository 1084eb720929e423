"""Result files of the BOP benchmark: METHOD_DATASET-SPLIT.csv, read line by line, written, checked.

    scene_id,im_id,obj_id,score,R,t,time

R: nine numbers, row by row. t: millimetres. time: seconds for the whole image, the same on all its lines, -1 unknown.
Inside, translations are metres. The factor of 1000 is applied to the decimal text, so that writing and reading gives
every number back to the last bit: scores through a file are those without one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrc_core.data.atomic_files import write_bytes

HEADER = "scene_id,im_id,obj_id,score,R,t,time"
ROTATION_TOLERANCE = 0.01  # of R R^T - I; files with four digits are within it
_FILE_NAME = re.compile(r"(?P<method>[^_]+)_(?P<dataset>[^_-]+)-(?P<split>[^_]+)(_[^_]+)?\.csv")


@dataclass(frozen=True, eq=False)
class PoseResult:
    """One estimated pose. `cam_from_obj` (4, 4) float64, metres; `time_s` of the whole image, -1 where unknown."""

    scene_id: int
    image_id: int
    obj_id: int
    score: float
    cam_from_obj: NDArray[np.float64]
    time_s: float = -1.0


@dataclass(frozen=True, eq=False)
class ResultsFile:
    """What a file holds: its good lines, and what is wrong with the others (`line N: ...`)."""

    path: Path
    results: list[PoseResult]
    problems: list[str]

    @property
    def method(self) -> str:
        """The method that the file's name tells, else the whole name."""
        return method_name(self.path)


def method_name(path: str | Path) -> str:
    """METHOD of METHOD_DATASET-SPLIT.csv, else the name without its ending."""
    match = _FILE_NAME.fullmatch(Path(path).name)
    return match["method"] if match else Path(path).stem


def results_file_name(method: str, dataset: str, split: str) -> str:
    """METHOD_DATASET-SPLIT.csv, as the benchmark's server wants it.

    Raises:
        ValueError: the name could not be told apart again.
    """
    name = f"{method}_{dataset}-{split}.csv"
    parts = (re.fullmatch(r"[A-Za-z0-9.+-]+", method), re.fullmatch(r"[A-Za-z0-9]+", dataset))
    if not all(parts) or not _FILE_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a result file: letters, digits, '.', '+' and '-' for the method "
            "(no '_'), no '_' or '-' in the data set's name"
        )
    return name


def read_results(path: str | Path) -> ResultsFile:
    """Reads and checks a file. A bad line is left out and named; nothing is dropped without a word.

    Lines of one image that tell different times are named too, but kept.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no good line at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    results: list[PoseResult] = []
    problems: list[str] = []
    times: dict[tuple[int, int], tuple[float, int]] = {}
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if number == 1 and "scene_id" in text:
                if text.replace(" ", "") != HEADER:
                    raise ValueError(f"{path}: its columns are {text!r}, needed are {HEADER}, in this order")
                continue
            if not text:
                continue
            try:
                row = _parse(text)
            except ValueError as error:
                problems.append(f"line {number}: {error}: left out")
                continue
            first = times.setdefault((row.scene_id, row.image_id), (row.time_s, number))
            if first[0] != row.time_s:
                problems.append(
                    f"line {number}: time {row.time_s:g} s, but line {first[1]} of the same image has {first[0]:g} s: "
                    "the benchmark's server refuses such a file; the pose is scored"
                )
            results.append(row)
    if not results:
        reason = f" ({problems[0]})" if problems else ""
        raise ValueError(f"{path} has no line that can be scored{reason}: expected is {HEADER}")
    return ResultsFile(path, results, problems)


def write_results(path: str | Path, results: Iterable[PoseResult]) -> None:
    """Writes a file that `read_results` reads back to the last bit; whole or not at all."""
    write_bytes(Path(path), "".join(f"{line}\n" for line in [HEADER, *map(format_result, results)]).encode("utf-8"))


def format_result(row: PoseResult) -> str:
    """One line of a file, without its end."""
    rotation = " ".join(repr(float(v)) for v in row.cam_from_obj[:3, :3].flatten())
    shift = " ".join(_millimetres(float(v)) for v in row.cam_from_obj[:3, 3])
    numbers = f"{row.scene_id},{row.image_id},{row.obj_id},{float(row.score)!r}"
    return f"{numbers},{rotation},{shift},{float(row.time_s)!r}"


def _parse(text: str) -> PoseResult:
    cells = text.split(",")
    if len(cells) != 7:
        raise ValueError(f"{len(cells)} cells between commas, needed are 7 ({HEADER})")
    ids = [_integer(cell, name) for cell, name in zip(cells, ("scene_id", "im_id", "obj_id"))]
    score = _number(cells[3], "score")
    time_s = _number(cells[6], "time")
    if time_s < 0 and time_s != -1:
        raise ValueError(f"time is {time_s:g} s: seconds, or -1 where unknown")
    pose = np.eye(4)
    pose[:3, :3] = np.array([_number(v, "R") for v in _cells(cells[4], 9, "R")]).reshape(3, 3)
    pose[:3, 3] = [_metres(v) for v in _cells(cells[5], 3, "t")]
    residue = float(np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max())
    if residue > ROTATION_TOLERANCE or np.linalg.det(pose[:3, :3]) < 0:
        raise ValueError(f"R is no rotation (R R^T is off by {residue:.2g}, or it mirrors)")
    return PoseResult(ids[0], ids[1], ids[2], score, pose, time_s)


def _cells(text: str, count: int, name: str) -> list[str]:
    parts = text.split()
    if len(parts) != count:
        raise ValueError(f"{name} has {len(parts)} numbers between blanks, needed are {count}")
    return parts


def _integer(text: str, name: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{name} is {text.strip()!r}, an integer is needed") from None
    if value < 0:
        raise ValueError(f"{name} is {value}, it cannot be negative")
    return value


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} holds {text.strip()!r}, which is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{name} holds {text.strip()}, which is not finite")
    return value


def _metres(text: str) -> float:
    _number(text, "t")
    try:
        return float(Decimal(text).scaleb(-3))
    except InvalidOperation:
        return float(text) / 1000


def _millimetres(value_m: float) -> str:
    return format(Decimal(repr(value_m)).scaleb(3), "f")
