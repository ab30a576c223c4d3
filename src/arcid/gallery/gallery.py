"""The gallery's front door: collections → people → faces, and exact search over them.

SQL is the truth; indexes in memory are projections of it (``projection``). Every method that writes
is one transaction: it returns after the commit is on disk, or raises and has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.engine import Connection

from arcid.errors import (
    AlreadyExists,
    ArcidError,
    CollectionNotFound,
    InputError,
    PersonNotFound,
    StorageFull,
)
from arcid.gallery import enrolment as _enrolment
from arcid.gallery import many as _many
from arcid.gallery import rules, searching
from arcid.gallery.again import again
from arcid.gallery.duplicates import Decide
from arcid.gallery.index import Aggregate
from arcid.gallery.merging import Merging
from arcid.gallery.paging import Page, pages
from arcid.gallery.records import (
    Collection,
    Enrolment,
    NewConsent,
    NewFace,
    NewFaces,
    Once,
    Person,
    StoredFace,
)
from arcid.gallery.store import audit as _audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import consents as _consents
from arcid.gallery.store import crops as _crops
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import journal as _journal
from arcid.gallery.store import people as _people
from arcid.gallery.store import policies as _policies
from arcid.types import Embeddings, Hits, Image, Templates


class Gallery(Merging):
    """People and their face templates. Thread-safe; several processes may open one gallery."""

    # collections

    def create_collection(
        self, name: str, *, keep_crops: bool = False, metadata: Mapping[str, Any] | None = None
    ) -> Collection:
        """Raises ``AlreadyExists``. Names differ by more than case."""
        with _journal.writing(self.database) as log:
            return _collections.add(log, name, keep_crops, metadata)

    def ensure_collection(self, name: str) -> bool:
        """Make a collection unless it is there; True where this call made it."""
        with suppress(CollectionNotFound):
            self.collection(name)
            return False
        with suppress(AlreadyExists):  # another process may make it meanwhile
            self.create_collection(name)
            return True
        return False

    def collections(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        within: Iterable[str] | None = None,
    ) -> Page[Collection]:
        """By name; all, or with ``limit`` a page of them, after the cursor ``after``. ``within``:
        only those of these ids."""
        with self.database.read() as connection:
            found = _collections.page(connection, limit, after, within)
            return Page([_collections.record(connection, row) for row in found], found.next)

    def collection(self, name: str) -> Collection:
        """Raises ``CollectionNotFound``."""
        with self.database.read() as connection:
            return _collections.record(connection, _collections.find(connection, name))

    def update_collection(
        self,
        name: str,
        *,
        new_name: str | None = None,
        keep_crops: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Collection:
        """Change what is given. Turning ``keep_crops`` off erases the stored crops."""
        with _journal.writing(self.database, erases=True) as log:
            return _collections.update(log, name, new_name, keep_crops, metadata)

    def delete_collection(self, name: str) -> str:
        """Erase a collection with its people, faces, vectors and crops; the id of the receipt.

        At once; where the disk is too full for that, person by person.
        """
        try:
            return self._delete_collection(name)
        except StorageFull:
            while some := self.people(name):
                for person in some:
                    self.delete_person(name, person.id)
            return self._delete_collection(name)

    def _delete_collection(self, name: str) -> str:
        with _journal.writing(self.database, erases=True) as log:
            return _collections.delete(log, name)

    # people

    def add_person(
        self,
        collection: str,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        external_id: str | None = None,
    ) -> Person:
        """Raises ``AlreadyExists``: names are unique in a collection, whatever their case, and so
        are external ids, which another system calls its people by."""
        with _collections.writing(self.database, collection) as (log, own):
            row = _people.add(log, own, name, metadata, external_id=external_id)
            return _people.record(log.connection, own, row)

    def put_person(
        self,
        collection: str,
        external_id: str,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Person:
        """The person of that external id, made or changed to have this name and metadata.

        The same again changes nothing. ``metadata`` None: what was there stays.
        Raises ``AlreadyExists`` where the name is somebody else's.
        """
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            row = _people.by_external_id(log.connection, own, external_id)
            if row is None:
                row = _people.add(log, own, name, metadata, external_id=external_id)
            elif not _people.says(row, name, metadata):
                _people.update(log, own, row, name, metadata)
                row = _people.find(log.connection, own, row["uid"])
            return _people.record(log.connection, own, row)

    def people(
        self,
        collection: str,
        *,
        search: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Person]:
        """One page of people by name; ``after`` is ``next`` of the page before.

        ``search``: part of the name, whatever its case. ``where``: metadata that they have,
        exactly, at its top level. Raises ``CursorInvalid``, ``InputError``.
        """
        wanted = None if where is None else rules.wanted(where)
        with _collections.reading(self.database, collection) as (connection, own):
            found = _people.page(connection, own, search, limit, after, wanted)
            return Page([_people.record(connection, own, row) for row in found], found.next)

    def everybody(self, collection: str) -> Iterator[Person]:
        """All people of a collection by name, read page by page."""
        return pages(lambda after: self.people(collection, limit=1000, after=after))

    def person(self, collection: str, person_id: str) -> Person:
        """Raises ``PersonNotFound``."""
        with _collections.reading(self.database, collection) as (connection, own):
            return _people.record(connection, own, _people.find(connection, own, person_id))

    def find_person(self, collection: str, name: str) -> Person | None:
        """By name, whatever its case; None when there is none."""
        with _collections.reading(self.database, collection) as (connection, own):
            row = _people.by_name(connection, own, name)
            return None if row is None else _people.record(connection, own, row)

    def person_with(self, collection: str, external_id: str) -> Person | None:
        """By external id; None where nobody has it."""
        with _collections.reading(self.database, collection) as (connection, own):
            row = _people.by_external_id(connection, own, external_id)
            return None if row is None else _people.record(connection, own, row)

    def person_called(self, collection: str, reference: str) -> Person:
        """By id, else by name, whatever its case. Raises ``PersonNotFound``."""
        try:
            return self.person(collection, reference)
        except PersonNotFound:
            found = self.find_person(collection, reference)
        if found is None:
            raise PersonNotFound(
                f"nobody in collection {collection!r} has the id or name {reference!r}; "
                f"see: arcid gallery people --collection {collection}"
            )
        return found

    def update_person(
        self,
        collection: str,
        person_id: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        external_id: str | None = None,
    ) -> Person:
        """Change what is given; ``metadata`` replaces what was there, and an empty ``external_id``
        takes it away."""
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            row = _people.find(log.connection, own, person_id)
            _people.update(log, own, row, name, metadata, external_id)
            return _people.record(log.connection, own, _people.find(log.connection, own, person_id))

    def delete_person(self, collection: str, person_id: str) -> str:
        """Erase a person with all faces, vectors, crops, and what every room keeps of them.

        At once; where the disk is too full for that, face by face. The id of the receipt, which
        says what was destroyed (``protection.Receipts``).
        """
        try:
            return self._delete_person(collection, person_id)
        except StorageFull:
            for face in self.faces(collection, person_id):
                self.delete_face(collection, face.id)
            return self._delete_person(collection, person_id)

    def _delete_person(self, collection: str, person_id: str) -> str:
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            return _people.delete(log, own, _people.find(log.connection, own, person_id)) or ""

    def split_person(
        self,
        collection: str,
        person_id: str,
        face_ids: Sequence[str],
        new_name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Person:
        """Move some of a person's faces, not all, to a new person.

        Raises ``ConsentMissing`` where consent is demanded: add the person, record theirs, and
        ``move_face``.
        """
        with _collections.writing(self.database, collection) as (log, own):
            old = _people.find(log.connection, own, person_id)
            chosen = _faces.chosen(_faces.of_person(log.connection, own, old), face_ids)
            new = _people.add(log, own, new_name, metadata)
            _consents.require(log.connection, own, new)
            _faces.move(log, own, chosen, new)
            _audit.note(log, own, "person.split", old, new=new["uid"], faces=len(chosen))
            return _people.record(log.connection, own, new)

    # faces

    def enrol(
        self,
        collection: str,
        name: str,
        faces: Sequence[NewFace],
        *,
        metadata: Mapping[str, Any] | None = None,
        decide: Decide | None = None,
        consent: NewConsent | None = None,
        noted: Callable[[Connection], None] | None = None,
    ) -> tuple[Person, list[StoredFace]]:
        """Add faces to the person of that name, who is made if missing, in one transaction.

        ``metadata``, where given, replaces a known person's. ``noted`` writes what belongs to the
        same transaction; where it raises, nothing is changed. Errors as ``add_faces``.
        """
        done = self.enrol_images(
            collection, faces, name=name, metadata=metadata, decide=decide, consent=consent,
            noted=noted,
        )  # fmt: skip
        return done.person, done.faces

    def add_faces(
        self,
        collection: str,
        person_id: str,
        faces: Sequence[NewFace],
        *,
        decide: Decide | None = None,
        consent: NewConsent | None = None,
    ) -> list[StoredFace]:
        """Add all faces or, on any error, none.

        A person has at most one face per photo: another face of a known photo raises
        ``SamePhotoConflict``, the very same face ``AlreadyExists``. The same face embedded by
        another model is added to the stored one. ``decide`` (cosine, templates searched): faces
        that are somebody else's already by its word raise ``PossibleDuplicate``; None: nobody
        asks. ``Pipeline.duplicate`` decides as a search does. ``consent`` is recorded with the
        faces, unless one of that text stands already; where the collection demands one and none
        stands, ``ConsentMissing``.
        """
        return self.enrol_images(
            collection, faces, person_id=person_id, decide=decide, consent=consent
        ).faces

    def enrol_images(
        self,
        collection: str,
        images: Sequence[NewFace | ArcidError],
        *,
        name: str | None = None,
        person_id: str | None = None,
        external_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        decide: Decide | None = None,
        partial: bool = False,
        once: Once | None = None,
        consent: NewConsent | None = None,
        noted: Callable[[Connection], None] | None = None,
        fresh: bool = False,
    ) -> Enrolment:
        """``enrol`` (``name``) and ``add_faces`` (``person_id``) with an outcome for each image.

        ``external_id`` beside ``name``: they go to whoever has it; who is not there yet is made
        with both. ``AlreadyExists`` where the name is another person's, and with ``fresh`` where
        anybody has the external id, or without one the name.

        An error in ``images`` stands for an image that has no usable face. ``partial``: what can be
        enrolled is, in one transaction, and the results say why the rest is not; otherwise the
        first error is raised and nothing is changed. Raises ``NothingEnrolled`` where nothing can.
        ``once``: the same request again, also at the same time, gets the answer of the first for
        a day; another under its key raises ``IdempotencyKeyReused``. Requests that raised are not
        remembered.
        """
        return _enrolment.enrol(
            self.duplicates,
            collection,
            images,
            name=name,
            person_id=person_id,
            external_id=external_id,
            metadata=metadata,
            decide=decide,
            partial=partial,
            once=once,
            consent=consent,
            noted=noted,
            fresh=fresh,
        )

    def enrol_each(
        self,
        collection: str,
        images: Sequence[NewFace | ArcidError],
        *,
        name: str = "Unnamed",
        metadata: Mapping[str, Any] | None = None,
        decide: Decide | None = None,
        consent: NewConsent | None = None,
    ) -> list[Enrolment | ArcidError]:
        """Each face as a person of their own, or why not, in order and in one transaction.

        They are called ``name`` with eight digits behind it. ``images``, ``decide`` and ``consent``
        (of each of them) as in ``enrol_images``; faces are compared with who was there before, not
        with one another: those of one photo are different people. Raises ``NothingEnrolled`` where
        none can be.
        """
        return _enrolment.enrol_each(
            self.duplicates,
            collection,
            images,
            name=name,
            metadata=metadata,
            decide=decide,
            consent=consent,
        )

    def enrol_people(
        self,
        collection: str,
        people: Sequence[NewFaces],
        *,
        decide: Decide | None = None,
        noted: _many.Noted | None = None,
    ) -> list[list[ArcidError | None]]:
        """Faces of many people in one transaction: for each of theirs None, or why it is not
        enrolled.

        Each person as by ``enrol_images``, one after the other, so that a face is compared with
        those that were before it, too. Of a person's faces all are stored together; where that is
        refused, each by itself. ``noted`` writes what belongs to the same transaction; its
        ``InputError`` refuses the faces it was told of. Raises ``InputError`` where a face has no
        proper values.
        """
        return _many.enrol(self.duplicates, collection, people, decide, noted)

    def answered(self, collection: str, once: Once) -> Enrolment | None:
        """What ``enrol_images`` answered to the same request before; None: it is new."""
        with _collections.reading(self.database, collection) as (connection, own):
            return _enrolment.answered(connection, own, once)

    def enrolled(
        self, collection: str, photos: Sequence[tuple[str, str]], contract_id: str
    ) -> list[bool]:
        """For each (name, photo_id) whether the person of that name has a face of that photo
        embedded by that model. Nobody has what is no name."""
        with _collections.reading(self.database, collection) as (connection, own):
            return _faces.enrolled(connection, own, photos, contract_id)

    def faces(
        self,
        collection: str,
        person_id: str | None = None,
        *,
        limit: int | None = None,
        after: str | None = None,
        skip: int = 0,
    ) -> Page[StoredFace]:
        """A person's faces, or with None everybody's, oldest first; all, or with ``limit`` a page
        of them, after the cursor ``after`` and ``skip`` faces more."""
        with _collections.reading(self.database, collection) as (connection, own):
            person = None if person_id is None else _people.find(connection, own, person_id)
            found = _faces.page(connection, own, person, limit, after, skip)
            return Page(_faces.records(connection, found), found.next)

    def face(self, collection: str, face_id: str) -> StoredFace:
        """Raises ``FaceNotFound``."""
        with _collections.reading(self.database, collection) as (connection, own):
            return _faces.records(connection, [_faces.find(connection, own, face_id)])[0]

    @again
    def face_crop(self, collection: str, face_id: str) -> Image | None:
        """(S,S,3) uint8 RGB aligned crop, None where none is kept, or is not for who is viewing."""
        with _collections.reading(self.database, collection) as (connection, own):
            if _policies.hidden(connection, own):
                return None
            return _crops.read(connection, _faces.find(connection, own, face_id))

    def move_face(self, collection: str, face_id: str, to_person_id: str) -> StoredFace:
        """ "Not this person": give a face to somebody else.

        Raises ``SamePhotoConflict``, ``ConsentMissing``.
        """
        with _collections.writing(self.database, collection) as (log, own):
            face = _faces.find(log.connection, own, face_id)
            to = _people.find(log.connection, own, to_person_id)
            if face["person_id"] != to["id"]:
                _consents.require(log.connection, own, to)
                _faces.move(log, own, [face], to)
                _audit.note(log, own, "face.move", face, to=to["uid"])
            return _faces.stored(log.connection, own, [face["id"]])[0]

    def delete_face(self, collection: str, face_id: str) -> None:
        """Erase a face with its vectors and crop."""
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            face = _faces.find(log.connection, own, face_id)
            _faces.delete(log, own, [face])
            _audit.note(log, own, "face.delete", face, person=face["person_uid"])

    def photo_known(
        self, collection: str, photo_id: str, *, within: Connection | None = None
    ) -> list[StoredFace]:
        """Faces enrolled from that photo, oldest first. ``within``: as the transaction of a
        ``noted`` sees them, what it adds itself included."""
        if within is not None:
            own = _collections.find(within, collection)
            return _faces.records(within, _faces.of_photo(within, own, photo_id))
        with self.database.read() as connection:
            return self.photo_known(collection, photo_id, within=connection)

    # search

    @again
    def search(
        self,
        collection: str,
        probes: Embeddings,
        *,
        k: int = 5,
        aggregate: Aggregate = "max",
        top_m: int = 3,
        exclude_person: str | None = None,
        photos: Sequence[int] = (),
        where: Mapping[str, Any] | None = None,
    ) -> Hits:
        """(Q,D) probes in; per probe the best k people by aggregated cosine, best first. Exact.

        The answer reads as a list of lists, and says in ``gallery_size`` how many templates each
        probe was compared with, which a target FPIR depends on; both are of one snapshot.

        ``aggregate``: ``max`` is a person's nearest face, ``mean`` the mean of the nearest
        ``top_m``. ``photos``: how many of the probes, in order, are the faces of each photo. No
        person is given to two faces of one photo; the assignment with the greatest total cosine is
        chosen. A probe's list lacks the people given to the others, but for the nearest of all, who
        stands last with ``given_to``, the place in its photo of the probe that was given them.
        ``where``: metadata; only people who have it, exactly, are searched, and ``gallery_size``
        counts their templates alone.
        Only vectors of the probes' contract are searched. Raises ``ContractMismatch`` if the
        collection has faces, but none of that contract; an empty collection finds nobody.
        """
        with self._projection.snapshot() as snapshot:
            own = _collections.find(snapshot.connection, collection)
            exclude = None
            if exclude_person is not None:
                exclude = _people.find(snapshot.connection, own, exclude_person)["id"]
            return searching.search(
                snapshot,
                own,
                probes,
                k=k,
                aggregate=aggregate,
                top_m=top_m,
                exclude=exclude,
                photos=photos,
                where=where,
            )

    @again
    def search_person(
        self, collection: str, person_id: str, contract_id: str | None = None, *, k: int = 5
    ) -> Hits:
        """Possible duplicates: one list of the people nearest to any face of a person, left out.

        ``contract_id`` defaults to the model that embedded most of the person's faces.
        ``gallery_size`` counts every pair of one of their templates and one of the others'.
        """
        with self._projection.snapshot() as snapshot:
            own = _collections.find(snapshot.connection, collection)
            person = _people.find(snapshot.connection, own, person_id)
            return searching.like_person(snapshot, own, person, contract_id, k)

    @again
    def compare(self, collection: str, person_id: str, probe: Embeddings) -> Templates:
        """A probe (one row) against every template of a person. Raises ``FaceNotFound`` where none
        is of the probe's contract, ``PersonNotFound``."""
        if len(probe) != 1:
            raise InputError(f"one probe is compared with a person, got {len(probe)}")
        with _collections.reading(self.database, collection) as (connection, own):
            return searching.compare(connection, _people.find(connection, own, person_id), probe)

    @again
    def size(self, collection: str, contract_id: str) -> int:
        """Templates a search with that contract compares; what a target FPIR depends on."""
        with self._projection.snapshot() as snapshot:
            own = _collections.find(snapshot.connection, collection)
            return snapshot.size(own["id"], contract_id)

    def sizes(self, contract_id: str) -> dict[str, int]:
        """``size`` of every collection, by name."""
        return {c.name: self.size(c.name, contract_id) for c in self.collections()}
