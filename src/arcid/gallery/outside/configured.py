"""Which vector database carries the indexes: ``ARCID_INDEX`` and ``ARCID_INDEX_URL``."""

from __future__ import annotations

import os

from arcid.errors import UsageError
from arcid.gallery.outside import Server, chroma, milvus
from arcid.gallery.outside.pgvector import PgVector

SETTING, PLACE, BLIND = "ARCID_INDEX", "ARCID_INDEX_URL", "ARCID_INDEX_BLIND"
KINDS = ("exact", "pgvector", "pgvector-hnsw", *milvus.GRAPHS, "chroma")


def server(gallery_url: str) -> Server | None:
    """None: every process searches in its own memory. Raises ``UsageError``, ``MissingExtra``."""
    kind = os.environ.get(SETTING, "").strip() or "exact"
    url = os.environ.get(PLACE, "").strip()
    blind = os.environ.get(BLIND, "").strip() == "1"
    if kind not in KINDS:
        raise UsageError(f"{SETTING} is {', '.join(KINDS)}; got {kind!r}")
    if kind == "exact":
        return None
    if kind in milvus.GRAPHS:
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"{SETTING}={kind} needs a Milvus: set {PLACE}, such as http://127.0.0.1:19530"
            )
        return milvus.server(url, kind, blind=blind)
    if kind == "chroma":
        if not url or ("://" in url and not url.startswith(("http://", "https://"))):
            raise UsageError(
                f"{SETTING}=chroma needs a Chroma: set {PLACE} to http://127.0.0.1:8000, or to the "
                "folder of one in this process"
            )
        return chroma.server(url, blind=blind)
    url = url or gallery_url
    if not url.startswith("postgresql"):
        raise UsageError(
            f"{SETTING}={kind} needs a PostgreSQL with the extension pgvector: the gallery is in "
            f"SQLite, so {PLACE} has to name one"
        )
    return PgVector(url, graph=kind == "pgvector-hnsw", blind=blind)


__all__ = ["BLIND", "KINDS", "PLACE", "SETTING", "server"]
