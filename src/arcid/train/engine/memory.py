"""Memory freed by one training step is kept for the next.

glibc hands large blocks back to the system when they are freed, and the system clears every page of
them when they are asked for again: a third of the time of a small network's step on a CPU.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_* of glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed() -> bool:
    """Ask it of this process's allocator, for good; False where that is not glibc's.

    The process then holds as much memory as it once needed at most, until it ends: for commands
    that train, not for libraries inside a server.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, _ = library.mallopt, library.gnu_get_libc_version
    except (OSError, AttributeError, TypeError):  # another system or C library
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _NEVER))


def prepare_process() -> None:
    """Settings of a process that is going to train; before torch is loaded."""
    # torch's threads else spin while they wait for one whose core another program has, or a loader
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed()


__all__ = ["keep_freed", "prepare_process"]
