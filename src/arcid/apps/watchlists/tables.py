"""Lists, who is on them, what they alerted to, and how many faces each camera sees."""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import key, reference, table

watchlists = table(
    "watchlists",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("terms", sa.Text, nullable=False),  # JSON of ``records.Terms`` but its expiry
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # grows with every change, members' included
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.Index(None, "collection_id"),
    sealed=("uid", "collection_id", "name", "terms", "expires_at", "created_at"),
)

members = table(
    "watchlist_members",
    key(),
    reference("list_id", "watchlists.id"),
    reference("person_id", "people.id"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    sa.Column("added_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("list_id", "person_id"),
    sa.Index(None, "person_id"),
)

# Working state: the event behind it holds the grounds and the face, the steps say what was answered
alerts = table(
    "alerts",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("list_id", "watchlists.id"),
    reference("person_id", "people.id"),
    reference("event_id", "events.id"),
    sa.Column("level", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("four_eyes", sa.SmallInteger, nullable=False),  # as the list asked then
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # first seen, by the source's clock
    sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    sa.Column("sightings", sa.Integer, nullable=False),
    sa.Column("raised_at", sa.BigInteger, nullable=False),
    sa.Column("latency_ms", sa.Integer, nullable=False),  # face visible to alert written
    sa.Index(None, "list_id", "state", "id"),
    sa.Index(None, "person_id"),
    sa.Index(None, "event_id"),
)

steps = table(
    "alert_steps",
    key(),
    reference("alert_id", "alerts.id"),
    sa.Column("verb", sa.String(16), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("credential", sa.Text, nullable=True),  # that let them in; NULL before 0014
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("correction_uid", sa.String(32), nullable=True),  # of a dismissal: what keeps it away
    sa.Column("undone_by", sa.Text, nullable=True),
    sa.Column("undone_at", sa.BigInteger, nullable=True),
    sa.Index(None, "alert_id"),
)

# Two numbers an hour: nothing of whom they count.
hours = table(
    "watched_hours",
    key(),
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("hour", sa.BigInteger, nullable=False),  # since 1970 UTC
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("faces", sa.Integer, nullable=False),  # tracks that were looked at
    sa.UniqueConstraint("camera", "hour"),
)
