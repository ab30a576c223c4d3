"""Photos in, enrolled faces out: the one way from many pictures into a gallery.

Decoding and detection run in threads ahead of the embedder, which takes the faces of many photos
in one call; another thread writes one person's faces of a batch in one transaction. Everything in
flight is bounded, so a folder of any length takes the memory of a few dozen photos. One bad photo
is reported and never costs another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy.engine import Connection

from arcid import batch
from arcid.batch import BATCH, Key
from arcid.errors import AlreadyExists, ArcidError, InputError
from arcid.gallery import Decide, Gallery, NewConsent, NewFace
from arcid.image import SUFFIXES, ImageSource, load_image, photo_id
from arcid.pipeline import Pipeline
from arcid.results import Face, Faces, Prepared
from arcid.types import Selection

Photo = tuple[str, ImageSource, str]  # person's name, picture, label for the report
Answer = tuple[tuple[str, str], "NewFace | ArcidError"]  # (person, label), its face or why none
Outcome = tuple[tuple[str, str], ArcidError | None]  # (person, label), why it was not enrolled


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo that was not enrolled, and why."""

    label: str
    person: str
    error: ArcidError


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


@dataclass(frozen=True, slots=True)
class EnrolReport:
    """What became of every photo that was handed in."""

    enrolled: int
    people: int  # who got at least one face
    rejected: list[Rejection]
    seconds: float

    @property
    def photos(self) -> int:
        return self.enrolled + len(self.rejected)

    @property
    def photos_per_s(self) -> float:
        return self.photos / self.seconds if self.seconds > 0 else 0.0


def photos_by_person(folder: Path) -> dict[str, list[Path]]:
    """Name → photos of a folder with one folder per person; raises ``InputError`` without any."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; it needs one folder per person inside")
    people: dict[str, list[Path]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        photos = sorted(p for p in inner.iterdir() if p.suffix.lower() in SUFFIXES)
        if photos:
            people[inner.name] = photos
    if not people:
        raise InputError(f"{folder} has no photos; it needs one folder per person, photos inside")
    return people


def enrol_photos(
    pipeline: Pipeline,
    gallery: Gallery,
    collection: str,
    items: Iterable[Photo],
    *,
    require_quality: bool = True,
    select: Selection = "prominent",
    aligned: bool = False,
    allow_duplicate: bool = False,
    consent: NewConsent | None = None,
    on_progress: Callable[[int], None] | None = None,
    keeping: Keeping | None = None,
) -> EnrolReport:
    """Enrol one face of every photo under the name given with it, creating people as needed.

    ``on_progress`` is told how many photos are finished. A photo that cannot be used (unreadable,
    no face, several faces, poor quality, enrolled already, or as somebody else unless
    ``allow_duplicate``) becomes a ``Rejection``. ``consent`` is that of everybody in ``items``, as
    in ``Gallery.enrol_images``. What stops everything raises: ``CollectionNotFound``,
    ``GalleryBusy``, ``StorageFull``; photos enrolled up to then stay enrolled.
    """
    gallery.collection(collection)
    origin = pipeline.provenance
    contract_id = pipeline.embedder.contract_id

    def known(key: tuple[str, str], image_id: str) -> bool:
        return gallery.enrolled(collection, key[0], image_id, contract_id)

    keyed = (((person, label), source) for person, source, label in items)
    answers = one_face_each(
        pipeline,
        keyed,
        select=select,
        aligned=aligned,
        require_quality=require_quality,
        known=known,
    )
    return enrol_faces(
        gallery,
        collection,
        (
            (key, face if isinstance(face, ArcidError) else new_face(face, key[1], origin))
            for key, face in answers
        ),
        decide=None if allow_duplicate else pipeline.duplicate,
        on_progress=on_progress,
        keeping=keeping or Keeping(consent=lambda person: consent),
    )


def enrol_faces(
    gallery: Gallery,
    collection: str,
    answers: Iterator[Answer],
    *,
    decide: Decide | None,
    keeping: Keeping,
    on_progress: Callable[[int], None] | None = None,
) -> EnrolReport:
    """Enrol faces as they come, each under the name of its key; the second half of
    ``enrol_photos``, with the same errors."""
    started = time.perf_counter()
    rejected: list[Rejection] = []
    people: set[str] = set()
    enrolled = done = 0
    writing = _Writing(gallery, collection, decide, keeping)
    acting = copy_context()  # the audit names who called, not this thread
    with ThreadPoolExecutor(1, thread_name_prefix="arcid-write") as writer:
        for outcomes in _one_ahead(
            writer.submit(acting.run, writing.batch, batch) for batch in _batches(answers)
        ):
            for (person, label), problem in outcomes:
                if problem is None:
                    enrolled += 1
                    people.add(person)
                else:
                    rejected.append(Rejection(label, person, problem))
            done += len(outcomes)
            if keeping.outcomes:
                keeping.outcomes(outcomes)
            if on_progress:
                on_progress(done)
    return EnrolReport(enrolled, len(people), rejected, time.perf_counter() - started)


def one_face_each(
    pipeline: Pipeline,
    photos: Iterable[tuple[Key, ImageSource]],
    *,
    select: Selection = "prominent",
    aligned: bool = False,
    require_quality: bool = False,
    known: Callable[[Key, str], bool] | None = None,
    workers: int | None = None,
) -> Iterator[tuple[Key, Face | ArcidError]]:
    """(key, photo) in; (key, its face or the typed reason why there is none) out, in order.

    ``known``: asked with the key and the ``photo_id`` of a decoded photo; one that is known becomes
    ``AlreadyExists`` before any face is looked for. ``workers``: as of ``batch.run``.
    """

    def prepare(given: tuple[Key, ImageSource]) -> Prepared:
        image = load_image(given[1])
        image_id = photo_id(image)
        if known is not None and known(given[0], image_id):
            raise AlreadyExists("this photo is enrolled already; it was not looked at again")
        return pipeline.prepare(image, select=select, aligned=aligned, image_id=image_id)

    def chosen(faces: Faces) -> Face | ArcidError:
        try:
            face = pipeline.checked(faces)
            if require_quality:
                face.check_quality()
        except ArcidError as error:
            return error
        return face

    keyed = ((given[0], given) for given in photos)
    for key, answer in batch.run(keyed, prepare, pipeline.embed, workers=workers):
        yield key, answer if isinstance(answer, ArcidError) else chosen(answer)


def new_face(face: Face, source: str, origin: dict[str, Any]) -> NewFace:
    """A face as the gallery takes it in; ``source`` is a file name or the client's note."""
    return NewFace(
        embedding=face.embedding,
        photo_id=face.photo_id,
        box=cast(tuple[float, float, float, float] | None, face.box),
        score=face.score,
        quality=face.quality.measured() if face.quality else {},
        crop=face.crop,
        source=source[:200],
        provenance=origin,
    )


