"""Which photos train which class: identities chosen, small ones set aside, some held out."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from arcid.errors import ConfigError, DatasetInvalid
from arcid.files import unguarded
from arcid.train.config.recipe import DataConfig, expand_path
from arcid.train.data.crops import centre
from arcid.train.data.files import printable
from arcid.train.data.sources import UNLABELLED, open_source, source_name
from arcid.train.data.store import CropStore, Faults
from arcid.train.data.stream import turns
from arcid.types import Image

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SampleSet:
    """Photos of a store with a label each: what a stream draws from."""

    store: CropStore
    rows: Rows  # (N,) int64 rows of the store
    labels: Rows  # (N,) int64 class, -1 without identity

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> str:
        """What photo ``index`` of this set is called."""
        return self.store.key(int(self.rows[index]))

    def crop(self, index: int) -> Image:
        """(S,S,3) uint8 RGB, the middle of photo ``index``. Raises ``Unusable``."""
        return centre(self.store.read(int(self.rows[index])), self.store.size)

    def take(self, which: Rows | slice) -> SampleSet:
        """Some of the photos, by their numbers in this set."""
        return SampleSet(self.store, self.rows[which], self.labels[which])

    def joined(self, other: SampleSet) -> SampleSet:
        """Both sets, this one first (distillation: labelled and unlabelled photos)."""
        if other.store is not self.store:
            raise ConfigError("photos of two stores cannot be joined; name all sources in one run")
        return SampleSet(
            self.store,
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.labels, other.labels]),
        )


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source brought."""

    name: str
    photos: int
    identities: int


@dataclass(frozen=True, slots=True)
class DataReport:
    """Where every photo went; the counts add up to ``photos``."""

    sources: tuple[SourceReport, ...]
    photos: int
    identities: int  # with a name, before any choice
    train_photos: int
    train_identities: int
    small_photos: int  # of identities with fewer than min_images
    small_identities: int
    small_kept: bool  # they joined the unlabelled photos
    unlabelled_photos: int  # without a name in their source
    unchosen_photos: int  # left out by keep, identities and max_images
    left_out_photos: int  # of the lists leave_out
    holdout_photos: int
    held_identities: int
    held_photos: int
    faults: Faults = field(default_factory=Faults)  # found by the probe

    def lines(self) -> list[str]:
        """The report as people read it."""
        fate = "joined the unlabelled" if self.small_kept else "dropped"
        rows = [
            *(f"{s.name}: {s.photos} photos, {s.identities} identities" for s in self.sources),
            f"training on {self.train_photos} photos of {self.train_identities} identities",
            f"{self.small_identities} identities with too few photos {fate} "
            f"({self.small_photos} photos)",
            f"{self.unlabelled_photos} photos without identity",
        ]
        if self.unchosen_photos:
            rows.append(f"{self.unchosen_photos} photos left out by choice")
        if self.left_out_photos:
            rows.append(f"{self.left_out_photos} photos left out by a list")
        if self.holdout_photos:
            rows.append(f"{self.holdout_photos} photos held out of their classes")
        if self.held_identities:
            rows.append(
                f"{self.held_identities} identities held out whole ({self.held_photos} photos)"
            )
        return [*rows, *(self.faults.lines() if len(self.faults) else [])]


@dataclass(frozen=True, slots=True, eq=False)
class TrainData:
    """Everything a run reads, split so that no photo is in two sets."""

    classes: tuple[str, ...]  # class number → source/identity
    train: SampleSet
    unlabelled: SampleSet  # labels are all -1
    holdout: SampleSet  # photos of the trained classes, for closed-set accuracy
    held: SampleSet  # identities never trained on; labels count from 0 among themselves
    report: DataReport


