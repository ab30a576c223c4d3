"""The industrial card's protocol: n people enrolled, held-out probes, Top-1/3/5; and strangers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate import bootstrap, intervals, metrics
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.intervals import IdentificationPoint
from arcid.evaluate.metrics import Array, IndexArray, Rate
from arcid.evaluate.protocols._common import jsonable, normalised, photo_counts
from arcid.evaluate.readers.folder import PeopleFolder


@dataclass(frozen=True, eq=False)
class GallerySplit:
    """Which photos are enrolled, which are probes, which show strangers. Indices of photos."""

    folder: PeopleFolder
    enrolled: IndexArray
    probes: IndexArray
    strangers: IndexArray
    seed: int


def split(
    folder: PeopleFolder,
    *,
    people: int = 50,
    enrol: int = 5,
    probe: int = 5,
    strangers: int = 0,
    seed: int = 0,
) -> GallerySplit:
    """Draw people and photos; the same seed draws the same.

    ``strangers``: how many more people give ``probe`` photos each without being enrolled; −1 takes
    everybody left who has one photo or more. Raises ``DatasetInvalid`` where too few people have
    ``enrol + probe`` photos.
    """
    if people < 2 or enrol < 1 or probe < 1 or strangers < -1:
        raise UsageError("a gallery needs 2 people or more, and 1 photo each to enrol and to probe")
    rng = np.random.default_rng(seed)
    by_person = folder.by_person()
    able = [p for p, rows in by_person.items() if len(rows) >= enrol + probe]
    if len(able) < people:
        raise DatasetInvalid(
            f"{folder.name}: {len(able)} of {len(by_person)} people have the {enrol + probe} "
            f"photos needed; {people} people were asked for"
        )
    members = [able[i] for i in rng.permutation(len(able))[:people]]
    enrolled, probes = [], []
    for person in members:
        rows = rng.permutation(by_person[person])
        enrolled += rows[:enrol].tolist()
        probes += rows[enrol : enrol + probe].tolist()
    rest = sorted(set(by_person) - set(members))
    if strangers > len(rest):
        raise DatasetInvalid(
            f"{folder.name}: {strangers} strangers were asked for, {len(rest)} people are left"
        )
    chosen = rest if strangers == -1 else [rest[i] for i in rng.permutation(len(rest))[:strangers]]
    others = [int(i) for person in chosen for i in rng.permutation(by_person[person])[:probe]]
    return GallerySplit(
        folder,
        np.array(enrolled, np.int64),
        np.array(probes, np.int64),
        np.array(others, np.int64),
        seed,
    )


@dataclass(frozen=True, eq=False)
class GalleryResult:
    """Closed-set ranks and, with strangers, open-set rates."""

    split: GallerySplit
    contract_id: str
    pool: str
    searches: metrics.Searches
    mated_people: tuple[str, ...]  # of each mated probe, in the order of ``searches``
    mated_names: tuple[str, ...]
    best_person: tuple[str | None, ...]  # whom each mated probe was taken for; None: failed
    top: dict[int, Rate]
    cmc: Array
    points: list[IdentificationPoint]
    failed_enrolments: int
    failed_probes: int
    failed_strangers: int
    unenrolled_people: int  # all of whose photos failed
    photos: dict[str, Any]

    @property
    def name(self) -> str:
        return self.split.folder.name

    def confusions(self) -> list[tuple[str, str, str | None]]:
        """(probe, its person, whom it was taken for) of every probe not found at rank 1."""
        return [
            (name, person, best)
            for name, person, best, rank in zip(
                self.mated_names,
                self.mated_people,
                self.best_person,
                self.searches.mated_ranks,
                strict=True,
            )
            if rank > 1
        ]

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = jsonable(
            {
                "protocol": "gallery",
                "name": self.name,
                "contract_id": self.contract_id,
                "accuracy": self.top[1].value,
                "people": len(set(self.mated_people)),
                "seed": self.split.seed,
                "pool": self.pool,
                "enrolled_photos": len(self.split.enrolled),
                "probes": len(self.split.probes),
                "strangers": len(self.split.strangers),
                **{f"top_{k}": rate.to_dict() for k, rate in self.top.items()},
                "cmc": self.cmc.tolist(),
                "failed_reads": {
                    "enrolled": self.failed_enrolments,
                    "probes": self.failed_probes,
                    "strangers": self.failed_strangers,
                    "people_not_enrolled": self.unenrolled_people,
                },
                "failed_reads_rule": "a failed probe is a miss at every rank; a failed stranger is "
                "turned away",
                "dir_at_fpir": [p.to_dict() for p in self.points],
                **self.photos,
            }
        )
        return found


def evaluate_gallery(
    chosen: GallerySplit,
    embeddings: EmbeddingSet,
    *,
    pool: Literal["best", "mean"] = "best",
    ranks: Sequence[int] = (1, 3, 5),
    fpirs: Sequence[float] = (1e-2, 1e-1),
    replicates: int = bootstrap.REPLICATES,
    seed: int = 0,
) -> GalleryResult:
    """Search every probe among the enrolled.

    ``pool``: a person scores their best photo, or the mean of their photos is the one template.
    Probes that failed, and probes of people none of whose photos could be enrolled, are misses.
    """
    folder = chosen.folder
    names = [folder.photos[i].name for i in range(len(folder.photos))]
    people = np.asarray(folder.people)

    def take(rows: IndexArray) -> tuple[IndexArray, Any]:
        found = embeddings.rows([names[int(i)] for i in rows])
        return found, embeddings.failed[found]

    enrolled_rows, enrolled_failed = take(chosen.enrolled)
    probe_rows, probe_failed = take(chosen.probes)
    stranger_rows, stranger_failed = take(chosen.strangers)
    vectors = embeddings.vectors[enrolled_rows][~enrolled_failed]
    who = people[chosen.enrolled][~enrolled_failed]
    if not len(who):
        raise DatasetInvalid(f"{folder.name}: no photo of the gallery could be enrolled")
    if pool == "mean":
        who, owner = np.unique(who, return_inverse=True)
        summed = np.zeros((len(who), vectors.shape[1]))
        np.add.at(summed, owner, vectors)
        vectors = normalised(summed)[0]
    elif pool != "best":
        raise UsageError(f"pool {pool!r} is unknown; use best or mean")
    wanted = people[chosen.probes]
    present = np.isin(wanted, who)
    own = metrics.search(
        embeddings.vectors[probe_rows[present]],
        wanted[present],
        vectors,
        who,
        failed_probes=probe_failed[present],
    )
    other = metrics.search(
        embeddings.vectors[stranger_rows],
        people[chosen.strangers],
        vectors,
        who,
        failed_probes=stranger_failed,
    )
    absent = int((~present).sum())
    order = np.concatenate([np.flatnonzero(present), np.flatnonzero(~present)])
    searches = metrics.Searches(
        np.append(own.mated_scores, np.full(absent, metrics.FAILED)),
        np.append(own.mated_ranks, np.full(absent, own.gallery_people + 1)),
        np.append(own.mated_best_other, np.full(absent, metrics.FAILED)),
        other.nonmated_scores,
        own.gallery_people,
    )
    nearest = who[(embeddings.vectors[probe_rows] @ vectors.T).argmax(axis=1)]
    mated = wanted[order]
    strangers = people[chosen.strangers]
    used = np.concatenate([chosen.enrolled, chosen.probes, chosen.strangers])
    return GalleryResult(
        split=chosen,
        contract_id=embeddings.contract_id,
        pool=pool,
        searches=searches,
        mated_people=tuple(mated.tolist()),
        mated_names=tuple(names[int(chosen.probes[i])] for i in order),
        best_person=tuple(None if probe_failed[i] else str(nearest[i]) for i in order),
        top={
            k: intervals.clustered_rate(
                searches.found_by(k), mated, replicates=replicates, seed=seed
            )
            for k in ranks
        },
        cmc=metrics.cmc(searches.mated_ranks, min(20, own.gallery_people)),
        points=[
            intervals.identification_point(
                searches, mated, strangers, rate, replicates=replicates, seed=seed
            )
            for rate in fpirs
            if len(strangers) and metrics.support(rate, len(strangers)).supported
        ],
        failed_enrolments=int(enrolled_failed.sum()),
        failed_probes=int(probe_failed.sum()),
        failed_strangers=int(stranger_failed.sum()),
        unenrolled_people=len(set(people[chosen.enrolled].tolist()) - set(who.tolist())),
        photos=photo_counts(embeddings.select([names[int(i)] for i in used])),
    )
