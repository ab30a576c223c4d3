"""Many photos, one result or one error each: in order, in bounded memory, none costs another.

What prepares a photo runs in threads ahead of what finishes many at once, as decoding and detecting
run ahead of the embedder.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from arcid.errors import ArcidError
from arcid.image import ImageSource, check_many, source_name
from arcid.runtime import default_threads

BATCH = 32  # photos that wait for the embedder beyond those being worked on
TOGETHER = 8  # photos that one worker prepares in one call
Key = TypeVar("Key")
Source = TypeVar("Source")
Ready = TypeVar("Ready")
Result = TypeVar("Result")
Further = TypeVar("Further")


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[Result]):
    """What became of one photo of a batch: its ``result``, or the ``error`` that it met."""

    name: str  # its file name, or "photo 3" for the third
    result: Result | None
    error: ArcidError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    def get(self) -> Result:
        """The result; raises the error where there is none."""
        if self.error is not None:
            raise self.error
        return cast(Result, self.result)  # of an item without an error; it may be None itself

    def then(self, go_on: Callable[[Result], Further]) -> BatchItem[Further]:
        """The result taken further; an error stays what it is."""
        if self.error is not None:
            return BatchItem(self.name, None, self.error)
        return BatchItem(self.name, go_on(self.get()))

    def __repr__(self) -> str:
        what = repr(self.result) if self.error is None else f"{self.error.code}: {self.error}"
        return f"BatchItem({self.name}: {what})"


def named(sources: Iterable[ImageSource]) -> Iterator[tuple[str, ImageSource]]:
    """Every picture with its name: that of its file, or "photo 3" for the third. Raises
    ``UsageError`` for a single picture."""
    check_many(sources)
    return ((source_name(s) or f"photo {i}", s) for i, s in enumerate(sources, 1))


def run(
    photos: Iterable[tuple[Key, Source]],
    prepare: Callable[[Source], Ready],
    finish: Callable[[Sequence[Ready]], Sequence[Result]],
    *,
    workers: int | None = None,
) -> Iterator[tuple[Key, Result | ArcidError]]:
    """(key, photo) in; (key, its result or its error) out, in order.

    ``prepare`` runs in ``workers`` threads, by default one per core, on at most ``BATCH`` photos
    beyond those being worked on; ``finish`` gets many prepared photos in one call.
    """

    def alone(sources: Sequence[Source]) -> list[Ready | ArcidError]:
        return [_caught(prepare, source) for source in sources]

    return run_together(photos, alone, finish, together=1, workers=workers)


def run_together(
    photos: Iterable[tuple[Key, Source]],
    prepare: Callable[[Sequence[Source]], Sequence[Ready | ArcidError]],
    finish: Callable[[Sequence[Ready]], Sequence[Result]],
    *,
    together: int = TOGETHER,
    workers: int | None = None,
) -> Iterator[tuple[Key, Result | ArcidError]]:
    """``run``, where ``prepare`` gets up to ``together`` photos in one call and answers a result or
    an error for each; fewer where there would not be some for every worker."""
    count = workers or default_threads()
    source = iter(photos)
    waiting: deque[tuple[list[Key], Future[Sequence[Ready | ArcidError]]]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="arcid-prepare") as pool:
        try:
            while True:
                room = BATCH + count - sum(len(keys) for keys, _ in waiting)
                taken = list(itertools.islice(source, room))
                size = min(together, -(-len(taken) // count)) or 1
                for start in range(0, len(taken), size):
                    keys, sources = zip(*taken[start : start + size], strict=True)
                    waiting.append((list(keys), pool.submit(prepare, sources)))
                if not waiting:
                    return
                ready: list[tuple[Key, Ready | ArcidError]] = []
                while waiting and len(ready) < BATCH // 2:
                    own, future = waiting.popleft()
                    ready += zip(own, future.result(), strict=True)
                good = [value for _, value in ready if not isinstance(value, ArcidError)]
                finished = iter(each(finish, good))
                for key, value in ready:
                    yield key, value if isinstance(value, ArcidError) else next(finished)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def items(answers: Iterable[tuple[str, Result | ArcidError]]) -> Iterator[BatchItem[Result]]:
    """What ``run`` answers, for callers."""
    return (
        BatchItem(name, None, answer) if isinstance(answer, ArcidError) else BatchItem(name, answer)
        for name, answer in answers
    )


def each(
    finish: Callable[[Sequence[Ready]], Sequence[Result]], prepared: Sequence[Ready]
) -> list[Result | ArcidError]:
    """``finish`` in one call; where that fails, one by one, each with its own error."""
    try:
        return list(finish(prepared))
    except ArcidError as error:
        if len(prepared) == 1:
            return [error]
        return [answer for one in prepared for answer in each(finish, [one])]


def _caught(prepare: Callable[[Source], Ready], item: Source) -> Ready | ArcidError:
    try:
        return prepare(item)
    except ArcidError as error:
        return error
