"""What a run tells: metrics.csv and validation.csv, TensorBoard, and a line on the terminal."""

from __future__ import annotations

import csv
import io
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from arcid import files

Numbers = Mapping[str, float]
RUNNING = ("train_accuracy", "cosine")  # of the last steps; stand in validation rows too
RUNNING_STEPS = 100


class Table:
    """A CSV that grows by rows and survives a kill; a new column starts the header anew.

    Rows after ``step`` are dropped on opening: a resumed run writes them again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.rows = [row for row in _read(path) if int(row["step"]) <= step]
        self.columns = list(dict.fromkeys(k for row in self.rows for k in row))
        self._rewrite()

    def add(self, step: int, numbers: Numbers) -> None:
        """One row, flushed. Raises ``StorageFull``, ``UsageError``."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in numbers.items()}}
        self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        if new:
            self.columns += new
            self._rewrite()
            return
        line = io.StringIO(newline="")
        csv.DictWriter(line, self.columns, lineterminator="\n").writerow(row)
        files.append(self.path, line.getvalue())

    def numbers(self) -> tuple[dict[str, float], ...]:
        """All rows as numbers."""
        return _numbers(self.rows)

    def _rewrite(self) -> None:
        rows = ([row.get(column, "") for column in self.columns] for row in self.rows)
        files.write_csv(self.path, self.columns, rows)


def read_table(path: Path) -> tuple[dict[str, float], ...]:
    """The rows of a run's table as numbers."""
    return _numbers(_read(path))


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        # a row cut short by a kill has no value for its last columns
        whole = [row for row in csv.DictReader(file) if None not in row.values()]
    return [{name: value for name, value in row.items() if value} for row in whole]


def _numbers(rows: Iterable[Mapping[str, str]]) -> tuple[dict[str, float], ...]:
    return tuple({name: float(value) for name, value in row.items()} for row in rows)


class Record:
    """Where the first rank writes; on other ranks (``folder`` None) nothing is written.

    Raises ``StorageFull`` where the run's folder takes no more. ``images_per_s`` is the speed
    between the last two rows; validation is left out of it.
    """

    def __init__(self, folder: Path | None, step: int, *, progress: bool = False) -> None:
        self._metrics = self._validation = self._board = self._bar = None
        self._seen, self._since = 0, time.monotonic()
        self._sums: dict[str, float] = {}
        self._count = 0
        self._latest: dict[str, deque[float]] = {}
        self.images_per_s = 0.0
        if folder is None:
            return
        self._metrics = Table(folder / "metrics.csv", step)
        self._validation = Table(folder / "validation.csv", step)
        self._board = _tensorboard(folder, step)
        if progress:
            self._bar = _bar()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            self._board.close()

    def step(self, photos: int, facts: Numbers) -> None:
        """Collect one step's numbers until ``flush``."""
        self._seen += photos
        self._count += 1
        for name, value in facts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            if name in RUNNING:
                self._latest.setdefault(name, deque(maxlen=RUNNING_STEPS)).append(value)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside out of the speed."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._since += time.monotonic() - began

    def flush(self, step: int, epoch: float, numbers: Numbers, done: float) -> None:
        """Write the means since the last row, if any; ``done`` is the share of the run."""
        if not self._count:
            return
        self.images_per_s = self._seen / max(time.monotonic() - self._since, 1e-9)
        means = {name: value / self._count for name, value in self._sums.items()}
        row = {"epoch": epoch, **numbers, **means, "images_per_s": self.images_per_s}
        self._sums, self._count, self._seen = {}, 0, 0
        self._since = time.monotonic()
        if self._metrics is not None:
            self._metrics.add(step, row)
        self._plot(step, row)
        if self._bar is not None:
            shown = (f"{k} {v:.4g}" for k, v in row.items() if k != "seconds")
            self._bar.update(self._bar.task_ids[0], completed=done, description="  ".join(shown))

    def validated(self, step: int, epoch: float, found: Numbers) -> None:
        """Write a validation row, led by the running numbers of training."""
        running = {name: sum(held) / len(held) for name, held in self._latest.items()}
        row = {"epoch": epoch, **running, **found}
        if self._validation is not None:
            self._validation.add(step, row)
        if self._bar is not None:
            shown = "  ".join(f"{name} {value:.4f}" for name, value in row.items())
            self._bar.console.print(f"step {step}  {shown}")
        self._plot(step, row)

    @property
    def validated_at(self) -> int:
        """The step of the last validation row, -1 for none."""
        rows = self._validation.rows if self._validation is not None else []
        return int(rows[-1]["step"]) if rows else -1

    def history(self) -> tuple[dict[str, float], ...]:
        """All validation rows."""
        return self._validation.numbers() if self._validation is not None else ()

    def _plot(self, step: int, row: Numbers) -> None:
        if self._board is not None:
            for name, value in row.items():
                self._board.add_scalar(name, value, step)


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer, or None where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
    return writer


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>5.1f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    )
    bar.add_task("starting", total=1.0)
    return bar


__all__ = ["RUNNING", "Record", "Table", "read_table"]
