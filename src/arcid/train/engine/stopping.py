"""When a run has learnt what it can: validation finds nothing better any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

Row = Mapping[str, float]


class EarlyStop:
    """Is shown every validation in turn; ``rows`` are those of before, in a run that goes on.

    ``patience``: validations without a better one after which the run is ``over``; 0 never, and
    none is the best. ``score``: as ``Job.score``.
    """

    def __init__(
        self,
        patience: int,
        score: Callable[[Row], Sequence[float] | None],
        rows: Iterable[Row] = (),
    ) -> None:
        self._patience, self._score, self._since = patience, score, 0
        self._best: list[float] = []
        for row in rows:
            self.is_best(row)

    def is_best(self, row: Row) -> bool:
        """Whether a new validation is better than all before."""
        found = self._score(row) if self._patience else None
        if found is None:
            return False
        # as a row of validation.csv holds it, so that a run that goes on decides alike
        score = [float(f"{value:.6g}") for value in found]
        if score > self._best:
            self._best, self._since = score, 0
            return True
        self._since += 1
        return False

    @property
    def over(self) -> bool:
        return 0 < self._patience <= self._since


__all__ = ["EarlyStop"]
