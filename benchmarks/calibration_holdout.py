"""A calibration measured on some of the people, checked on others.

    python benchmarks/calibration_holdout.py

Embeds LFW View 1 DevTest once (kept in the user's cache folder), deals its people into halves A and
B, calibrates on A and counts on B; then calibrates on few people of other sets (``few_people.py``).
Writes docs/studies/calibration-holdout.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import few_people
import numpy as np
import numpy.typing as npt
import platformdirs

from arcid import paths
from arcid.calibration import Calibration, fpir_for_fmr
from arcid.errors import InputError
from arcid.evaluate.cache import EmbeddingCache
from arcid.evaluate.calibrate import Provenance, calibrate
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.evaluate.measured import Measured
from arcid.evaluate.readers.folder import PeopleFolder, read_people
from arcid.evaluate.sources import embed_photos
from arcid.pipeline import Pipeline
from arcid.types import Embeddings, Image

REPORT = Path(__file__).parents[1] / "docs" / "studies" / "calibration-holdout.md"
FMRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
SEARCHES = ((0.1, 100), (0.1, 300), (0.1, 700), (0.01, 100), (0.01, 300), (0.01, 700))
PROVENANCE = Provenance("", "", "", "half", "0" * 64, 0, "")

INTRODUCTION = """\
# A calibration on half of the people holds on the other half

Written by `python benchmarks/calibration_holdout.py`. Photographs: LFW View 1 DevTest, 1,549 of
963 people, detector scrfd_2.5g, recogniser mobilefacenet_128. The people are dealt into halves A
and B. A is calibrated on about 300,000 impostor pairs, so that an FMR of 1e-3 is measured and 1e-4
is extrapolated; B is counted at A's thresholds. Intervals are 95 %, over people.

## One split

| A's prediction | threshold | interval of A | observed on B | interval of B | |
|---|---|---|---|---|---|
"""
ALL_SPLITS = """
## {count} splits

Geometric mean of observed over predicted (above 1: more errors than promised), and how often both
agree within their joint interval. The splits share their people, so they are not independent.

