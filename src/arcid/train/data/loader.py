"""Batches of aligned crops as tensors, made ahead of the network by threads or processes, in order.

Threads suit most machines: decoding and most of the augmentation run outside Python's lock.
Processes help where one rank needs more than about 4,000 augmented crops a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from arcid.errors import DatasetInvalid
from arcid.train.config.recipe import DataConfig
from arcid.train.data.crops import Unusable, centre
from arcid.train.data.dataset import SampleSet
from arcid.train.data.store import Faults
from arcid.train.data.stream import Draw
from arcid.types import Image

_TRIES = 64


class View(Protocol):
    """What turns a canvas into the picture the network sees; ``arcid.train.data.augment`` has it.

    Where ``clean`` is above 0, ``plain`` gives what a teacher sees beside it.
    """

    clean: float

    def __call__(self, canvas: Image, *, epoch: int, index: int, repeat: int = 0) -> Image: ...

    def plain(self, canvas: Image, view: Image, *, epoch: int, index: int, repeat: int) -> Image:
        """The same photo before blur, darkness and masks."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Batch:
    """One step's photos. A teacher takes ``clean`` where there is one, else ``images`` too."""

    images: torch.Tensor  # (B,3,S,S) uint8 RGB in channels_last memory
    labels: torch.Tensor  # (B,) int64, -1 without identity
    index: npt.NDArray[np.int64]  # (B,) photo of the set
    clean: torch.Tensor | None = None  # like images

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Made:
    pixels: Image  # (B,S,S,3)
    labels: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    faults: list[tuple[int, str]]  # photo, reason
    clean: Image | None = None


@dataclass(eq=False, repr=False)
class _Maker:
    """Makes the batch of a draw. Sent whole to worker processes."""

    samples: SampleSet
    view: View | None
    neighbours: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.samples.labels, kind="stable").astype(np.int64)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self.neighbours = order, place

    def __getitem__(self, draw: Draw) -> _Made:  # torch's loader asks a data set this way
        size = self.samples.store.size
        pixels = np.empty((len(draw.index), size, size, 3), np.uint8)
        twins = self.view is not None and self.view.clean > 0
        clean = np.empty_like(pixels) if twins else None
        used = draw.index.copy()
        faults: list[tuple[int, str]] = []
        for i, (index, epoch, repeat) in enumerate(
            zip(draw.index.tolist(), draw.epoch.tolist(), draw.repeat.tolist(), strict=True)
        ):
            used[i], canvas = self._readable(index, faults)
            if self.view is None:
                pixels[i] = centre(canvas, size)
            else:
                place = {"epoch": epoch, "index": int(used[i]), "repeat": repeat}
                pixels[i] = self.view(canvas, **place)
                if clean is not None:
                    clean[i] = self.view.plain(canvas, pixels[i], **place)
        return _Made(pixels, self.samples.labels[used], used, faults, clean)

    def _readable(self, index: int, faults: list[tuple[int, str]]) -> tuple[int, Image]:
        """The photo asked for, or the next readable one, of its own identity first."""
        for candidate in self._candidates(index):
            try:
                return candidate, self.samples.store.read(int(self.samples.rows[candidate]))
            except Unusable as error:
                faults.append((candidate, error.message))
        raise DatasetInvalid(
            f"{self.samples.key(index)} and the {_TRIES - 1} photos tried in its place cannot be "
            f"used; the last: {faults[-1][1]}"
        )

    def _candidates(self, index: int) -> Iterator[int]:
        yield index
        order, place = self.neighbours
        labels, at, count = self.samples.labels, int(place[index]), len(order)
        own = [at]
        low, high = at, at
        while len(own) < _TRIES and low > 0 and labels[order[low - 1]] == labels[index]:
            low -= 1
            own.append(low)
        while len(own) < _TRIES and high + 1 < count and labels[order[high + 1]] == labels[index]:
            high += 1
            own.append(high)
        tries = dict.fromkeys([*own, *((high + 1 + i) % count for i in range(_TRIES))])
        yield from (int(order[t]) for t in islice(tries, 1, _TRIES))


class BatchLoader:
    """Iterate to get ``Batch`` after ``Batch``, in the order of ``draws``.

    A photo that cannot be used is counted in ``faults`` and another of the same person takes its
    place, the same one in every run. Iterating raises ``DatasetInvalid`` when more than
    ``config.max_corrupt`` of the set's photos (and at least ten) are unusable. Close it, or use it
    in a ``with`` statement, to end its workers. ``pinned``: in memory that a GPU copies from while
    it computes.
    """

    def __init__(
        self,
        samples: SampleSet,
        draws: Iterable[Draw],
        view: View | None,
        config: DataConfig,
        *,
        pinned: bool = False,
    ) -> None:
        self.faults = Faults()
        self._pinned = pinned
        self._maker = _Maker(samples, view)
        self._draws = draws
        self._config = config
        self._running: Iterator[_Made] | None = None

    def __enter__(self) -> BatchLoader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        self.close()
        self._running = self._start()
        for made in self._running:
            self._note(made)
            yield Batch(
                self._handed(_channels_first(made.pixels)),
                self._handed(torch.from_numpy(made.labels)),
                made.index,
                None if made.clean is None else self._handed(_channels_first(made.clean)),
            )

    def _handed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.pin_memory() if self._pinned else tensor

    def close(self) -> None:
        """End the workers and drop batches made ahead."""
        running, self._running = self._running, None
        if running is not None and hasattr(running, "close"):
            running.close()

    def _start(self) -> Iterator[_Made]:
        if self._config.workers == 0:
            return (self._maker[draw] for draw in self._draws)
        return self._processes() if self._config.worker_kind == "process" else self._threads()

    def _threads(self) -> Iterator[_Made]:
        ahead: deque[Future[_Made]] = deque()
        pool = ThreadPoolExecutor(self._config.workers, thread_name_prefix="crops")
        try:
            draws = iter(self._draws)
            for draw in islice(draws, max(self._config.prefetch, self._config.workers)):
                ahead.append(pool.submit(self._maker.__getitem__, draw))
            while ahead:
                made = ahead.popleft().result()
                for draw in islice(draws, 1):
                    ahead.append(pool.submit(self._maker.__getitem__, draw))
                yield made
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _processes(self) -> Iterator[_Made]:
        loader: Any = torch.utils.data.DataLoader(
            self._maker,  # type: ignore[arg-type]
            batch_size=None,
            sampler=self._draws,
            num_workers=self._config.workers,
            prefetch_factor=-(-self._config.prefetch // self._config.workers),
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            worker_init_fn=_single_threaded,
            multiprocessing_context="spawn",
            generator=torch.Generator(),  # else it draws from the run's own
        )
        batches = iter(loader)
        try:
            yield from batches
        finally:
            batches._shutdown_workers()

    def _note(self, made: _Made) -> None:
        samples = self._maker.samples
        for photo, reason in made.faults:
            self.faults.add(samples.key(photo), reason)
        if len(self.faults) > max(10, self._config.max_corrupt * len(samples)):
            raise DatasetInvalid(
                f"{len(self.faults)} of {len(samples)} photos cannot be used, more than "
                f"data.max_corrupt={self._config.max_corrupt:g} allows: "
                f"{'; '.join(self.faults.lines()[1:4])}",
                photos=len(self.faults),
            )


def _channels_first(pixels: Image) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _as_it_is(made: _Made) -> _Made:
    return made


def _single_threaded(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)


__all__ = ["Batch", "BatchLoader", "View"]
