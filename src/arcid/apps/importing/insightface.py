"""People of insightface: a server's, over its REST interface, or vectors in a file.

``Server``: InsightFace Server 0.2 hands out no vectors, but crops where its collection keeps them:
a face's box, stretched to 112×112, not aligned. They get their shape back, with an edge around, and
are looked at as photos. ``Vectors``: an ``.npz`` with ``names`` (N) and
``embeddings`` (N,D) float, taken as they are, but only where the very same model file is arcid's
recogniser now; nothing else makes two vectors comparable.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from arcid.apps.importing.items import About, Item, Left, Listing, checked
from arcid.apps.importing.remote import Remote
from arcid.errors import ContractMismatch, InputError, InvalidArray
from arcid.gallery import NewConsent, NewFace
from arcid.image import load_image
from arcid.models.manifest import Manifest
from arcid.types import Embeddings

OWN = "insightface_server"  # in metadata: what that server says and has no place of its own here
PAGE = 100
EDGE = 0.5  # of the longer side, on each side: a detector looks for faces inside of pictures
MOST_PX = 1000  # a side of a crop, whatever shape its box is said to have


class Server:
    """One collection of an InsightFace Server. ``key``: where it wants one."""

    aligned = vectors = False

    def __init__(
        self, address: str, collection: str, key: str | None, *, consent: NewConsent | None = None
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._remote, self._collection = Remote(address, headers), collection
        self._consent = consent
        self._about: dict[str, About] = {}
        self._sides: dict[str, tuple[int, int]] = {}  # of boxes, by label
        self._listing: Listing | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return {
            "kind": "insightface", "address": self._remote.address, "from": self._collection
        }  # fmt: skip

    def listing(self) -> Listing:
        """Raises ``InputError``."""
        if self._listing is None:
            self._listing = self._listed()
        return self._listing

    def take(self, item: Item) -> bytes | NewFace:
        person, face = item.label.split("/")
        crop = self._remote.photo(*self._of(person), "faces", face, "image")
        return _laid_back(crop, self._sides.get(item.label))

    def about(self, person: str) -> About:
        self.listing()
        known = self._about.get(person, About())
        return replace(known, consent=self._consent)

    def close(self) -> None:
        """Nothing is open."""

    def _listed(self) -> Listing:
        items: list[Item] = []
        left: list[Left] = []
        people = self._every("persons", *self._of())
        often = Counter(_called(person).casefold() for person in people)
        for person in people:
            own, outside = str(person["id"]), person.get("external_id")
            name = _called(person)
            if often[name.casefold()] > 1:  # names are not unique there: these are two people
                name = f"{name} ({outside or own})"
            theirs = {"name": person.get("name"), "external_id": outside}
            metadata = {**(person.get("metadata") or {}), OWN: theirs}
            self._about[name] = About(None, metadata, own)
            for face in self._every("faces", *self._of(own)):
                item = Item(name, f"{own}/{face['id']}")
                if face.get("has_crop"):
                    items.append(item)
                    if sides := _stretched(face):
                        self._sides[item.label] = sides
                else:
                    message = "the server keeps no crop of this face, and hands out no vectors"
                    left.append(Left(item.label, name, "no_photo", message))
        return checked(items, left)

    def _of(self, *person: str) -> tuple[str, ...]:
        return ("v1", "collections", self._collection, "persons", *person)

    def _every(self, kind: str, *path: str) -> list[dict[str, Any]]:
        where = path if path[-1] == kind else (*path, kind)
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            answer = self._remote.json(*where, limit=PAGE, cursor=cursor)
            rows = answer.get(kind)
            if not isinstance(rows, list) or not all(
                isinstance(r, dict) and "id" in r for r in rows
            ):
                raise InputError(f"this is not how an InsightFace Server lists {kind}")
            found += rows
            cursor = answer.get("next_cursor")
            if not cursor:
                return found


def _stretched(face: dict[str, Any]) -> tuple[int, int] | None:
    """(width, height) pixels of the box that a crop was made of. None of an aligned crop: that of
    arcid's own stand-in for the server, which tells no landmarks."""
    try:
        pixels = face["bounding_box"]["pixels"]
        sides = int(pixels["width"]), int(pixels["height"])
    except (KeyError, TypeError, ValueError):
        return None
    return sides if face.get("landmarks") and min(sides) > 0 else None


