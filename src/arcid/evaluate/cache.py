"""Embeddings remembered from one measurement to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from arcid.errors import ArcidError, DatasetInvalid, StorageFull, UsageError
from arcid.evaluate.embeddings import Failure
from arcid.types import FloatArray

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_NOT_NOW = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


class EmbeddingCache:
    """Vectors by contract, picture hash and variant in one SQLite file of a folder.

    ``variant`` names what happens between picture and vector besides the model (detector and its
    options, aligned or not, a synthetic mask); vectors of two variants never mix. The file holds
    biometric data and is readable by its owner only.
    """

    def __init__(self, folder: Path, contract_id: str, variant: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "embeddings.sqlite"
        self.contract_id, self.variant = contract_id, variant
        new = not self.path.exists()
        with self._connect() as db:
            if new:
                self.path.chmod(0o600)
                db.execute("PRAGMA journal_mode=WAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (contract TEXT, variant TEXT, picture TEXT, "
                "vector BLOB, code TEXT, message TEXT, PRIMARY KEY (contract, variant, picture)) "
                "WITHOUT ROWID"
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
                yield db
        except sqlite3.DatabaseError as error:
            raise _told(self.path, error) from None

    def get(self, digests: Sequence[str]) -> dict[str, FloatArray | Failure]:
        """What is known of these pictures."""
        found: dict[str, FloatArray | Failure] = {}
        with self._connect() as db:
            for start in range(0, len(digests), 500):
                part = list(digests[start : start + 500])
                marks = ",".join("?" * len(part))
                rows = db.execute(
                    "SELECT picture, vector, code, message FROM vectors "  # noqa: S608
                    f"WHERE contract = ? AND variant = ? AND picture IN ({marks})",
                    (self.contract_id, self.variant, *part),
                )
                for picture, vector, code, message in rows:
                    found[picture] = (
                        Failure(code, message)
                        if vector is None
                        else np.frombuffer(vector, np.float32)
                    )
        return found

    def put(self, entries: Mapping[str, FloatArray | Failure]) -> None:
        """Remember; failures too, so that a second run need not try again."""
        rows = [
            (self.contract_id, self.variant, picture, None, value.code, value.message)
            if isinstance(value, Failure)
            else (
                self.contract_id,
                self.variant,
                picture,
                np.asarray(value, np.float32).tobytes(),
                None,
                None,
            )
            for picture, value in entries.items()
        ]
        with self._connect() as db:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?,?,?,?,?,?)", rows)


def _told(path: Path, error: sqlite3.DatabaseError) -> ArcidError:
    code = getattr(error, "sqlite_errorcode", None)
    if code in _NO_ROOM:
        return StorageFull(
            f"{path} takes no more: its disk is full, or files may not grow so large. What was "
            "embedded so far is in it; free some space, try again"
        )
    if code is not None and code & 0xFF in _NOT_NOW:
        return UsageError(f"the embedding cache {path} cannot be written: {error}")
    return DatasetInvalid(
        f"the embedding cache {path} cannot be used ({error}); delete it, it is made again"
    )


__all__ = ["EmbeddingCache"]
