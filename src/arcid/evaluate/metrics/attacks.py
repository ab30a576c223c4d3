"""Presentation attacks: APCER per species, BPCER."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from arcid.errors import InvalidArray, RateUnsupported
from arcid.evaluate.metrics.rates import (
    Rate,
    _checked,
    binomial_rate,
)

MIN_ATTACKS = 30  # per species, below which no APCER is stated (ISO/IEC 30107-3)


@dataclass(frozen=True, slots=True)
class AttackRates:
    """APCER of every species with enough attacks, BPCER, and what was refused."""

    threshold: float
    apcer: Mapping[str, Rate]
    refused: Mapping[str, int]  # species → attacks, too few to state a rate
    bpcer: Rate

    @property
    def worst_apcer(self) -> Rate | None:
        """The product's APCER is its worst species'; None where every species was refused."""
        return max(self.apcer.values(), key=lambda r: r.value) if self.apcer else None


def attack_rates(
    bona_fide: npt.ArrayLike,
    attacks: Mapping[str, npt.ArrayLike],
    threshold: float,
    *,
    min_attacks: int = MIN_ATTACKS,
) -> AttackRates:
    """ISO/IEC 30107-3 rates of liveness scores (higher is live; live where score >= threshold).

    APCER: share of a species' attacks taken for live. BPCER: share of bona fide presentations taken
    for attacks. Species with fewer than ``min_attacks`` attacks are refused, never averaged in. A
    presentation without a usable face scores −inf: an attack is stopped, a live person turned away.
    """
    live = _checked(bona_fide, "bona fide")
    if not attacks:
        raise InvalidArray("attack rates need at least one species of attack")
    rates: dict[str, Rate] = {}
    refused: dict[str, int] = {}
    for species, scores in attacks.items():
        values = _checked(scores, f"{species} attack")
        if len(values) < min_attacks:
            refused[species] = len(values)
        else:
            rates[species] = binomial_rate(int((values >= threshold).sum()), len(values))
    return AttackRates(
        threshold, rates, refused, binomial_rate(int((live < threshold).sum()), len(live))
    )


def require_species(rates: AttackRates, species: Sequence[str] | None = None) -> None:
    """Raise ``RateUnsupported`` where a species (default: any) was refused for too few attacks."""
    short = {s: n for s, n in rates.refused.items() if species is None or s in species}
    if short:
        listed = ", ".join(f"{s} ({n})" for s, n in sorted(short.items()))
        raise RateUnsupported(
            f"no APCER can be stated for {listed}: a species needs at least {MIN_ATTACKS} attacks",
            **{"species": short},
        )
