"""AES-256-GCM over what is stored of a person, bound to the place it is stored in.

A sealed value says itself which data key opens it: two bytes of mark and version, the number of the
key (8 bytes, little-endian), a random nonce (12), the ciphertext, its tag (16). What the value
belongs to is authenticated with it (``place``): in another row it does not open.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import Protocol

from arcid.errors import SealBroken

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
MARK = bytes((0xA7, VERSION))  # how every sealed value begins
_HEAD = struct.Struct("<2sq")
_BODY = _HEAD.size + NONCE_BYTES
OVERHEAD = _BODY + 16  # bytes by which a sealed value is longer


class Cipher(Protocol):
    """What ``cryptography``'s AESGCM does with one key."""

    def encrypt(
        self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None
    ) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def cipher(key: bytes) -> Cipher:
    """Of a key of 32 bytes."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def place(kind: str, *ids: int | str) -> bytes:
    """What a value is and where it belongs, as associated data: no two places look alike."""
    return "/".join(("arcid", str(VERSION), kind, *map(str, ids))).encode()


def is_sealed(value: bytes) -> bool:
    """Whether it begins as sealed values do; PNG and JPEG do not."""
    return len(value) >= OVERHEAD and value[:2] == MARK


def key_of(sealed: bytes) -> int:
    """The number of the data key that opens it."""
    number: int = _HEAD.unpack_from(sealed)[1]
    return number


def seal(key_id: int, by: Cipher, value: bytes, where: bytes) -> bytes:
    """Opens with the same key and in the same place only."""
    nonce = os.urandom(NONCE_BYTES)
    return _HEAD.pack(MARK, key_id) + nonce + by.encrypt(nonce, value, where)


def unseal(values: Iterable[tuple[Cipher, bytes, bytes]]) -> list[bytes]:
    """What was sealed, of (its key, value, where it stands). Raises ``SealBroken``."""
    from cryptography.exceptions import InvalidTag

    head, body = _HEAD.size, _BODY  # this runs once a vector
    try:
        return [by.decrypt(sealed[head:body], sealed[body:], where) for by, sealed, where in values]
    except InvalidTag:
        raise broken() from None


def broken() -> SealBroken:
    return SealBroken(
        "a sealed value does not belong where it was found, or was changed: somebody exchanged "
        "rows of the database, or it is damaged. Stop writing to it, run `arcid doctor`, and "
        "restore the last backup"
    )


def wrap(by: Cipher, key: bytes, where: bytes) -> bytes:
    """A key, sealed with another."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + by.encrypt(nonce, key, where)


def unwrap(by: Cipher, wrapped: bytes, where: bytes) -> bytes:
    """Raises ``SealBroken``."""
    from cryptography.exceptions import InvalidTag

    try:
        return by.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], where)
    except InvalidTag:
        raise SealBroken("this key was sealed with another one, or changed") from None
