"""COCO's run-length encoding of masks, which BOP's detection files use.

Runs go down the columns (column-major), in turn of zeros and of ones; the first is of zeros and may be 0 long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 2**28  # of a mask: a wrong size must not fill the memory


def encode_mask(mask: NDArray[Any]) -> dict[str, list[int]]:
    """A mask (H, W), bool or 0 and not 0, as {"counts": run lengths, "size": [H, W]}, uncompressed.

    Raises:
        ValueError: it has another number of axes, or no pixel.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"a mask needs the shape (H, W) and at least one pixel, not {mask.shape}")
    flat = (mask != 0).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    if flat[0]:
        counts.insert(0, 0)
    return {"counts": counts, "size": list(mask.shape)}


def decode_mask(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The mask (H, W), bool, of an encoding; `counts` may be a list, or COCO's compressed string (or bytes).

    Raises:
        ValueError: see `check_rle`.
    """
    counts, (height, width) = check_rle(rle)
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def check_rle(rle: Mapping[str, Any]) -> tuple[list[int], tuple[int, int]]:
    """Run lengths and (H, W) of an encoding, checked without making the mask.

    Raises:
        ValueError: size or counts are missing or of the wrong kind, a run is negative, the runs do not sum to H W, or
            a compressed string is damaged.
    """
    if not isinstance(rle, Mapping):
        raise ValueError(f"an RLE is an object with counts and size, not {_kind(rle)}")
    height, width = _size(rle.get("size"))
    counts = rle.get("counts")
    if isinstance(counts, (str, bytes)):
        runs = _decompressed(counts.encode("utf-8") if isinstance(counts, str) else counts)
    elif isinstance(counts, (list, tuple)):
        runs = []
        for count in counts:
            if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
                raise ValueError(f"the RLE's counts have {count!r}, which is not a whole number")
            runs.append(int(count))
    else:
        raise ValueError(f"the RLE's counts are a list of whole numbers or a string, not {_kind(counts)}")
    if any(run < 0 for run in runs):
        raise ValueError(f"the RLE has a run of {min(runs)} pixels: none may be negative")
    if sum(runs) != height * width:
        raise ValueError(
            f"the RLE's counts sum to {sum(runs)}, but {height} x {width} has {height * width} pixels"
        )
    return runs, (height, width)


def _size(size: Any) -> tuple[int, int]:
    if size is None:
        raise ValueError("the RLE has no size: [height, width] is needed")
    ok = isinstance(size, (list, tuple)) and len(size) == 2
    if not ok or not all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 0 for v in size
    ):
        raise ValueError(f"the RLE's size is {size!r}: two positive whole numbers [height, width] are needed")
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"the RLE's size is {size!r}: more than {MAX_PIXELS} pixels are refused")
    return int(size[0]), int(size[1])


def _decompressed(text: bytes) -> list[int]:
    """COCO's string: five bits a character from '0' on, low bits first, bit 5 says that the number goes on; numbers
    are signed, and from the fourth on each is the difference to the number two places before."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(
                f"the RLE's compressed counts have the character {chr(character)!r}, which none has"
            )
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            if shift > 60:
                raise ValueError("the RLE's compressed counts have a number without an end")
            continue
        if bits & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value = shift = 0
    if shift:
        raise ValueError("the RLE's compressed counts end in the middle of a number")
    return runs


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__
