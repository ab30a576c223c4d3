"""What each collection is for, who must have agreed, and how long what is kept: set, and told.

policies = Policies(gallery)
policies.change("staff", purpose="Opening doors", consent=True, unseen_days=365)
policies.of("staff").strangers_hours      24.0
policies.standing("staff")                how many people agreed, and who withdrew
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from arcid.errors import UsageError
from arcid.gallery import Gallery, Policy
from arcid.gallery.schema import collections, consents, faces, people
from arcid.gallery.store import audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import policies as _policies
from arcid.gallery.store.consents import AGREED

#: Who may be shown pictures of faces: the console's roles, and API keys.
VIEWERS = ("admin", "officer", "operator", "reviewer", "guard", "viewer", "kiosk", "key")


@dataclass(frozen=True, slots=True)
class Standing:
    """How people of a collection stand to its policy."""

    people: int  # with faces
    agreed: int  # of them, whose consent stands
    withdrawn: tuple[str, ...]  # ids of those who withdrew and wait for a decision

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "people": self.people,
            "agreed": self.agreed,
            "withdrawn": list(self.withdrawn),
        }


class Policies:
    """Thread-safe; every method is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def of(self, collection: str) -> Policy:
        """Raises ``CollectionNotFound``."""
        with _collections.reading(self._database, collection) as (connection, own):
            return _policies.find(connection, own)

    def every(self) -> dict[str, Policy]:
        """By the collection's name."""
        with self._database.read() as connection:
            query = sa.select(collections).order_by(collections.c.name_key)
            rows = connection.execute(query).mappings().all()
            return {row["name"]: _policies.find(connection, row) for row in rows}

    def change(self, collection: str, **changes: Any) -> Policy:
        """The policy as it is now, the change in the audit. What is left out stays.

        People who were enrolled before consent was demanded stay, and nothing more of them is
        enrolled until they agree. Raises ``CollectionNotFound``, ``UsageError`` (roles),
        ``InputError``.
        """
        roles = changes.get("crops_for")
        if roles is not None:
            changes["crops_for"] = viewers(roles)
        with _collections.writing(self._database, collection) as (log, own):
            before = _policies.find(log.connection, own)
            after = replace(before, **changes)
            if after != before:
                _policies.put(log.connection, own, after)
                old, new = before.to_dict(), after.to_dict()
                said = {name: new[name] for name in new if new[name] != old[name]}
                audit.append(
                    log.connection, verb="policy.change", subject=f"collection:{own['uid']}",
                    collection=own["uid"], details=said,
                )  # fmt: skip
            return after

    def standing(self, collection: str) -> Standing:
        """Raises ``CollectionNotFound``."""
        enrolled = sa.exists().where(faces.c.person_id == people.c.id)
        with _collections.reading(self._database, collection) as (connection, own):
            mine = people.c.collection_id == own["id"]
            query = sa.select(sa.func.count()).select_from(people).where(mine, enrolled)
            return Standing(
                connection.execute(query).scalar_one(),
                connection.execute(query.where(AGREED)).scalar_one(),
                tuple(connection.execute(waiting(own["id"])).scalars()),
            )

    def shows_crops(self, collection: str, viewer: str) -> bool:
        """Whether pictures of faces are for this role; ``key``: for API keys."""
        return _policies.shows_crops(self.of(collection), viewer)


def waiting(collection_key: int) -> sa.Select[Any]:
    """Ids of people who withdrew their consent, and about whom nobody has decided."""
    withdrew = sa.exists().where(
        consents.c.person_id == people.c.id, consents.c.withdrawn_at.is_not(None)
    )
    return (
        sa.select(people.c.uid)
        .where(people.c.collection_id == collection_key, withdrew, sa.not_(AGREED))
        .order_by(people.c.id)
    )


def viewers(roles: Sequence[str]) -> tuple[str, ...]:
    """In their order; raises ``UsageError`` with the known ones."""
    wrong = sorted(set(roles) - set(VIEWERS))
    if wrong:
        raise UsageError(f"pictures are for some of {', '.join(VIEWERS)}; not {', '.join(wrong)}")
    return tuple(sorted(set(roles)))
