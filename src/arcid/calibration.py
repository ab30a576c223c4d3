"""What a score means: ``calibration.json``, measured on named data.

A calibration maps cosines to error rates and back. Thresholds come from nowhere else. Its schema
is ``schemas/calibration.schema.json``; its rates carry intervals and say where measuring ended
and extrapolation began.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from arcid import files
from arcid.errors import CalibrationInvalid, ContractMismatch, RateUnsupported, UsageError
from arcid.models.manifest import canonical_json

SCHEMA_VERSIONS = (1, 2)  # 2 says where each row comes from and counts pairs of people
SCHEMA_PATH = Path(__file__).parent / "schemas" / "calibration.schema.json"
_COUNTS = ("people", "photos", "failed_photos", "genuine_pairs", "impostor_pairs")
Array = npt.NDArray[np.float64]
Source = Literal["measured", "extrapolated", "combined"]
_REQUIRED = frozenset(
    json.loads(SCHEMA_PATH.read_text("utf-8"))["required"]
)  # the schema is the one list of keys


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest cosine that keeps the error rate, and what stands behind it."""

    cosine: float
    fmr: float  # of one comparison at this cosine
    extrapolated: bool
    combined: bool = False  # of the user's people and the packaged calibration


class Row(NamedTuple):
    """One row of the gallery table at some FPIR."""

    size: int  # templates
    cosine: float
    extrapolated: bool
    combined: bool = False

    @property
    def threshold(self) -> Threshold:
        return Threshold(self.cosine, 0.0, self.extrapolated, self.combined)


