"""The console's tables. They lie in the gallery's database and have migrations of their own.

Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import beside

KNOWN = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
)  # every migration it can start from; the last is the newest
VERSION_TABLE = "console_version"

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
beside.append(metadata)
BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

accounts = sa.Table(
    "console_accounts",
    metadata,
    sa.Column("id", BigInt, primary_key=True, autoincrement=True),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.Text, nullable=False),  # argon2id, PHC string
    sa.Column("enabled", sa.SmallInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("signed_in_at", sa.BigInteger, nullable=True),
    sa.Column("kiosk_collection", sa.String(32), nullable=True),  # its uid
    sa.Column("kiosk_challenge", sa.SmallInteger, nullable=False, server_default="1"),
    sa.Column("issuer", sa.Text, nullable=True),  # of an account kept elsewhere; no password then
    sa.Column("subject", sa.Text, nullable=True),
    sa.Column("totp", sa.Text, nullable=True),  # an app's secret, sealed
    sa.Column("totp_step", sa.BigInteger, nullable=True),  # of the last code that was taken
    sa.Index(None, "issuer", "subject", unique=True),
    sqlite_autoincrement=True,
)

sessions = sa.Table(
    "console_sessions",
    metadata,
    sa.Column("token", sa.String(64), primary_key=True),  # sha256 of what the cookie carries
    sa.Column(
        "account_id",
        BigInt,
        sa.ForeignKey("console_accounts.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.Text, nullable=True),  # from where it began; unknown: None
    sa.Column("browser", sa.Text, nullable=True),  # in words
    sa.Column("waits", sa.String(8), nullable=True),  # for what, before it opens anything
    sa.Column("strong", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index(None, "account_id"),
)

recovery = sa.Table(
    "console_recovery",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # sha256 of a code
    sa.Column(
        "account_id",
        BigInt,
        sa.ForeignKey("console_accounts.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Index(None, "account_id"),
)

passkeys = sa.Table(
    "console_passkeys",
    metadata,
    sa.Column("id", BigInt, primary_key=True, autoincrement=True),
    sa.Column(
        "account_id",
        BigInt,
        sa.ForeignKey("console_accounts.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("credential", sa.Text, nullable=False, unique=True),  # its id, hexadecimal
    sa.Column("public_key", sa.LargeBinary, nullable=False),  # COSE
    sa.Column("sign_count", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("synced", sa.SmallInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger, nullable=True),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)

# Those that were answered, as long as they could be answered again.
challenges = sa.Table(
    "console_challenges",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # sha256
    sa.Column("ends_at", sa.BigInteger, nullable=False),
)

# Failed sign-ins, counted by name, by address and by both; keys are hashed.
attempts = sa.Table(
    "console_attempts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
)
