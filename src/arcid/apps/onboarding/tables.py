"""Onboarding's tables in the gallery's database.

Nothing of an applicant is written before their consent: a session begins as a hash of its token and
the caller's own reference. Everything of a session is erased when its days of keeping are over.
"""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import BigInt, key, metadata, reference, table

sessions = table(
    "onboardings",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),  # sha256
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reference", sa.Text, nullable=False),  # the caller's own
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("keep_until", sa.BigInteger, nullable=False),  # then nothing is left of it
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("tries", sa.Integer, nullable=False),  # used
    sa.Column("rules", sa.Text, nullable=False),  # JSON
    sa.Column("consent", sa.Text, nullable=True),  # JSON: version, sha256 of the text, when
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("birth_date", sa.String(10), nullable=True),
    sa.Column("zone", sa.Text, nullable=True),  # JSON: what the machine-readable zone says
    sa.Column("checks", sa.Text, nullable=False),  # JSON
    sa.Column("person_uid", sa.String(32), nullable=True),  # enrolled by it
    sa.Column("face_uid", sa.String(32), nullable=True),
    sa.Index(None, "collection_id", "state", "id"),
    sa.Index(None, "keep_until"),
    sa.Index(None, "person_uid"),
)

# The portrait of the document, and the selfie. Picture and vector go when they are not needed any
# more; the print stays as long as the session, to recognise the same picture in another one.
pictures = table(
    "onboarding_pictures",
    key(),
    reference("onboarding_id", "onboardings.id"),
    sa.Column("role", sa.String(16), nullable=False),  # document or selfie
    sa.Column("sha256", sa.String(64), nullable=False),  # of the aligned crop's pixels
    sa.Column("print", sa.LargeBinary, nullable=False),  # see ``prints``
    sa.Column("contract", sa.String(128), nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=True),  # float32 little-endian, unit norm
    sa.Column("crop", sa.LargeBinary, nullable=True),  # PNG of the aligned crop
    sa.Column("picture", sa.LargeBinary, nullable=True),  # JPEG of the face with its surroundings
    sa.Column("key_id", sa.BigInteger, nullable=True),  # of the data key of these three
    sa.Column("details", sa.Text, nullable=False),  # JSON: quality, how it was taken
    sa.UniqueConstraint("onboarding_id", "role"),
    sa.Index(None, "role", "sha256"),
)

# What was decided about a session, by arcid and by people; rows are only added, or marked undone.
answers = table(
    "onboarding_answers",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("onboarding_id", "onboardings.id"),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("undone_at", sa.BigInteger, nullable=True),
    sa.Column("undone_by", sa.Text, nullable=True),
    sa.Index(None, "onboarding_id", "id"),
)

# Failed tries to authenticate as a person, so that a restart forgives nobody.
attempts = sa.Table(
    "authentications",
    metadata,
    sa.Column(
        "person_id", BigInt, sa.ForeignKey("people.id", ondelete="CASCADE"), primary_key=True,
        autoincrement=False,
    ),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
    sa.Column("locked_until", sa.BigInteger, nullable=False),
)  # fmt: skip
