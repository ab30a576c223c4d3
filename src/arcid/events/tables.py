"""What was seen, said and told, beside the gallery's own tables in the same database."""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import BigInt, key, metadata, reference, table

# What was seen, decided or corrected. Rows are added and never changed; people are named by uid
# only, so that deleting a person leaves no name behind.
events = table(
    "events",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("event_key", sa.String(64), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # when it happened, by the source's clock
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("person_uid", sa.String(32), nullable=True),
    sa.Column("visitor_uid", sa.String(32), nullable=True),  # first unknown event of a visitor
    sa.Column("about_uid", sa.String(32), nullable=True),  # corrections: the event they speak of
    sa.Column("action", sa.String(16), nullable=True),
    sa.Column("actor", sa.Text, nullable=True),
    sa.Column("note", sa.Text, nullable=True),  # base64 where it is sealed
    sa.Column("note_key", sa.BigInteger, nullable=True),  # of the data key that sealed it
    sa.Column("grounds", sa.Text, nullable=False),  # JSON: on what it was decided
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.Index(None, "collection_id", "at"),
    sa.Index(None, "about_uid"),
    sealed=(
        "uid", "event_key", "collection_id", "kind", "at", "recorded_at", "camera", "place",
        "person_uid", "visitor_uid", "about_uid", "action", "actor", "note", "grounds",
    ),
)  # fmt: skip

# Stays: who is where, and was until when; working state that the events are made from.
stays = table(
    "visits",
    key(),
    reference("collection_id", "collections.id"),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("person_uid", sa.String(32), nullable=True),
    sa.Column("visitor_uid", sa.String(32), nullable=True),
    sa.Column("arrived_at", sa.BigInteger, nullable=False),
    sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    sa.Column("closed", sa.SmallInteger, nullable=False),
    sa.Column("arrival_uid", sa.String(32), nullable=True),  # the event that began it
    sa.Column("folded_into", BigInt, nullable=True),  # the stay it became part of
    sa.Index(None, "collection_id", "closed", "last_seen_at"),
    sa.Index(None, "collection_id", "person_uid"),
    sa.Index(None, "arrival_uid"),
)

# Who watches a camera, and until when nobody else may.
leases = table(
    "leases",
    key(),
    reference("collection_id", "collections.id"),
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("holder", sa.Text, nullable=False),  # for people: which process
    sa.Column("taken_at", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("collection_id", "camera"),
)

# The face behind an event, for "not this person" and for unknown visitors. Erased after a while.
traces = sa.Table(
    "traces",
    metadata,
    sa.Column(
        "event_id", BigInt, sa.ForeignKey("events.id", ondelete="CASCADE"), primary_key=True,
        autoincrement=False,
    ),
    sa.Column("contract", sa.String(128), nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("crop", sa.LargeBinary, nullable=True),  # PNG of the aligned crop
    sa.Column("key_id", sa.BigInteger, nullable=True, index=True),  # of the data key of both
    sa.Column("seal", sa.BigInteger, nullable=False),
)  # fmt: skip

# Faces that an operator said are not this person.
blocks = table(
    "blocks",
    key(),
    reference("person_id", "people.id"),
    sa.Column("event_uid", sa.String(32), nullable=False),
    sa.Column("contract", sa.String(128), nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("key_id", sa.BigInteger, nullable=True),  # of the data key that sealed it
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("event_uid", "person_id"),
    sa.Index(None, "person_id"),
)

# Doubtful cases that wait for a human. Working state: corrections of the event are the truth.
reviews = table(
    "reviews",
    key(),
    reference("collection_id", "collections.id"),
    reference("event_id", "events.id"),
    sa.Column("kind", sa.String(16), nullable=False),  # what is asked
    sa.Column("target", sa.Double, nullable=False),  # the error rate asked for
    sa.Column("target_kind", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("person_uid", sa.String(32), nullable=True),  # who it was said to be
    sa.Column("answer_uid", sa.String(32), nullable=True),  # its newest standing correction
    sa.UniqueConstraint("event_id"),
    sa.Index(None, "collection_id", "state", "id"),
)

# Whom a review asks about. Gone with the person.
candidates = table(
    "candidates",
    key(),
    reference("review_id", "reviews.id"),
    reference("person_id", "people.id"),
    sa.Column("face_uid", sa.String(32), nullable=True),  # the enrolled face that was nearest
    sa.Column("cosine", sa.Double, nullable=False),
    sa.Column("refused", sa.SmallInteger, nullable=False),
    sa.UniqueConstraint("review_id", "person_id"),
    sa.Index(None, "person_id"),
)

WAITING = "done_at IS NULL AND failed_at IS NULL"

# Events still to be told to a webhook or broker; written with the event, in one transaction.
outbox = table(
    "outbox",
    key(),
    reference("event_id", "events.id"),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("done_at", sa.BigInteger, nullable=True),
    sa.Column("failed_at", sa.BigInteger, nullable=True),  # given up
    sa.Column("last_error", sa.Text, nullable=True),
    sa.UniqueConstraint("event_id", "target"),
    sa.Index(None, "target", "next_at"),
    # what was told stays, for corrections to be told alike: those that wait are few among them.
    # PostgreSQL's has the same condition; to say so here would import its dialect at every start
    sa.Index("ix_outbox_waiting", "target", "id", sqlite_where=sa.text(WAITING)),
)

# Receivers of events that are managed over REST. What is secret of one is sealed with a key that is
# not in the database; whoever writes an event puts it in their outboxes.
webhooks = table(
    "webhooks",
    key(),
    sa.Column("uid", sa.String(16), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("shown", sa.Text, nullable=False),  # its address without what may be secret
    sa.Column("sealed", sa.Text, nullable=False),  # JSON: its address and its secret
    sa.Column("kinds", sa.Text, nullable=True),  # JSON; NULL: all
    sa.Column("enabled", sa.SmallInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),  # as the audit names them
)
