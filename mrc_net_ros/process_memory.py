"""How much memory a process takes."""

from __future__ import annotations

import os
import resource
from pathlib import Path

BYTES_PER_MB = 1e6


def resident_memory_mb(process: int | None = None) -> float:
    """Memory [MB] of a process that lies in RAM; where /proc is missing, the most that this process ever had.

    Args:
        process: its id; None: this process.

    Raises:
        OSError: another process is asked for, and there is none with this id or no /proc.
    """
    try:
        pages = int(Path(f"/proc/{process or 'self'}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        if process is not None:
            raise
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / BYTES_PER_MB
    return pages * os.sysconf("SC_PAGE_SIZE") / BYTES_PER_MB
