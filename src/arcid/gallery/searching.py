"""Probes in, people out: what sits between an index of integer keys and the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import ContractMismatch, FaceNotFound, InputError, UsageError
from arcid.gallery import rules
from arcid.gallery.assignment import one_photo as spread
from arcid.gallery.index import Aggregate, PersonHit
from arcid.gallery.projection import Snapshot
from arcid.gallery.schema import Row, contracts, embeddings, faces
from arcid.gallery.seals import damaged
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import filters, vectors
from arcid.gallery.store import people as people_store
from arcid.gallery.store.keys import chunks
from arcid.types import Embeddings, Hits, Match, Templates


def search(
    snapshot: Snapshot,
    collection: Row,
    probes: Embeddings,
    *,
    k: int,
    aggregate: Aggregate,
    top_m: int,
    exclude: int | None,
    photos: Sequence[int],
    where: Mapping[str, Any] | None,
) -> Hits:
    """See ``Gallery.search``."""
    check_options(k, aggregate, top_m)
    if sum(photos) != len(probes) and photos:
        raise InputError(f"photos of {sum(photos)} faces came with {len(probes)} probes")
    found = snapshot.index(collection["id"], probes.contract_id)
    if found is None or len(found[1]) == 0:
        _refuse_other_contract(snapshot.connection, collection, probes.contract_id)
        return Hits([[] for _ in range(len(probes))], 0)
    made_by, index = found
    vectors.check_dim(made_by, probes.dim)
    only = None
    size = len(index)
    if where is not None:
        only = filters.keys(snapshot.connection, collection, rules.wanted(where))
        size = index.held(only)
    if exclude is not None and (only is None or exclude in only):
        size -= len(_templates(snapshot.connection, exclude, made_by))
    if len(probes) == 0:
        return Hits([], size)
    hits = index.search_people(
        probes.vectors,
        k + max([1, *photos]) - 1,
        aggregate=aggregate,
        top_m=top_m,
        exclude_person=exclude,
        only_people=only,
    )
    missed = snapshot.miss_rate(collection["id"], made_by, only)
    return Hits(matches(snapshot.connection, _spread(hits, photos, k)), size, missed)


def _spread(
    hits: Sequence[Sequence[PersonHit]], photos: Sequence[int], k: int
) -> list[Sequence[PersonHit]]:
    """The best k of each probe; nobody is given to two probes of one photo."""
    if not photos:
        return [own[:k] for own in hits]
    left = iter(hits)
    return [own for count in photos for own in spread([next(left) for _ in range(count)], k)]


def like_person(
    snapshot: Snapshot, collection: Row, person: Row, contract_id: str | None, k: int
) -> Hits:
    """See ``Gallery.search_person``."""
    check_options(k, "max", 1)
    connection = snapshot.connection
    contract_id = contract_id or _main_contract(connection, person)
    found = None if contract_id is None else snapshot.index(collection["id"], contract_id)
    if contract_id is None or found is None:
        return Hits([[]], 0)
    made_by, index = found
    keys = np.array([row["id"] for row in _templates(connection, person["id"], made_by)], np.int64)
    if len(keys) == 0:
        return Hits([[]], 0)
    own = vectors.fetch(connection, made_by, keys)
    best: dict[int, PersonHit] = {}
    for hits in index.search_people(own, k, aggregate="max", exclude_person=person["id"]):
        for hit in hits:
            if hit.person_key not in best or hit.cosine > best[hit.person_key].cosine:
                best[hit.person_key] = hit
    ranked = sorted(best.values(), key=lambda hit: (-hit.cosine, hit.person_key))[:k]
    missed = snapshot.miss_rate(collection["id"], made_by)
    return Hits(matches(connection, [ranked]), len(keys) * (len(index) - len(keys)), missed)


def compare(connection: Connection, person: Row, probe: Embeddings) -> Templates:
    """See ``Gallery.compare``."""
    made_by = vectors.contract(connection, probe.contract_id)
    own = [] if made_by is None else _templates(connection, person["id"], made_by)
    if made_by is None or not own:
        raise FaceNotFound(
            f"{person['name']!r} has no face of contract {probe.contract_id[:12]} to compare with: "
            "enrol one with this model, or re-embed the collection with it",
            contract_id=probe.contract_id,
        )
    vectors.check_dim(made_by, probe.dim)
    rows = vectors.fetch(connection, made_by, np.array([row["id"] for row in own], np.int64))
    cosines = np.clip(rows @ probe.vectors[0], -1.0, 1.0)
    order = np.argsort(-cosines, kind="stable")
    nearest = Match(
        person["uid"], person["name"], float(cosines[order[0]]), own[order[0]]["uid"], len(own),
        json.loads(person["metadata"]), external_id=person["external_id"],
    )  # fmt: skip
    return Templates(nearest, cosines[order])


def _templates(connection: Connection, person_key: int, made_by: Row) -> list[Row]:
    """``id`` and ``uid`` of the person's faces that one model embedded."""
    query = (
        sa.select(faces.c.id, faces.c.uid)
        .join(embeddings, embeddings.c.face_id == faces.c.id)
        .where(faces.c.person_id == person_key, embeddings.c.contract_id == made_by["id"])
        .order_by(faces.c.id)
    )
    return list(connection.execute(query).mappings())


