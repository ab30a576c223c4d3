"""Open the gallery of a command, and say what it has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcid.cli.output import note

if TYPE_CHECKING:
    from arcid.gallery import Gallery

DEFAULT = "default"  # the collection of whoever names none


def open_gallery(
    database: str | None, collection: str | None = None, *, create: bool = False
) -> Gallery:
    """The gallery, its losses told on standard error.

    One that was not named with --database is made where it is missing, and so is the collection of
    whoever names none: a fresh machine answers that nobody is there. Raises ``NotFound``.
    """
    from arcid.gallery import opening

    gallery = opening.open_gallery(database, create=create or database is None)
    for loss in gallery.losses():
        note(f"WARNING: {loss}")
    if collection == DEFAULT:
        gallery.ensure_collection(collection)
    return gallery
