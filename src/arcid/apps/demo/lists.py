"""A watchlist with somebody on it; the front door's camera raises the alert."""

from __future__ import annotations

from datetime import datetime, timedelta

from arcid.apps.demo.places import ACTOR, LISTED
from arcid.apps.watchlists import Terms, Watchlists
from arcid.gallery import Gallery

NAME = "Barred from the house"


def watch_for(gallery: Gallery, now: datetime) -> None:
    """Everybody of the collection, for half a year."""
    terms = Terms(
        purpose="Tell the guard when somebody comes who may not.",
        legal_basis="house rules (made up for the demo)",
        owner="Security desk",
        expires_at=now + timedelta(days=180),
        roles=("officer", "guard"),
    )
    lists = Watchlists(gallery)
    made = lists.create(NAME, LISTED, terms, actor=ACTOR)
    for person in gallery.everybody(LISTED):
        lists.add(made.id, person.id, actor=ACTOR, reason="barred in March")
