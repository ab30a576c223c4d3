"""Who people are, kept in MongoDB: taken from there, or written there; no face, vector or picture.

A document is a person. Taken from MongoDB, its ``_id`` is their external id, one field their name,
and all else metadata. Written there, ``_id`` is arcid's id. Both follow changes: arcid's by its
change log, MongoDB's by a change stream (a replica set has those). How far they came stands in
a second collection of MongoDB, written after what it speaks of, and everything may be done again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from arcid.errors import AlreadyExists, InputError, MissingExtra, PersonNotFound, UsageError
from arcid.gallery import Gallery, pages
from arcid.gallery.outside.feeding import Position, since
from arcid.gallery.records import Person

SETTING = "ARCID_MONGODB_URL"
WAIT_MS = 10_000  # for a server that answers
POSITIONS = "_arcid"  # behind the collection's name
_PLAIN = (str, int, float, bool, type(None))


@dataclass(slots=True)
class Done:
    """What became of documents, or of people."""

    written: int = 0  # as they are now
    removed: int = 0
    kept: int = 0  # gone in MongoDB, and not erased here, as was not asked for
    refused: dict[str, str] = field(default_factory=dict)  # _id → why

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"written": self.written, "removed": self.removed, "kept": self.kept,
                "refused": self.refused}  # fmt: skip


class Documents:
    """A collection of MongoDB, and the one beside it that says how far somebody came."""

    def __init__(self, people: Any) -> None:
        """``people``: a ``pymongo.collection.Collection``."""
        self.people = people
        self.positions = people.database[people.name + POSITIONS]

    def position(self, whose: str) -> Any:
        found = self.positions.find_one({"_id": whose})
        return None if found is None else found["at"]

    def reached(self, whose: str, at: Any) -> None:
        self.positions.replace_one({"_id": whose}, {"_id": whose, "at": at}, upsert=True)


@contextmanager
def connected(name: str) -> Iterator[Documents]:
    """``name``: DATABASE.COLLECTION at ``ARCID_MONGODB_URL``. Raises ``UsageError``,
    ``MissingExtra``; ``InputError`` where MongoDB does not do what it is asked."""
    database, _, collection = name.partition(".")
    url = os.environ.get(SETTING, "").strip()
    if not database or not collection:
        raise UsageError(f"a collection of MongoDB is DATABASE.COLLECTION, got {name!r}")
    if not url:
        raise UsageError(f"{SETTING} is the address of MongoDB, mongodb://HOST:27017; set it")
    try:
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError
    except ModuleNotFoundError:
        raise MissingExtra("people in MongoDB", "mongodb") from None
    try:
        client: Any = MongoClient(url, serverSelectionTimeoutMS=WAIT_MS, tz_aware=True)
        try:
            yield Documents(client[database][collection])
        finally:
            client.close()
    except PyMongoError as error:
        raise InputError(
            f"MongoDB does not do as asked ({type(error).__name__}); what was done stays, and the "
            "same again goes on"
        ) from error


def fetch(gallery: Gallery, collection: str, documents: Documents, *, name: str = "name") -> Done:
    """Every document's person is added, or changed to what it says; nobody is removed.

    ``name``: the field that holds the name. What cannot be taken is refused with the reason, and
    the rest goes on. Raises ``CollectionNotFound``, and what keeps the gallery from being written.
    """
    done = Done()
    gallery.collection(collection)
    for document in documents.people.find({}):
        _take(gallery, collection, document, name, done)
    return done


def follow(
    gallery: Gallery,
    collection: str,
    documents: Documents,
    *,
    name: str = "name",
    erase: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Done:
    """What changes in MongoDB from now on, or since this was stopped, by its change stream.

    ``erase``: who is deleted there is erased here, faces and all. Ends where ``stop`` says so,
    asked once a second. Raises as ``fetch``, and goes on with that very change the next time; and
    ``InputError`` where the stream ends (a collection that is dropped).
    """
    done, whose = Done(), f"followed by {gallery.collection(collection).id}"
    token = documents.position(whose)
    if token is None:  # the stream begins before everything is read, so that nothing lies between
        with documents.people.watch(full_document="updateLookup") as stream:
            stream.try_next()
            token = stream.resume_token
        done = fetch(gallery, collection, documents, name=name)
        documents.reached(whose, token)
    with documents.people.watch(
        full_document="updateLookup", resume_after=token, max_await_time_ms=1000
    ) as stream:
        while stream.alive and not stop():
            change = stream.try_next()
            if change is None:
                continue
            kind = change["operationType"]
            if kind in ("insert", "update", "replace"):
                if change.get("fullDocument") is not None:  # else it was deleted since
                    _take(gallery, collection, change["fullDocument"], name, done)
            elif kind == "delete":
                _drop(gallery, collection, str(change["documentKey"]["_id"]), erase, done)
            else:
                raise InputError(
                    f"the collection of MongoDB was changed as a whole ({kind}): people here are "
                    "as they were; look at it, and begin anew with arcid import mongodb"
                )
            documents.reached(whose, change["_id"])
    return done


def write(gallery: Gallery, collection: str, documents: Documents) -> Done:
    """Bring documents to what the people of a collection are now: those that changed since the
    last time, or all. Who was erased here is deleted there. Raises ``CollectionNotFound``."""
    done, own = Done(), gallery.collection(collection)
    whose = f"written by {own.id}"
    at = Position.parse(documents.position(whose))
    with gallery.database.read() as connection:
        now, entries = since(connection, at)
    if entries is None:
        held = {row["_id"] for row in documents.people.find({"collection_id": own.id}, {"_id": 1})}
        found = pages(lambda after: gallery.people(collection, limit=1000, after=after))
        for person in found:
            _write(documents, own.id, person, done)
            held.discard(person.id)
        for gone in sorted(held):
            done.removed += documents.people.delete_one({"_id": gone}).deleted_count
    else:
        touched = {e["person_uid"] for e in entries if e["collection_uid"] == own.id}
        for uid in sorted(touched - {None}):
            try:
                _write(documents, own.id, gallery.person(collection, uid), done)
            except PersonNotFound:
                done.removed += documents.people.delete_one({"_id": uid}).deleted_count
    documents.reached(whose, str(now))
    return done


def _write(documents: Documents, collection_id: str, person: Person, done: Done) -> None:
    document = {
        "_id": person.id, "collection_id": collection_id, "name": person.name,
        "external_id": person.external_id, "metadata": person.metadata,
        "created_at": person.created_at, "updated_at": person.updated_at,
    }  # fmt: skip
    documents.people.replace_one({"_id": person.id}, document, upsert=True)
    done.written += 1


def _take(
    gallery: Gallery, collection: str, document: Mapping[str, Any], name: str, done: Done
) -> None:
    uid = str(document["_id"])
    try:
        called = document.get(name)
        if not isinstance(called, str):
            raise InputError(f"the field {name!r} is no name")
        rest = {key: value for key, value in document.items() if key not in ("_id", name)}
        gallery.put_person(collection, uid, called, metadata=_plain(rest))
        done.written += 1
    except (InputError, AlreadyExists) as error:  # of this person; what stops everything is raised
        done.refused[uid] = error.message


def _drop(gallery: Gallery, collection: str, uid: str, erase: bool, done: Done) -> None:
    person = gallery.person_with(collection, uid)
    if person is None:
        return
    if not erase:
        done.kept += 1
        return
    gallery.delete_person(collection, person.id)
    done.removed += 1


def _plain(value: Any) -> Any:
    """As JSON has it; what MongoDB has beyond that (ids, times, decimals) as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_plain(own) for own in value]
    if isinstance(value, _PLAIN):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


__all__ = ["SETTING", "Documents", "Done", "connected", "fetch", "follow", "write"]
