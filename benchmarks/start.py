"""Times importing, a cold verify and the start of a service beside importing NumPy; writes
results/start-<hardware>.csv.

python benchmarks/start.py
"""

from __future__ import annotations

from pathlib import Path

from arcid.bench import common, start

if __name__ == "__main__":
    rows = start.run(runs=7)
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / "results" / f"start-{common.hardware_slug()}.csv", rows
    )
