"""Milvus: a collection of it for each index, looked through whole (FLAT) or by HNSW or IVF.

Every index is a Milvus collection of its own, so that people of one collection are never compared
with those of another, and a search visits no rows that do not count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np

from arcid.errors import IndexUnavailable, MissingExtra
from arcid.gallery.index import Keys
from arcid.gallery.outside import GONE
from arcid.gallery.outside.stepwise import Stepwise, TableGone
from arcid.types import FloatArray

NOTE = "arcid.note"  # property of a collection
ROWS = 4096  # of a piece that is sent
MANY = 10_000  # vectors after which Milvus is asked to build its graph
TIMEOUT_S = 60.0
GRAPHS: dict[str, dict[str, Any]] = {
    "milvus": {"index_type": "FLAT", "params": {}},
    "milvus-hnsw": {"index_type": "HNSW", "params": {"M": 32, "efConstruction": 200}},
    "milvus-ivf": {"index_type": "IVF_FLAT", "params": {"nlist": 1024}},
}


def server(url: str, kind: str, *, blind: bool = False) -> Stepwise:
    """``http(s)://[user:password@]host:port[/database]``. Raises ``MissingExtra``."""
    return Stepwise(MilvusTables(url, kind), blind=blind)


class MilvusTables:
    """A table is a collection of Milvus, its note a property of that. Thread-safe."""

    margin = 1e-5  # float32 sums in another order
    most: int | None = 16_384  # what Milvus hands out at once

    def __init__(self, url: str, kind: str) -> None:
        try:
            from pymilvus import MilvusException
        except ModuleNotFoundError:
            raise MissingExtra("an index in Milvus", "milvus") from None
        self._error = MilvusException
        self.kind, self.exact = kind, kind == "milvus"
        place = urlsplit(url)
        self.name = f"Milvus at {place.hostname}"
        self._place = {"uri": urlunsplit((place.scheme, place.netloc.split("@")[-1], "", "", ""))}
        if place.username is not None:
            self._place["user"] = unquote(place.username)
            self._place["password"] = unquote(place.password or "")
        if place.path.strip("/"):
            self._place["db_name"] = place.path.strip("/")
        self._lock = threading.Lock()
        self._client: Any = None
        self._put: dict[str, int] = {}  # since the graph was asked for
        self._told: dict[str, int] = {}  # when: a search waits until it sees what was before

    def notes(self, prefix: str) -> Mapping[str, str]:
        with self._asking() as client:
            names = [name for name in client.list_collections() if name.startswith(prefix)]
            found = {}
            for name in names:
                kept = str(client.describe_collection(name).get("properties", {}).get(NOTE, ""))
                at, _, found[name] = kept.partition(" ")
                self._told[name] = int(at) if at.isdecimal() else 0
            return found

    def create(self, table: str, dim: int, note: str) -> None:
        from pymilvus import DataType

        with self._asking() as client:
            schema = client.create_schema(auto_id=False)
            schema.add_field("face", DataType.INT64, is_primary=True)
            schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
            index = client.prepare_index_params()
            index.add_index("v", metric_type="IP", **GRAPHS[self.kind])
            client.create_collection(
                table, schema=schema, index_params=index, properties={NOTE: f"0 {note}"}
            )

    def tell(self, table: str, note: str) -> None:
        with self._asking(table) as client:
            if self._put.pop(table, 0) >= MANY and not self.exact:
                client.flush(table)  # what is sealed gets its graph
            self._told[table] = at = int(time.time() * 1000) << 18  # as Milvus numbers moments
            client.alter_collection_properties(table, {NOTE: f"{at} {note}"})

    def drop(self, table: str) -> None:
        with self._asking() as client:
            client.drop_collection(table)

    def put(self, table: str, face_keys: Keys, vectors: FloatArray) -> None:
        with self._asking(table) as client:
            for start in range(0, len(face_keys), ROWS):
                part = slice(start, start + ROWS)
                rows = zip(face_keys[part].tolist(), vectors[part], strict=True)
                client.upsert(table, [{"face": key, "v": vector} for key, vector in rows])
        self._put[table] = self._put.get(table, 0) + len(face_keys)

    def remove(self, table: str, face_keys: Keys) -> None:
        with self._asking(table) as client:
            for start in range(0, len(face_keys), ROWS):
                client.delete(table, ids=face_keys[start : start + ROWS].tolist())

    def nearest(self, table: str, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        params: dict[str, Any] = {}
        if self.kind == "milvus-hnsw":
            params = {"ef": max(count, 128)}
        if self.kind == "milvus-ivf":
            params = {"nprobe": 64}
        with self._asking(table) as client:
            (found,) = client.search(
                table,
                [np.asarray(probe, np.float32)],
                limit=count,
                search_params={"metric_type": "IP", "params": params},
                consistency_level="Customized",
                guarantee_timestamp=self._told.get(table, 0) or 1,
            )
            keys = np.array([one["id"] for one in found], np.int64)
            return keys, np.array([one["distance"] for one in found], np.float32)

    def count(self, table: str) -> int:
        with self._asking(table) as client:
            (found,) = client.query(
                table, filter="", output_fields=["count(*)"], consistency_level="Strong"
            )
            return int(found["count(*)"])

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    @contextmanager
    def _asking(self, table: str | None = None) -> Iterator[Any]:
        """Raises ``TableGone``, ``IndexUnavailable``."""
        try:
            client = self._connected()
            try:
                yield client
            except self._error:
                if table is None or client.has_collection(table, timeout=TIMEOUT_S):
                    raise
                raise TableGone(GONE) from None
        except self._error as error:
            raise IndexUnavailable(
                f"the vector index, {self.name}, does not answer ({type(error).__name__}). The "
                "gallery is whole and nothing is lost: start that server, or set "
                "ARCID_INDEX=exact to search without it"
            ) from error

    def _connected(self) -> Any:
        from pymilvus import MilvusClient

        with self._lock:
            if self._client is None:
                self._client = MilvusClient(**self._place, timeout=TIMEOUT_S)
            return self._client


__all__ = ["GRAPHS", "MilvusTables", "server"]
