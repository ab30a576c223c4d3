"""Who is enrolled twice: pairs, what humans say about them, and the groups they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from arcid.apps.duplicates import answering as _answering
from arcid.apps.duplicates import answers as _answers
from arcid.apps.duplicates import pairs as _pairs
from arcid.apps.duplicates.groups import groups
from arcid.apps.duplicates.records import Answer, Group, Pair, Undone, Verdict
from arcid.apps.duplicates.runs import Runs
from arcid.events.store.correcting import remark, signed
from arcid.gallery import Gallery, Page, pages
from arcid.gallery.again import again
from arcid.gallery.store import audit as _audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import disclosures as _disclosures

MERGES_KEPT = timedelta(days=30)  # a merge can be undone for so long
RUNS_KEPT = timedelta(days=180)
VIEW = "duplicates.view"  # in the audit


class Duplicates:
    """Pairs and answers of a gallery. Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._database = gallery.database
        self.runs = Runs(gallery)

    def find(
        self,
        collection: str,
        *,
        states: Sequence[str] | None = ("open",),
        run_id: str | None = None,
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Pair]:
        """Pairs of people who may be one, most probable first. Raises ``CursorInvalid``."""
        with _collections.reading(self._database, collection) as (connection, own):
            return _pairs.page(connection, own, states, run_id, limit, after)

    def every(self, collection: str, states: Sequence[str] | None = None) -> Iterator[Pair]:
        """All pairs, most probable first, read page by page."""
        return pages(lambda after: self.find(collection, states=states, limit=500, after=after))

    def disclosed(self, collection: str, pairs: Sequence[Pair], kind: str) -> None:
        """Note that whoever acts was given these pairs as a file."""
        people = (side.person_id for pair in pairs for side in (pair.a, pair.b))
        with _collections.writing(self._database, collection) as (log, own):
            _disclosures.note(
                log.connection, "export", f"{kind} file", people, "people enrolled twice",
                collection=own["uid"],
            )  # fmt: skip

    def get(self, collection: str, pair_id: str) -> Pair:
        """Raises ``NotFound``."""
        with _collections.reading(self._database, collection) as (connection, own):
            return _pairs.records(connection, [_pairs.find(connection, own, pair_id)])[0]

    def waiting(self, collection: str) -> int:
        """How many pairs wait for an answer."""
        with _collections.reading(self._database, collection) as (connection, own):
            return _pairs.count(connection, own, "open")

    def answer(
        self,
        collection: str,
        pair_id: str,
        verdict: Verdict,
        *,
        actor: str,
        keep_id: str | None = None,
        merge: bool = True,
        note: str = "",
    ) -> Answer:
        """What a human says about a pair; the same again changes nothing.

        ``same``: they are merged, into ``keep_id`` or whoever has more faces, so that it can be
        undone for 30 days; people of two collections, or without ``merge``, are only said to be
        one. ``different``: asked again only where faces enrolled since are nearer. ``lookalike``:
        different, and never asked again. ``unsure``: asked no more, and may be answered later.
        Raises ``NotFound``, ``ReviewAnswered`` where somebody answered otherwise,
        ``SamePhotoConflict`` where a photo shows both, ``InputError``.
        """
        who, why = signed(actor), remark("note", note)
        with _collections.writing(self._database, collection, erases=True) as (log, own):
            row = _pairs.find(log.connection, own, pair_id)
            made = _answering.give(log, own, row, verdict, who, why, keep_id, merge)
            return _answers.records(log.connection, own, [made])[0]

    def undo(
        self, collection: str, answer_id: str, *, actor: str, name: str | None = None
    ) -> Undone:
        """Take an answer back; people who were merged by it are two again.

        ``name``: for whom there is again, where their name is taken now (then ``AlreadyExists``).
        Raises ``NotFound`` where the merge cannot be undone any more, ``ReviewAnswered`` where
        another answer came after. An answer taken back before stays so.
        """
        who = signed(actor)
        with _collections.writing(self._database, collection, erases=True) as (log, own):
            row = _answers.find(log.connection, own, answer_id)
            done, pair, missing = _answering.undo(log, own, row, who, name)
            (answer,) = _answers.records(log.connection, own, [done])
            return Undone(answer, None if pair is None else pair["uid"], missing)

    @again
    def answers(
        self,
        collection: str,
        *,
        undone: bool = False,
        person_id: str | None = None,
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Answer]:
        """Newest first; those taken back too where ``undone``, of all or about one person.

        Raises ``CursorInvalid``.
        """
        with _collections.reading(self._database, collection) as (connection, own):
            return _answers.page(connection, own, undone, person_id, limit, after)

    def groups(self, collection: str) -> list[Group]:
        """People who may all be one: of every pair that is not answered with different, the largest
        group first. Two who are known not to be one are never in one group."""
        found = list(self.every(collection))
        with _collections.reading(self._database, collection) as (connection, own):
            apart = _answers.cannot_be_one(connection, own)
        return groups(found, apart)

    def looked(self, collection: str, at: str) -> None:
        """Write into the audit that somebody looked: at the list, the groups, an export."""
        with _collections.writing(self._database, collection) as (log, own):
            _audit.append(
                log.connection, verb=VIEW, subject=f"duplicates:{at}", collection=own["uid"]
            )


def tidy(
    gallery: Gallery, *, runs_kept: timedelta = RUNS_KEPT, merges_kept: timedelta = MERGES_KEPT
) -> tuple[int, int]:
    """Forget old runs with their pairs, and make old merges final; how many of each."""
    return Runs(gallery).forget(runs_kept), gallery.forget_merges(merges_kept)
