"""Which report shows which result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arcid.evaluate import drift, fairness, protocols
from arcid.evaluate.report import groups, searches, verification
from arcid.evaluate.report.common import Extras
from arcid.evaluate.report.document import (
    Document,
)


def document(result: Any, extras: Extras | None = None) -> Document:
    """The report of any protocol's result, fairness report or comparison."""
    found = extras or Extras()
    for kind, write in WRITERS.items():
        if isinstance(result, kind):
            return write(result, found)
    raise TypeError(f"no report is known for {type(result).__name__}")


WRITERS: dict[type, Callable[[Any, Extras], Document]] = {
    protocols.VerificationResult: verification.verification,
    protocols.PairListResult: verification.pair_list,
    protocols.GalleryResult: searches.gallery,
    protocols.FolderResult: searches.folder,
    protocols.IjbResult: searches.ijb,
    protocols.MegafaceResult: searches.megaface,
    protocols.PadResult: groups.pad,
    fairness.FairnessResult: groups.by_group,
    drift.Comparison: groups.comparison,
}
