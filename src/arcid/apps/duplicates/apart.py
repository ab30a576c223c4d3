"""Who cannot be one person: seen together in one photo, or said so; and how pairs stand by that."""

from __future__ import annotations

import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates.tables import answers, pairs
from arcid.gallery.schema import Row, faces, people
from arcid.gallery.store.faces import same_face
from arcid.gallery.store.keys import chunks

Couple = tuple[int, int]  # keys of two people
NEARER = 1e-6  # by so much a cosine has to rise to be another question


def settle(connection: Connection, couples: Sequence[Couple]) -> None:
    """Bring the state of stored pairs in line with standing answers and with photos."""
    names = uids(connection, [key for couple in couples for key in couple])
    said = standing(connection, list(names.values()))
    together, _ = photos(connection, couples)
    stored: dict[Couple, Row] = {}
    for part in chunks(sorted({a for a, _ in couples})):
        query = sa.select(pairs).where(pairs.c.a_id.in_(part))
        stored |= {(r["a_id"], r["b_id"]): r for r in connection.execute(query).mappings()}
    changed: dict[str, list[int]] = {}
    for couple in couples:
        row = stored.get(couple)
        if row is None:
            continue
        a, b = sorted((names[couple[0]], names[couple[1]]))
        state = _state(row, said.get((a, b)), couple in together)
        if state != row["state"]:
            changed.setdefault(state, []).append(row["id"])
    for state, keys in changed.items():
        for part in chunks(keys):
            connection.execute(pairs.update().where(pairs.c.id.in_(part)).values(state=state))


def standing(connection: Connection, people_uids: Sequence[str]) -> dict[tuple[str, str], Row]:
    """The newest answer that was not taken back, by the two people's ids in order."""
    found: dict[tuple[str, str], Row] = {}
    for part in chunks(sorted(set(people_uids))):
        query = (
            sa.select(answers)
            .where(answers.c.a_uid.in_(part), answers.c.undone_at.is_(None))
            .order_by(answers.c.id)
        )
        for row in connection.execute(query).mappings():
            found[row["a_uid"], row["b_uid"]] = row
    return found


def photos(connection: Connection, couples: Sequence[Couple]) -> tuple[set[Couple], set[Couple]]:
    """Couples that one photo shows side by side; couples of whom the same face of the same photo
    was enrolled twice."""
    own: dict[int, dict[str, Row]] = {}
    for part in chunks(sorted({key for couple in couples for key in couple})):
        query = sa.select(faces.c.person_id, faces.c.photo_id, faces.c.box).where(
            faces.c.person_id.in_(part), faces.c.photo_id.is_not(None)
        )
        for row in connection.execute(query).mappings():
            own.setdefault(row["person_id"], {})[row["photo_id"]] = row
    together: set[Couple] = set()
    twice: set[Couple] = set()
    for a, b in couples:
        theirs, others = own.get(a, {}), own.get(b, {})
        for photo in theirs.keys() & others.keys():
            (twice if same_face(theirs[photo], others[photo]) else together).add((a, b))
    return together, twice - together


def _state(row: Row, answer: Row | None, together: bool) -> str:
    if answer is not None:
        asked = json.loads(answer["pair"])["cosine"]
        if answer["verdict"] != "different" or row["cosine"] <= asked + NEARER:
            return str(answer["verdict"])
    return "photo" if together else "open"


def uids(connection: Connection, keys: Sequence[int]) -> dict[int, str]:
    """Ids of people by key."""
    found: dict[int, str] = {}
    for part in chunks(sorted(set(keys))):
        query = sa.select(people.c.id, people.c.uid).where(people.c.id.in_(part))
        found |= {row.id: row.uid for row in connection.execute(query)}
    return found
