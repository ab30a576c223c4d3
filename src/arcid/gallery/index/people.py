"""From faces to people: the best face of each, and means over several faces of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from arcid.gallery.index import Keys, PersonHit
from arcid.gallery.index.blocks import Block, Rows
from arcid.gallery.index.candidates import NOTHING, kth
from arcid.types import FloatArray

_FIRST_BATCH = 16  # people measured before anything is known of the true means


def by_best_face(
    blocks: Sequence[Block], faces: Keys, people: Keys, cosines: FloatArray, k: int
) -> list[PersonHit]:
    """(N,) measured faces in, every best face of the best k people among them; k people out."""
    order = np.lexsort((faces, -cosines, people))
    known, first = np.unique(people[order], return_index=True)
    top = order[first]
    top = top[np.lexsort((known, -cosines[top]))][:k]
    chosen = np.sort(people[top])
    sizes = np.zeros(len(chosen), np.intp)
    for block in blocks:
        owners = block.people[block.of_people(chosen)]
        sizes += np.bincount(np.searchsorted(chosen, owners), minlength=len(chosen))
    return [
        PersonHit(
            int(people[row]),
            int(faces[row]),
            float(cosines[row]),
            int(sizes[np.searchsorted(chosen, people[row])]),
        )
        for row in top
    ]


def top_means(
    values: FloatArray, group: Rows, groups: int, top_m: int
) -> tuple[npt.NDArray[np.float64], FloatArray]:
    """Per group the mean of its ``top_m`` largest values, and the least of those values."""
    order = np.lexsort((-values, group))
    sizes = np.bincount(group, minlength=groups)
    begins = np.cumsum(sizes) - sizes
    used = order[np.arange(len(order)) - begins[group[order]] < top_m]
    counted = np.minimum(sizes, top_m)
    sums = np.bincount(group[used], values[used].astype(np.float64), groups)
    return sums / counted, values[order[begins + counted - 1]]


class MeanRivals:
    """People compared by the mean over their ``top_m`` nearest faces; bounds first, then truth.

    ``uppers`` has for each block the upper bound of each row, (size,) float32.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        uppers: Sequence[FloatArray],
        people: Keys,  # sorted, each with at least one face
        top_m: int,
        probe_error: float,
    ) -> None:
        rows = [block.of_people(people) for block in blocks]
        pairs = list(zip(blocks, rows, strict=True))
        empty = np.zeros(0, np.float32)
        owners = np.concatenate([block.people[own] for block, own in pairs])
        error = np.concatenate([empty, *(block.error[own] for block, own in pairs)])
        upper = np.concatenate([empty, *(u[own] for u, own in zip(uppers, rows, strict=True))])
        upper += np.float32(probe_error)
        lower = upper - 2 * (error + np.float32(probe_error))
        self.people = people
        self._top_m = top_m
        self._faces = np.concatenate([block.faces[own] for block, own in pairs])
        self._group = np.searchsorted(people, owners)
        self._sizes = np.bincount(self._group, minlength=len(people))
        self._most, _ = top_means(upper, self._group, len(people), top_m)
        self._least, cut = top_means(lower, self._group, len(people), top_m)
        # top_m faces of a person reach the cut for certain; one that cannot is not in the mean.
        self._matters = upper >= cut[self._group]
        self._means = np.full(len(people), NOTHING)
        self._nearest = np.zeros(len(people), np.int64)
        self._open: Rows = np.argsort(-self._most, kind="stable")

    def floor(self, k: int) -> float:
        """A mean that k people are known to reach; -inf where there are fewer."""
        return kth(self._least, k)

    def next_batch(self, k: int) -> Rows:
        """Faces (positions) to measure next; none once the best k are certain."""
        least = max(self.floor(k), kth(self._means, k))
        self._open = self._open[self._most[self._open] >= least]
        size = max(_FIRST_BATCH, 2 * k)
        batch, self._open = self._open[:size], self._open[size:]
        return np.flatnonzero(self._matters & np.isin(self._group, batch))

    def keys(self, batch: Rows) -> Keys:
        return self._faces[batch]

    def measured(self, batch: Rows, cosines: FloatArray) -> None:
        order = np.lexsort((self._faces[batch], -cosines, self._group[batch]))
        faces, cosines = self._faces[batch][order], cosines[order]
        people, first, group = np.unique(
            self._group[batch][order], return_index=True, return_inverse=True
        )
        self._means[people], _ = top_means(cosines, group, len(people), self._top_m)
        self._nearest[people] = faces[first]

    def best(self, k: int) -> list[PersonHit]:
        order = np.lexsort((self.people, -self._means))[:k]
        return [
            PersonHit(
                int(self.people[row]),
                int(self._nearest[row]),
                float(self._means[row]),
                int(self._sizes[row]),
            )
            for row in order
            if self._means[row] > NOTHING
        ]
