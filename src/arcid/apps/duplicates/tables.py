"""Searches for people enrolled twice, the pairs they found, and what humans said about them."""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import BigInt, key, reference, table

# A comparison of everybody with everybody, or as far as it has come.
runs = table(
    "duplicate_runs",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column(
        "other_id", BigInt, sa.ForeignKey("collections.id", ondelete="CASCADE"), nullable=True
    ),
    sa.Column("contract", sa.String(128), nullable=False),
    sa.Column("calibration", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # all, between, since
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("false_pairs", sa.Double, nullable=False),  # asked for: expected at most
    sa.Column("comparisons", sa.BigInteger, nullable=False),
    sa.Column("fmr", sa.Double, nullable=False),
    sa.Column("cosine", sa.Double, nullable=False),  # the threshold
    sa.Column("false_low", sa.Integer, nullable=True),  # 95 % interval; NULL before 0014
    sa.Column("false_high", sa.Integer, nullable=True),
    sa.Column("extrapolated", sa.SmallInteger, nullable=False),
    sa.Column("combined", sa.SmallInteger, nullable=False),
    sa.Column("templates", sa.BigInteger, nullable=False),
    sa.Column("row_ends", sa.Text, nullable=False),  # JSON: the last face key of every panel
    sa.Column("column_ends", sa.Text, nullable=False),
    sa.Column("blocks", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("from_change", sa.BigInteger, nullable=True),
    sa.Column("to_change", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.String(32), nullable=True),  # whose blocks are taken
    sa.Column("holder", sa.Text, nullable=False),  # for people: which process
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("beat_at", sa.BigInteger, nullable=False),  # its last block
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("worked_us", sa.BigInteger, nullable=False),
    sa.Column("problem", sa.Text, nullable=True),
    sa.Index(None, "collection_id", "id"),
    sa.Index(None, "other_id"),
)

# Two people who may be one, as the last run that met them found them.
pairs = table(
    "duplicate_pairs",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("run_id", "duplicate_runs.id"),
    reference("collection_id", "collections.id"),  # the run's
    reference("a_id", "people.id"),
    reference("b_id", "people.id"),
    sa.Column("a_face_uid", sa.String(32), nullable=False),  # the two nearest templates
    sa.Column("b_face_uid", sa.String(32), nullable=False),
    sa.Column("cosine", sa.Double, nullable=False),
    sa.Column("probability", sa.Double, nullable=False),
    sa.Column("fmr", sa.Double, nullable=False),
    sa.Column("templates", sa.Integer, nullable=False),  # pairs of templates at the threshold
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("found_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("a_id", "b_id"),
    sa.Index(None, "collection_id", "state", "cosine"),
    sa.Index(None, "b_id"),
    sa.Index(None, "run_id"),
)

# What humans said. By uid: a person who became part of another is still spoken of.
answers = table(
    "duplicate_answers",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("a_uid", sa.String(32), nullable=False),
    sa.Column("b_uid", sa.String(32), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("pair", sa.Text, nullable=False),  # JSON: the pair that was asked about
    sa.Column("merge_uid", sa.String(32), nullable=True),
    sa.Column("undone_at", sa.BigInteger, nullable=True),
    sa.Column("undone_by", sa.Text, nullable=True),
    sa.Index(None, "collection_id", "id"),
    sa.Index(None, "a_uid", "b_uid"),
    sa.Index(None, "b_uid"),
)
