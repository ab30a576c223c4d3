"""Freed memory, given back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back_freed_memory() -> None:
    """Ask glibc for what it keeps of freed blocks; it keeps those below 32 MiB for later."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None  # another C library; it keeps its own house
    return trim


__all__ = ["give_back_freed_memory"]
