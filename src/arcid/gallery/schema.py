"""The tables of a gallery, as SQLite and PostgreSQL both know them.

Every row has an integer ``id`` (joins, index keys) and, where the outside sees it, a ``uid``
(uuid4 hex). ``AUTOINCREMENT`` keeps SQLite from giving a deleted face's number to a new one.
Times are microseconds since 1970 UTC; JSON is text. ``seal`` is a checksum over the row's meaning
(see ``seals``), because neither database notices a flipped byte inside a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

HEAD = "0025"  # the newest migration
#: Every migration this version can start from.
KNOWN = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
    "0022",
    "0023",
    "0024",
    "0025",
)

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
#: Tables beside these in the same database, with migrations of their own: what was erased of them
#: goes as what was erased of these.
beside: list[sa.MetaData] = []


def key() -> sa.Column[int]:
    return sa.Column("id", BigInt, primary_key=True, autoincrement=True)


def reference(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, BigInt, sa.ForeignKey(target, ondelete="CASCADE"), nullable=False)


def table(
    name: str, *columns: Any, sealed: Sequence[str] = (), later: Sequence[str] = ()
) -> sa.Table:
    """``sealed``: the columns that carry the meaning of a row, which its ``seal`` covers;
    ``later``: those of a newer version, covered where they hold something."""
    info = {"sealed": sealed, "later": later} if sealed else {}
    return sa.Table(name, metadata, *columns, sqlite_autoincrement=True, info=info)


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
    # the newest row of ``audit``, so that one taken off its end is missed
    sa.Column("audit_last", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("audit_digest", sa.String(64), nullable=False, server_default="0" * 64),
    # what is written is sealed (``arcid.vault``), and up to which destroyed key of the key
    # store it is known that nobody is left whom it belonged to
    sa.Column("protected", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("shredded", sa.BigInteger, nullable=False, server_default="0"),
)

# One row: the oldest schema whose processes may go on (``versions.require_known``). Apart from
# ``gallery``, whose row everybody who writes locks: a migration must not need that table.
serving = sa.Table(
    "serving",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("oldest_schema", sa.String(32), nullable=False),
)

# Who looked at or decided about people. Rows are only ever added, each chained to the one before;
# they outlive what they speak of, hold uids and no names, and refer to nothing (``store.audit``).
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", BigInt, primary_key=True, autoincrement=False),  # 1, 2, 3, … without a gap
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("verb", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("collection_uid", sa.String(32), nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),  # canonical JSON
    sa.Column("previous", sa.String(64), nullable=False),  # digest of the row before
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("address", sa.String(64), nullable=True),  # of the client; NULL before 0013
    sa.Index(None, "subject"),
)

# The end of the audit, signed at the end of each day (``events.seals``).
audit_seals = table(
    "audit_seals",
    key(),
    sa.Column("day", sa.String(10), nullable=False, unique=True),  # ISO 8601, UTC
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("signed", sa.Text, nullable=False),  # the whole file
)

# Keys of the service's REST interface. Of a key only its sha256 is kept; ``collections`` are uids,
# NULL: all of them. A key that is not valid any more stays, so that the audit can name it.
api_keys = table(
    "api_keys",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("old_digest", sa.String(64), nullable=True),  # before the last rotation
    sa.Column("old_until", sa.BigInteger, nullable=True),
    sa.Column("verbs", sa.Text, nullable=False),  # separated by spaces
    sa.Column("collections", sa.Text, nullable=True),  # JSON
    sa.Column("per_minute", sa.Integer, nullable=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),  # as the audit names them
    sa.Column("expires_at", sa.BigInteger, nullable=True),
    sa.Column("revoked_at", sa.BigInteger, nullable=True),
    sa.Column("used_at", sa.BigInteger, nullable=True),
)

# What one process at a time does for the whole gallery, and until when it is theirs.
duties = table(
    "duties",
    key(),
    sa.Column("name", sa.String(128), nullable=False, unique=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("holder", sa.Text, nullable=False),  # for people: which process
    sa.Column("taken_at", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)

# Acknowledged commits that were not in the database any more when it was next written.
losses = table(
    "losses",
    key(),
    sa.Column("found_at", sa.BigInteger, nullable=False),
    sa.Column("acknowledged", sa.BigInteger, nullable=False),  # the last commit the mark knew
    sa.Column("found", sa.BigInteger, nullable=False),  # the last commit that was there
    sa.Column("accepted_at", sa.BigInteger, nullable=True),
)

collections = table(
    "collections",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("keep_crops", sa.SmallInteger, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sealed=("uid", "name", "keep_crops", "metadata", "created_at"),
)

# What a collection is for and how long its people are kept; without a row, ``records.Policy``.
policies = table(
    "policies",
    key(),
    reference("collection_id", "collections.id"),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("legal_basis", sa.Text, nullable=False),
    sa.Column("consent", sa.SmallInteger, nullable=False),
    sa.Column("on_withdrawal", sa.String(8), nullable=False),
    sa.Column("unseen_days", sa.Double, nullable=True),
    sa.Column("keep_days", sa.Double, nullable=True),
    sa.Column("strangers_hours", sa.Double, nullable=False),
    sa.Column("event_faces_days", sa.Double, nullable=False),
    sa.Column("refused_days", sa.Double, nullable=True),
    sa.Column("crops_for", sa.Text, nullable=True),  # JSON
    sa.Column("published", sa.SmallInteger, nullable=False),
    sa.UniqueConstraint("collection_id"),
)

# Turns of erasing what was too old: written when one begins, counted in what it erases.
retention_runs = table(
    "retention_runs",
    key(),
    sa.Column("began_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("holder", sa.Text, nullable=False),  # for people: which process
    sa.Column("erased", sa.Text, nullable=False),  # JSON: counts by the collection's uid
)

# What was destroyed, by kind and count, and no name: outlives what it speaks of.
erasures = table(
    "erasures",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("collection_uid", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),  # KIND:ID, as in the audit
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("statement", sa.Text, nullable=False),  # canonical JSON
    sa.Column("signed", sa.Text, nullable=True),  # the whole file, once it was asked for
    sa.Index(None, "subject"),
)

# Who was told what about whom, outside of the service. People by uid: it outlives them.
disclosures = table(
    "disclosures",
    key(),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),  # as the audit names them
    sa.Column("collection_uid", sa.String(32), nullable=True),
    sa.Column("person_uid", sa.String(32), nullable=True),
    sa.Column("what", sa.Text, nullable=False),
    sa.Index(None, "person_uid"),
    sa.Index(None, "at"),
)

# That somebody agreed to be enrolled. Gone with the person; the audit keeps that it was recorded.
consents = table(
    "consents",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("person_id", "people.id"),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),  # its version
    sa.Column("given_by", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("given_at", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),  # as the audit names them
    sa.Column("withdrawn_at", sa.BigInteger, nullable=True),
    sa.Column("withdrawn_by", sa.Text, nullable=True),
    sa.Index(None, "person_id"),
)

people = table(
    "people",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("key_id", sa.BigInteger, nullable=True),  # of the data key; None: nothing is sealed
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.Column("external_id", sa.Text, nullable=True),  # what another system calls them
    sa.UniqueConstraint("collection_id", "name_key"),
    sa.Index(None, "collection_id", "external_id", unique=True),
    sealed=("uid", "collection_id", "name", "metadata", "created_at"),
    later=("external_id",),
)

faces = table(
    "faces",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    reference("person_id", "people.id"),
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
    sealed=(
        "uid", "collection_id", "person_id", "photo_id", "box", "score", "quality", "source",
        "provenance", "created_at",
    ),
)  # fmt: skip

contracts = table(
    "contracts",
    key(),
    sa.Column("uid", sa.String(128), nullable=False, unique=True),  # the contract_id of a model
    sa.Column("model_name", sa.Text, nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
)

embeddings = sa.Table(
    "embeddings",
    metadata,
    reference("contract_id", "contracts.id"),
    reference("face_id", "faces.id"),
    sa.Column("dim", sa.Integer, nullable=False),
    # (dim,) float32 little-endian, unit norm; sealed in a protected gallery
    sa.Column("vector", sa.LargeBinary, nullable=False),
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
    sa.Column("image", sa.LargeBinary, nullable=False),  # PNG of the aligned crop, sealed alike
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

# How many people an approximate index passed over when it was last measured.
index_misses = table(
    "index_misses",
    key(),
    reference("collection_id", "collections.id"),
    reference("contract_id", "contracts.id"),
    sa.Column("kind", sa.Text, nullable=False),  # of index, as ARCID_INDEX names it
    sa.Column("searches", sa.Integer, nullable=False),
    sa.Column("missed", sa.Integer, nullable=False),
    sa.Column("low", sa.Float, nullable=False),  # of the rate, 95 %
    sa.Column("high", sa.Float, nullable=False),
    sa.Column("faces", sa.BigInteger, nullable=False),  # then, as all of it
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("measured_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("collection_id", "contract_id"),
)

# What an enrolment answered under a client's key. Ids and reasons only; gone after a day.
receipts = table(
    "receipts",
    key(),
    reference("collection_id", "collections.id"),
    reference("person_id", "people.id"),
    sa.Column("key_hash", sa.String(64), nullable=False),  # sha256 of the client's key
    sa.Column("fingerprint", sa.String(64), nullable=False),  # sha256 of the request
    sa.Column("results", sa.Text, nullable=False),  # JSON: an id of a face, or a reason, an image
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("collection_id", "key_hash"),
    sa.Index(None, "person_id"),
    sa.Index(None, "created_at"),
)

# Merges that can be undone: who somebody was before they became part of another. Gone with the
# person they became part of, and after a while.
merges = table(
    "merges",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    reference("person_id", "people.id"),  # who has the faces now
    sa.Column("other_uid", sa.String(32), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),  # when the other was added
    sa.Column("merged_at", sa.BigInteger, nullable=False),
    sa.Column("face_uids", sa.Text, nullable=False),  # JSON: the other's faces
    sa.Column("handed", sa.Text, nullable=False),  # JSON: what each room handed over
    sa.Column("seal", sa.BigInteger, nullable=False),
    sa.Column("external_id", sa.Text, nullable=True),
    sa.Index(None, "person_id"),
    sa.Index(None, "merged_at"),
    sealed=(
        "uid", "collection_id", "other_uid", "name", "metadata", "created_at", "merged_at",
        "face_uids", "handed",
    ),
    later=("external_id",),
)  # fmt: skip

# Data keys of people who became part of another: destroyed with whom they became part of.
inherited = table(
    "inherited_keys",
    key(),
    reference("person_id", "people.id"),
    sa.Column("key_id", sa.BigInteger, nullable=False, unique=True),
    sa.Column("origin", sa.String(32), nullable=False),  # uid of whose it was
    sa.Index(None, "person_id"),
)

# Keys to destroy, written with what makes them so: gone when that is done, after the commit.
shreds = table(
    "shreds",
    key(),
    sa.Column("key_id", sa.BigInteger, nullable=True),  # a data key, or
    sa.Column("collection_uid", sa.String(32), nullable=True),  # all of a collection
)