def open_data(config: DataConfig, *, need_identities: bool = True) -> TrainData:
    """Open the sources and decide every photo's place, by ``config`` alone.

    The steps, in this order: ``keep`` chooses photos and may rename their identity; ``leave_out``
    takes identities and photos away; identities below ``min_images`` are set aside;
    ``holdout_identities`` and ``identities`` choose among the rest by one shuffled order (the first
    from its end, the others from its start); ``max_images`` and ``holdout`` choose photos of each.

    Raises ``ConfigError`` or ``DatasetInvalid``, among them for a source that is missing, empty or
    of wrong size, and (unless ``need_identities`` is False) when fewer than two identities remain.
    """
    if not config.sources:
        raise ConfigError("data.sources is empty; name at least one", key="data.sources")
    cache = expand_path(config.index_cache) if config.index_cache else None
    names = [source_name(source) for source in config.sources]
    _refuse_twins(config, names)
    sources = [open_source(source, cache) for source in config.sources]
    margins = [source.margin_px for source in config.sources]
    store = CropStore(names, sources, margins, config.size)
    faults = store.probe()

    people, person = _people(config, names, store)
    reports = tuple(
        SourceReport(n, len(s), len(s.identities) if c.labelled else 0)
        for n, s, c in zip(names, sources, config.sources, strict=True)
    )
    identities = len(people)
    chosen = np.ones(len(store), bool)
    if config.keep:
        chosen, people, person = _kept(expand_path(config.keep), store, people, person)
    left_out = np.zeros(len(store), bool)
    for path in config.leave_out:
        left_out |= _listed(expand_path(path), store, people, person)
    chosen &= ~left_out
    unlabelled = chosen & (person < 0)
    labelled = chosen & (person >= 0)
    # one place more than people: photos of nobody, -1, look there
    counts = np.bincount(person[labelled], minlength=len(people) + 1)
    small = labelled & (counts[person] < config.min_images)
    small_identities = int(((counts > 0) & (counts < config.min_images)).sum())
    large = np.flatnonzero((counts > 0) & (counts >= config.min_images))

    if 0 < len(large) < config.holdout_identities:  # of none, below says why
        raise ConfigError(
            f"data.holdout_identities asks for {config.holdout_identities}, only {len(large)} have "
            f"at least {config.min_images} photos",
            key="data.holdout_identities",
        )
    order = _shuffled(large, people, config.split_seed)
    held_people = order[len(order) - config.holdout_identities :]
    open_people = order[: len(order) - len(held_people)]
    if config.identities > len(open_people):
        raise ConfigError(
            f"data.identities asks for {config.identities}, only {len(open_people)} have at least "
            f"{config.min_images} photos and are not held out",
            key="data.identities",
        )
    train_people = np.sort(open_people[: config.identities or None])
    if need_identities and len(train_people) < 2:
        raise DatasetInvalid(
            f"{len(train_people)} identities remain to train on, at least 2 are needed; "
            f"{small_identities} of {identities} have fewer than {config.min_images} photos "
            "(data.min_images)",
            identities=len(train_people),
        )

    held = labelled & np.isin(person, held_people)
    train = labelled & np.isin(person, train_people)
    place = _places(person, train, config.split_seed)
    if config.max_images:
        train &= place < config.max_images
    left = np.bincount(person[train], minlength=len(people) + 1)
    share = np.floor(left * config.holdout + 0.5).astype(np.int64)
    share = np.clip(np.minimum(share, left - config.min_images), 0, None)
    holdout = train & (place < share[person])
    train &= ~holdout

    if config.small_identities == "unlabelled":
        unlabelled |= small
    used = train | holdout | held | unlabelled
    if config.cache == "memory":
        store.keep_in_memory(np.flatnonzero(used))
    own = int((chosen & (person < 0)).sum())
    report = DataReport(
        sources=reports,
        photos=len(store),
        identities=identities,
        train_photos=int(train.sum()),
        train_identities=len(train_people),
        small_photos=int(small.sum()),
        small_identities=small_identities,
        small_kept=config.small_identities == "unlabelled",
        unlabelled_photos=own,
        unchosen_photos=len(store) - int((used | small | left_out).sum()),
        left_out_photos=int(left_out.sum()),
        holdout_photos=int(holdout.sum()),
        held_identities=len(held_people),
        held_photos=int(held.sum()),
        faults=faults,
    )
    return TrainData(
        classes=tuple(people[p] for p in train_people),
        train=_set(store, train, person, train_people),
        unlabelled=_set(store, unlabelled, person, None),
        holdout=_set(store, holdout, person, train_people),
        held=_set(store, held, person, np.sort(held_people)),
        report=report,
    )


def _refuse_twins(config: DataConfig, names: Sequence[str]) -> None:
    for name, times in Counter(names).items():
        given = [s.name for s, n in zip(config.sources, names, strict=True) if n == name]
        if times > 1 and not all(given):
            raise ConfigError(
                f"{times} sources are called {name}; give each a name of its own, or the same "
                "name where one identity folder means one person in all of them",
                key="data.sources",
            )