| prediction | observed / predicted | agree |
|---|---|---|
"""


class Row(NamedTuple):
    """One prediction of A and what B shows; intervals are 95 %, over people."""

    what: str
    cosine: float
    predicted: tuple[float, float, float]
    observed: tuple[float, float, float]
    extrapolated: bool

    @property
    def ratio(self) -> float:
        return self.observed[0] / self.predicted[0]

    @property
    def holds(self) -> bool:
        """Whether both agree within their joint 95 % interval on the log scale."""
        if self.observed[0] == 0:
            return self.predicted[1] <= self.observed[2]
        spread = [math.log(hi / max(lo, hi * 1e-6)) / 3.92 for _, lo, hi in self[2:4]]
        return abs(math.log(self.ratio)) <= 1.96 * math.hypot(*spread)


class PhotoEmbedder:
    """Photos to vectors of the face in the middle, through detector and recogniser."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    @property
    def contract_id(self) -> str:
        return self.pipeline.embedder.contract_id

    def __call__(self, images: Sequence[Path | bytes | Image]) -> list[Embeddings | Failure]:
        answers: list[Embeddings | Failure] = []
        for image in images:
            try:
                found = self.pipeline.faces(image, select="center").embeddings
            except InputError as error:
                answers.append(Failure(error.code, error.message))
                continue
            answers.append(found if len(found) else Failure("no_face_found", "no face"))
        return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("arcid")))
    parser.add_argument("-o", "--output", type=Path, default=REPORT)
    options = parser.parse_args()
    folder = read_people(paths.required_data_dir() / "data" / "lfw-dev" / "images")
    embed = PhotoEmbedder(Pipeline.from_models("scrfd_2.5g", "mobilefacenet_128"))
    cache = EmbeddingCache(options.cache, embed.contract_id, "scrfd_2.5g center")
    found = embed_photos(folder.photos, embed, cache=cache)
    splits = [study(folder, found, seed) for seed in range(options.splits)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    few = "\n".join(few_people.section(options.cache))
    options.output.write_text(f"{report(splits)}\n{few}\n", "utf-8")
    print(options.output.read_text("utf-8"))


def study(folder: PeopleFolder, found: EmbeddingSet, seed: int) -> list[Row]:
    """Calibrate on a random half of the people and count on the other."""
    people = folder.labels()
    order = np.random.default_rng(seed).permutation(int(people.max()) + 1)
    in_a = (order % 2 == 0)[people]
    good = ~found.failed
    a, b = (part(found, people, good & half) for half in (in_a, ~in_a))
    calibration = calibrate(*a, PROVENANCE, bootstraps=150)
    here, there = Measured(*a, bootstraps=150), Measured(*b, bootstraps=150)
    rows = [verification(calibration, there, rate) for rate in FMRS]
    return rows + [search(calibration, here, there, *pair) for pair in SEARCHES]


def part(
    found: EmbeddingSet, people: npt.NDArray[np.int64], rows: npt.NDArray[np.bool_]
) -> tuple[Embeddings, npt.NDArray[np.int64]]:
    return Embeddings(found.vectors[rows], found.contract_id), people[rows]


def verification(calibration: Calibration, there: Measured, rate: float) -> Row:
    threshold = calibration.threshold_at_fmr(rate, allow_extrapolation=True)
    table = calibration.data["fmr_table"]
    cosines = [r["cosine"] for r in table]
    low, high = (
        math.exp(np.interp(threshold.cosine, cosines, np.log([max(r[k], 1e-15) for r in table])))
        for k in ("fmr_low", "fmr_high")
    )
    value = float(there.stats.fmr(threshold.cosine)[0])
    if value > 0:
        ((lo, hi),) = there.fmr_intervals(np.array([threshold.cosine]))
    else:
        lo, hi = 0.0, 3 / there.impostors
    return Row(f"FMR {rate:g}", threshold.cosine, (rate, low, high), (value, lo, hi),
               threshold.extrapolated)  # fmt: skip


def search(
    calibration: Calibration, here: Measured, there: Measured, fpir: float, size: int
) -> Row:
    threshold = calibration.threshold_at_fpir(fpir, size, allow_extrapolation=True)
    if threshold.extrapolated and here.tail is not None:
        low, high = (
            fpir_for_fmr(min(f, 0.5), size) for f in here.tail.fmr_interval(threshold.cosine)
        )
    else:
        low, high = here.searches.fpir_interval(threshold.cosine, size)
    value = there.searches.fpir(threshold.cosine, size)
    lo, hi = there.searches.fpir_interval(threshold.cosine, size)
    if value == 0:
        hi = 3 / len(there.labels)
    return Row(f"FPIR {fpir:g}, {size} templates", threshold.cosine,
               (fpir, min(low, fpir), max(high, fpir)), (value, lo, hi),
               threshold.extrapolated)  # fmt: skip


def report(splits: Sequence[Sequence[Row]]) -> str:
    """Markdown: one split in full, then all of them."""
    lines = INTRODUCTION.splitlines()
    for row in splits[0]:
        _, low, high = row.predicted
        value, lo, hi = row.observed
        marks = [] if row.holds else ["apart"]
        marks += ["extrapolated"] if row.extrapolated else []
        lines.append(
            f"| {row.what} | {row.cosine:.3f} | {low:.2g} to {high:.2g} | {value:.2g} | "
            f"{lo:.2g} to {hi:.2g} | {', '.join(marks)} |"
        )
    lines += ALL_SPLITS.format(count=len(splits)).splitlines()
    for i, first in enumerate(splits[0]):
        rows = [s[i] for s in splits]
        # a split without a single error counts as half of one
        logs = [math.log(max(r.ratio, 0.5 * r.observed[2] / 3 / r.predicted[0])) for r in rows]
        agree = sum(r.holds for r in rows)
        extrapolated = (
            " (extrapolated)" if sum(r.extrapolated for r in rows) * 2 > len(rows) else ""
        )
        lines.append(
            f"| {first.what}{extrapolated} | {math.exp(float(np.mean(logs))):.2f} | "
            f"{agree} of {len(rows)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
