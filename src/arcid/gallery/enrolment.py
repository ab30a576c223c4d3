"""Images into the gallery, one outcome each; a request that is sent again is answered, not done."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.engine import Connection

from arcid.errors import (
    AlreadyExists,
    ArcidError,
    InputError,
    NothingEnrolled,
    by_reason,
    in_words,
)
from arcid.gallery import rules
from arcid.gallery.duplicates import Decide, Duplicates
from arcid.gallery.records import Enrolment, NewConsent, NewFace, Once, Refused
from arcid.gallery.schema import Row
from arcid.gallery.store import consents, receipts
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import people as people_store
from arcid.gallery.store.journal import Journal

Image = NewFace | ArcidError
MAX_PREFIX = rules.MAX_NAME - 9  # characters before what tells people apart


def enrol(
    duplicates: Duplicates,
    collection: str,
    images: Sequence[Image],
    *,
    name: str | None,
    person_id: str | None,
    external_id: str | None,
    metadata: Mapping[str, Any] | None,
    decide: Decide | None,
    partial: bool,
    once: Once | None,
    consent: NewConsent | None,
    noted: Callable[[Connection], None] | None,
    fresh: bool,
) -> Enrolment:
    """See ``Gallery.enrol_images``."""
    new = [rules.new_face(image) for image in images if not isinstance(image, ArcidError)]
    erases = metadata is not None
    with duplicates.enrolling(collection, new, decide, erases=erases) as (log, own):
        if once is not None:
            known = answered(log.connection, own, once)
            if known is not None:
                return known
        if person_id is not None:
            person: Row | None = people_store.find(log.connection, own, person_id)
        elif external_id is not None:
            person = people_store.by_external_id(log.connection, own, external_id)
        else:
            person = people_store.by_name(log.connection, own, name or "")
        if fresh and person is not None:
            raise AlreadyExists(
                f"collection {own['name']!r} has that person already", person_id=person["uid"]
            )
        doubts = iter(duplicates.find(log, own, person, new, decide))
        outcomes = [
            image if isinstance(image, ArcidError) else next(doubts) or image for image in images
        ]
        _refuse(outcomes, partial)
        if person is None:
            person = people_store.add(log, own, name or "", metadata, external_id=external_id)
        elif metadata is not None:
            people_store.update(log, own, person, metadata=metadata)
        consents.settle(log.connection, own, person, consent)
        results = _add(log, own, person, outcomes, partial)
        done = _enrolment(log, own, person, results)
        if once is not None:
            receipts.keep(log, own, person, once, done.results)
        if noted is not None:
            noted(log.connection)
        return done


def enrol_each(
    duplicates: Duplicates,
    collection: str,
    images: Sequence[Image],
    *,
    name: str,
    metadata: Mapping[str, Any] | None,
    decide: Decide | None,
    consent: NewConsent | None,
) -> list[Enrolment | ArcidError]:
    """See ``Gallery.enrol_each``."""
    new = [rules.new_face(image) for image in images if not isinstance(image, ArcidError)]
    with duplicates.enrolling(collection, new, decide) as (log, own):
        doubts = iter(duplicates.find(log, own, None, new, decide))
        outcomes = [
            image if isinstance(image, ArcidError) else next(doubts) or image for image in images
        ]
        done: list[Enrolment | ArcidError] = []
        for face in outcomes:
            if isinstance(face, ArcidError):
                done.append(face)
                continue
            try:
                with log.savepoint():
                    called = f"{rules.clean_name(name)[:MAX_PREFIX]} {uuid.uuid4().hex[:8]}"
                    person = people_store.add(log, own, called, metadata)
                    consents.settle(log.connection, own, person, consent)
                    results = faces_store.add(log, own, person, [face])
                    done.append(_enrolment(log, own, person, results))
            except (InputError, AlreadyExists) as error:
                done.append(error)
        if all(isinstance(one, ArcidError) for one in done):
            raise _nothing(one for one in done if isinstance(one, ArcidError))
        return done


def answered(connection: Connection, own: Row, once: Once) -> Enrolment | None:
    """What the same request was answered before, as it stands now."""
    known = receipts.find(connection, own, once)
    if known is None:
        return None
    person_key, results = known
    person = people_store.by_keys(connection, [person_key])[person_key]
    ids = [result for result in results if isinstance(result, str)]
    rows = faces_store.by_ids(connection, own, ids)
    return Enrolment(
        people_store.record(connection, own, person),
        results,
        faces_store.records(connection, rows),
        replayed=True,
    )


def _refuse(outcomes: Sequence[Image], partial: bool) -> None:
    """Raise what keeps all of it from being done."""
    errors = [(i, error) for i, error in enumerate(outcomes) if isinstance(error, ArcidError)]
    if errors and not partial:
        index, error = errors[0]
        if len(outcomes) > 1:
            error.details["image"] = index
        raise error
    if outcomes and len(errors) == len(outcomes):
        raise _nothing(error for _, error in errors)


def _add(
    log: Journal, own: Row, person: Row, outcomes: Sequence[Image], partial: bool
) -> list[int | ArcidError]:
    """Keys of the faces stored, or why one was not; ``partial``: each by itself."""
    if not partial:
        new = [face for face in outcomes if isinstance(face, NewFace)]
        return [*faces_store.add(log, own, person, new)]
    results: list[int | ArcidError] = []
    for face in outcomes:
        if isinstance(face, ArcidError):
            results.append(face)
            continue
        try:
            with log.savepoint():
                results += faces_store.add(log, own, person, [face])
        except (InputError, AlreadyExists) as error:
            results.append(error)
    if not any(isinstance(result, int) for result in results):
        raise _nothing(result for result in results if isinstance(result, ArcidError))
    return results


def _nothing(errors: Iterable[ArcidError]) -> NothingEnrolled:
    refused = [Refused.of(error) for error in errors]
    reasons = in_words(by_reason(each.code for each in refused))
    return NothingEnrolled(
        f"not one of the images could be enrolled: {reasons}; send others",
        results=[asdict(each) for each in refused],
    )


def _enrolment(
    log: Journal, own: Row, person: Row, results: Sequence[int | ArcidError]
) -> Enrolment:
    keys = [result for result in results if isinstance(result, int)]
    stored = faces_store.stored(log.connection, own, keys)
    ids = iter(face.id for face in stored)
    now = people_store.find(log.connection, own, person["uid"])
    return Enrolment(
        people_store.record(log.connection, own, now),
        tuple(Refused.of(r) if isinstance(r, ArcidError) else next(ids) for r in results),
        stored,
    )
