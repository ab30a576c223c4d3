"""Embed kept crops with another model, beside the old vectors; may be stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from arcid.errors import ContractMismatch, InputError, InvalidArray
from arcid.gallery import sharded
from arcid.gallery.database import Database
from arcid.gallery.records import ReembedReport
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import contracts as contracts_store
from arcid.gallery.store import crops as crops_store
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import journal
from arcid.sharding import Workers, shards
from arcid.types import Crops, Embeddings, Image

EmbedCrops = Callable[[Crops], Embeddings]
Progress = Callable[[int, int], None]
Keys = list[int]  # of faces
Made = list[tuple[Keys, Embeddings]]
_KEPT = "What was embedded is stored; started again, it goes on from there."


def reembed(
    database: Database,
    name: str,
    embed: EmbedCrops,
    to_contract: str,
    batch: int,
    progress: Progress | None,
    model_name: str,
    over: Workers | None = None,
) -> ReembedReport:
    """See ``Gallery.reembed``. The model runs between transactions; each batch is committed."""
    if batch < 1:
        raise InputError(f"batch must be at least 1, got {batch}")
    with database.read() as connection:
        collection = collections_store.find(connection, name)
        todo, stuck, already = contracts_store.tally(connection, collection, to_contract)
    batches = _batches(database, collection, to_contract, batch)
    done = seen = 0
    work = partial(_made, embed, to_contract)
    for groups in _each(database, collection, to_contract, work, batches, over):
        for keys, made in groups:
            with journal.writing(database) as log:
                current = collections_store.find(log.connection, name)
                done += contracts_store.add_vectors(log, current, keys, made, model_name)
            seen += len(keys)
        if progress is not None:
            progress(min(seen, todo), todo)
    return ReembedReport(done, stuck, already)


def _batches(
    database: Database, collection: Row, to_contract: str, batch: int
) -> Iterator[list[int]]:
    after = 0
    while True:
        with database.read() as connection:
            waiting = contracts_store.waiting(connection, collection, to_contract, after, batch)
        if not waiting:
            return
        yield [face["id"] for face in waiting]
        after = waiting[-1]["id"]


Work = Callable[[Database, Keys], Made]
Answer = list[tuple[Keys, tuple[bytes, bool]]]  # vectors, and whether they are sealed


def _each(
    database: Database,
    collection: Row,
    to_contract: str,
    work: Work,
    batches: Iterable[Keys],
    over: Workers | None,
) -> Iterator[Made]:
    if over is None:
        yield from map(partial(work, database), batches)
        return
    apart = partial(_apart, sharded.address(database, over), collection["id"], work)
    for answer in shards(apart, batches, over, kept=_KEPT):
        made = []
        with database.read() as connection:
            for keys, given in answer:
                clear = sharded.unseal(connection, collection, given)
                rows = np.frombuffer(clear, np.float32).reshape(len(keys), -1)
                made.append((keys, Embeddings(rows, to_contract)))
        yield made


def _apart(address: str, collection_key: int, work: Work, keys: Keys) -> Answer:
    """``work`` in a worker process."""
    database = sharded.opened(address)
    made = work(database, keys)
    with database.read() as connection:
        own = collections_store.by_id(connection, collection_key)
        return [
            (keys, sharded.seal(connection, own, found.vectors.tobytes())) for keys, found in made
        ]


def _made(embed: EmbedCrops, to_contract: str, database: Database, keys: Keys) -> Made:
    """The faces' crops as they are now, embedded; those erased meanwhile are left out."""
    with database.read() as connection:
        there = faces_store.by_keys(connection, keys)
        images = {key: crops_store.read(connection, there[key]) for key in keys if key in there}
    made = []
    for own, crops in _by_size(images):
        vectors = embed(crops)
        _check(vectors, len(crops), to_contract)
        made.append((own, vectors))
    return made


def _by_size(images: dict[int, Image | None]) -> list[tuple[Keys, Crops]]:
    groups: dict[int, tuple[list[int], list[Image]]] = {}
    for key, image in images.items():
        if image is not None:
            own = groups.setdefault(len(image), ([], []))
            own[0].append(key)
            own[1].append(image)
    return [(keys, Crops(np.stack(own))) for keys, own in groups.values()]


def _check(made: Embeddings, expected: int, to_contract: str) -> None:
    if made.contract_id != to_contract:
        raise ContractMismatch(
            f"the embedder makes vectors of contract {made.contract_id[:12]}, "
            f"not {to_contract[:12]}; nothing of this batch was stored"
        )
    if len(made) != expected:
        raise InvalidArray(f"the embedder returned {len(made)} vectors for {expected} crops")
