"""Which vector database carries the indexes: ``ARCID_INDEX`` and ``ARCID_INDEX_URL``."""

from __future__ import annotations

import os

from arcid.errors import UsageError
from arcid.gallery.outside import Server
from arcid.gallery.outside.pgvector import PgVector

SETTING, PLACE = "ARCID_INDEX", "ARCID_INDEX_URL"
KINDS = ("exact", "pgvector", "pgvector-hnsw")


def server(gallery_url: str) -> Server | None:
    """None: every process searches in its own memory. Raises ``UsageError``, ``MissingExtra``."""
    kind = os.environ.get(SETTING, "").strip() or "exact"
    if kind not in KINDS:
        raise UsageError(f"{SETTING} is {', '.join(KINDS)}; got {kind!r}")
    if kind == "exact":
        return None
    url = os.environ.get(PLACE, "").strip() or gallery_url
    if not url.startswith("postgresql"):
        raise UsageError(
            f"{SETTING}={kind} needs a PostgreSQL with the extension pgvector: the gallery is in "
            f"SQLite, so {PLACE} has to name one"
        )
    return PgVector(url, graph=kind == "pgvector-hnsw")


__all__ = ["KINDS", "PLACE", "SETTING", "server"]
