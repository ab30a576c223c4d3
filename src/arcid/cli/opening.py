"""Open the gallery of a command, and say what it has lost."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

from arcid.cli.output import note

if TYPE_CHECKING:
    from arcid.gallery import Gallery

DEFAULT = "default"  # the collection of whoever names none


def open_gallery(
    database: str | None, collection: str | None = None, *, create: bool = False
) -> Gallery:
    """The gallery, its losses told on standard error.

    One that was not named, with --database or ``ARCID_DATABASE``, is made where it is missing and
    no console was set up; in a gallery without any collection so is that of whoever names none: a
    fresh machine answers that nobody is there. Raises ``NotFound``.
    """
    from arcid import paths
    from arcid.gallery import opening
    from arcid.server.console.auth.secret import is_set_up

    named = database or paths.named_database()
    fresh = named is None and not is_set_up(paths.home_dir())
    acting_here()
    gallery = opening.open_gallery(database, create=create or fresh)
    for loss in gallery.losses():
        note(f"WARNING: {loss}")
    if collection == DEFAULT and not gallery.collections(limit=1):
        gallery.ensure_collection(collection)
    return gallery


def acting_here() -> None:
    """Name whose shell this is in the audit."""
    from arcid.gallery.store.audit import act_as

    act_as(_who())


def _who() -> str:
    """Whose shell this is, by number where the system has numbers: the audit holds no names."""
    number = getattr(os, "getuid", None)
    return f"os:{getpass.getuser() if number is None else number()}"
