"""Two photos each of people from a folder or archive: one that is attacked, another to judge by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.train.config.recipe import DataConfig, SourceConfig
from arcid.train.data.crops import Unusable
from arcid.train.data.dataset import SampleSet, open_data
from arcid.types import Image


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class People:
    """``photos`` and ``others`` (P,S,S,3) uint8 RGB aligned, two different ones of each person.

    ``names`` (P) as their folders are called, ``source`` the name of what was read.
    """

    names: tuple[str, ...]
    photos: Image
    others: Image
    source: str

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> People:
        """The first ``count`` of them."""
        return People(
            self.names[:count], self.photos[:count], self.others[:count], self.source
        )  # fmt: skip


def read_people(path: str, size: int, count: int, seed: int = 1) -> People:
    """Up to ``count`` people of aligned crops by person (``arcid align``), drawn by ``seed``.

    Raises ``DatasetInvalid`` where nobody has two readable photos, ``ConfigError`` for a source
    that is not there.
    """
    config = DataConfig(sources=(SourceConfig(path=path),), size=size, min_images=2, cache="none")
    data = open_data(config, need_identities=False)
    rng = np.random.default_rng(seed)
    names: list[str] = []
    photos: list[tuple[Image, Image]] = []
    for label in rng.permutation(len(data.classes)).tolist():
        if len(names) == count:
            break
        own = rng.permutation(np.flatnonzero(data.train.labels == label))
        pair = _two(data.train, own.tolist())
        if pair is not None:
            names.append(data.classes[label].rpartition("/")[2])
            photos.append(pair)
    if not names:
        raise DatasetInvalid(
            f"{PurePath(path).name} has nobody with two readable photos; expected a folder or tar "
            "of aligned crops by person, as arcid align makes them"
        )
    first, second = zip(*photos, strict=True)
    return People(tuple(names), np.stack(first), np.stack(second), PurePath(path).name)


def _two(samples: SampleSet, rows: list[int]) -> tuple[Image, Image] | None:
    found: list[Image] = []
    for row in rows:
        try:
            crop = samples.crop(row)
        except Unusable:
            continue
        if not any(np.array_equal(crop, other) for other in found):
            found.append(crop)
        if len(found) == 2:
            return found[0], found[1]
    return None


__all__ = ["People", "read_people"]
