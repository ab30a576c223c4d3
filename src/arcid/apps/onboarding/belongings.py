"""What becomes of a person's session when they are merged or deleted: a ``Room`` of the gallery."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.onboarding import kept, store
from arcid.apps.onboarding.records import ROLES
from arcid.apps.onboarding.tables import pictures, sessions
from arcid.gallery.rooms import Handed, Told
from arcid.gallery.schema import Row
from arcid.gallery.store.keys import chunks
from arcid.gallery.store.telling import plain


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> Handed:
    """Before two people are merged: who was enrolled by a session is the kept one."""
    theirs = sessions.c.person_uid == other["uid"]
    handed = list(connection.execute(sa.select(sessions.c.id).where(theirs)).scalars())
    connection.execute(sessions.update().where(theirs).values(person_uid=keep["uid"]))
    return {"sessions": handed}


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Handed
) -> None:
    """After a merge was undone: the sessions that enrolled the other are theirs again."""
    for part in chunks(handed["sessions"]):
        still = sa.and_(sessions.c.id.in_(part), sessions.c.person_uid == keep["uid"])
        connection.execute(sessions.update().where(still).values(person_uid=other["uid"]))


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Pictures and sessions whose data keys were destroyed: an older copy was put back."""
    kept.forget(connection, keys)
    store.forget(connection, keys)


def seal(connection: Connection) -> int:
    """Seal what was kept before the gallery was protected; how much that was."""
    return kept.seal(connection) + store.seal(connection)


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """The sessions that enrolled a person are erased with them."""
    if merged:
        return {}
    theirs = sessions.c.person_uid == person["uid"]
    query = sa.select(sa.func.count()).select_from(pictures)
    own = pictures.c.onboarding_id.in_(sa.select(sessions.c.id).where(theirs))
    shown = int(connection.execute(query.where(own)).scalar_one())
    return {
        "identity_check_pictures": shown,
        "identity_checks": store.delete(connection, theirs),
    }


def tell(connection: Connection, collection: Row, person: Row, told: Told) -> None:
    """The sessions that enrolled them, with their pictures."""
    theirs = sessions.c.person_uid == person["uid"]
    told.records["identity_checks"] = plain(connection, sessions, theirs)
    for row in connection.execute(sa.select(sessions).where(theirs)).mappings().all():
        for role in ROLES:
            found = kept.picture(connection, row, role)
            if found is not None and found["picture"] is not None:
                told.pictures[f"identity-check-{row['uid']}-{role}.jpg"] = bytes(found["picture"])
