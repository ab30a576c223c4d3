"""Chroma: a graph of each index, in this process or on a server.

Embedded, a folder belongs to one process: Chroma keeps no second one out, so a lock beside it does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from arcid import files
from arcid.errors import IndexUnavailable, MissingExtra, UsageError
from arcid.gallery.index import Keys
from arcid.gallery.outside import GONE
from arcid.gallery.outside.stepwise import Stepwise, TableGone
from arcid.types import FloatArray

NOTE = "arcid"
ROWS = 2048  # of a piece that is sent
LISTS = 200  # neighbours that the graph follows at least (hnsw:search_ef)
GRAPH = {"hnsw": {"space": "ip", "ef_construction": 200, "ef_search": LISTS, "max_neighbors": 32}}


def server(place: str, *, blind: bool = False) -> Stepwise:
    """``http(s)://[user:password@]host[:port]``, or the folder of an embedded one. Raises
    ``MissingExtra``, ``UsageError``; ``IndexUnavailable`` where it does not answer."""
    return Stepwise(ChromaTables(place), blind=blind)


class ChromaTables:
    """A table is a collection of Chroma, its note that collection's metadata. Thread-safe."""

    kind = "chroma"
    exact = False
    margin = 1e-5  # float32 sums in another order
    most: int | None = None

    def __init__(self, place: str) -> None:
        try:
            import chromadb
            import httpx
            from chromadb.config import Settings
            from chromadb.errors import ChromaError, NotFoundError
        except ModuleNotFoundError:
            raise MissingExtra("an index in Chroma", "chroma") from None
        self._gone = NotFoundError
        self._errors = (ChromaError, httpx.HTTPError, OSError, ValueError)
        self._held = ExitStack()
        quiet = Settings(anonymized_telemetry=False)
        url = urlsplit(place)
        if url.scheme in ("http", "https"):
            self.name = f"Chroma at {url.hostname}"
            port = url.port or (443 if url.scheme == "https" else 8000)
            if url.username is not None:
                quiet.chroma_client_auth_provider = (
                    "chromadb.auth.basic_authn.BasicAuthClientProvider"
                )
                quiet.chroma_client_auth_credentials = (
                    f"{unquote(url.username)}:{unquote(url.password or '')}"
                )
            self._make: Callable[[], Any] = lambda: chromadb.HttpClient(
                url.hostname or "", port, ssl=url.scheme == "https", settings=quiet
            )
        else:
            folder = Path(place)
            self.name = "Chroma in this process"

            def make() -> Any:
                self._alone(folder)
                return chromadb.PersistentClient(folder, settings=quiet)

            self._make = make
        self._lock = threading.Lock()
        self._client: Any = None

    def notes(self, prefix: str) -> Mapping[str, str]:
        with self._asking():
            found = self._connected().list_collections()
            return {
                one.name: str((one.metadata or {}).get(NOTE, ""))
                for one in found
                if one.name.startswith(prefix)
            }

    def create(self, table: str, dim: int, note: str) -> None:
        with self._asking():
            self._connected().create_collection(
                table, embedding_function=None, configuration=GRAPH, metadata={NOTE: note}
            )

    def tell(self, table: str, note: str) -> None:
        with self._asking(table) as collection:
            collection.modify(metadata={NOTE: note})

    def drop(self, table: str) -> None:
        with self._asking():
            try:
                self._connected().delete_collection(table)
            except self._gone:
                return

    def put(self, table: str, face_keys: Keys, vectors: FloatArray) -> None:
        with self._asking(table) as collection:
            for start in range(0, len(face_keys), ROWS):
                part = slice(start, start + ROWS)
                collection.upsert(_ids(face_keys[part]), embeddings=vectors[part])

    def remove(self, table: str, face_keys: Keys) -> None:
        with self._asking(table) as collection:
            for start in range(0, len(face_keys), ROWS):
                collection.delete(_ids(face_keys[start : start + ROWS]))

    def nearest(self, table: str, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        with self._asking(table) as collection:
            found = collection.query(
                query_embeddings=[np.asarray(probe, np.float32)],
                n_results=count,
                include=["distances"],
            )
            keys = np.array([int(key) for key in found["ids"][0]], np.int64)
            return keys, 1 - np.array(found["distances"][0], np.float32)

    def count(self, table: str) -> int:
        with self._asking(table) as collection:
            return int(collection.count())

    def close(self) -> None:
        self._held.close()

    def _alone(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = folder / "arcid.lock"
        lock.touch(mode=0o600)
        try:
            self._held.enter_context(files.alone(lock))
        except UsageError:
            raise UsageError(
                f"another process has the embedded Chroma in {folder}, which serves one at a time: "
                "stop that process, or run a Chroma server and name its http address"
            ) from None

    @contextmanager
    def _asking(self, table: str | None = None) -> Iterator[Any]:
        """Yields the collection of a table. Raises ``TableGone``, ``IndexUnavailable``."""
        try:
            client = self._connected()
            yield table and client.get_collection(table, embedding_function=None)
        except self._gone:
            raise TableGone(GONE) from None
        except self._errors as error:
            raise self._unavailable(error) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    def _unavailable(self, error: Exception) -> IndexUnavailable:
        return IndexUnavailable(
            f"the vector index, {self.name}, does not answer ({type(error).__name__}). The gallery "
            "is whole and nothing is lost: start it, or set ARCID_INDEX=exact to search without it"
        )


def _ids(face_keys: Keys) -> list[str]:
    return [str(int(key)) for key in face_keys]


__all__ = ["ChromaTables", "server"]
