"""Photos and folders in; one vector, or the reason why there is none, for each out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from arcid.errors import ArcidError, ImageUnreadable, NoFaceFound
from arcid.image import ColorOrder, ImageSource, check_color, check_many, find_photos
from arcid.pipeline import Pipeline
from arcid.progress import progress_bar
from arcid.results import Faces
from arcid.types import Embeddings, Selection, check_selection

Progress = Callable[[int, "int | None"], None]  # (photos done, photos in all where it is known)


def embed_photos(
    photos: str | os.PathLike[str] | Iterable[ImageSource],
    *,
    pipeline: Pipeline | None = None,
    select: Selection = "prominent",
    aligned: bool = False,
    color: ColorOrder = "rgb",
    progress: bool | Progress = True,
) -> tuple[dict[str, Embeddings], dict[str, ArcidError]]:
    """Vectors of many photos by name, and what was wrong with the others: (vectors, errors).

    ::

        vectors, errors = arcid.embed_photos("holiday/")
        everybody = arcid.Embeddings.concatenate(list(vectors.values()))

    ``photos``: a file or a folder, or any of these, pictures and arrays in turn; a generator is
    taken as it comes. Names are those of files, or "photo 3" for the third. ``select``: the face of
    a photo that is meant; "all" gives (N,D) for its N faces. ``pipeline``: by default that of the
    default models, opened when there is a photo. ``progress``: a bar where standard error is a
    terminal, nothing, or what is called with (done, total) after every photo.

    With the gate of a pipeline, faces it refuses are errors. A path that is not there and a folder
    without photos raise ``ImageUnreadable``; what concerns every photo raises ``UsageError`` or
    ``ModelError`` kinds.
    """
    check_selection(select)
    check_color(color)
    found, total = _listed(photos)
    first = next(found, None)
    if first is None:
        return {}, {}
    pipeline = pipeline or Pipeline.from_models()
    vectors: dict[str, Embeddings] = {}
    errors: dict[str, ArcidError] = {}
    batch = pipeline.faces_batch(chain([first], found), select=select, aligned=aligned, color=color)
    with progress_bar("embedding", total, quiet=progress is not True) as advance:
        for done, item in enumerate(batch, 1):
            try:
                vectors[item.name] = _checked(pipeline, item.get())
            except ArcidError as error:
                errors[item.name] = error
            advance(1)
            if callable(progress):
                progress(done, total)
    return vectors, errors


def _listed(
    photos: str | os.PathLike[str] | Iterable[ImageSource],
) -> tuple[Iterator[ImageSource], int | None]:
    """Files of folders in their place; how many where that is known without reading a generator."""
    if isinstance(photos, (str, os.PathLike)):
        if not Path(photos).exists():
            raise ImageUnreadable(f"{Path(photos).name} cannot be opened: there is no such file")
        photos = [photos]
    check_many(photos)
    if isinstance(photos, Iterator):
        return _expanded(photos), None
    listed = list(_expanded(photos))
    return iter(listed), len(listed)


def _expanded(photos: Iterable[ImageSource]) -> Iterator[ImageSource]:
    for photo in photos:
        if isinstance(photo, (str, os.PathLike)):
            yield from find_photos([photo])
        else:
            yield photo


def _checked(pipeline: Pipeline, faces: Faces) -> Embeddings:
    if not len(faces):
        raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
    if pipeline.gate:
        for face in faces:
            face.check_quality()
    return faces.embeddings
