"""What becomes of a person's session when they are merged or deleted: a ``Room`` of the gallery."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from arcid.apps.onboarding import store
from arcid.apps.onboarding.tables import sessions
from arcid.gallery.schema import Row


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> None:
    """Before two people are merged: who was enrolled by a session is the kept one."""
    connection.execute(
        sessions.update()
        .where(sessions.c.person_uid == other["uid"])
        .values(person_uid=keep["uid"])
    )


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> None:
    """The sessions that enrolled a person are erased with them."""
    if not merged:
        store.delete(connection, sessions.c.person_uid == person["uid"])
