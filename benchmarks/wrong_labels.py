"""Wrong labels on purpose, to measure what noise costs and what ``arcid clean`` finds.

Nothing is copied: a noisy set is a list ``key,identity`` that ``data.keep`` reads. Two kinds of
noise are kept apart, because they act differently (Wang et al., *The Devil of Face Recognition is
in the Noise*, ECCV 2018):

    closed-set flip     the photo shows another person of the training set
    open-set outlier    the photo shows somebody who is not in the training set
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from arcid.errors import ConfigError, DatasetInvalid
from arcid.files import write_csv
from arcid.train.data.dataset import SampleSet


@dataclass(frozen=True, slots=True)
class Listed:
    """One photo of a list: its key, the identity it trains, and whether that is wrong on purpose.

    ``identity`` is ``source/name`` as in a run's classes, or empty for photos of nobody.
    """

    key: str
    identity: str
    noisy: bool = False


def listed(samples: SampleSet, classes: Sequence[str]) -> list[Listed]:
    """A set of photos as it is, without noise."""
    return [
        Listed(samples.key(row), classes[label] if label >= 0 else "")
        for row, label in enumerate(samples.labels.tolist())
    ]


def flip_identities(photos: Sequence[Listed], share: float, seed: int) -> list[Listed]:
    """Give ``share`` of the photos the identity of somebody else in the list.

    Every other identity is equally likely, so sizes stay about as they were. Raises
    ``ConfigError`` for a share outside 0–1, ``DatasetInvalid`` with fewer than two identities.
    """
    rng = np.random.default_rng((seed, 11))
    people = sorted({photo.identity for photo in photos})
    if len(people) < 2:
        raise DatasetInvalid(f"flipping needs two identities or more, the list has {len(people)}")
    place = {name: number for number, name in enumerate(people)}
    found = list(photos)
    for row in _chosen(len(photos), share, rng).tolist():
        own = place[photos[row].identity]
        other = (own + 1 + int(rng.integers(len(people) - 1))) % len(people)
        found[row] = Listed(photos[row].key, people[other], True)
    return found


def add_outliers(
    photos: Sequence[Listed], strangers: Sequence[str], share: float, seed: int
) -> list[Listed]:
    """Replace ``share`` of the photos by photos of strangers, each used once.

    ``strangers`` are keys of photos of people who are not in the list. Sizes stay as they were.
    Raises ``ConfigError`` for a share outside 0–1, ``DatasetInvalid`` where there are too few
    strangers or one of them is in the list.
    """
    rng = np.random.default_rng((seed, 12))
    rows = _chosen(len(photos), share, rng)
    if len(strangers) < len(rows):
        raise DatasetInvalid(
            f"{len(rows)} photos of strangers are needed, there are {len(strangers)}; add a source "
            "or lower the share"
        )
    known = {photo.key for photo in photos}
    drawn = rng.choice(len(strangers), len(rows), replace=False)
    found = list(photos)
    for row, stranger in zip(rows.tolist(), drawn.tolist(), strict=True):
        if strangers[stranger] in known:
            raise DatasetInvalid(f"{strangers[stranger]} is in the list already, so no stranger")
        found[row] = Listed(strangers[stranger], photos[row].identity, True)
    return found


def write_list(path: Path, photos: Iterable[Listed]) -> None:
    """The list ``key,identity`` that ``data.keep`` reads, readable by its owner only."""
    rows = ((photo.key, photo.identity) for photo in photos)
    write_csv(path, ("key", "identity"), rows, private=True)


def _chosen(count: int, share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    if not 0 <= share <= 1:
        raise ConfigError(f"the share of noise must lie in 0–1, got {share:g}")
    return np.sort(rng.choice(count, round(count * share), replace=False)).astype(np.int64)


__all__ = ["Listed", "add_outliers", "flip_identities", "listed", "write_list"]
