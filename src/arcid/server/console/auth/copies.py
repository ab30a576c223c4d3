"""Whether ``console.key`` here is the one that other servers on the same database have.

Nothing of a key is in the database; what was sealed with it, and who signed in, are.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from arcid.errors import ConfigError, SealBroken
from arcid.gallery.database import Database
from arcid.sealing import unseal
from arcid.server.console.auth.schema import accounts
from arcid.server.console.auth.second import PURPOSE
from arcid.server.console.auth.secret import NAME, is_set_up, load_secret


class Doubt(NamedTuple):
    """What is amiss with a key, and what to do."""

    message: str
    advice: str


COPY = (
    f"copy {NAME} from the ARCID_HOME of the server where the console was set up, and start arcid "
    "again; where it is lost, everybody signs in anew, and second factors and camera addresses "
    "sealed with it are set up anew"
)


def doubt(database: Database, home: Path) -> Doubt | None:
    """None where nothing speaks against the key, or the console was never set up. Changes
    nothing."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table(accounts.name):
            return None
        signed_in = connection.execute(
            sa.select(sa.func.count()).where(accounts.c.signed_in_at.is_not(None))
        ).scalar_one()
        sealed = connection.execute(
            sa.select(accounts.c.uid, accounts.c.totp).where(accounts.c.totp.is_not(None))
        ).all()
    if signed_in and not is_set_up(home):
        return Doubt(
            f"people have signed in to this gallery's console, but ARCID_HOME has no {NAME}: this "
            "server would make another, and then sessions that other servers began are none here",
            COPY,
        )
    if sealed and is_set_up(home):
        with suppress(ConfigError):  # said by whoever needs it
            secret = load_secret(home)
            if not any(_opens(secret, uid, totp) for uid, totp in sealed):
                return Doubt(
                    f"the {NAME} in ARCID_HOME opens none of the second factors in the gallery: "
                    "it is not the one that they were sealed with",
                    COPY,
                )
    return None


def _opens(secret: bytes, uid: str, totp: str) -> bool:
    try:
        unseal(secret, uid, totp, PURPOSE)
    except SealBroken:
        return False
    return True
