"""Exact search against NumPy's float32 product and against reading the codes: ratios of one run, as
a table and as CSV.

python benchmarks/search.py --sizes 100000 1000000
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from arcid.bench import hardware_slug
from arcid.bench.search import SIZES, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--checks", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the temporary database goes")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    rows = run(
        asked.sizes,
        dim=asked.dim,
        k=asked.k,
        pairs=asked.pairs,
        checks=asked.checks,
        threads=asked.threads,
        peers=not asked.no_peers,
        folder=asked.folder,
    )
    for row in rows:
        print(
            f"{row['faces']:>10,} {row['engine']:<26} p50 {row['p50_ms']:8.2f} ms  "
            f"p99 {row['p99_ms']:8.2f} ms  "
            f"to NumPy {row['ratio']}, processor {row['cpu_ratio']}  "
            f"to reading {row['to_reading']}, processor {row['cpu_to_reading']}  "
            f"same ids {row['same_ids']}  memory {row['memory_ratio']}"
        )
    asked.results.mkdir(parents=True, exist_ok=True)
    path = asked.results / f"search-{hardware_slug()}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
