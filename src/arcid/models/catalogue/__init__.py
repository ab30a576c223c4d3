"""Models arcid knows by name: where they come from, their sha256, their terms, what they eat.

A third-party file brings no manifest, so its manifest is written here, from its publisher's own
documentation; nothing is ever guessed from shapes. Files are recognised by sha256. Nothing here
downloads by itself: ``arcid models pull NAME`` does, after the licence was shown and accepted.
"""

from __future__ import annotations

from arcid.errors import ModelNotFound
from arcid.models.catalogue.contracts import CONTRACTS, InputContract
from arcid.models.catalogue.detectors import DETECTORS
from arcid.models.catalogue.kinds import Entry, Pack, SourceFile
from arcid.models.catalogue.landmarks import LANDMARKS
from arcid.models.catalogue.liveness import LIVENESS
from arcid.models.catalogue.packs import INSIGHTFACE_PACKS
from arcid.models.catalogue.recognisers import RECOGNISERS

ENTRIES: dict[str, Entry] = {
    entry.name: entry for entry in (*DETECTORS, *RECOGNISERS, *LIVENESS, *LANDMARKS)
}
PACKS: dict[str, Pack] = {pack.name: pack for pack in INSIGHTFACE_PACKS}


def entry(name: str) -> Entry:
    """The entry of that name; raises ``ModelNotFound`` and lists the known ones."""
    if name not in ENTRIES:
        raise ModelNotFound(
            f"no model is called {name!r}; the catalogue has {', '.join(sorted(ENTRIES))}"
        )
    return ENTRIES[name]


__all__ = [
    "CONTRACTS",
    "ENTRIES",
    "PACKS",
    "Entry",
    "InputContract",
    "Pack",
    "SourceFile",
    "entry",
]
