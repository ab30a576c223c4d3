"""People from elsewhere: folders, archives, lists and other systems, into the gallery.

A source (``items.Source``) says what it has and hands it over piece by piece; ``taking`` enrols it;
``arcid.apps.jobs`` remembers how far it is.
"""

from __future__ import annotations

from arcid.apps.importing import lists
from arcid.apps.importing.items import About, Item, Left, Listing, Source
from arcid.apps.importing.photos import archive, folder, listed

__all__ = ["About", "Item", "Left", "Listing", "Source", "archive", "folder", "listed", "lists"]
