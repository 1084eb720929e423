"""Memory settings of the training process."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Asks glibc to keep freed blocks for the next step instead of returning them to the kernel.

    A step frees and takes the same hundreds of megabytes again, at tens of thousands of page faults: 5 to 8 % of a
    step of the small flavour on a CPU. Other C libraries have no `mallopt`; there, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