def _people(
    config: DataConfig, names: Sequence[str], store: CropStore
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Names of all people over all sources, and the person of every row (-1 for none)."""
    people: dict[str, int] = {}
    person = np.full(len(store), UNLABELLED, np.int64)
    for number, (name, source) in enumerate(zip(names, store.sources, strict=True)):
        if not config.sources[number].labelled:
            continue
        table = [people.setdefault(f"{name}/{who}", len(people)) for who in source.identities]
        start = int(store.starts[number])
        own = np.array([*table, UNLABELLED], np.int64)[source.identity]
        if (own < 0).all():
            raise DatasetInvalid(
                f"the photos of {name} belong to nobody; expected identity/photo, or set "
                "labelled: false on the source"
            )
        person[start : start + len(source)] = own
    return list(people), person


def _kept(
    path: Path, store: CropStore, people: list[str], person: Rows
) -> tuple[npt.NDArray[np.bool_], list[str], Rows]:
    """Apply the list ``key[,identity]``."""
    wanted = _read_list(path)
    index = {name: number for number, name in enumerate(people)}
    chosen = np.zeros(len(store), bool)
    person = person.copy()
    for row in range(len(store)):
        key = store.key(row)
        if key not in wanted:
            continue
        identity = wanted.pop(key)
        chosen[row] = True
        if identity is not None:
            person[row] = index.setdefault(identity, len(index)) if identity else UNLABELLED
    if wanted:
        raise DatasetInvalid(
            f"{printable(path.name)} lists {len(wanted)} photos that are in no source, such as "
            f"{next(iter(wanted))}; are all sources named as when it was written?",
            path=str(path),
        )
    return chosen, list(index), person


def _listed(
    path: Path, store: CropStore, people: Sequence[str], person: Rows
) -> npt.NDArray[np.bool_]:
    """(N,) whether a list of ``leave_out`` names the photo or its identity.

    Lines about sources that this run does not read are passed over: one list serves every recipe.
    """
    lines = _text(path).splitlines()
    wanted = {unguarded(line) for line in lines if line and not line.startswith("#")}
    listed = np.zeros(len(store), bool)
    found: set[str] = set()
    for row, whose in enumerate(person.tolist()):
        names = (people[whose], store.key(row)) if whose >= 0 else (store.key(row),)
        hits = wanted.intersection(names)
        listed[row] = bool(hits)
        found |= hits
    here = tuple(f"{name}/" for name in store.names)
    missing = sorted(name for name in wanted - found if name.startswith(here))
    if missing:
        raise DatasetInvalid(
            f"{printable(path.name)} leaves out {len(missing)} identities or photos that are in no "
            f"source, such as {printable(missing[0])}; a name misspelt would be trained on",
            path=str(path),
        )
    return listed


def _read_list(path: Path) -> dict[str, str | None]:
    table = csv.reader(io.StringIO(_text(path), newline=""))
    rows = [[unguarded(cell) for cell in row] for row in table]
    if not rows or rows[0][:1] != ["key"] or rows[0][1:2] not in ([], ["identity"]):
        raise DatasetInvalid(
            f"{printable(path.name)} must start with the header key or key,identity",
            path=str(path),
        )
    renames = rows[0][1:2] == ["identity"]
    wanted: dict[str, str | None] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if row[0] in wanted or (renames and len(row) < 2):
            what = "is listed twice" if row[0] in wanted else "has no identity column"
            raise DatasetInvalid(f"{printable(path.name)} line {number}: {row[0]} {what}")
        wanted[row[0]] = row[1] if renames else None
    return wanted


def _text(path: Path) -> str:
    """A list that somebody wrote, with or without the mark that Windows puts before UTF-8. Raises
    ``DatasetInvalid``, also for UTF-16, no line of which would name anybody."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        raise DatasetInvalid(
            f"the list {printable(path.name)} cannot be read: {error.strerror}", path=str(path)
        ) from None
    if "\0" in text:
        raise DatasetInvalid(
            f"the list {printable(path.name)} is not text in UTF-8; save it as that", path=str(path)
        )
    return text


def _shuffled(large: Rows, people: Sequence[str], seed: int) -> Rows:
    """One order for every choice size; by name, so that other sources' order changes nothing."""
    by_name = np.array(sorted(large.tolist(), key=people.__getitem__), np.int64)
    return np.random.default_rng((seed, 1)).permutation(by_name)


def _places(person: Rows, among: npt.NDArray[np.bool_], seed: int) -> Rows:
    """Random place 0, 1, … of every chosen photo among those of its person."""
    rows = np.flatnonzero(among)
    lots = np.random.default_rng((seed, 2)).random(len(person))[rows]
    order = rows[np.lexsort((lots, person[rows]))]
    place = np.zeros(len(person), np.int64)
    place[order] = turns(person[order])
    return place


def _set(
    store: CropStore, mask: npt.NDArray[np.bool_], person: Rows, people: Rows | None
) -> SampleSet:
    rows = np.flatnonzero(mask).astype(np.int64)
    if people is None:
        return SampleSet(store, rows, np.full(len(rows), UNLABELLED, np.int64))
    return SampleSet(store, rows, np.searchsorted(people, person[rows]).astype(np.int64))


__all__ = ["DataReport", "SampleSet", "SourceReport", "TrainData", "open_data"]
