"""The tables of a gallery, as SQLite and PostgreSQL both know them.

Every row has an integer ``id`` (joins, index keys) and, where the outside sees it, a ``uid``
(uuid4 hex). ``AUTOINCREMENT`` keeps SQLite from giving a deleted face's number to a new one.
Times are microseconds since 1970 UTC; JSON is text. ``seal`` is a checksum over the row's meaning
(see ``seals``), because neither database notices a flipped byte inside a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

HEAD = "0006"  # the newest migration
#: Every migration this version can start from.
KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006")

Row = Mapping[Any, Any]  # a row by column name, as read or about to be written

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key() -> sa.Column[int]:
    return sa.Column("id", BigInt, primary_key=True, autoincrement=True)


def _reference(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, BigInt, sa.ForeignKey(target, ondelete="CASCADE"), nullable=False)


def _table(name: str, *columns: Any) -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_autoincrement=True)


# One row. Every writer locks it first, so commits happen in the order of the change log.
gallery = sa.Table(
    "gallery",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity", sa.String(32), nullable=False),
    sa.Column("last_change", sa.BigInteger, nullable=False),
    sa.Column("stamp", sa.BigInteger, nullable=False),  # random, new with each logged commit
    # SQLite only (see ``commits``): every commit, its own random stamp, and the last that erased
    sa.Column("writes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("write_stamp", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("erased", sa.BigInteger, nullable=False, server_default="0"),
)

# Acknowledged commits that were not in the database any more when it was next written.
losses = _table(
    "losses",
    _key(),
    sa.Column("found_at", sa.BigInteger, nullable=False),
    sa.Column("acknowledged", sa.BigInteger, nullable=False),  # the last commit the mark knew
    sa.Column("found", sa.BigInteger, nullable=False),  # the last commit that was there
    sa.Column("accepted_at", sa.BigInteger, nullable=True),
)

collections = _table(
    "collections",
    _key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("keep_crops", sa.SmallInteger, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
)

people = _table(
    "people",
    _key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    _reference("collection_id", "collections.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("collection_id", "name_key"),
)

faces = _table(
    "faces",
    _key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    _reference("collection_id", "collections.id"),
    _reference("person_id", "people.id"),
    sa.Column("photo_id", sa.String(128), nullable=True),
    sa.Column("box", sa.Text, nullable=True),  # JSON [x1,y1,x2,y2] pixels
    sa.Column("score", sa.Double, nullable=True),
    sa.Column("quality", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.Index(None, "collection_id", "id"),
    sa.Index(None, "collection_id", "photo_id"),
    sa.Index(None, "person_id"),
)

contracts = _table(
    "contracts",
    _key(),
    sa.Column("uid", sa.String(128), nullable=False, unique=True),  # the contract_id of a model
    sa.Column("model_name", sa.Text, nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
)

embeddings = sa.Table(
    "embeddings",
    metadata,
    _reference("contract_id", "contracts.id"),
    _reference("face_id", "faces.id"),
    sa.Column("dim", sa.Integer, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # (dim,) float32 little-endian, unit norm
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("contract_id", "face_id"),
    sa.Index(None, "face_id"),
)

crops = sa.Table(
    "crops",
    metadata,
    sa.Column(
        "face_id", BigInt, sa.ForeignKey("faces.id", ondelete="CASCADE"), primary_key=True,
        autoincrement=False,
    ),
    sa.Column("image", sa.LargeBinary, nullable=False),  # PNG of the aligned crop
    sa.Column("seal", sa.BigInteger, nullable=False),
)  # fmt: skip

# Outlives what it speaks of, so it refers to nothing.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("seq", BigInt, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("collection_key", sa.BigInteger, nullable=False),
    sa.Column("collection_uid", sa.String(32), nullable=False),
    sa.Column("person_key", sa.BigInteger, nullable=True),
    sa.Column("person_uid", sa.String(32), nullable=True),
    sa.Column("face_key", sa.BigInteger, nullable=True),
    sa.Column("face_uid", sa.String(32), nullable=True),
    sa.Column("contract", sa.String(128), nullable=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# What was seen, decided or corrected. Rows are added and never changed; people are named by uid
# only, so that deleting a person leaves no name behind.
events = _table(
    "events",
    _key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("event_key", sa.String(64), nullable=False, unique=True),
    _reference("collection_id", "collections.id"),
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
    sa.Column("note", sa.Text, nullable=True),
    sa.Column("grounds", sa.Text, nullable=False),  # JSON: on what it was decided
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.Index(None, "collection_id", "at"),
    sa.Index(None, "about_uid"),
)

# Who is where, and was until when: working state that the events are made from.
visits = _table(
    "visits",
    _key(),
    _reference("collection_id", "collections.id"),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("person_uid", sa.String(32), nullable=True),
    sa.Column("visitor_uid", sa.String(32), nullable=True),
    sa.Column("arrived_at", sa.BigInteger, nullable=False),
    sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    sa.Column("closed", sa.SmallInteger, nullable=False),
    sa.Column("arrival_uid", sa.String(32), nullable=True),  # the event that began it
    sa.Column("folded_into", BigInt, nullable=True),  # the visit it became part of
    sa.Index(None, "collection_id", "closed", "last_seen_at"),
    sa.Index(None, "collection_id", "person_uid"),
    sa.Index(None, "arrival_uid"),
)

# Who watches a camera, and until when nobody else may.
leases = _table(
    "leases",
    _key(),
    _reference("collection_id", "collections.id"),
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
    sa.Column("seal", sa.BigInteger, nullable=False),
)  # fmt: skip

# Faces that an operator said are not this person.
blocks = _table(
    "blocks",
    _key(),
    _reference("person_id", "people.id"),
    sa.Column("event_uid", sa.String(32), nullable=False),
    sa.Column("contract", sa.String(128), nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("event_uid", "person_id"),
    sa.Index(None, "person_id"),
)

# Doubtful cases that wait for a human. Working state: corrections of the event are the truth.
reviews = _table(
    "reviews",
    _key(),
    _reference("collection_id", "collections.id"),
    _reference("event_id", "events.id"),
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
candidates = _table(
    "candidates",
    _key(),
    _reference("review_id", "reviews.id"),
    _reference("person_id", "people.id"),
    sa.Column("face_uid", sa.String(32), nullable=True),  # the enrolled face that was nearest
    sa.Column("cosine", sa.Double, nullable=False),
    sa.Column("refused", sa.SmallInteger, nullable=False),
    sa.UniqueConstraint("review_id", "person_id"),
    sa.Index(None, "person_id"),
)

# Events still to be told to a webhook or broker; written with the event, in one transaction.
outbox = _table(
    "outbox",
    _key(),
    _reference("event_id", "events.id"),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("done_at", sa.BigInteger, nullable=True),
    sa.Column("failed_at", sa.BigInteger, nullable=True),  # given up
    sa.Column("last_error", sa.Text, nullable=True),
    sa.UniqueConstraint("event_id", "target"),
    sa.Index(None, "target", "next_at"),
)

# What an enrolment answered under a client's key. Ids and reasons only; gone after a day.
receipts = _table(
    "receipts",
    _key(),
    _reference("collection_id", "collections.id"),
    _reference("person_id", "people.id"),
    sa.Column("key_hash", sa.String(64), nullable=False),  # sha256 of the client's key
    sa.Column("fingerprint", sa.String(64), nullable=False),  # sha256 of the request
    sa.Column("results", sa.Text, nullable=False),  # JSON: an id of a face, or a reason, an image
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("collection_id", "key_hash"),
    sa.Index(None, "person_id"),
    sa.Index(None, "created_at"),
)

# Where bytes of people lie.
PERSONAL = (
    collections, people, faces, embeddings, crops, events, visits, traces, blocks, reviews,
    candidates, receipts,
)  # fmt: skip
