"""Batches of P identities × K photos, as triplets need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import ConfigError, DatasetInvalid


class PKSampler:
    """Batches of P identities × K photos as lists of sample numbers: a ``batch_sampler``.

    ``labels`` (N,) identity of every sample. In an epoch every identity comes once, in random
    order; an identity with fewer than K photos repeats some. The order depends on (seed, epoch)
    alone, ranks take turns with batches, and each gets the same number; the remainder is dropped.
    ``start_batch`` skips batches already seen, to resume. Raises ``DatasetInvalid`` when there are
    fewer identities than one batch per rank needs.
    """

    def __init__(
        self,
        labels: Sequence[int] | npt.NDArray[Any],
        p: int,
        k: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if p < 2 or k < 2:
            raise ConfigError(f"triplets need p ≥ 2 identities of k ≥ 2 photos, got {p} and {k}")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank must lie in 0..{world_size - 1}, got {rank}")
        ids = np.asarray(labels)
        order = np.argsort(ids, kind="stable")
        _, starts = np.unique(ids[order], return_index=True)
        self._photos = np.split(order, starts[1:]) if len(ids) else []
        if len(self._photos) < p * world_size:
            raise DatasetInvalid(
                f"{len(self._photos)} identities cannot fill a batch of {p} on each of "
                f"{world_size} ranks; lower p"
            )
        self.p, self.k, self.seed = p, k, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.start_batch = 0, 0

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        return len(self._photos) // (self.p * self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self._photos))
        for batch in range(self.start_batch, len(self)):
            number = batch * self.world_size + self.rank
            rng = np.random.default_rng([self.seed, self.epoch, number])
            people = order[number * self.p : (number + 1) * self.p]
            yield [int(i) for person in people for i in self._draw(self._photos[person], rng)]

    def _draw(self, photos: npt.NDArray[np.intp], rng: np.random.Generator) -> npt.NDArray[np.intp]:
        if len(photos) >= self.k:
            return rng.choice(photos, self.k, replace=False)
        extra = rng.choice(photos, self.k - len(photos))
        return np.concatenate([rng.permutation(photos), extra])


__all__ = ["PKSampler"]
