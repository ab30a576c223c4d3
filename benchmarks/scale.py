"""What one search takes and misses by the size of a gallery, for docs/concepts/scale.md: bytes and
time of the index in memory, measured, and the error rates that a recogniser's calibration states.

    python benchmarks/scale.py [--recogniser NAME] [--fpir 0.01] [--dim 512]

Random unit vectors, ten nearest, beside NumPy's float32 product in turns. Writes
``results/scale-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from arcid.bench import common
from arcid.decide import largest_gallery
from arcid.errors import ArcidError
from arcid.gallery.index.exact import ExactIndex
from arcid.models import weights

MEASURED = (1_000, 10_000, 100_000)
STATED = tuple(10**power for power in range(3, 10))
ROUNDS, CALLS = 5, 10
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--recogniser")
    parser.add_argument("--fpir", type=float, default=0.01)
    parser.add_argument("--dim", type=int, default=512)
    asked = parser.parse_args()
    rows = [line for size in MEASURED for line in searched(size, asked.dim)]
    rows += stated(asked.recogniser, asked.fpir)
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / "results" / f"scale-{common.hardware_slug()}.csv", rows
    )


def searched(size: int, dim: int) -> list[common.Row]:
    """The index in memory beside a product of all rows."""
    made = np.random.default_rng(0).standard_normal((size, dim), np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    index, keys = ExactIndex(dim, lambda wanted: made[wanted]), np.arange(size)
    index.add(keys, keys, made)
    probe = made[:1]

    def product() -> object:
        return np.argpartition(-(made @ probe[0]), K)[:K]

    forms = {"arcid": lambda: index.search_faces(probe, K), "numpy": product}
    timed = common.interleaved(forms, rounds=ROUNDS, calls=CALLS)
    measure = f"search, {size:,} faces of {dim}"
    each = common.row(
        f"memory, {size:,} faces of {dim}", "arcid", index.nbytes / size, "bytes a face",
        samples=1, peer="float32", ratio=index.nbytes / size / (4 * dim),
    )  # fmt: skip
    index.close()
    found = [each, *common.compared(measure, timed, "numpy")]
    return [{**row, "notes": f"load {os.getloadavg()[0]:.1f}"} for row in found]


def stated(recogniser: str | None, fpir: float) -> list[common.Row]:
    """What a recogniser's calibration says of searches of one person with one photo."""
    bundle = weights.resolve(recogniser) if recogniser else weights.resolve_default("recognition")
    calibration = weights.find_calibration(bundle)
    pairs = calibration.data["genuine_pairs"]
    measured = largest_gallery(calibration, fpir)
    rows = [
        common.row(
            f"largest gallery at FPIR {fpir:g}", bundle.name, measured, "templates", samples=pairs
        )
    ]
    for size in STATED:
        try:
            found = calibration.threshold_at_fpir(fpir, size, allow_extrapolation=True)
        except ArcidError as error:
            print(f"{size:,}: {error.message}")
            continue
        rows.append(
            common.row(
                f"missed at FPIR {fpir:g} among {size:,}", bundle.name,
                100 * calibration.fnmr(found.cosine), "%", samples=pairs,
                notes=f"cosine {found.cosine:.3f}" + ", extrapolated" * found.extrapolated,
            )
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
