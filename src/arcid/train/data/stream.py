"""The order in which photos are seen: an endless stream of shuffled epochs, cut into batches.

Place t of the stream is photo t mod N of epoch t div N; every epoch is a permutation made from
(seed, epoch) alone. A position is therefore one number, whatever the batch size or the number of
ranks: a run that stopped at position t goes on there, and no photo is left over at an epoch's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import ConfigError

Numbers = npt.NDArray[np.int64]


def turns(values: Numbers) -> Numbers:
    """0, 1, … within every run of equal values, of -1 or more."""
    first = np.flatnonzero(np.diff(values, prepend=-2))
    return np.arange(len(values)) - np.repeat(first, np.diff([*first, len(values)]))


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """What one rank reads for one step; all (B,) int64."""

    index: Numbers  # photo of the set
    epoch: Numbers
    repeat: Numbers  # how often the photo came before in this epoch (balanced epochs only)
    position: int  # of the stream once the step is done, over all ranks

    @classmethod
    def of(cls, photos: Sequence[int] | Numbers, epoch: int, position: int) -> Draw:
        """A batch chosen elsewhere, such as P×K; photos it holds twice get views of their own."""
        index = np.asarray(photos, np.int64)
        order = np.argsort(index, kind="stable")
        repeat = np.empty_like(index)
        repeat[order] = turns(index[order])
        return cls(index, np.full_like(index, epoch), repeat, position)


class SampleStream:
    """Endless batches for one rank; all ranks together read every place of the stream once.

    ``batch`` counts over all ranks; rank r of R takes the r-th of R equal parts of each batch.
    ``class_balance`` β draws an identity with n photos n^(1-β) times as often: 0 leaves every photo
    equally likely and seen exactly once an epoch, 1 every identity. Epochs have N draws either way.
    """

    def __init__(
        self,
        labels: Numbers,
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        position: int = 0,
        class_balance: float = 0.0,
        together: int = 1,
    ) -> None:
        if len(labels) == 0:
            raise ConfigError("there is no photo to draw from")
        if batch % world:
            raise ConfigError(
                f"data.batch={batch} does not divide over {world} ranks; "
                f"use {batch // world * world or world} or {-(-batch // world) * world}",
                key="data.batch",
            )
        self.photos = len(labels)
        self.batch, self.seed, self.rank, self.world = batch, seed, rank, world
        self.position = position
        self._balance, self._together = class_balance, together
        self._people = labels
        if together > 1:  # who has no identity is a person of their own
            alone = labels.max() + 1 + np.arange(len(labels))
            self._people = np.where(labels < 0, alone, labels)
        self._order = np.argsort(labels, kind="stable").astype(np.int64) if class_balance else None
        if self._order is not None:
            first = np.flatnonzero(np.diff(labels[self._order], prepend=labels.min() - 1))
            self._first = first
            self._count = np.diff([*first, self.photos])
        self._epochs: dict[int, tuple[Numbers, Numbers]] = {}

    def __iter__(self) -> Iterator[Draw]:
        while True:
            yield self.take()

    def take(self) -> Draw:
        """The next batch of this rank; moves ``position`` by a whole batch."""
        share = self.batch // self.world
        start = self.position + self.rank * share
        places = np.arange(start, start + share, dtype=np.int64)
        epoch, at = np.divmod(places, self.photos)
        index, repeat = np.empty_like(places), np.empty_like(places)
        for number in np.unique(epoch):
            here = epoch == number
            order, repeats = self._epoch(int(number))
            index[here], repeat[here] = order[at[here]], repeats[at[here]]
        self.position += self.batch
        return Draw(index, epoch, repeat, self.position)

    def _epoch(self, number: int) -> tuple[Numbers, Numbers]:
        if number not in self._epochs:
            for old in [n for n in self._epochs if n < number - 1]:
                del self._epochs[old]
            rng = np.random.default_rng((self.seed, 3, number))
            if self._order is None:
                order = rng.permutation(self.photos).astype(np.int64)
                if self._together > 1:
                    order = self._grouped(rng, order)
                self._epochs[number] = order, np.zeros(self.photos, np.int64)
            else:
                self._epochs[number] = self._balanced(rng, self._order)
        return self._epochs[number]

    def _grouped(self, rng: np.random.Generator, order: Numbers) -> Numbers:
        """The photos of ``order`` in groups of one person, the groups shuffled."""
        order = order[np.argsort(self._people[order], kind="stable")]
        group = np.cumsum(turns(self._people[order]) % self._together == 0) - 1
        place = rng.permutation(group[-1] + 1)[group]
        return order[np.argsort(place, kind="stable")]

    def _balanced(self, rng: np.random.Generator, by_class: Numbers) -> tuple[Numbers, Numbers]:
        """N draws; each identity's photos come in turns, so none repeats before all were seen."""
        weights = self._count ** (1 - self._balance)
        ends = np.cumsum(weights) / weights.sum() * self.photos
        # systematic resampling: counts sum to N and differ from their expectation by less than 1
        draws = np.diff(np.floor(ends + rng.random()), prepend=0.0)
        draws[-1] += self.photos - draws.sum()
        draws = draws.astype(np.int64)
        shuffled = by_class[np.lexsort((rng.random(self.photos), self._class_of_place()))]
        first, count = np.repeat(self._first, draws), np.repeat(self._count, draws)
        turn = np.arange(self.photos) - np.repeat(np.cumsum(draws) - draws, draws)
        repeat, place = np.divmod(turn, count)
        mixed = rng.permutation(self.photos)
        return shuffled[first + place][mixed], repeat[mixed].astype(np.int64)

    def _class_of_place(self) -> Numbers:
        return np.repeat(np.arange(len(self._count)), self._count)


__all__ = ["Draw", "SampleStream", "turns"]
