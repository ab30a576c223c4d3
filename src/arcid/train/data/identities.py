"""Batches of P identities × K photos, as triplets need them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid


class PKSampler:
    """Batches of P identities × K photos as lists of sample numbers.

    ``labels`` (N,) identity of every sample. In an epoch every identity comes once, in random
    order; an identity with fewer than K photos repeats some. The order depends on (seed, epoch)
    alone, ranks take turns with batches, and each gets the same number, the sampler's length; the
    remainder is dropped. Raises ``DatasetInvalid`` where there are fewer identities than one batch
    per rank needs.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        p: int,
        k: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        order = np.argsort(labels, kind="stable")
        _, starts = np.unique(labels[order], return_index=True)
        self._photos = np.split(order, starts[1:])
        if len(starts) < p * world:
            raise DatasetInvalid(
                f"{len(starts)} identities cannot fill a batch of {p} on each of {world} ranks; "
                "lower p"
            )
        self._p, self._k, self._seed, self._rank, self._world = p, k, seed, rank, world

    def __len__(self) -> int:
        return len(self._photos) // (self._p * self._world)

    def batches(self, epoch: int, start: int = 0) -> Iterator[list[int]]:
        """This rank's of an epoch, from number ``start`` on."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._photos))
        for batch in range(start, len(self)):
            number = batch * self._world + self._rank
            rng = np.random.default_rng([self._seed, epoch, number])
            people = order[number * self._p : (number + 1) * self._p]
            yield [int(i) for person in people for i in self._draw(self._photos[person], rng)]

    def _draw(self, photos: npt.NDArray[np.intp], rng: np.random.Generator) -> npt.NDArray[np.intp]:
        if len(photos) >= self._k:
            return rng.choice(photos, self._k, replace=False)
        extra = rng.choice(photos, self._k - len(photos))
        return np.concatenate([rng.permutation(photos), extra])


__all__ = ["PKSampler"]
