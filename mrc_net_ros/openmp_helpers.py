"""OpenMP's helpers, with which torch computes on a CPU: as few as can be, and none while no network runs.

libgomp keeps helpers for every thread that has ever computed, until that thread ends. Two things come of that:

- Once all threads together have more helpers than there are processors, it takes the processors for crowded: helpers
  then sleep between the many small steps of a network instead of waiting for the next one, and a pass takes almost
  twice as long. So a thread that has loaded a network sends its helpers home before another one runs it.
- After a pass they wait for the next step for some milliseconds at full load, and take the processors from those who
  send the poses and those who get them. So they are sent home as soon as a pass is over; to have them again takes a
  tenth of a millisecond.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

MAPPED_FILES = Path("/proc/self/maps")
OMP_PAUSE_SOFT = 1
"""OpenMP 5.0, section 3.2.43 (omp_pause_resource): what threads have set stays."""


def send_helpers_home() -> None:
    """Ends the calling thread's helpers until it computes again. Does nothing where torch has no libgomp."""
    for library in _libraries():
        library.omp_pause_resource(OMP_PAUSE_SOFT, library.omp_get_initial_device())


@cache
def _libraries() -> tuple[ctypes.CDLL, ...]:
    """Those of this process: torch brings its own, under a name of its own."""
    try:
        lines = MAPPED_FILES.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return ()
    found = {line.split(maxsplit=5)[-1] for line in lines if "/" in line}
    named = sorted(path for path in found if Path(path).name.startswith("libgomp") and Path(path).is_file())
    return tuple(library for path in named if hasattr(library := ctypes.CDLL(path), "omp_pause_resource"))
