"""Freed memory is kept: no page of a large array is cleared twice."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CHILD = """
import resource
import numpy as np
from arcid.train.engine.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(16_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
kept = keep_freed()
faults()
print(kept, first, faults())
"""


# elsewhere there is nothing to ask: keep_freed answers False and changes nothing
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's allocator")
def test_large_arrays_are_made_from_what_was_freed() -> None:
    out = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    kept, before, after = out[0] == "True", int(out[1]), int(out[2])
    assert kept
    assert after < before / 20
