"""What the demo calls its collections and cameras."""

from __future__ import annotations

COLLECTION, APPLICANTS, LISTED = "staff", "tenants", "visitors"
CAMERA, SIDE = "Front door", "Side door"
ACTOR = "demo"
