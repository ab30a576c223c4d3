"""What a score means: ``calibration.json``, measured on named data.

A calibration maps cosines to error rates and back. Thresholds come from nowhere else. Its schema
is ``schemas/calibration.schema.json``; its rates carry intervals and say where measuring ended
and extrapolation began.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import CalibrationInvalid, ContractMismatch, RateUnsupported, UsageError
from arcid.models.manifest import canonical_json

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).parent / "schemas" / "calibration.schema.json"
Array = npt.NDArray[np.float64]
_REQUIRED = frozenset(
    json.loads(SCHEMA_PATH.read_text("utf-8"))["required"]
)  # the schema is the one list of keys


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest cosine that keeps the error rate, and what stands behind it."""

    cosine: float
    fmr: float  # of one comparison at this cosine
    extrapolated: bool


@dataclass(frozen=True)
class Calibration:
    """Score tables of one model, as read from ``calibration.json``; immutable."""

    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        _validate(self.data)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read and check a file; raises ``CalibrationInvalid``."""
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CalibrationInvalid(f"{path.name} cannot be read as JSON: {error}") from None
        if not isinstance(data, dict):
            raise CalibrationInvalid(f"{path.name} must hold one JSON object")
        return cls(data)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.data, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @cached_property
    def calibration_id(self) -> str:
        """First 16 hex digits of the sha256 of the content; stored with every decision."""
        return hashlib.sha256(canonical_json(self.data)).hexdigest()[:16]

    @property
    def contract_id(self) -> str:
        return str(self.data["contract_id"])

    @property
    def smallest_supported_fmr(self) -> float:
        return float(self.data["smallest_supported_fmr"])

    @property
    def provisional(self) -> bool:
        return bool(self.data["status"] == "provisional")

    def check_contract(self, contract_id: str) -> None:
        """Raise ``ContractMismatch`` unless the calibration is for vectors of that contract."""
        if contract_id != self.contract_id:
            raise ContractMismatch(
                f"the calibration is for contract {self.contract_id[:12]}, the vectors are of "
                f"{contract_id[:12]}; use the calibration that came with the model"
            )

    # one comparison

    def fmr(self, cosine: float) -> float:
        """False match rate of one comparison accepted at ``cosine`` or above."""
        return float(_log_interp(cosine, self._cosines, self._fmrs))

    def fnmr(self, cosine: float) -> float:
        """False non-match rate when a comparison is accepted at ``cosine`` or above."""
        table = self.data["fnmr_table"]
        x = [row["cosine"] for row in table]
        return float(np.interp(cosine, x, [row["fnmr"] for row in table]))

    def probability(self, cosine: float) -> float:
        """Probability that both faces are one person, at equal prior odds."""
        spec = self.data["probability"]
        if spec["kind"] == "isotonic":
            return float(np.interp(cosine, spec["cosine"], spec["probability"]))
        z = spec["intercept"] + spec["slope"] * cosine
        return 1 / (1 + math.exp(-z)) if z > -700 else 0.0

    def threshold_at_fmr(self, fmr: float, *, allow_extrapolation: bool = False) -> Threshold:
        """Cosine threshold whose false match rate is at most ``fmr``.

        Raises ``RateUnsupported`` below what the data supports, unless extrapolation is allowed
        by name (and even then below the table).
        """
        _check_rate("fmr", fmr)
        extrapolated = fmr < self.smallest_supported_fmr * (1 - 1e-9)
        if extrapolated and not allow_extrapolation:
            raise RateUnsupported(
                f"an FMR of {fmr:.1e} was asked for, but {self.data['impostor_pairs']:,} impostor "
                f"pairs support no less than {self.smallest_supported_fmr:.1e}; ask for a larger "
                "rate, allow extrapolation by name, or calibrate on more people",
                smallest_supported_fmr=self.smallest_supported_fmr,
            )
        if fmr < self._fmrs[-1]:
            raise RateUnsupported(
                f"an FMR of {fmr:.1e} is below the end of the table ({self._fmrs[-1]:.1e})",
                smallest_supported_fmr=self.smallest_supported_fmr,
            )
        log_fmr = math.log(min(fmr, float(self._fmrs[0])))
        cosine = np.interp(-log_fmr, -np.log(self._fmrs), self._cosines)
        return Threshold(float(cosine), fmr, extrapolated)

    # a search

    def threshold_at_fpir(
        self, fpir: float, gallery_size: int, *, allow_extrapolation: bool = False
    ) -> Threshold:
        """Cosine threshold for searching ``gallery_size`` templates at a false positive
        identification rate of at most ``fpir``.

        A measured gallery table is used where it holds the rate; otherwise comparisons are taken
        as independent, FPIR = 1 − (1 − FMR)^N, and the FMR table is asked.
        """
        _check_rate("fpir", fpir)
        if gallery_size < 1:
            raise UsageError(f"gallery_size must be at least 1, got {gallery_size}")
        fmr = fmr_for_fpir(fpir, gallery_size)
        measured = self._gallery_threshold(fpir, gallery_size, allow_extrapolation)
        if measured is not None:
            return Threshold(measured.cosine, self.fmr(measured.cosine), measured.extrapolated)
        try:
            return self.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)
        except RateUnsupported as error:
            raise RateUnsupported(
                f"an FPIR of {fpir:g} over {gallery_size:,} templates needs an FMR of {fmr:.1e}: "
                + error.message,
                gallery_size=gallery_size,
                fmr=fmr,
                smallest_supported_fmr=self.smallest_supported_fmr,
            ) from None

    def _gallery_threshold(
        self, fpir: float, gallery_size: int, allow_extrapolation: bool
    ) -> Threshold | None:
        rows = sorted(
            (r for r in self.data["gallery_table"] if math.isclose(r["fpir"], fpir, rel_tol=1e-6)),
            key=lambda r: r["gallery_size"],
        )
        if not rows or not rows[0]["gallery_size"] <= gallery_size <= rows[-1]["gallery_size"]:
            return None
        sizes = [r["gallery_size"] for r in rows]
        above = next(r for r in rows if r["gallery_size"] >= gallery_size)
        if above["extrapolated"] and not allow_extrapolation:
            return None
        cosine = np.interp(math.log(gallery_size), np.log(sizes), [r["cosine"] for r in rows])
        return Threshold(float(cosine), 0.0, bool(above["extrapolated"]))

    @cached_property
    def _cosines(self) -> Array:
        return np.array([row["cosine"] for row in self.data["fmr_table"]], np.float64)

    @cached_property
    def _fmrs(self) -> Array:
        return np.array([row["fmr"] for row in self.data["fmr_table"]], np.float64)


def fmr_for_fpir(fpir: float, gallery_size: int) -> float:
    """FMR of one comparison so that 1 − (1 − FMR)^N = FPIR for independent comparisons."""
    return -math.expm1(math.log1p(-fpir) / gallery_size)


def fpir_for_fmr(fmr: float, gallery_size: int) -> float:
    """FPIR of searching N templates at an FMR, comparisons taken as independent."""
    return -math.expm1(gallery_size * math.log1p(-fmr))


def _check_rate(name: str, rate: float) -> None:
    if not 0 < rate < 1:
        raise UsageError(f"{name} must lie between 0 and 1, got {rate}")


def _log_interp(x: float, xs: Array, ys: Array) -> float:
    return float(np.exp(np.interp(x, xs, np.log(ys))))


def _validate(data: Mapping[str, Any]) -> None:
    def fail(message: str) -> None:
        raise CalibrationInvalid(f"calibration: {message}")

    missing = sorted(_REQUIRED - set(data))
    if missing:
        fail(f"keys are missing: {', '.join(missing)}")
    if data["schema_version"] != SCHEMA_VERSION:
        fail(f"schema_version {data['schema_version']}; this arcid reads {SCHEMA_VERSION}")
    try:
        _validate_tables(data, fail)
    except (KeyError, TypeError, AttributeError) as error:
        fail(f"a table does not follow the schema ({type(error).__name__}: {error})")


def _validate_tables(data: Mapping[str, Any], fail: Any) -> None:
    for name, rate, direction in (("fmr_table", "fmr", -1), ("fnmr_table", "fnmr", 1)):
        rows = data[name]
        if len(rows) < 2:
            fail(f"{name} needs at least two rows")
        cosines = np.array([row["cosine"] for row in rows], np.float64)
        rates = np.array([row[rate] for row in rows], np.float64)
        if not (np.diff(cosines) > 0).all():
            fail(f"{name} must rise in cosine")
        if not (np.diff(rates) * direction >= 0).all():
            fail(f"{name}: {rate} must {'fall' if direction < 0 else 'rise'} with the cosine")
        if not ((rates >= 0) & (rates <= 1)).all():
            fail(f"{name}: {rate} must lie between 0 and 1")
    if not all(row["fmr"] > 0 for row in data["fmr_table"]):
        fail("fmr_table ends before the rate reaches 0")
    if not 0 < float(data["smallest_supported_fmr"]) <= 1:
        fail("smallest_supported_fmr must lie between 0 and 1")
    kind: Literal["logistic", "isotonic"] = data["probability"]["kind"]
    keys = {"logistic": ("intercept", "slope"), "isotonic": ("cosine", "probability")}
    if kind not in keys:
        fail(f"probability kind {kind!r}; known: logistic, isotonic")
    for key in keys[kind]:
        data["probability"][key]
    for row in data["gallery_table"]:
        if not {"fpir", "gallery_size", "cosine", "extrapolated"} <= set(row):
            fail("gallery_table rows need fpir, gallery_size, cosine and extrapolated")
