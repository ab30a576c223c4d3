"""Keys and faces in a process's memory reach no disk, as far as Linux can see to it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

_SET_DUMPABLE = 4  # prctl(2)
_LOCK_ALL = 1 | 2 | 4  # mlockall(2): what is there, what comes, each page once it is used


def harden() -> dict[str, bool]:
    """No core dumps; no swapping where the memory limit allows (``LimitMEMLOCK=infinity``)."""
    if sys.platform != "linux":
        return {"core_dumps_off": False, "memory_locked": False}
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    system = ctypes.CDLL(None, use_errno=True)
    undumpable = system.prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0
    return {"core_dumps_off": undumpable, "memory_locked": _may_lock() and _lock(system)}


def facts() -> dict[str, Any]:
    """What the service will do on this machine, for ``arcid doctor``."""
    if sys.platform != "linux":
        return {"core_dumps": "as the system says", "memory": "may be swapped"}
    swap = _swap_kib()
    locked = "locked" if _may_lock() else "not locked (LimitMEMLOCK=infinity allows it)"
    return {
        "core_dumps": "off in the service",
        "memory": f"{locked} in the service; {swap // 1024} MiB of swap" if swap else "no swap",
    }


def _may_lock() -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


def _lock(system: Any) -> bool:
    return bool(system.mlockall(_LOCK_ALL) == 0)


def _swap_kib() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("SwapTotal")), 0)
