"""Long work on a collection, and what of it is not done yet or was refused."""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import key, reference, table

jobs = table(
    "jobs",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),  # who works on it: service, command
    sa.Column("actor", sa.Text, nullable=False),  # as the audit names them
    sa.Column("source", sa.Text, nullable=False),  # JSON: what opens it again
    sa.Column("options", sa.Text, nullable=False),  # JSON
    sa.Column("run_uid", sa.String(32), nullable=True),  # of duplicates: the run that it stands for
    sa.Column("total", sa.Integer, nullable=False),  # items, refused ones too
    sa.Column("done", sa.Integer, nullable=False),  # of them, refused ones too
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(32), nullable=True),  # whose it is
    sa.Column("until", sa.BigInteger, nullable=False),  # when it is anybody's again
    sa.Column("holder", sa.Text, nullable=False),  # for people: which process
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("beat_at", sa.BigInteger, nullable=False),  # its last change
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("problem", sa.Text, nullable=True),
    sa.Index(None, "collection_id", "id"),
    sa.Index(None, "state"),
)

# An item is gone once it is done, in the transaction that did it.
items = table(
    "job_items",
    key(),
    reference("job_id", "jobs.id"),
    sa.Column("label", sa.Text, nullable=False),  # of a photo: where it lies; or an id
    sa.Column("person", sa.Text, nullable=False),  # their name, empty where there is none
    sa.Column("person_key", sa.Text, nullable=False),
    sa.Column("code", sa.String(64), nullable=True),  # why it was refused; NULL: it waits
    sa.Column("message", sa.Text, nullable=False),
    sa.Index(None, "job_id", "id"),
    sa.Index(None, "person_key"),
)
