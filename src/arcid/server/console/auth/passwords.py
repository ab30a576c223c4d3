"""Passwords as argon2id hashes."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING

from arcid.server.console import strings as S
from arcid.server.console.auth.errors import AccountRefused

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_PASSWORD, MAX_PASSWORD = 10, 256


class Passwords:
    """Hashes and compares; 64 MiB each, so two at a time. Thread-safe."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        from argon2 import PasswordHasher

        self._hasher = hasher or PasswordHasher()  # RFC 9106, the second of its choices
        self._hashing = threading.BoundedSemaphore(2)

    def hash(self, name: str, password: str) -> str:
        """A PHC string for the account of that name; raises ``AccountRefused``."""
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise AccountRefused(S.PASSWORD_LENGTH.format(low=MIN_PASSWORD, high=MAX_PASSWORD))
        if name_key(password) == name_key(name) or len(set(password)) < 4:
            raise AccountRefused(S.PASSWORD_WEAK)
        with self._hashing:
            return self._hasher.hash(password)

    def verify(self, hashed: str | None, password: str) -> bool:
        """Whether they belong together; takes as long where there is nothing to compare with."""
        from argon2.exceptions import VerificationError

        nobody = self._nobody
        if len(password) > MAX_PASSWORD:
            return False
        with self._hashing:
            try:
                return self._hasher.verify(hashed or nobody, password)
            except VerificationError:
                return False

    def is_outdated(self, hashed: str) -> bool:
        """Hashed with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_hex(16))


def name_key(name: str) -> str:
    """What makes two names one: case, spacing and Unicode composition do not count."""
    shown = name.replace("\0", "")  # which no name has, and PostgreSQL no text
    return " ".join(unicodedata.normalize("NFKC", shown).casefold().split())
