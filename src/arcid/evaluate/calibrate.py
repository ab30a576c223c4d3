"""Labelled embeddings → ``calibration.json``: score → FMR, FNMR, probability, with intervals.

Intervals come from a bootstrap over identities: photos of one person hang together, so pairs are
never resampled one by one. Rates below thirty observed false matches (rule of 30) are not
supported; the table goes on below them by an exponential tail fitted to the highest impostor
scores, marked ``extrapolated``.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.calibration import Calibration
from arcid.errors import InvalidArray
from arcid.types import Embeddings

Array = npt.NDArray[np.float64]
RULE_OF_30 = 30
TAIL_SHARE = 1e-3  # of the impostor pairs, the highest, that the tail is fitted to
EXTRAPOLATE_TO = 1e-8
BOOTSTRAPS = 300


@dataclass(frozen=True, slots=True)
class Provenance:
    """What stands beside the numbers."""

    model: str
    detector: str
    runtime: str
    dataset: str
    dataset_sha256: str
    failed_photos: int
    command: str
    status: str = "measured"
    notes: str = ""


def calibrate(
    embeddings: Embeddings,
    people: npt.ArrayLike,
    provenance: Provenance,
    *,
    bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Calibration:
    """(N,D) unit-norm embeddings and N person labels in, a checked ``Calibration`` out.

    Raises ``InvalidArray`` where there is nothing to measure: fewer than two people, or no person
    with two photos.
    """
    labels = np.unique(np.asarray(people), return_inverse=True)[1]
    if len(labels) != len(embeddings):
        raise InvalidArray(f"{len(embeddings)} embeddings but {len(labels)} labels")
    first, second = np.triu_indices(len(labels), k=1)
    scores = (embeddings.vectors @ embeddings.vectors.T)[first, second].astype(np.float64)
    same = labels[first] == labels[second]
    if not same.any() or same.all():
        raise InvalidArray(
            "calibrating needs at least two people, and at least one person with two photos"
        )
    impostor = np.sort(scores[~same])[::-1]
    genuine = scores[same]
    supported = RULE_OF_30 / len(impostor)

    rates = _rate_grid(supported)
    cosines = impostor[np.minimum((rates * len(impostor)).astype(int), len(impostor) - 1)]
    cosines, keep = np.unique(cosines, return_index=True)
    measured = np.array([(impostor >= c).mean() for c in cosines])
    del keep
    weights = _identity_weights(labels.max() + 1, bootstraps, seed)
    fmr_low, fmr_high = _fmr_interval(
        cosines, scores[~same], labels[first[~same]], labels[second[~same]], weights
    )
    fmr_table = [
        {"cosine": c, "fmr": f, "fmr_low": lo, "fmr_high": hi, "extrapolated": False}
        for c, f, lo, hi in zip(cosines, measured, fmr_low, fmr_high, strict=True)
    ]
    fmr_table += _tail(impostor, cosines[-1], measured[-1])

    grid = np.unique(np.concatenate([np.linspace(-0.2, 1.0, 121), cosines]))
    fnmr = np.searchsorted(np.sort(genuine), grid, side="left") / len(genuine)
    fnmr_low, fnmr_high = _fnmr_interval(grid, genuine, labels[first[same]], weights)
    fnmr_table = [
        {"cosine": c, "fnmr": f, "fnmr_low": lo, "fnmr_high": hi}
        for c, f, lo, hi in zip(grid, fnmr, fnmr_low, fnmr_high, strict=True)
    ]
    intercept, slope = _logistic(genuine, impostor)
    data = {
        "schema_version": 1,
        "status": provenance.status,
        "model": provenance.model,
        "contract_id": embeddings.contract_id,
        "detector": provenance.detector,
        "runtime": provenance.runtime,
        "dataset": {"name": provenance.dataset, "sha256": provenance.dataset_sha256},
        "people": int(labels.max() + 1),
        "photos": len(labels),
        "failed_photos": provenance.failed_photos,
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "fmr_table": [_rounded(row) for row in fmr_table],
        "fnmr_table": [_rounded(row) for row in fnmr_table],
        "smallest_supported_fmr": float(f"{supported:.3g}"),
        "gallery_table": [],
        "probability": {"kind": "logistic", "intercept": intercept, "slope": slope},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": provenance.command,
        "notes": provenance.notes,
    }
    return Calibration(data)


def dataset_sha256(root: Path, files: Iterable[Path]) -> str:
    """sha256 over the sorted relative paths and file hashes: names the photographs exactly."""
    lines = []
    for file in sorted(files):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{file.relative_to(root).as_posix()} {digest}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _rate_grid(smallest: float) -> Array:
    decades = np.arange(0, -np.log10(smallest), 0.1)
    return np.append(10.0**-decades, smallest)


def _identity_weights(people: int, bootstraps: int, seed: int) -> Array:
    """(B,P) how often each identity was drawn; Poisson-free, exactly P draws a row."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(people, np.full(people, 1 / people), bootstraps).astype(np.float64)


