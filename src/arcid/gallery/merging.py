"""Two people become one, and two again."""

from __future__ import annotations

from datetime import timedelta

from arcid.errors import InputError
from arcid.gallery.records import Merge, Person, Unmerged
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import journal as _journal
from arcid.gallery.store import merges as _merges
from arcid.gallery.store import people as _people
from arcid.gallery.upkeep import Upkeep


class Merging(Upkeep):
    """The part of ``Gallery`` that merges people and undoes it."""

    def merge_people(
        self, collection: str, keep_id: str, other_id: str, *, reversible: bool = False
    ) -> Person:
        """Give all faces of ``other_id`` to ``keep_id`` and remove the emptied person.

        Name and metadata of ``keep_id`` stay; the other's are erased, or with ``reversible`` kept
        for ``unmerge``. Raises ``SamePhotoConflict`` if one photo shows both.
        """
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            keep = _people.find(log.connection, own, keep_id)
            other = _people.find(log.connection, own, other_id)
            if keep["id"] != other["id"]:
                _merges.merge(log, own, keep, other, reversible=reversible)
            return _people.record(log.connection, own, _people.find(log.connection, own, keep_id))

    def merges(self, collection: str, person_id: str | None = None) -> list[Merge]:
        """Merges that can be undone, newest first; of one person, or of all."""
        with _collections.reading(self.database, collection) as (connection, own):
            person = None if person_id is None else _people.find(connection, own, person_id)
            return _merges.records(connection, _merges.of(connection, own, person))

    def unmerge(self, collection: str, merge_id: str, *, name: str | None = None) -> Unmerged:
        """Undo a merge: the other is there again, under their id, with name, metadata and faces.

        Faces deleted or given away meanwhile stay so, and what was enrolled or seen since stays
        with the person it was given to. ``name``: another name, where theirs is taken now (then
        ``AlreadyExists``). Raises ``NotFound`` where the merge cannot be undone any more.
        """
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            row = _merges.find(log.connection, own, merge_id)
            keep, other, missing = _merges.unmerge(log, own, row, name)
            people = [
                _people.record(log.connection, own, _people.find(log.connection, own, uid))
                for uid in (keep["uid"], other["uid"])
            ]
            return Unmerged(people[0], people[1], missing)

    def forget_merges(self, older_than: timedelta) -> int:
        """Make merges final that are older; returns how many. Names they kept are erased."""
        if older_than < timedelta(0):
            raise InputError("a time span cannot be negative")
        before = _journal.now_us() - int(older_than.total_seconds() * 1e6)
        with self.database.write(erases=True) as connection:
            return _merges.forget(connection, before)