@dataclass(frozen=True)
class Calibration:
    """Score tables of one model, as read from ``calibration.json``; immutable."""

    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        _validate(self.data)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Calibration:
        """Read and check a file; raises ``CalibrationInvalid``."""
        path = Path(path)
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CalibrationInvalid(f"{path.name} cannot be read as JSON: {error}") from None
        if not isinstance(data, dict):
            raise CalibrationInvalid(f"{path.name} must hold one JSON object")
        return cls(data)

    def to_json(self) -> str:
        """The file's content."""
        return json.dumps(self.data, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: str | PathLike[str], *, private: bool = False) -> None:
        """Write the file whole or not at all; raises what ``files.replacing`` does."""
        files.write_text(Path(path), self.to_json(), private=private)

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
    def smallest_measured_fmr(self) -> float:
        """What its own photographs support; smaller rates need the packaged calibration too, or
        are extrapolated. 1 where they support none."""
        return float(self.data.get("smallest_measured_fmr", self.smallest_supported_fmr))

    @property
    def smallest_fmr(self) -> float:
        """Where the table ends: the smallest rate that extrapolation reaches."""
        return float(self._fmrs[-1])

    @property
    def combined(self) -> bool:
        """Whether the packaged calibration stands behind part of it."""
        return "combined_with" in self.data

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

    def stated_fmr(self, cosine: float) -> float:
        """As ``fmr``, but never below the smallest rate that the data supports."""
        return max(self.fmr(cosine), self.smallest_supported_fmr)

    def fmr_interval(self, cosine: float) -> tuple[float, float]:
        """95 % interval of ``fmr``, over people."""
        table = self.data["fmr_table"]
        low, high = (
            np.array([row[end] for row in table], np.float64) for end in ("fmr_low", "fmr_high")
        )
        return (
            _log_interp(cosine, self._cosines, np.maximum(low, 1e-12)),
            _log_interp(cosine, self._cosines, high),
        )

    def fnmr(self, cosine: float) -> float:
        """False non-match rate when a comparison is accepted at ``cosine`` or above."""
        table = self.data["fnmr_table"]
        x = [row["cosine"] for row in table]
        return float(np.interp(cosine, x, [row["fnmr"] for row in table]))

    def probability(self, cosine: float, among: int = 1) -> float:
        """Probability that both faces are one person, at prior odds of 1 to ``among``: equal, or
        those of one of so many templates of a search to be the one."""
        p = self._at_equal_odds(cosine)
        return p / (p + among * (1 - p)) if p > 0 else 0.0

    def _at_equal_odds(self, cosine: float) -> float:
        spec = self.data["probability"]
        if spec["kind"] == "isotonic":
            return float(np.interp(cosine, spec["cosine"], spec["probability"]))
        z = spec["intercept"] + spec["slope"] * cosine
        return 1 / (1 + math.exp(-z)) if z > -700 else 0.0

    def likelihood_ratio(self, cosine: float) -> float:
        """How many times likelier this cosine is for one person than for two."""
        p = self.probability(cosine)
        return p / (1 - p) if p < 1 else math.inf

    def threshold_at_fmr(self, fmr: float, *, allow_extrapolation: bool = False) -> Threshold:
        """Cosine threshold whose false match rate is at most ``fmr``.

        Raises ``RateUnsupported`` below what the data supports, unless extrapolation is allowed
        (and even then below the table).
        """
        check_rate("fmr", fmr)
        extrapolated = fmr < self.smallest_supported_fmr * (1 - 1e-9)
        if extrapolated and not allow_extrapolation:
            raise RateUnsupported(
                f"an FMR of {fmr:.1e} was asked for, but {self.data['impostor_pairs']:,} impostor "
                f"pairs support no less than {self.smallest_supported_fmr:.1e}; ask for a larger "
                "rate, allow extrapolation, or calibrate on more people",
                smallest_supported_fmr=self.smallest_supported_fmr,
            )
        if fmr < self._fmrs[-1] and self._cosines[-1] < 1:
            raise RateUnsupported(
                f"an FMR of {fmr:.1e} is below the end of the table ({self._fmrs[-1]:.1e})",
                smallest_supported_fmr=self.smallest_supported_fmr,
            )
        log_fmr = math.log(min(fmr, float(self._fmrs[0])))
        cosine = np.interp(-log_fmr, -np.log(self._fmrs), self._cosines)
        combined = self.combined and fmr < self.smallest_measured_fmr * (1 - 1e-9)
        return Threshold(float(cosine), fmr, extrapolated, combined)

    # a search

    def threshold_at_fpir(
        self, fpir: float, gallery_size: int, *, allow_extrapolation: bool = False
    ) -> Threshold:
        """Cosine threshold for searching ``gallery_size`` templates at a false positive
        identification rate of at most ``fpir``.

        Between two sizes of the gallery table at that rate the threshold is interpolated in
        log N. Elsewhere comparisons are taken as independent, FPIR = 1 − (1 − FMR)^N, which never
        understates FPIR, and the FMR table is asked; the answer is then held between the table's
        rows on both sides, so that a larger gallery or a smaller rate never lowers the threshold.
        Extrapolated rows count only where extrapolation is allowed.
        """
        check_rate("fpir", fpir)
        if gallery_size < 1:
            raise UsageError(f"gallery_size must be at least 1, got {gallery_size}")
        rows = self._gallery_rows(allow_extrapolation)
        listed = next((r for r in rows if math.isclose(r, fpir, rel_tol=1e-6)), None)
        found = None if listed is None else _between(rows[listed], gallery_size)
        if found is None:
            found = self._independent(fpir, gallery_size, rows, allow_extrapolation)
        return replace(found, fmr=self.fmr(found.cosine))

    def _independent(
        self, fpir: float, size: int, rows: Mapping[float, list[Row]], allow_extrapolation: bool
    ) -> Threshold:
        above = [r for f in rows if f <= fpir * (1 + 1e-6) for r in rows[f] if r.size >= size]
        below = [r for f in rows if f >= fpir * (1 - 1e-6) for r in rows[f] if r.size <= size]
        ceiling = min(above, key=lambda r: r.cosine, default=None)
        floor = max(below, key=lambda r: r.cosine, default=None)
        fmr = fmr_for_fpir(fpir, size)
        try:
            found = self.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)
        except RateUnsupported as error:
            if ceiling is None:
                raise RateUnsupported(
                    f"an FPIR of {fpir:g} over {size:,} templates needs an FMR of {fmr:.1e}: "
                    + error.message,
                    gallery_size=size,
                    fmr=fmr,
                    smallest_supported_fmr=self.smallest_supported_fmr,
                ) from None
            return ceiling.threshold
        if ceiling is not None and ceiling.cosine < found.cosine:
            found = ceiling.threshold
        if floor is not None and floor.cosine > found.cosine:
            extrapolated = found.extrapolated or floor.extrapolated
            found = replace(floor.threshold, extrapolated=extrapolated)
        return found

    def _gallery_rows(self, allow_extrapolation: bool) -> dict[float, list[Row]]:
        """FPIR → rows by gallery size."""
        found: dict[float, list[Row]] = {}
        for r in sorted(self.data["gallery_table"], key=lambda r: float(r["gallery_size"])):
            if allow_extrapolation or not r["extrapolated"]:
                row = Row(
                    int(r["gallery_size"]),
                    float(r["cosine"]),
                    bool(r["extrapolated"]),
                    r.get("source") == "combined",
                )
                found.setdefault(float(r["fpir"]), []).append(row)
        return found

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


def _between(rows: Sequence[Row], size: int) -> Threshold | None:
    """Interpolated in log N; None outside the rows."""
    if not rows or not rows[0].size <= size <= rows[-1].size:
        return None
    above = next(r for r in rows if r.size >= size)
    cosine = np.interp(math.log(size), np.log([r.size for r in rows]), [r.cosine for r in rows])
    return Threshold(float(cosine), 0.0, above.extrapolated, above.combined)


