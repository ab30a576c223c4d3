"""Two kinds of photos of the same people, documents and selfies, → ``calibration.json``.

As ``calibrate``, but a comparison is one photo of each kind: the tables say what a cosine of a
document with a selfie means, and nothing of two selfies, nor of searches (``gallery_table`` is
empty). Rates are measured where thirty independent false matches were seen; below that the tables
go on by the fitted tail and say so.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.calibration import Calibration
from arcid.errors import InvalidArray, RateUnsupported
from arcid.evaluate import probability
from arcid.evaluate.bootstrap import identity_weights
from arcid.evaluate.calibrate import Provenance, rounded
from arcid.evaluate.metrics import RULE_OF_3, RULE_OF_30
from arcid.evaluate.tail import TailBootstrap, effective_matches, shrinkage
from arcid.types import Embeddings

BOOTSTRAPS = 300
LARGEST_FMR = 0.1  # the first measured row
EXTRAPOLATE_TO = 1e-7
RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


class Cross:
    """Every document with every selfie: genuine cosines, and the highest of strangers.

    ``one_photo`` (K,2): rows (document, selfie) that were made of one photograph, which say
    nothing of two and are left out.
    """

    def __init__(
        self,
        documents: Embeddings,
        document_people: npt.ArrayLike,
        selfies: Embeddings,
        selfie_people: npt.ArrayLike,
        *,
        one_photo: npt.ArrayLike = (),
        bootstraps: int = BOOTSTRAPS,
        seed: int = 0,
    ) -> None:
        labels = [np.asarray(document_people), np.asarray(selfie_people)]
        if [len(documents), len(selfies)] != list(map(len, labels)):
            raise InvalidArray("every document and every selfie needs the label of its person")
        names, ids = np.unique(np.concatenate(labels), return_inverse=True)
        a, b = ids[: len(documents)], ids[len(documents) :]
        cosines = selfies.cosine(documents).T  # (documents, selfies)
        same = a[:, None] == b[None]
        left = same.copy()
        if len(pairs := np.asarray(one_photo, np.int64).reshape(-1, 2)):
            left[pairs[:, 0], pairs[:, 1]] = False
        rows, columns = np.nonzero(left)
        if len(names) < 2 or not len(rows):
            raise InvalidArray(
                "calibrating needs two people, and a document and another photo of one of them"
            )
        self.genuine, self.own = cosines[rows, columns].astype(np.float64), a[rows]
        made = [np.bincount(x, minlength=len(names)).astype(np.float64) for x in (a, b)]
        self.exposure = made[0] * (len(b) - made[1]) + made[1] * (len(a) - made[0])
        self.impostors = int(same.size - same.sum())
        self.people, self.photos = len(names), len(a) + len(b)
        weights = identity_weights(len(names), bootstraps, seed)
        totals = (weights @ made[0]) * (weights @ made[1]) - weights**2 @ (made[0] * made[1])
        self.weights, self.totals = weights[totals > 0], totals[totals > 0]
        cosines = np.where(same, -2.0, cosines)
        kept = max(1, int(LARGEST_FMR * self.impostors))
        flat = np.argpartition(cosines, -kept, axis=None)[-kept:]
        flat = flat[np.argsort(-cosines.ravel()[flat], kind="stable")]
        self.top = cosines.ravel()[flat].astype(np.float64)
        first, second = np.unravel_index(flat, cosines.shape)
        self.first, self.second = a[first], b[second]
        self._below = cosines[(cosines > -2) & (cosines < self.top[-1])]

    @property
    def supported(self) -> float:
        """The smallest FMR, in tenths of a decade, at which thirty independent false matches were
        seen. Raises ``RateUnsupported`` where 0.1 is not."""
        found = None
        for tenth in range(10, 100):
            count = int(10.0 ** (-tenth / 10) * self.impostors)
            if effective_matches(self.first[:count], self.second[:count], self.exposure) < (
                RULE_OF_30
            ):
                break
            found = 10.0 ** (-tenth / 10)
        if found is None:
            raise RateUnsupported(
                f"{self.people} people with {self.impostors} impostor pairs support no rate worth "
                "a threshold; use more people"
            )
        return float(f"{found:.6g}")

    def fmr(self, cosine: float) -> tuple[float, float, float]:
        """FMR at a cosine among the kept pairs, and its 95 % interval over people."""
        count = int((self.top >= cosine).sum())
        value = count / self.impostors
        if not count:
            return 0.0, 0.0, RULE_OF_3 / self.impostors
        a, b = self.first[:count], self.second[:count]
        size = len(self.exposure)
        table = np.bincount(a * size + b, minlength=size * size).reshape(size, size)
        drawn = np.einsum("bp,bp->b", self.weights @ table, self.weights) / self.totals
        factor = shrinkage(a, b, np.ones(count), self.exposure)
        ends = np.maximum(np.percentile(drawn, [2.5, 97.5]), value / 1e3)
        low, high = value * (ends / value) ** factor
        return value, min(float(low), value), max(float(high), value)

    def threshold(self, fmr: float) -> float:
        """The lowest cosine that at most ``fmr`` of the impostor pairs reach."""
        return float(np.nextafter(self.top[min(int(fmr * self.impostors), len(self.top) - 1)], 2))

    def fnmr_table(self, cosines: npt.ArrayLike) -> list[dict[str, float]]:
        """FNMR on an even grid and at the given cosines, with intervals over people."""
        grid = np.unique(np.round(np.concatenate([np.linspace(-0.2, 1, 121), cosines]), 6))
        ordered = np.sort(self.genuine)
        values = np.searchsorted(ordered, grid, side="left") / len(ordered)
        size = self.weights.shape[1]
        drawn = np.maximum(self.weights @ np.bincount(self.own, minlength=size), 1)
        floor = min(1.0, RULE_OF_3 / len(np.unique(self.own)))
        bins = np.searchsorted(grid, self.genuine, side="right")
        cells = np.bincount(bins * size + self.own, minlength=(len(grid) + 1) * size)
        wrong = np.cumsum(self.weights @ cells.reshape(-1, size).T.astype(np.float64), axis=1)
        low, high = np.percentile(wrong[:, : len(grid)] / drawn[:, None], [2.5, 97.5], axis=0)
        return [
            {"cosine": c, "fnmr": f, "fnmr_low": min(lo, f), "fnmr_high": max(hi, f, floor)}
            for c, f, lo, hi in zip(grid, values, low, high, strict=True)
        ]

    def fmr_table(self) -> list[dict[str, Any]]:
        """Measured rows in tenths of a decade, then those of the tail."""
        tenths = np.arange(10, round(-10 * np.log10(self.supported)) + 1)
        cosines = np.unique([self.threshold(10.0 ** (-t / 10)) for t in tenths])
        rows = [_row(float(c), self.fmr(float(c))) for c in cosines]
        rows = [*self._common(rows[0]), *rows]
        tail = self.tail()
        for quarter in range(4, round(-4 * np.log10(EXTRAPOLATE_TO)) + 1):
            rate = 10.0 ** (-quarter / 4)
            if tail is None or rate >= rows[-1]["fmr"] * 0.9:
                continue
            found = float(tail.tail.cosine(rate))
            if rows[-1]["cosine"] + 1e-5 < found <= 1:
                low, high = tail.fmr_interval(found)
                ends = (rate, min(low, rate), max(high, rate))
                rows.append(_row(found, ends, extrapolated=True))
        return rows

    def _common(self, first: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of rates above the first, whose intervals are as wide as that one's."""
        others = np.concatenate([self.top, self._below])
        narrow, wide = (first[key] / first["fmr"] for key in ("fmr_low", "fmr_high"))
        rates = 10.0 ** (-np.arange(1, 10) / 10)
        rows = [_row(-1.0, (1.0, 1.0, 1.0))]
        for rate, cosine in zip(rates, np.quantile(others, 1 - rates), strict=True):
            rows.append(_row(float(cosine), (rate, rate * narrow, min(1.0, rate * wide))))
        return rows

    def tail(self) -> TailBootstrap | None:
        """Fitted to the highest pairs; None where they are too few."""
        try:
            return TailBootstrap(
                self.top, self.first, self.second, self.impostors, self.weights, self.totals,
                self.exposure,
            )  # fmt: skip
        except RateUnsupported:
            return None

    def probability(self) -> dict[str, Any]:
        """Cosine → probability of one person, at equal prior odds."""
        rng = np.random.default_rng(0)
        others = np.concatenate([self.top, self._below])
        if len(others) > 1_000_000:
            others = rng.choice(others, 1_000_000, replace=False)
        return probability.fit_logistic(probability.Scores.of(self.genuine, others)).to_dict()


