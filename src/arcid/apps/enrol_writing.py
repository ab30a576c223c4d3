"""The writing half of ``apps.enrol``: faces of a batch into the gallery, one outcome each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.engine import Connection

from arcid.batch import BATCH
from arcid.errors import AlreadyExists, ArcidError, InputError, PossibleDuplicate
from arcid.gallery import Decide, Gallery, NewConsent, NewFace, NewFaces
from arcid.protection import Consents

Answer = tuple[tuple[str, str], "NewFace | ArcidError"]  # (person, label), its face or why none
Outcome = tuple[tuple[str, str], ArcidError | None]  # (person, label), why it was not enrolled


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept beside faces, by the name of whose they are, and who keeps account of them."""

    consent: Callable[[str], NewConsent | None] = lambda person: None
    metadata: Callable[[str], Mapping[str, Any]] = lambda person: {}  # of people who are new
    external_id: Callable[[str], str | None] = lambda person: None  # likewise
    #: Called with (person, label) of faces in the transaction that stores them.
    noted: Callable[[Sequence[tuple[str, str]], Connection], None] | None = None
    #: Told every outcome, once all before it are written.
    outcomes: Callable[[Sequence[Outcome]], None] | None = None


def batches(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    while batch := list(itertools.islice(answers, BATCH)):
        yield batch


def one_ahead(futures: Iterator[Future[list[Outcome]]]) -> Iterator[list[Outcome]]:
    """Results in order; while one is awaited the next batch is on its way."""
    before: Future[list[Outcome]] | None = None
    for future in futures:
        if before is not None:
            yield before.result()
        before = future
    if before is not None:
        yield before.result()


class Writing:
    """One thread's."""

    def __init__(
        self, gallery: Gallery, collection: str, decide: Decide | None, keeping: Keeping
    ) -> None:
        self._gallery, self._collection = gallery, collection
        self._decide, self._keeping = decide, keeping
        self._asked: set[str] = set()
        self.consents = 0  # recorded of people of whom no face was new

    def batch(self, batch: list[Answer]) -> list[Outcome]:
        """All that has faces in one transaction."""
        outcomes = [
            (key, answer if isinstance(answer, ArcidError) else None) for key, answer in batch
        ]
        rows = [i for i, (_, answer) in enumerate(batch) if not isinstance(answer, ArcidError)]
        of_person = [
            list(group) for _, group in itertools.groupby(rows, key=lambda i: batch[i][0][0])
        ]
        for group, results in zip(of_person, self._write(batch, of_person), strict=True):
            for i, result in zip(group, results, strict=True):
                outcomes[i] = (batch[i][0], result)
        return [(key, self._agreed(key[0], problem)) for key, problem in outcomes]

    def _agreed(self, name: str, problem: ArcidError | None) -> ArcidError | None:
        """Nothing is stored of a photo that is enrolled already, but that its person agreed."""
        before = isinstance(problem, AlreadyExists) and not isinstance(problem, PossibleDuplicate)
        if not before or name in self._asked or (given := self._keeping.consent(name)) is None:
            return problem
        try:
            self.consents += Consents(self._gallery).settle(self._collection, name, given)
        except InputError as error:
            return error
        self._asked.add(name)
        return problem

    def _write(
        self, batch: Sequence[Answer], people: Sequence[Sequence[int]]
    ) -> list[list[ArcidError | None]]:
        """``people``: of each the rows of the batch that are theirs."""
        if not people:
            return []

        def noted(place: int, stored: Sequence[int], connection: Connection) -> None:
            if self._keeping.noted is not None:
                keys = [batch[people[place][i]][0] for i in stored]
                self._keeping.noted(keys, connection)

        try:
            return self._gallery.enrol_people(
                self._collection,
                [self._faces(batch, rows) for rows in people],
                decide=self._decide,
                noted=noted,
            )
        except InputError as error:  # of one face; the others are none the worse for it
            if len(people) > 1:
                return [self._write(batch, [rows])[0] for rows in people]
            (rows,) = people
            if len(rows) > 1:
                return [[self._write(batch, [[i]])[0][0] for i in rows]]
            return [[error]]

    def _faces(self, batch: Sequence[Answer], rows: Sequence[int]) -> NewFaces:
        keeping, name = self._keeping, batch[rows[0]][0][0]
        return NewFaces(
            name,
            [cast(NewFace, batch[i][1]) for i in rows],
            metadata=keeping.metadata(name),
            external_id=keeping.external_id(name),
            consent=keeping.consent(name),
        )