def check_rate(name: str, rate: float) -> None:
    """Raise ``UsageError`` for what is no error rate."""
    try:
        is_rate = bool(0 < rate < 1)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be a number between 0 and 1, got {rate!r}") from None
    if not is_rate:
        raise UsageError(f"{name} must lie between 0 and 1, got {rate}")


def _log_interp(x: float, xs: Array, ys: Array) -> float:
    return float(np.exp(np.interp(x, xs, np.log(ys))))


def _fail(message: str) -> NoReturn:
    raise CalibrationInvalid(f"calibration: {message}")


def _validate(data: Mapping[str, Any]) -> None:
    missing = sorted(_REQUIRED - set(data))
    if missing:
        _fail(f"keys are missing: {', '.join(missing)}")
    if data["schema_version"] not in SCHEMA_VERSIONS:
        known = ", ".join(map(str, SCHEMA_VERSIONS))
        _fail(f"schema_version {data['schema_version']}; this arcid reads {known}")
    try:
        _validate_tables(data)
        _validate_gallery(data["gallery_table"])
        _validate_probability(data["probability"])
        if not isinstance(data["dataset"]["name"], str) or not isinstance(data["contract_id"], str):
            _fail("dataset.name and contract_id must be text")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        _fail(f"a table does not follow the schema ({type(error).__name__}: {error})")


def _validate_tables(data: Mapping[str, Any]) -> None:
    for name, rate, direction in (("fmr_table", "fmr", -1), ("fnmr_table", "fnmr", 1)):
        rows = data[name]
        if len(rows) < 2:
            _fail(f"{name} needs at least two rows")
        cosines = _numbers([row["cosine"] for row in rows], f"{name}: cosine")
        rates, _, _ = (
            _numbers([row[key] for row in rows], f"{name}: {key}", 0, 1)
            for key in (rate, f"{rate}_low", f"{rate}_high")
        )
        if not (np.diff(cosines) > 0).all():
            _fail(f"{name} must rise in cosine")
        if not (np.diff(rates) * direction >= 0).all():
            _fail(f"{name}: {rate} must {'fall' if direction < 0 else 'rise'} with the cosine")
    if not all(row["fmr"] > 0 for row in data["fmr_table"]):
        _fail("fmr_table ends before the rate reaches 0")
    supported = data["smallest_supported_fmr"]
    measured = data.get("smallest_measured_fmr", supported)
    if not (_numbers([supported, measured], "smallest_supported_fmr", 0, 1) > 0).all():
        _fail("smallest_supported_fmr must lie between 0 and 1")
    shown = [row[key] for row in data.get("thresholds", ()) for key in ("fmr", "cosine")]
    _numbers(shown, "thresholds")
    _numbers([data[key] for key in _COUNTS], ", ".join(_COUNTS), 0)


def _validate_gallery(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        if not {"fpir", "gallery_size", "cosine", "extrapolated"} <= set(row):
            _fail("gallery_table rows need fpir, gallery_size, cosine and extrapolated")
    _numbers([row["cosine"] for row in rows], "gallery_table: cosine")
    _numbers([row["fpir"] for row in rows], "gallery_table: fpir", 0, 1)
    _numbers([row["gallery_size"] for row in rows], "gallery_table: gallery_size", 1)
    for a in rows:
        for b in rows:
            stricter = b["gallery_size"] >= a["gallery_size"] and b["fpir"] <= a["fpir"]
            if stricter and b["cosine"] < a["cosine"]:
                _fail(
                    "gallery_table: the cosine must not fall as the gallery grows or the rate "
                    f"shrinks ({a['gallery_size']:,} to {b['gallery_size']:,} templates)"
                )


def _validate_probability(spec: Mapping[str, Any]) -> None:
    kind: Literal["logistic", "isotonic"] = spec["kind"]
    if kind == "logistic":
        _numbers([spec["intercept"]], "probability: intercept")
        _numbers([spec["slope"]], "probability: slope", 0)
    elif kind == "isotonic":
        cosines = _numbers(spec["cosine"], "probability: cosine")
        rates = _numbers(spec["probability"], "probability: probability", 0, 1)
        if len(cosines) != len(rates) or len(rates) < 2:
            _fail("probability: two cosines or more are needed, each with its probability")
        for key, values in (("cosine", cosines), ("probability", rates)):
            if not (np.diff(values) >= 0).all():
                _fail(f"probability: {key} must not fall")
    else:
        _fail(f"probability kind {kind!r}; known: logistic, isotonic")


def _numbers(
    values: Sequence[Any], what: str, low: float = -math.inf, high: float = math.inf
) -> Array:
    """(N,) finite numbers of a file, from ``low`` to ``high``."""
    found = np.array(values)
    if found.ndim != 1 or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        _fail(f"{what} must be numbers")
    if not ((found >= low) & (found <= high)).all():
        _fail(f"{what} must lie between {low:g} and {high:g}")
    return found.astype(np.float64)
