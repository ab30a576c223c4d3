"""What becomes of a person at doors when people are merged or deleted: a ``Room`` of the gallery.

Memberships and positions go with the person; ids in openings are handed over or taken out.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access.tables import groups, members, openings, positions
from arcid.gallery.rooms import Handed, Told
from arcid.gallery.schema import Row
from arcid.gallery.store.telling import plain


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> Handed:
    """Groups that only ``other`` is in become the kept one's; where both are, the kept one's
    times stay. Of the two places they were last at, the later one."""
    mine = sa.select(members.c.group_id).where(members.c.person_id == keep["id"])
    theirs = sa.select(members.c.id).where(
        members.c.person_id == other["id"], members.c.group_id.not_in(mine)
    )
    moved = list(connection.execute(theirs).scalars())
    shared = sa.select(members.c.group_id, members.c.valid_from, members.c.valid_until).where(
        members.c.person_id == other["id"], members.c.group_id.in_(mine)
    )
    both = [dict(row) for row in connection.execute(shared).mappings()]
    connection.execute(members.update().where(members.c.id.in_(moved)).values(person_id=keep["id"]))
    places = sa.select(positions).where(positions.c.person_id.in_([other["id"], keep["id"]]))
    rows = sorted(connection.execute(places).mappings(), key=lambda row: row["at"])
    for row in rows[:-1]:
        connection.execute(positions.delete().where(positions.c.id == row["id"]))
    if rows:
        last = positions.update().where(positions.c.id == rows[-1]["id"])
        connection.execute(last.values(person_id=keep["id"]))
    of_other = openings.update().where(openings.c.person_uid == other["uid"])
    connection.execute(of_other.values(person_uid=keep["uid"]))
    return {"members": moved, "groups": both}


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Handed
) -> None:
    """After a merge was undone: the other's groups are theirs again, and nobody else's."""
    theirs = sa.and_(members.c.id.in_(handed["members"]), members.c.person_id == keep["id"])
    connection.execute(members.update().where(theirs).values(person_id=other["id"]))
    still = sa.select(members.c.group_id).where(members.c.person_id == keep["id"])
    kept = set(connection.execute(still).scalars())
    for one in handed.get("groups", ()):  # older merges have none
        if one["group_id"] in kept:  # not taken out of it meanwhile
            connection.execute(members.insert().values(one | {"person_id": other["id"]}))


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """Openings say no more who it was; groups and positions go with the row they refer to."""
    theirs = openings.update().where(openings.c.person_uid == person["uid"])
    opened = connection.execute(theirs.values(person_uid=None)).rowcount
    counted = {}
    for kind, table in (("groups_at_doors", members), ("positions_at_doors", positions)):
        query = sa.select(sa.func.count()).select_from(table)
        own = query.where(table.c.person_id == person["id"])
        counted[kind] = int(connection.execute(own).scalar_one())
    return counted | {"openings_named": opened}


def tell(connection: Connection, collection: Row, person: Row, told: Told) -> None:
    """Their groups, where they were last, and the doors that were opened for them."""
    named = sa.select(groups.c.name).join(members, members.c.group_id == groups.c.id)
    mine = named.where(members.c.person_id == person["id"])
    told.records["groups_at_doors"] = [{"group": name} for name in connection.scalars(mine)]
    told.records["positions_at_doors"] = plain(
        connection, positions, positions.c.person_id == person["id"]
    )
    told.records["openings"] = plain(connection, openings, openings.c.person_uid == person["uid"])
