"""How many faces a second the default models take, and at how many watts.

Watts are those of the processor packages, by Linux' powercap (RAPL: Intel, and AMD since Zen);
reading its counters takes root since Linux 5.10. Where there are none, rows say why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcid.bench.common import Row, row

POWERCAP = Path("/sys/class/powercap")
IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Packages:
    """The energy counters of the processor packages."""

    folders: tuple[Path, ...]

    @classmethod
    def find(cls, root: Path = POWERCAP) -> Packages | str:
        """Those of this machine; why there are none, where there are none."""
        found = tuple(sorted(folder for folder in root.glob("intel-rapl:*")
                             if folder.name.count(":") == 1))  # fmt: skip
        if not found:
            return f"{root} has no RAPL counters"
        try:
            cls(found).read()
        except OSError as error:
            return f"RAPL counters cannot be read: {error.strerror}"
        except ValueError:
            return "RAPL counters hold no numbers"
        return cls(found)

    def read(self) -> tuple[int, ...]:
        """Microjoules of each, since some time."""
        return tuple(int((folder / "energy_uj").read_text()) for folder in self.folders)

    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float:
        """What was used between two readings; a counter may have begun anew once."""
        spent = 0
        for folder, start, end in zip(self.folders, before, after, strict=True):
            anew = int((folder / "max_energy_range_uj").read_text()) if end < start else 0
            spent += anew + end - start
        return spent / 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What was done in a time, and the watts of the packages meanwhile."""

    calls: int
    seconds: float
    watts: float | None


def measured(call: Callable[[], Any], seconds: float, packages: Packages | None) -> Load:
    """Call for so long, once at least."""
    before = packages.read() if packages else ()
    started, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - started < seconds:
        call()
        calls += 1
    took = time.perf_counter() - started
    return Load(calls, took, packages.joules(before, packages.read()) / took if packages else None)


def run(*, seconds: float = 5.0, root: Path = POWERCAP) -> list[Row]:
    """Rows of the default detector at 640×480 and the default recogniser, one call at a time."""
    found = Packages.find(root)
    packages, why = (found, "") if isinstance(found, Packages) else (None, found)
    rows: list[Row] = []
    if packages:
        idle = measured(lambda: time.sleep(0.1), min(IDLE_S, seconds), packages)
        rows.append(row("power", "idle", idle.watts or 0, "W", samples=1))
    for name, call in _loads().items():
        call()
        load = measured(call, seconds, packages)
        rows.append(
            row(
                "throughput, one at a time",
                name,
                load.calls / load.seconds,
                "1/s",
                samples=load.calls,
                notes=f"power not measured: {why}" if why else "",
            )
        )
        if load.watts is not None:
            joule = load.watts * load.seconds / load.calls
            rows.append(
                row("power", name, load.watts, "W", samples=1, notes=f"{1e3 * joule:.1f} mJ a call")
            )
    return rows


def _loads() -> dict[str, Callable[[], Any]]:
    from arcid.models import goldens, weights
    from arcid.pipeline import load_detector, load_embedder

    recogniser = weights.resolve_default("recognition")
    embedder, detector = load_embedder(recogniser), load_detector(sure=None)
    size = embedder.size
    crops = goldens.synthetic_crops(size)[:1]
    picture = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    name = weights.resolve_default("detection").name
    return {
        f"{name}, 640×480": lambda: detector.detect([picture]),
        f"{recogniser.name}, one face": lambda: embedder.embed(crops),
    }


__all__ = ["Load", "Packages", "measured", "run"]
