"""How much memory this process takes."""

from __future__ import annotations

import os
import resource
from pathlib import Path

BYTES_PER_MB = 1e6


def resident_memory_mb() -> float:
    """Memory [MB] of this process that lies in RAM; where /proc is missing, the most it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / BYTES_PER_MB
    return pages * os.sysconf("SC_PAGE_SIZE") / BYTES_PER_MB