def calibrate_cross(
    found: Cross, contract_id: str, provenance: Provenance, *, floor: Calibration | None = None
) -> Calibration:
    """The calibration of one kind against the other.

    ``floor``: of the recogniser's photos. A document is no better than a photo: no cosine means a
    smaller FMR than there, whoever happened to be measured here. Raises ``RateUnsupported``.
    """
    fmr_table, supported = found.fmr_table(), found.supported
    if floor is not None:
        fmr_table, supported = _raised(fmr_table, supported, floor)
    fnmr_table = found.fnmr_table([row["cosine"] for row in fmr_table])
    return Calibration(
        rounded(
            {
                "schema_version": 2,
                "status": provenance.status,
                "model": provenance.model,
                "contract_id": contract_id,
                "detector": provenance.detector,
                "runtime": provenance.runtime,
                "dataset": {"name": provenance.dataset, "sha256": provenance.dataset_sha256},
                "people": found.people,
                "photos": found.photos,
                "failed_photos": provenance.failed_photos,
                "genuine_pairs": len(found.genuine),
                "impostor_pairs": found.impostors,
                "smallest_supported_fmr": supported,
                "smallest_measured_fmr": supported,
                "thresholds": _thresholds(fmr_table, fnmr_table, supported),
                "fmr_table": fmr_table,
                "fnmr_table": fnmr_table,
                "gallery_table": [],
                "probability": found.probability(),
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "command": provenance.command,
                "notes": provenance.notes,
            }
        )
    )


