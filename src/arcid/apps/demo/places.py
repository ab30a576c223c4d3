"""What the demo calls its collections and cameras."""

from __future__ import annotations

COLLECTION, LISTED = "staff", "visitors"
CAMERA, SIDE = "Front door", "Side door"
ACTOR = "demo"
