"""Times networks in OpenVINO and ONNX Runtime; writes results/runtime-<hardware>.csv.

python benchmarks/runtime.py
"""

from __future__ import annotations

from pathlib import Path

from arcid.bench import common, runtime

if __name__ == "__main__":
    rows = runtime.run()
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / "results" / f"runtime-{common.hardware_slug()}.csv", rows
    )