def _raised(
    rows: Sequence[Mapping[str, Any]], supported: float, floor: Calibration
) -> tuple[list[dict[str, Any]], float]:
    """Rows whose FMR is nowhere below the floor's, and what both support."""
    supported = float(max(supported, floor.smallest_supported_fmr))
    raised = []
    for row in rows:
        fmr = max(row["fmr"], floor.fmr(row["cosine"]))
        beyond = bool(fmr < supported * (1 - 1e-9))
        raised.append(
            dict(row)
            | {"fmr": fmr, "fmr_high": max(row["fmr_high"], fmr), "extrapolated": beyond}
            | {"source": "extrapolated" if beyond else "measured"}
        )
    return raised, supported


def _thresholds(
    fmr_table: Sequence[Mapping[str, Any]], fnmr_table: Sequence[Mapping[str, Any]], least: float
) -> list[dict[str, Any]]:
    """The rows that people read."""
    rates = [-math.log(row["fmr"]) for row in fmr_table]
    grid = [row["cosine"] for row in fnmr_table]
    rows = []
    for rate in RATES:
        if rate < fmr_table[-1]["fmr"]:
            continue
        cosine = float(np.interp(-math.log(rate), rates, [row["cosine"] for row in fmr_table]))
        rows.append(
            {"fmr": rate, "cosine": cosine, "extrapolated": rate < least * (1 - 1e-9)}
            | {
                key: float(np.interp(cosine, grid, [r[key] for r in fnmr_table]))
                for key in ("fnmr", "fnmr_low", "fnmr_high")
            }
        )
    return rows


def _row(
    cosine: float, rates: tuple[float, float, float], *, extrapolated: bool = False
) -> dict[str, Any]:
    value, low, high = rates
    return {
        "cosine": cosine,
        "fmr": value,
        "fmr_low": low,
        "fmr_high": high,
        "source": "extrapolated" if extrapolated else "measured",
        "extrapolated": extrapolated,
    }


__all__ = ["Cross", "calibrate_cross"]