def _laid_back(crop: bytes, sides: tuple[int, int] | None) -> bytes:
    """A crop in the shape of its box, with an edge, as PNG. Raises ``ImageError`` kinds."""
    from PIL import Image as Pil

    picture = Pil.fromarray(load_image(crop))
    if sides is not None:
        scale = min(picture.size) / min(sides)
        wide, high = (min(round(side * scale), MOST_PX) for side in sides)
        picture = picture.resize((wide, high), Pil.Resampling.BICUBIC)
    edge = round(EDGE * max(picture.size))
    whole = Pil.new("RGB", (picture.width + 2 * edge, picture.height + 2 * edge))
    whole.paste(picture, (edge, edge))
    whole.save(data := io.BytesIO(), "PNG")
    return data.getvalue()


def _called(person: dict[str, Any]) -> str:
    name = person.get("name") or person.get("external_id") or person["id"]
    return normalize("NFC", str(name).strip())


class Vectors:
    """``made_by``: the ONNX file that made them; the file may say its sha256 as ``model_sha256``.

    Raises ``InputError``, and ``ContractMismatch`` where it is not ``recogniser``'s.
    """

    aligned, vectors = False, True

    def __init__(
        self,
        path: Path,
        recogniser: Manifest,
        *,
        made_by: Path | None = None,
        consent: NewConsent | None = None,
    ) -> None:
        self.spec = {"kind": "vectors", "file": str(path.absolute())}
        self._consent, self._recogniser = consent, recogniser
        names, self._vectors, said = _read(path)
        self._names = [str(name) for name in names]
        sha256 = said if made_by is None else _sha256(made_by)
        _require_same(sha256, recogniser, self._vectors.shape[1])

    def listing(self) -> Listing:
        norms = np.linalg.norm(self._vectors, axis=1)
        good = np.isfinite(norms) & (norms > 1e-12)
        items = [Item(name, str(i)) for i, name in enumerate(self._names) if good[i]]
        left = [
            Left(str(i), name, InvalidArray.code, "a vector of zeros, or not all numbers")
            for i, name in enumerate(self._names)
            if not good[i]
        ]
        return checked(items, left)

    def take(self, item: Item) -> bytes | NewFace:
        row = self._vectors[int(item.label)][None]
        digest = hashlib.sha256(row.tobytes()).hexdigest()
        return NewFace(
            Embeddings.normalised(row, self._recogniser.contract_id),
            photo_id=f"vector:{digest}",  # the same vector is not taken twice
            source=f"row {item.label}",
            provenance={"model": self._recogniser.name, "imported": "vectors"},
        )

    def about(self, person: str) -> About:
        return About(self._consent)

    def close(self) -> None:
        """Nothing is open."""


def _read(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], str | None]:
    try:
        with np.load(path, allow_pickle=False) as data:
            names, vectors = data["names"], data["embeddings"]
            said = str(data["model_sha256"]) if "model_sha256" in data else None
    except KeyError:
        raise InputError(f"{path.name} needs the arrays names and embeddings") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, TypeError) as error:
        raise InputError(
            f"{path.name} is no .npz of plain arrays, and nothing else is opened: {error}"
        ) from None
    plain = names.ndim == 1 and names.dtype.kind in "US" and vectors.dtype.kind == "f"
    if not plain or vectors.ndim != 2 or len(names) != len(vectors):
        raise InputError(
            "names are N texts and embeddings (N,D) floats; these are "
            f"{names.shape} {names.dtype} and {vectors.shape} {vectors.dtype}"
        )
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "replace")
    return names, vectors.astype(np.float32), said


def _require_same(sha256: str | None, recogniser: Manifest, dim: int) -> None:
    if sha256 is None:
        raise InputError("which model made these vectors? Name its file: --made-by w600k_r50.onnx")
    same = recogniser.sha256 == sha256.lower() and not recogniser.flip
    if not same or dim != (recogniser.output and recogniser.output.dim):
        raise ContractMismatch(
            f"these vectors are of another model than {recogniser.name}, so they stay behind: name "
            "theirs with --model, where it is installed (arcid models list), or import the photos"
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
