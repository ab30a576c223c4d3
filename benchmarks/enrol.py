"""Times enrolling a folder of photos; writes results/enrol-<hardware>.csv.

python benchmarks/enrol.py [PHOTOS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from arcid.bench import common, enrol

if __name__ == "__main__":
    rows = enrol.run(photos=int(sys.argv[1]) if len(sys.argv) > 1 else enrol.PHOTOS)
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / "results" / f"enrol-{common.hardware_slug()}.csv", rows
    )