def _fmr_interval(
    cosines: Array, scores: Array, a: npt.NDArray[Any], b: npt.NDArray[Any], weights: Array
) -> tuple[Array, Array]:
    people = weights.shape[1]

    def weighted(mask: npt.NDArray[np.bool_]) -> Array:
        counts = np.bincount(a[mask] * people + b[mask], minlength=people * people)
        table = counts.reshape(people, people).astype(np.float64)
        summed: Array = np.einsum("bp,bp->b", weights @ table, weights)
        return summed

    total = weighted(np.ones(len(scores), np.bool_))
    rates = np.array([weighted(scores >= c) / total for c in cosines])
    return _percentiles(rates)


def _fnmr_interval(
    grid: Array, genuine: Array, person: npt.NDArray[Any], weights: Array
) -> tuple[Array, Array]:
    people = weights.shape[1]
    total = weights @ np.bincount(person, minlength=people)
    rates = np.array(
        [
            weights @ np.bincount(person[genuine < c], minlength=people) / np.maximum(total, 1)
            for c in grid
        ]
    )
    return _percentiles(rates)


def _percentiles(rates: Array) -> tuple[Array, Array]:
    low, high = np.percentile(rates, [2.5, 97.5], axis=1)
    return low, high


def _tail(impostor: Array, last_cosine: float, last_fmr: float) -> list[dict[str, Any]]:
    """Exponential tail over the highest impostors: FMR(t) = FMR(u) · exp(−(t − u) / β)."""
    top = impostor[: max(RULE_OF_30, int(TAIL_SHARE * len(impostor)))]
    beta = float((top[:-1] - top[-1]).mean())
    if beta <= 0:
        return []
    spread = 1.96 / np.sqrt(len(top))  # of the mean excess
    rows = []
    for exponent in np.arange(0.25, 9, 0.25):
        fmr = last_fmr * 10.0**-exponent
        cosine = last_cosine + beta * exponent * np.log(10)
        if fmr < EXTRAPOLATE_TO or cosine > 1:
            break
        low, high = (
            last_fmr * np.exp(-(cosine - last_cosine) / (beta * factor))
            for factor in (1 - spread, 1 + spread)
        )
        rows.append(
            {"cosine": cosine, "fmr": fmr, "fmr_low": low, "fmr_high": high, "extrapolated": True}
        )
    return rows


def _logistic(genuine: Array, impostor: Array) -> tuple[float, float]:
    """Newton's method on the log-loss with both kinds of pairs weighted equally in total."""
    x = np.concatenate([genuine, impostor])
    y = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    w = np.where(y == 1, 0.5 / len(genuine), 0.5 / len(impostor))
    design = np.stack([np.ones_like(x), x], axis=1)
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        gradient = design.T @ (w * (y - p))
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta += np.clip(step, -20, 20)
        if np.abs(step).max() < 1e-9:
            break
    return float(round(beta[0], 6)), float(round(beta[1], 6))


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, bool) else float(f"{value:.6g}")
        for key, value in row.items()
    }
