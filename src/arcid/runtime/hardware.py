"""What processor this is, as far as the operating system tells."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_RELEVANT = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8",
             "amx_bf16", "avx512_bf16", "bf16", "asimd", "asimddp", "i8mm", "sve")  # fmt: skip


@cache
def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def cpu_name() -> str:
    """The processor's model name."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """The vector instruction sets it has, of those that matter here; empty where unknown."""
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("features") or "").split())
    return [name for name in _RELEVANT if name in flags]
