"""Open the gallery of a command, and say what it has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcid.cli.output import note

if TYPE_CHECKING:
    from arcid.gallery import Gallery


def open_gallery(database: str | None, *, create: bool = False) -> Gallery:
    """``gallery.opening.open_gallery``, its losses told on standard error."""
    from arcid.gallery import opening

    gallery = opening.open_gallery(database, create=create)
    for loss in gallery.losses():
        note(f"WARNING: {loss}")
    return gallery
