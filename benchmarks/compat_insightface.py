"""insightface and arcid's stand-in for it on the same photos and the same files, in turns.

Every turn is a process of its own: how long it takes to be ready, the time of each photo, and the
most memory it took. Writes results/compat-insightface-<hardware>.csv.

python benchmarks/compat_insightface.py --theirs .venv/judges/insightface/bin/python [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PACK = ("scrfd_2.5g_bnkps.onnx", "mobilefacenet_128.onnx")
SIZES = ("320x320", "640x640")
SCRIPT = """
import json, resource, sys, time
began = time.perf_counter()
import cv2
from {module}.app import FaceAnalysis
root, size, *photos = sys.argv[1:]
app = FaceAnalysis("bench", root=root, providers=["CPUExecutionProvider"])
app.prepare(ctx_id=-1, det_size=tuple(map(int, size.split("x"))))
pictures = [cv2.imread(photo) for photo in photos]
faces = len(app.get(pictures[0]))
ready = time.perf_counter() - began
times = []
for _ in range(3):
    for picture in pictures:
        began = time.perf_counter()
        app.get(picture)
        times.append(time.perf_counter() - began)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"ready_s": ready, "times_s": times[len(pictures):], "mib": peak / 1024}}))
"""


def turn(python: str, module: str, root: Path, size: str, photos: list[str]) -> dict[str, float]:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", SCRIPT.format(module=module), str(root), size, *photos],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    return {
        "ready": told["ready_s"],
        "photo": 1e3 * statistics.median(told["times_s"]),
        "memory": told["mib"],
    }


def main() -> None:
    from arcid.bench import common

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--theirs", required=True, help="the Python that has insightface")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    data = Path(os.environ.get("ARCID_DATA", "../shared"))
    photos = [
        *map(str, sorted((data / "data/lfw-dev/images").rglob("*.jpg"))[:40]),
        *map(str, sorted((data / "data/photos/group").glob("*.jpg"))[:10]),
    ]
    rows: list[common.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "models/bench").mkdir(parents=True)
        for file in PACK:
            shutil.copyfile(data / "models" / file, root / "models/bench" / file)
        for size in SIZES:
            theirs, ours = [], []
            for _ in range(options.rounds):
                theirs.append(turn(options.theirs, "insightface", root, size, photos))
                ours.append(turn(sys.executable, "arcid.compat.insightface", root, size, photos))
            for what, unit in (("photo", "ms"), ("ready", "s"), ("memory", "MiB")):
                rows += common.by_turns(
                    f"{what}_{size}",
                    unit,
                    [one[what] for one in ours],
                    [one[what] for one in theirs],
                    peer="insightface 2.1",
                    samples=len(photos) * 2 if what == "photo" else 1,
                )
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / f"results/compat-insightface-{common.hardware_slug()}.csv", rows
    )


if __name__ == "__main__":
    main()
