"""Aligned crops of enrolled faces, where the collection keeps them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery import rules
from arcid.gallery.imaging import decode_crop, encode_crop
from arcid.gallery.schema import Row, crops
from arcid.gallery.seals import damaged, image_seal
from arcid.gallery.store import sealed
from arcid.gallery.store.journal import Journal
from arcid.types import Image
from arcid.vault import is_sealed, place
from arcid.vault.sealing import key_of


def keep(journal: Journal, collection: Row, person: Row, face_key: int, crop: Image | None) -> None:
    """Raises ``InvalidArray``, whether it is kept or not."""
    if crop is None:
        return
    rules.check_crop(crop)
    if not collection["keep_crops"]:
        return
    key_id = sealed.key_of(journal.connection, collection, person)
    where = crop_place(collection["id"], person["id"], face_key)
    image = sealed.seal(journal.connection, key_id, encode_crop(crop), where)
    journal.connection.execute(
        crops.insert().values(face_id=face_key, image=image, seal=image_seal(face_key, image))
    )


def read(connection: Connection, face: Row) -> Image | None:
    """(S,S,3) uint8 RGB of a face's row."""
    stored = _stored(connection, face)
    if stored is None:
        return None
    where = crop_place(face["collection_id"], face["person_id"], face["id"])
    return decode_crop(opened(connection, stored, where))


def move(connection: Connection, collection: Row, face: Row, to: Row) -> None:
    """Seal a face's crop for the person it is given to."""
    stored = _stored(connection, face)
    if stored is None:
        return
    old, new = (
        crop_place(collection["id"], person, face["id"]) for person in (face["person_id"], to["id"])
    )
    key_id = sealed.key_of(connection, collection, to)
    image = sealed.seal(connection, key_id, opened(connection, stored, old), new)
    values = {"image": image, "seal": image_seal(face["id"], image)}
    connection.execute(crops.update().where(crops.c.face_id == face["id"]).values(values))


def crop_place(collection: int, person: int, face: int) -> bytes:
    """What a sealed crop is bound to."""
    return place("crop", collection, person, face)


def opened(connection: Connection, stored: bytes, where: bytes) -> bytes:
    """PNG bytes, which never begin as a sealed value does. Raises ``SealBroken``."""
    key_id = key_of(stored) if is_sealed(stored) else None
    return sealed.unseal(connection, key_id, stored, where)


def _stored(connection: Connection, face: Row) -> bytes | None:
    query = sa.select(crops.c.image, crops.c.seal).where(crops.c.face_id == face["id"])
    row = connection.execute(query).first()
    if row is not None and image_seal(face["id"], row[0]) != row[1]:
        raise damaged("a stored crop")
    return None if row is None else row[0]
