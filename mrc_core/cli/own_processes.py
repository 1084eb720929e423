"""Running our own commands in processes of their own."""

from __future__ import annotations

import os
from pathlib import Path

import mrc_core


def environment_of_one_core() -> dict[str, str]:
    """Environment variables with which a Python process finds this very package and computes on one core."""
    package = str(Path(mrc_core.__file__).resolve().parent.parent)
    paths = [package, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
