"""What cleaning found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcid.evaluate.metrics import IndexArray
from arcid.train.clean.rule import Rule, Verdict

KEPT = "kept.csv"


@dataclass(frozen=True, eq=False)
class CleanResult:
    """What was found and where it lies."""

    folder: Path
    checkpoint: Path
    step: int
    rule: Rule
    centres: int  # K
    classes: tuple[str, ...]  # the trained identities
    verdict: Verdict
    keys: tuple[str, ...]  # (N,) photos the verdict is about: those trained on
    labels: IndexArray  # (N,) their identities
    unreadable: tuple[tuple[str, str], ...]  # (key, why); they stay in the list
    other_photos: int  # in the sources but not trained on: held out, not chosen, of nobody
    sheets: tuple[Path, ...]

    @property
    def kept_list(self) -> Path:
        """What ``data.keep`` of the next run is set to."""
        return self.folder / KEPT

    @property
    def dropped(self) -> int:
        """Photos beyond the angle."""
        return int((~self.verdict.keep).sum())

    @property
    def judged_photos(self) -> int:
        """Photos of identities with enough of them."""
        return int(self.verdict.photos[self.verdict.judged].sum())

    @property
    def judged_identities(self) -> int:
        """Identities with enough photos."""
        return int(self.verdict.judged.sum())

    @property
    def emptied(self) -> tuple[str, ...]:
        """Identities that lost every photo."""
        kept = np.bincount(self.labels[self.verdict.keep], minlength=len(self.classes))
        gone = (self.verdict.photos > 0) & (kept == 0)
        return tuple(self.classes[i] for i in np.flatnonzero(gone))

    @property
    def dominant_share(self) -> float:
        """Share of the judged photos that are nearest to their identity's dominant sub-centre."""
        judged, photos = self.verdict.judged, self.verdict.photos
        near = (self.verdict.share[judged] * photos[judged]).sum()
        return float(near / max(photos[judged].sum(), 1))


__all__ = ["KEPT", "CleanResult"]
