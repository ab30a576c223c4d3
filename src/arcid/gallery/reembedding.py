"""Embed kept crops with another model, beside the old vectors; may be stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arcid.errors import ContractMismatch, InputError, InvalidArray
from arcid.gallery.database import Database
from arcid.gallery.records import ReembedReport
from arcid.gallery.seals import damaged
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import contracts as contracts_store
from arcid.gallery.store import crops as crops_store
from arcid.gallery.store import journal
from arcid.types import Crops, Embeddings, Image

EmbedCrops = Callable[[Crops], Embeddings]
Progress = Callable[[int, int], None]


def reembed(
    database: Database,
    name: str,
    embed: EmbedCrops,
    to_contract: str,
    batch: int,
    progress: Progress | None,
    model_name: str,
) -> ReembedReport:
    """See ``Gallery.reembed``. The model runs between transactions; each batch is committed."""
    if batch < 1:
        raise InputError(f"batch must be at least 1, got {batch}")
    with database.read() as connection:
        collection = collections_store.find(connection, name)
        todo, stuck, already = contracts_store.tally(connection, collection, to_contract)
    done = seen = after = 0
    while True:
        with database.read() as connection:
            waiting = contracts_store.waiting(connection, collection, to_contract, after, batch)
            images = [crops_store.read(connection, face) for face in waiting]
        if not waiting:
            return ReembedReport(done, stuck, already)
        after = waiting[-1]["id"]
        for keys, crops in _by_size([face["id"] for face in waiting], images):
            made = embed(crops)
            _check(made, len(crops), to_contract)
            with journal.writing(database) as log:
                current = collections_store.find(log.connection, name)
                done += contracts_store.add_vectors(log, current, keys, made, model_name)
        seen += len(waiting)
        if progress is not None:
            progress(min(seen, todo), todo)


def _by_size(keys: list[int], images: list[Image | None]) -> list[tuple[list[int], Crops]]:
    groups: dict[int, tuple[list[int], list[Image]]] = {}
    for key, image in zip(keys, images, strict=True):
        if image is None:
            raise damaged("the list of crops")
        own = groups.setdefault(len(image), ([], []))
        own[0].append(key)
        own[1].append(image)
    return [(own_keys, Crops(np.stack(own))) for own_keys, own in groups.values()]


def _check(made: Embeddings, expected: int, to_contract: str) -> None:
    if made.contract_id != to_contract:
        raise ContractMismatch(
            f"the embedder makes vectors of contract {made.contract_id[:12]}, "
            f"not {to_contract[:12]}; nothing of this batch was stored"
        )
    if len(made) != expected:
        raise InvalidArray(f"the embedder returned {len(made)} vectors for {expected} crops")