def _batches(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    while batch := list(itertools.islice(answers, BATCH)):
        yield batch


def _one_ahead(futures: Iterator[Future[list[Outcome]]]) -> Iterator[list[Outcome]]:
    """Results in order; while one is awaited the next batch is on its way."""
    before: Future[list[Outcome]] | None = None
    for future in futures:
        if before is not None:
            yield before.result()
        before = future
    if before is not None:
        yield before.result()


class _Writing:
    """One thread's."""

    def __init__(
        self, gallery: Gallery, collection: str, decide: Decide | None, keeping: Keeping
    ) -> None:
        self._gallery, self._collection = gallery, collection
        self._decide, self._keeping = decide, keeping

    def batch(self, batch: list[Answer]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for person, group in itertools.groupby(batch, key=lambda answer: answer[0][0]):
            faces: list[tuple[str, NewFace]] = []
            for key, answer in group:
                if isinstance(answer, ArcidError):
                    outcomes.append((key, answer))
                else:
                    faces.append((key[1], answer))
            outcomes += self._write(person, faces)
        return outcomes

    def _write(self, person: str, faces: Sequence[tuple[str, NewFace]]) -> list[Outcome]:
        """One transaction for all; where the gallery refuses, one for each."""
        if not faces:
            return []
        keeping = self._keeping
        keys = [(person, label) for label, _ in faces]
        try:
            self._gallery.enrol_images(
                self._collection,
                [face for _, face in faces],
                name=person,
                **self._new(person),
                decide=self._decide,
                consent=keeping.consent(person),
                noted=keeping.noted and partial(keeping.noted, keys),
            )
        except (InputError, AlreadyExists) as error:
            if len(faces) == 1:
                return [(keys[0], error)]
            return [outcome for one in faces for outcome in self._write(person, [one])]
        return [(key, None) for key in keys]

    def _new(self, person: str) -> dict[str, Any]:
        """What is kept of somebody new; what is known of others stays."""
        metadata, outside = self._keeping.metadata(person), self._keeping.external_id(person)
        told = {"metadata": metadata or None, "external_id": outside}
        if not any(told.values()) or self._gallery.find_person(self._collection, person):
            return {}
        return told
