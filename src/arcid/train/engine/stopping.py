"""When a run has learnt what it can: people held out are recognised no better any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from arcid.train.engine.validate import HELD_TAR

Score = tuple[float, float]


class EarlyStop:
    """Is shown every validation in turn; ``rows`` are those of before, in a run that goes on.

    ``patience``: validations without a better one after which the run is ``over``; 0 never, and
    none is the best. Better is a higher TAR of the people held out, or where that is the same,
    a higher area under their curve.
    """

    def __init__(self, patience: int, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self._patience, self._since = patience, 0
        self._best: Score | None = None
        for row in rows:
            self.is_best(row)

    def is_best(self, row: Mapping[str, float]) -> bool:
        """Whether a new validation is better than all before."""
        if not self._patience or HELD_TAR not in row:
            return False
        score = _as_recorded(row[HELD_TAR]), _as_recorded(row["held_auc"])
        if self._best is None or score > self._best:
            self._best, self._since = score, 0
            return True
        self._since += 1
        return False

    @property
    def over(self) -> bool:
        return 0 < self._patience <= self._since


def _as_recorded(value: float) -> float:
    """As a row of validation.csv holds it, so that a run that goes on decides alike."""
    return float(f"{value:.6g}")


__all__ = ["EarlyStop"]
