"""Faces that Amazon Rekognition lists, joined with photos of your own.

Rekognition hands out neither vectors nor photos; what comes along is whose photo is whose. The list
is what ``aws rekognition list-faces`` prints. A photo is the file that an external id names: as it
is, without its suffix, or with ``:`` for ``/``; or all photos of the folder of that name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from arcid.apps.importing.items import About, Item, Left, Listing, checked
from arcid.apps.importing.stores import Folder
from arcid.errors import InputError
from arcid.gallery import NewConsent, NewFace
from arcid.image import SUFFIXES

MAX_BYTES = 256 * 2**20
WHY = {
    "photo_missing": "no such photo in the folder, and Rekognition gives out none, nor vectors",
    "ambiguous": "several photos have this name; whose they are is not guessed",
    "several_people": "faces of several people were indexed from it; which is whose is not guessed",
}


class Rekognition:
    """Whoever has a user id is called by it, else by the external id without a photo's suffix.
    Raises ``InputError``."""

    aligned = vectors = False

    def __init__(self, faces: Path, photos: Path, *, consent: NewConsent | None = None) -> None:
        self.spec = {
            "kind": "rekognition", "list": str(faces.absolute()), "folder": str(photos.absolute())
        }  # fmt: skip
        self._store, self._consent = Folder(photos), consent
        self._faces = _faces(faces)

    def listing(self) -> Listing:
        places = _Places(self._store.names())
        whose: dict[str, dict[str, str]] = defaultdict(dict)  # photo → person → the first face
        left: list[Left] = []
        for face in self._faces:
            outside, label = face.get("ExternalImageId"), str(face.get("FaceId", ""))
            if not outside:
                message = "it has no ExternalImageId: nothing says which photo it was"
                left.append(Left(label, str(face.get("UserId") or ""), "no_external_id", message))
                continue
            person = str(face.get("UserId") or _name(str(outside)))
            found = places.get(str(outside).replace(":", "/"))
            if isinstance(found, str):
                left.append(Left(label, person, found, f"{outside}: {WHY[found]}"))
                continue
            for photo in found:
                whose[photo].setdefault(person, label)
        items = []
        for photo, people in whose.items():
            if len(people) == 1:
                items += [Item(person, photo) for person in people]
            else:
                message = f"{photo}: {WHY['several_people']}"
                left += [Left(face, who, "ambiguous", message) for who, face in people.items()]
        return checked(items, left)

    def take(self, item: Item) -> bytes | NewFace:
        return self._store.read(item.label)

    def about(self, person: str) -> About:
        return About(self._consent)

    def close(self) -> None:
        self._store.close()


def _faces(path: Path) -> list[dict[str, Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path.name} has more than {MAX_BYTES // 2**20} MiB")
        told = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        told = None
    pages = told if isinstance(told, list) else [told]
    faces = [
        face
        for page in pages
        for face in (page.get("Faces", [None]) if isinstance(page, dict) else [None])
    ]
    good = [face for face in faces if isinstance(face, dict)]
    if len(good) < len(faces):
        raise InputError(f"{path.name} is not what aws rekognition list-faces prints: no Faces")
    return good


class _Places:
    """Photos by the external ids that may name them."""

    def __init__(self, names: list[str]) -> None:
        self._whole: dict[str, list[str]] = defaultdict(list)  # by path
        self._folder: dict[str, list[str]] = defaultdict(list)
        self._last: dict[str, list[str]] = defaultdict(list)  # by file name
        for name in names:
            path = PurePosixPath(name)
            if path.suffix.lower() not in SUFFIXES:
                continue
            for key in (name, str(path.with_suffix(""))):
                self._whole[key].append(name)
            for folder in path.parents:
                self._folder[str(folder)].append(name)
            for key in (path.name, path.stem):
                self._last[key].append(name)

    def get(self, outside: str) -> list[str] | str:
        """The photos, or the code of why there are none."""
        for by, most in ((self._whole, 1), (self._folder, None), (self._last, 1)):
            found = by.get(outside)
            if found and (most is None or len(found) <= most):
                return found
            if found:
                return "ambiguous"
        return "photo_missing"


def _name(outside: str) -> str:
    path = PurePosixPath(outside.replace(":", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
