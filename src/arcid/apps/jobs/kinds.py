"""What a job of each kind does with what waits of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from arcid.apps.enrol import Photo, enrol_faces, enrol_photos
from arcid.apps.enrol_writing import Keeping, Outcome
from arcid.apps.importing import Item, Left, Source
from arcid.apps.jobs.held import Held
from arcid.errors import ArcidError, PersonNotFound, UsageError
from arcid.gallery import NewFace
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import people as _people
from arcid.pipeline import Pipeline


def _no_source(spec: Mapping[str, Any]) -> Source:
    raise UsageError("an import is gone on with by the command that began it")


Step = Callable[[int], None]  # items that were done with


@dataclass(frozen=True)
class Means:
    """What work may need; deletions need neither models nor a source. ``open_source``: of an
    import, by its ``spec``."""

    pipeline: Pipeline | None = None
    open_source: Callable[[Mapping[str, Any]], Source] = _no_source
    stopped: Callable[[], bool] = lambda: False
    step: Step = field(default=lambda count: None)


DELETED_AT_ONCE = 25  # people; each commit that erases waits for the disk


class Stopped(Exception):
    """``Means.stopped`` said so."""


def work(held: Held, means: Means) -> None:
    """Do all that waits of a job. Raises what stops everything: ``Lost``, ``Stopped``,
    ``ArcidError``; what was done is kept."""
    _WORK[held.job.kind](held, means)


def _import(held: Held, means: Means) -> None:
    job, options = held.job, held.job.options
    pipeline, source = _models(means), means.open_source(job.source)
    try:
        keeping = Keeping(
            consent=lambda person: source.about(person).consent,
            metadata=lambda person: source.about(person).metadata,
            external_id=lambda person: source.about(person).external_id,
            noted=held.done,
            outcomes=_outcomes(held, means),
        )
        waiting = _waiting(held, means)
        if source.vectors:
            enrol_faces(
                held.gallery,
                job.collection,
                _faces(waiting, source),
                decide=None if options.get("allow_duplicate") else pipeline.duplicate,
                keeping=keeping,
            )
            return
        enrol_photos(
            pipeline,
            held.gallery,
            job.collection,
            _photos(waiting, source),
            require_quality=options.get("require_quality", True),
            select=options.get("select", "prominent"),
            aligned=source.aligned,
            allow_duplicate=options.get("allow_duplicate", False),
            keeping=keeping,
        )
    finally:
        source.close()


def _delete_people(held: Held, means: Means) -> None:
    database, name = held.gallery.database, held.job.collection
    waiting = _waiting(held, means)
    while some := list(itertools.islice(waiting, DELETED_AT_ONCE)):
        left: list[Left] = []
        with _collections.writing(database, name, erases=True) as (log, own):
            for item in some:
                try:
                    _people.delete(log, own, _people.find(log.connection, own, item.label))
                except PersonNotFound as error:  # deleted by somebody else meanwhile
                    left.append(Left.of(item, error))
            gone = {one.label for one in left}
            held.done([("", i.label) for i in some if i.label not in gone], log.connection)
        held.refuse(left)
        means.step(len(some))


def _reembed(held: Held, means: Means) -> None:
    job, pipeline = held.job, _models(means)
    embedder = pipeline.embedder

    def progress(done: int, total: int) -> None:
        # what an earlier process did is not counted again: of all, so many are still to do
        held.reach(job.total - max(total - done, 0))
        means.step(done)
        _check(held, means)

    held.gallery.reembed(
        job.collection,
        embedder.embed,
        embedder.contract_id,
        progress=progress,
        model_name=pipeline.provenance["model"],
    )
    held.reach(job.total)


_WORK: dict[str, Callable[[Held, Means], None]] = {
    "import": _import,
    "delete_people": _delete_people,
    "reembed": _reembed,
}


def _models(means: Means) -> Pipeline:
    if means.pipeline is None:
        raise UsageError("this job needs models; go on with it where they are")
    return means.pipeline


def _check(held: Held, means: Means) -> None:
    held.check()
    if means.stopped():
        raise Stopped


def _waiting(held: Held, means: Means) -> Iterator[Item]:
    for item in held.items():
        _check(held, means)
        yield item


def _photos(waiting: Iterator[Item], source: Source) -> Iterator[Photo]:
    for item in waiting:
        yield item.person, cast(BinaryIO, _Lazy(source, item)), item.label


class _Lazy:
    """A photo that is fetched by the thread that decodes it."""

    def __init__(self, source: Source, item: Item) -> None:
        self._source, self._item = source, item

    def read(self, size: int = -1) -> bytes:
        return cast(bytes, self._source.take(self._item))


def _faces(
    waiting: Iterator[Item], source: Source
) -> Iterator[tuple[tuple[str, str], NewFace | ArcidError]]:
    for item in waiting:
        try:
            yield (item.person, item.label), cast(NewFace, source.take(item))
        except ArcidError as error:
            yield (item.person, item.label), error


def _outcomes(held: Held, means: Means) -> Callable[[Sequence[Outcome]], None]:
    def told(outcomes: Sequence[Outcome]) -> None:
        held.refuse([
            Left.of(Item(*key), error) for key, error in outcomes if error is not None
        ])  # fmt: skip
        means.step(len(outcomes))
        _check(held, means)

    return told
