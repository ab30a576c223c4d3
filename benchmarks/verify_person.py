"""False matches and misses of a face against a person of several templates.

    python benchmarks/verify_person.py [--cache FOLDER]

Three sets that the packaged calibration did not use, up to 6 photos a person. Every photo in turn
is the probe; a person's templates are N of their other photos. Compared at an FMR of 1e-4: arcid's
rule (``decide.verify_templates``), and the best of N at the threshold of one comparison, as is
usual elsewhere. Intervals at 95 % over people drawn anew. Writes
``benchmarks/results/verify-person-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import few_people
import numpy as np
import numpy.typing as npt

from arcid.bench.common import hardware_slug, write_csv
from arcid.calibration import Calibration
from arcid.decide import DEFAULT_FMR, verify_templates
from arcid.models import weights

COUNTS = (1, 2, 5)
DRAWS = 200
LEAST_PEOPLE = 50
Accepts = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("runs/few-people"))
    asked = parser.parse_args()
    calibration = weights.packaged_calibration(weights.resolve_default("recognition"))
    rows: list[dict[str, Any]] = []
    for name in few_people.JUDGED:
        people = few_people.embedded(name, asked.cache)
        for count in COUNTS:
            if (np.unique(people.labels, return_counts=True)[1] > count).sum() < LEAST_PEOPLE:
                continue
            for rule, accepts in rules(calibration, count).items():
                row = {"set": name, "templates": count, "rule": rule}
                rows.append(row | measured(people, count, accepts))
                print(rows[-1])
    write_csv(Path(__file__).parent / "results" / f"verify-person-{hardware_slug()}.csv", rows)


def rules(calibration: Calibration, count: int) -> dict[str, Accepts]:
    one = calibration.threshold_at_fmr(DEFAULT_FMR).cosine
    told = verify_templates([0.0] * count, calibration)  # its threshold, and which of N it holds to
    steps = np.linspace(1.0, -1.0, count)
    rank = int(
        np.argmin(np.abs(steps - (verify_templates(steps.tolist(), calibration).cosine or 0.0)))
    )
    return {
        "arcid": lambda cosines: cosines[..., rank] >= told.cosine_threshold,
        "best of N": lambda cosines: cosines[..., 0] >= one,
    }


def measured(people: few_people.People, count: int, accepts: Accepts) -> dict[str, Any]:
    labels, vectors = people.labels, people.embeddings.vectors
    owners = np.array([p for p in np.unique(labels) if (labels == p).sum() > count])
    templates = np.stack([vectors[np.flatnonzero(labels == p)[:count]] for p in owners])
    let_in = np.zeros((len(owners), len(owners)))  # by the probe's person and the person claimed
    tried = np.zeros_like(let_in)
    missed = np.zeros(len(owners))
    for i, person in enumerate(owners):
        probes = vectors[labels == person]
        cosines = -np.sort(-np.einsum("pd,ond->pon", probes, templates), axis=2)
        let_in[i], tried[i] = accepts(cosines).sum(axis=0), len(probes)
        let_in[i, i] = tried[i, i] = 0
        own = probes @ probes.T
        others = [np.delete(own[j], j)[:count] for j in range(len(probes))]
        missed[i] = 1 - accepts(-np.sort(-np.stack(others), axis=1)).mean()
    rng = np.random.default_rng(0)
    again = [rng.integers(0, len(owners), len(owners)) for _ in range(DRAWS)]
    drawn = [let_in[np.ix_(d, d)].sum() / tried[np.ix_(d, d)].sum() for d in again]
    low, high = np.percentile(drawn, [2.5, 97.5])
    if not let_in.any():
        high = 3 / (len(owners) * (len(owners) - 1) / 2)  # rule of 3, in pairs of people
    missed_low, missed_high = np.percentile([missed[d].mean() for d in again], [2.5, 97.5])
    return {
        "people": len(owners),
        "impostor attempts": int(tried.sum()),
        "fmr": f"{let_in.sum() / tried.sum():.2e}",
        "fmr_low": f"{low:.2e}",
        "fmr_high": f"{high:.2e}",
        "fnmr": f"{missed.mean():.4f}",
        "fnmr_low": f"{missed_low:.4f}",
        "fnmr_high": f"{missed_high:.4f}",
    }


if __name__ == "__main__":
    main()
