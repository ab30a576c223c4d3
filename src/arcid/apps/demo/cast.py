"""Whose photographs play whom: heads cut out of a folder with one folder a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from arcid import paths
from arcid.apps.enrol import photos_by_person
from arcid.errors import ImageError, InputError
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import FloatArray, Image

NAMES = ("Ada Brook", "Bela Winter", "Cora Lindt", "Dario Vale", "Edda Marsh", "Femi Stone")
TWICE = "A. Brook"  # who is enrolled a second time
BARRED, APPLICANT = "Viktor Quill", "Wanda Pine"
PHOTOS, ENROLLED = 4, 2  # of everybody with a name; cameras see the rest
STAFF, STRANGERS = 3, 4  # at least, at most
HEAD_PX = 240
IN_DATA = Path("data/lfw-dev/images")  # of ARCID_DATA: one folder a person


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody with a made-up name."""

    name: str
    enrolled: tuple[Path, ...]  # photographs the gallery gets
    heads: tuple[Image, ...] = field(repr=False)  # (240,W,3) uint8 RGB, what cameras see


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody in the demo."""

    staff: tuple[Player, ...]
    twice: Path  # one more photograph of the first of them
    barred: Player
    applicant: Player
    strangers: tuple[Image, ...] = field(repr=False)  # nobody knows them; may be empty

    @classmethod
    def of(cls, pipeline: Pipeline, folder: Path) -> Cast:
        """From a folder with one folder a person. Raises ``InputError`` where it shows too few."""
        people = photos_by_person(folder)
        known = [photos for photos in people.values() if len(photos) >= PHOTOS]
        least = STAFF + 2
        if len(known) < least:
            raise InputError(
                f"the demo needs {least} people with {PHOTOS} photographs each, and {folder} "
                f"has {len(known)}: one folder a person, photographs inside; --photos names another"
            )
        players = (
            Player("", tuple(photos[:ENROLLED]), heads)
            for photos in known
            if len(heads := _heads(pipeline, photos[ENROLLED:PHOTOS])) > 1
        )
        found = [player for player, _ in zip(players, range(len(NAMES) + 2), strict=False)]
        if len(found) < least:
            raise InputError(
                f"of {least} people with enough photographs the demo needs, {folder} shows "
                f"{len(found)} with a face in them; --photos names another folder"
            )
        names = (BARRED, APPLICANT, *NAMES)
        barred, applicant, first, *staff = (
            replace(one, name=name) for name, one in zip(names, found, strict=False)
        )
        used = {path for one in found for path in one.enrolled}
        others = [photos[0] for photos in people.values() if photos[0] not in used]
        twice = people[first.enrolled[0].parent.name][PHOTOS - 1]  # so no camera sees that one
        first = replace(first, heads=first.heads[:1])
        strangers = _heads(pipeline, others[-STRANGERS:])
        return cls((first, *staff), twice, barred, applicant, strangers)


def photographs(folder: Path | None) -> Path:
    """Where people's photographs lie: as said, else in ARCID_DATA. Raises ``InputError``."""
    if folder is not None:
        return folder
    data = paths.data_dir()
    if data is None or not (data / IN_DATA).is_dir():
        raise InputError(
            "there are no photographs of people: --photos names a folder with one folder a person "
            f"(or ARCID_DATA one that holds {IN_DATA.as_posix()}); nothing is downloaded"
        )
    return data / IN_DATA


def film() -> Path | None:
    """The shortest video of ARCID_DATA, None where it has none."""
    data = paths.data_dir()
    found = [] if data is None else sorted((data / "data/video").glob("*.mp4"))
    return min(found, key=lambda path: path.stat().st_size, default=None)


def _heads(pipeline: Pipeline, photos: Sequence[Path]) -> tuple[Image, ...]:
    return tuple(_cut(pipeline, photos))


def _cut(pipeline: Pipeline, photos: Sequence[Path]) -> Iterator[Image]:
    for photo in photos:
        try:
            image = load_image(photo)
        except ImageError:
            continue
        found = pipeline.detect(image)
        if len(found):
            yield _head(image, found.select("largest").boxes[0])


def _head(image: Image, box: FloatArray) -> Image:
    """(240,W,3): the face with hair and shoulders."""
    left, top, right, bottom = (float(value) for value in box)
    side = max(right - left, bottom - top)
    y, x = (top + bottom) / 2, (left + right) / 2
    rows = slice(max(0, int(y - side)), int(y + side))
    columns = slice(max(0, int(x - 0.75 * side)), int(x + 0.75 * side))  # nobody beside them
    head = image[rows, columns]
    size = (max(1, round(HEAD_PX * head.shape[1] / head.shape[0])), HEAD_PX)
    return np.asarray(cv2.resize(head, size, interpolation=cv2.INTER_AREA), np.uint8)
