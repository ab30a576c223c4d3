"""What every benchmark shares: fair timing beside a peer, and results that name the hardware.

Machines differ and are noisy, so a result is a ratio to a peer timed in the same run, in turns.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid import files

Row = dict[str, Any]
WARMUPS = 3
PAUSE_S = 0.02  # lets the threads of the form before, which spin for a while, go to sleep


@dataclass(frozen=True)
class Timing:
    """Seconds of single calls, by rounds."""

    rounds: tuple[tuple[float, ...], ...]

    @property
    def samples(self) -> int:
        return sum(map(len, self.rounds))

    @property
    def median_ms(self) -> float:
        return 1e3 * statistics.median(s for times in self.rounds for s in times)

    @property
    def best_ms(self) -> float:
        return 1e3 * min(s for times in self.rounds for s in times)

    def ratio(self, peer: Timing) -> float:
        """Time relative to the peer's: median over rounds of the ratio of the rounds' medians."""
        pairs = zip(self.rounds, peer.rounds, strict=True)
        return statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs)


def interleaved(
    forms: Mapping[str, Callable[[], Any]], *, rounds: int, calls: int, warmups: int = WARMUPS
) -> dict[str, Timing]:
    """Time every form ``rounds`` × ``calls`` times, the forms taking turns."""
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, call in forms.items():
            time.sleep(PAUSE_S)
            for _ in range(warmups):
                call()
            block = []
            for _ in range(calls):
                started = time.perf_counter()
                call()
                block.append(time.perf_counter() - started)
            times[name].append(tuple(block))
    return {name: Timing(tuple(blocks)) for name, blocks in times.items()}


def compared(
    measure: str, timings: Mapping[str, Timing], peer: str, *, target: Mapping[str, float] = {}
) -> list[Row]:
    """One row a form: its time, its ratio to the peer, and the ratio it should reach."""
    return [
        row(
            measure,
            name,
            timing.median_ms,
            "ms",
            peer=peer,
            ratio=timing.ratio(timings[peer]),
            target_ratio=target.get(name),
            samples=timing.samples,
            best=timing.best_ms,
        )
        for name, timing in timings.items()
    ]


def row(
    measure: str,
    form: str,
    value: float,
    unit: str,
    *,
    samples: int,
    peer: str = "",
    ratio: float | None = None,
    target_ratio: float | None = None,
    target: float | None = None,
    best: float | None = None,
    notes: str = "",
) -> Row:
    """One line of a result; ``value`` is a median unless its unit says otherwise."""
    met: bool | None = None
    if target_ratio is not None and ratio is not None:
        met = ratio <= target_ratio
    elif target is not None:
        met = value <= target
    return {
        "measure": measure,
        "form": form,
        "value": round(value, 4),
        "unit": unit,
        "best": None if best is None else round(best, 4),
        "peer": peer,
        "ratio": None if ratio is None else round(ratio, 3),
        "target_ratio": target_ratio,
        "target": target,
        "met": met,
        "samples": samples,
        "notes": notes,
    }


def by_turns(
    measure: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    peer: str,
    samples: int,
    notes: str = "",
) -> list[Row]:
    """Two rows of what whole processes told that took turns: the peer's, then arcid's with the
    median ratio of the turns. Their range and the machine's load are noted."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    spread = f"ratios {min(ratios):.2f} to {max(ratios):.2f}, load {os.getloadavg()[0]:.1f}"
    said = f"{notes}, {len(ratios)} turns, {spread}".removeprefix(", ")
    return [
        row(measure, form, statistics.median(told), unit, samples=samples, peer=peer, ratio=ratio,
            notes=said)
        for form, told, ratio in (
            (peer, theirs, 1.0), ("arcid", ours, statistics.median(ratios)),
        )
    ]  # fmt: skip


def hardware() -> dict[str, str]:
    """Processor, cores and the instruction sets that matter; no host name."""
    from arcid.runtime.hardware import cpu_name, instruction_sets

    return {
        "cpu": cpu_name(),
        "cores": str(os.cpu_count() or 1),
        "instruction_sets": " ".join(instruction_sets()),
    }


def hardware_slug() -> str:
    """Processor and cores as part of a file name."""
    found = hardware()
    words = re.sub(r"\((r|tm)\)|processor|cpu|@.*", " ", found["cpu"].lower())
    name = "-".join(re.findall(r"[a-z0-9]+", words)) or "unknown"
    extra = next((s for s in ("amx", "avx512_vnni", "avx512f", "avx2", "asimd")
                  if s in found["instruction_sets"]), "")  # fmt: skip
    return "-".join(filter(None, (name, f"{found['cores']}cores", extra.replace("_", ""))))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of a benchmark, the hardware and the versions in every line."""
    import importlib.metadata

    versions = {
        name: importlib.metadata.version(name) for name in ("arcid", "openvino", "onnxruntime")
    }
    full = [{**line, **hardware(), **versions} for line in rows]
    names = list(dict.fromkeys(name for line in full for name in line))
    files.write_csv(path, names, [[line.get(name, "") for name in names] for line in full])


def lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Rows in words, for a terminal."""
    shown = []
    for line in rows:
        if "form" not in line:
            shown.append(", ".join(f"{key} {value}" for key, value in line.items()))
            continue
        text = f"{line['measure']}: {line['form']} {line['value']:.4g} {line['unit']}"
        if line["ratio"] is not None and line["peer"] != line["form"]:
            text += f" = {line['ratio']:.2f}x {line['peer']}"
        wanted = line["target_ratio"] if line["target_ratio"] is not None else line["target"]
        if wanted is not None:
            text += f" (at most {wanted:g}: {'met' if line['met'] else 'MISSED'})"
        shown.append(
            f"{text}, {line['samples']} samples" + f"; {line['notes']}" * bool(line["notes"])
        )
    return shown
