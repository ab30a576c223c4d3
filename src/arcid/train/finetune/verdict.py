"""Better, worse, or not to be told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from arcid.evaluate.differences import Difference
from arcid.evaluate.metrics.rates import support
from arcid.train.export.measure import Accuracy, compare, rate_for

Outcome = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two models on the same people, who neither taught nor stopped the second."""

    original: str
    new: str
    difference: Difference  # in TAR, new − original
    fmr: float
    people: int
    photos: int
    genuine_pairs: int
    impostor_pairs: int

    @classmethod
    def of(cls, original: str, before: Accuracy, new: str, after: Accuracy) -> Verdict:
        """Both measured on the same photos."""
        pairs = after.pairs
        return cls(
            original, new, compare(before, after), rate_for(pairs), after.people, after.photos,
            len(pairs.genuine), len(pairs.impostor),
        )  # fmt: skip

    @property
    def outcome(self) -> Outcome:
        """Where the 95 % interval of the difference lies: above 0, below, or over it."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "undecided"

    @property
    def sentences(self) -> list[str]:
        """The outcome; its rate and interval; on how many it was judged, and where they are few."""
        found, interval = self.difference, "no interval: too few people"
        if math.isfinite(found.low) and math.isfinite(found.high):
            interval = f"95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}"
        few = {
            "measured": "",
            "weak": f"; few for a rate of {self.fmr:g}, so take the numbers as a hint",
            "unsupported": f"; too few for a rate of {self.fmr:g}: more people would tell",
        }[support(self.fmr, self.impostor_pairs).level]
        return [
            {
                "better": f"{self.new} is better than {self.original}.",
                "worse": f"{self.new} is worse than {self.original}.",
                "undecided": f"{self.new} and {self.original} cannot be told apart.",
            }[self.outcome],
            f"At a false match rate of {self.fmr:g} {self.new} accepts {100 * found.b:.1f} % of "
            f"the pairs of one person, {self.original} {100 * found.a:.1f} %: "
            f"{100 * found.difference:+.1f} points, {interval}.",
            f"Judged by {self.people} people kept for this alone: {self.photos:,} photos, "
            f"{self.genuine_pairs:,} pairs of one person, {self.impostor_pairs:,} of two{few}.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.outcome,
            "sentence": " ".join(self.sentences),
            "fmr": self.fmr,
            "difference": self.difference.to_dict(),
            "judged": {
                "people": self.people,
                "photos": self.photos,
                "genuine_pairs": self.genuine_pairs,
                "impostor_pairs": self.impostor_pairs,
            },
        }


__all__ = ["Verdict"]