def matches(connection: Connection, found: Sequence[Sequence[PersonHit]]) -> list[list[Match]]:
    """Index keys to ids, names and metadata, each row checked on the way."""
    hits = [hit for own in found for hit in own]
    owners: dict[int, Row] = {}
    best: dict[int, Row] = {}
    for part in chunks(sorted({hit.person_key for hit in hits})):
        owners |= people_store.by_keys(connection, part)
    for part in chunks(sorted({hit.best_face_key for hit in hits})):
        best |= faces_store.by_keys(connection, part)
    return [[_match(hit, owners, best) for hit in own] for own in found]


def check_options(k: int, aggregate: str, top_m: int) -> None:
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    if aggregate not in ("max", "mean"):
        raise UsageError(f"aggregate {aggregate!r} is unknown; use max or mean")
    if top_m < 1:
        raise InputError(f"top_m must be at least 1, got {top_m}")


def _match(hit: PersonHit, owners: dict[int, Row], best: dict[int, Row]) -> Match:
    person, face = owners.get(hit.person_key), best.get(hit.best_face_key)
    if person is None or face is None or face["person_id"] != hit.person_key:
        raise damaged("the link between a face and its person")
    return Match(
        person["uid"],
        person["name"],
        float(np.clip(hit.cosine, -1.0, 1.0)),
        face["uid"],
        hit.faces,
        json.loads(person["metadata"]),
        hit.given_to,
        external_id=person["external_id"],
    )


def _main_contract(connection: Connection, person: Row) -> str | None:
    """The contract that most of the person's faces have; the newest one on a draw."""
    query = (
        sa.select(contracts.c.uid)
        .join(embeddings, embeddings.c.contract_id == contracts.c.id)
        .join(faces, faces.c.id == embeddings.c.face_id)
        .where(faces.c.person_id == person["id"])
        .group_by(contracts.c.id, contracts.c.uid)
        .order_by(sa.func.count().desc(), contracts.c.id.desc())
    )
    return connection.execute(query).scalars().first()


def _refuse_other_contract(connection: Connection, collection: Row, contract_id: str) -> None:
    query = (
        sa.select(contracts.c.uid, contracts.c.model_name)
        .distinct()
        .join(embeddings, embeddings.c.contract_id == contracts.c.id)
        .join(faces, faces.c.id == embeddings.c.face_id)
        .where(faces.c.collection_id == collection["id"])
        .order_by(contracts.c.uid)
    )
    known = [_called(row.uid, row.model_name) for row in connection.execute(query)]
    if known:
        name = collection["name"]
        raise ContractMismatch(
            f"collection {name!r} was enrolled with {' and '.join(known)}; the model in use, of "
            f"contract {contract_id[:12]}, cannot read those vectors. Set ARCID_RECOGNISER to the "
            "one that enrolled them, or move them to this one: "
            f"arcid gallery reembed --collection {name}",
            contract_id=contract_id,
        )


def _called(contract_id: str, stored_name: str) -> str:
    """The installed model of a contract, else what it was called when it was stored."""
    from arcid.models import weights

    bundle = weights.of_contract(contract_id)
    if bundle is not None:
        return bundle.name
    return f"{stored_name or 'a model'} (contract {contract_id[:12]}, not installed here)"
