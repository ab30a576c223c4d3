"""Photos in, enrolled faces out: the one way from many pictures into a gallery.

Decoding and detection run in threads ahead of the embedder, which takes the faces of many photos
in one call; another thread writes the faces of a batch in one transaction. Everything in flight is
bounded, so a folder of any length takes the memory of a few dozen photos. One bad photo is reported
and never costs another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arcid import batch
from arcid.apps.enrol_writing import Answer, Keeping, Writing, batches, one_ahead
from arcid.batch import Key
from arcid.errors import AlreadyExists, ArcidError, InputError, UsageError
from arcid.gallery import Decide, Gallery, NewConsent, NewFace
from arcid.image import SUFFIXES, ImageSource, is_photo, load_images, photo_id
from arcid.pipeline import Pipeline
from arcid.results import Face, Faces, Prepared
from arcid.types import Image, Selection

KNOWN = "this photo is enrolled already; it was not looked at again"
Photo = tuple[str, ImageSource, str]  # person's name, picture, label for the report


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo that was not enrolled, and why."""

    label: str
    person: str
    error: ArcidError


@dataclass(frozen=True, slots=True)
class EnrolReport:
    """What became of every photo that was handed in."""

    enrolled: int
    people: int  # who got at least one face
    rejected: list[Rejection]
    seconds: float
    consents: int = 0  # recorded of people who were enrolled before

    @property
    def photos(self) -> int:
        return self.enrolled + len(self.rejected)

    @property
    def photos_per_s(self) -> float:
        return self.photos / self.seconds if self.seconds > 0 else 0.0


def photos_by_person(folder: Path) -> dict[str, list[Path]]:
    """Name → photos of a folder with one folder per person, but what begins with a dot; raises
    ``InputError`` without any."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; it needs one folder per person inside")
    people: dict[str, list[Path]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        photos = sorted(p for p in inner.iterdir() if is_photo(p, folder))
        if photos:
            people[inner.name] = photos
    if not people:
        raise InputError(
            f"{folder} has no photos; it needs one folder per person, photos inside: "
            f"{', '.join(sorted(SUFFIXES))}"
        )
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
    in ``Gallery.enrol_images``, whoever is enrolled already included. What stops everything raises:
    ``UsageError`` for an item that is no ``Photo``, ``CollectionNotFound``, ``GalleryBusy``,
    ``StorageFull``; photos enrolled up to then stay enrolled.
    """
    gallery.collection(collection)
    origin = pipeline.provenance
    contract_id = pipeline.embedder.contract_id

    def known(asked: Sequence[tuple[tuple[str, str], str]]) -> list[bool]:
        photos = [(person, image_id) for (person, _), image_id in asked]
        return gallery.enrolled(collection, photos, contract_id)

    keyed = (((person, label), source) for person, source, label in map(_photo, items))
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


def _photo(item: Any) -> Photo:
    """Raises ``UsageError`` for what is none."""
    if isinstance(item, (tuple, list)) and len(item) == 3:
        person, source, label = item
        if isinstance(person, str) and isinstance(label, (str, Path)):
            return person, source, str(label)
    raise UsageError(
        "a photo to be enrolled comes as (person's name, picture, label), name and label texts"
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
    writing = Writing(gallery, collection, decide, keeping)
    acting = copy_context()  # the audit names who called, not this thread
    with ThreadPoolExecutor(1, thread_name_prefix="arcid-write") as writer:
        for outcomes in one_ahead(
            writer.submit(acting.run, writing.batch, batch) for batch in batches(answers)
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
    seconds = time.perf_counter() - started
    return EnrolReport(enrolled, len(people), rejected, seconds, writing.consents)


def one_face_each(
    pipeline: Pipeline,
    photos: Iterable[tuple[Key, ImageSource]],
    *,
    select: Selection = "prominent",
    aligned: bool = False,
    require_quality: bool = False,
    known: Callable[[Sequence[tuple[Key, str]]], Sequence[bool]] | None = None,
    workers: int | None = None,
) -> Iterator[tuple[Key, Face | ArcidError]]:
    """(key, photo) in; (key, its face or the typed reason why there is none) out, in order.

    ``known``: asked with keys and ``photo_id`` of decoded photos; one that is known becomes
    ``AlreadyExists`` before any face is looked for. ``workers``: as of ``batch.run``.
    """

    def prepare(given: Sequence[tuple[Key, ImageSource]]) -> list[Prepared | ArcidError]:
        answers: list[Prepared | ArcidError] = []
        for group in load_images(source for _, source in given):
            keys = [key for key, _ in given[len(answers) : len(answers) + len(group)]]
            answers += looked_at(keys, group)
        return answers

    def looked_at(
        keys: Sequence[Key], group: Sequence[Image | ArcidError]
    ) -> list[Prepared | ArcidError]:
        images = {i: one for i, one in enumerate(group) if not isinstance(one, ArcidError)}
        ids = {i: photo_id(image) for i, image in images.items()}
        asked = [(keys[i], image_id) for i, image_id in ids.items()]
        before = known(asked) if known is not None and asked else [False] * len(asked)
        new = [i for i, is_known in zip(images, before, strict=True) if not is_known]
        prepared = pipeline.prepare_together(
            [images[i] for i in new], [ids[i] for i in new], select=select, aligned=aligned
        )
        found = dict(zip(new, prepared, strict=True))
        refused = {
            i: one if isinstance(one, ArcidError) else AlreadyExists(KNOWN)
            for i, one in enumerate(group)
            if i not in found
        }
        return [found[i] if i in found else refused[i] for i in range(len(group))]

    def chosen(faces: Faces) -> Face | ArcidError:
        try:
            face = pipeline.checked(faces)
            if require_quality:
                face.check_quality()
        except ArcidError as error:
            return error
        return face

    keyed = ((given[0], given) for given in photos)
    for key, answer in batch.run_together(keyed, prepare, pipeline.embed, workers=workers):
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
