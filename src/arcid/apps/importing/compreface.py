"""People of a face collection of CompreFace: their photos, over its REST interface.

Its vectors are of another model and stay behind. It has photos where it was told to keep them
(``save_images_to_db``), perhaps not from the beginning. Protocol: CompreFace 1.2,
``/api/v1/recognition/faces``.
"""

from __future__ import annotations

import hashlib
from typing import Any

from arcid.apps.importing.items import About, Item, Left, Listing, checked
from arcid.apps.importing.remote import Remote
from arcid.errors import ImageUnreadable, InputError
from arcid.gallery import NewConsent, NewFace

PAGE = 500
_FACES = ("api", "v1", "recognition", "faces")


class CompreFace:
    """``key``: the API key of the recognition service whose collection is meant."""

    aligned = vectors = False

    def __init__(self, address: str, key: str, *, consent: NewConsent | None = None) -> None:
        self._remote = Remote(address, {"x-api-key": key})
        self._service = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._consent = consent
        self._listing: Listing | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return {
            "kind": "compreface", "address": self._remote.address, "service": self._service
        }  # fmt: skip

    def listing(self) -> Listing:
        """Raises ``InputError``."""
        if self._listing is None:
            found = checked(self._faces())
            if not any(self._image(item.label) for item in found.items):
                found = Listing((), [*found.left, *map(_without, found.items)])
            self._listing = found
        return self._listing

    def take(self, item: Item) -> bytes | NewFace:
        data = self._image(item.label)
        if not data:
            raise ImageUnreadable("CompreFace has no photo of this face")
        return data

    def about(self, person: str) -> About:
        return About(self._consent)

    def close(self) -> None:
        """Nothing is open."""

    def _faces(self) -> list[Item]:
        found: dict[str, Item] = {}  # pages may shift while they are read
        page = total = 0
        while page <= total:
            answer = self._remote.json(*_FACES, page=page, size=PAGE)
            try:
                found |= {
                    str(f["image_id"]): Item(str(f["subject"]), str(f["image_id"]))
                    for f in answer["faces"]
                }
                total = int(answer["total_pages"]) - 1
            except (KeyError, TypeError, ValueError):
                raise InputError("this is not how CompreFace lists faces") from None
            page += 1
        return list(found.values())

    def _image(self, image_id: str) -> bytes:
        return self._remote.photo(*_FACES, image_id, "img")


def _without(item: Item) -> Left:
    message = "CompreFace was told not to keep photos, and its vectors are of another model"
    return Left(item.label, item.person, "no_photo", message)
