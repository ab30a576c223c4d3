"""Times enrolling a folder of photos; writes results/enrol-<hardware>.csv.

python benchmarks/enrol.py
"""

from __future__ import annotations

from pathlib import Path

from arcid.bench import common, enrol

if __name__ == "__main__":
    rows = enrol.run()
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / "results" / f"enrol-{common.hardware_slug()}.csv", rows
    )
