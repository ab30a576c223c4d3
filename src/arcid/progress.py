"""A progress bar on standard error, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(description: str, total: int | None, *, quiet: bool = False) -> Iterator[Any]:
    """A progress bar on standard error; yields ``advance(n)``."""
    if quiet or not sys.stderr.isatty():
        yield lambda count=1: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count=1: bar.advance(task, count)


def steps(advance: Callable[[int], None]) -> Callable[..., None]:
    """Progress told as what is done of a total, to a bar that takes increments."""
    last = 0

    def progress(done: int, _: int | None = None) -> None:
        nonlocal last
        advance(done - last)
        last = done

    return progress
