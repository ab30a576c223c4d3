"""insightface, arcid's stand-in for it and arcid's own pipeline on the same photos and the same
files, in turns.

Every turn is a process of its own: how long it takes to be ready, the time of each photo, and the
most memory it took. The own pipeline is timed on photos of 250 pixels, which it does not enlarge
to the detector's input as insightface does; whether both find the same faces, and the cosines of
their vectors, are told beside; ``--own`` times that alone. Writes
results/compat-insightface-<hardware>.csv and results/pipeline-insightface-<hardware>.csv.

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
from typing import Any

import numpy as np

from arcid.bench import common

PACK = ("scrfd_2.5g_bnkps.onnx", "mobilefacenet_128.onnx")
SIZES = ("320x320", "640x640")
LFW = 40  # photos of 250 pixels
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
OWN = """
import json, sys, time
import cv2
from arcid.pipeline import Pipeline
pipeline = Pipeline.from_models(*sys.argv[1:3])
look = lambda picture: pipeline.faces(picture, color="bgr")
plain = lambda face: (face.box, face.embedding.vectors[0].tolist())
"""
THEIRS = """
import json, sys, time
import cv2
from insightface.app import FaceAnalysis
root, size = sys.argv[1:3]
app = FaceAnalysis("bench", root=root, providers=["CPUExecutionProvider"])
app.prepare(ctx_id=-1, det_size=tuple(map(int, size.split("x"))))
look = app.get
plain = lambda face: (face.bbox.tolist(), face.normed_embedding.tolist())
"""
TIMED = """
pictures = [cv2.imread(photo) for photo in sys.argv[3:]]
times = []
for _ in range(3):
    found = []
    for picture in pictures:
        began = time.perf_counter()
        faces = look(picture)
        times.append(time.perf_counter() - began)
        found.append([plain(face) for face in faces])
print(json.dumps(dict(times=times[len(pictures):], found=found)))
"""
NAMES = ("scrfd_2.5g", "mobilefacenet_128")  # of PACK, in the catalogue
SAME_IOU = 0.5


def told(python: str, script: str, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script, *words], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def own(python: str, root: Path, photos: list[str], rounds: int) -> list[common.Row]:
    """arcid's pipeline beside insightface, from a decoded photo to faces and vectors."""
    sides = [(THEIRS, python, (str(root), size)) for size in SIZES] + [(OWN, sys.executable, NAMES)]
    ms: list[list[float]] = [[] for _ in sides]
    found: list[Any] = [None for _ in sides]
    for _ in range(rounds):
        for i, (script, runs, words) in enumerate(sides):
            one = told(runs, script + TIMED, *words, *photos)
            ms[i].append(1e3 * statistics.median(one["times"]))
            found[i] = one["found"]
    return [
        row
        for size, theirs, seen in zip(SIZES, ms[:-1], found[:-1], strict=True)
        for row in common.by_turns(
            f"photo_250px_{size}",
            "ms",
            ms[-1],
            theirs,
            peer="insightface 2.1",
            samples=len(photos) * 2,
            notes=alike(found[-1], seen),
        )
    ]


def alike(ours: list[Any], theirs: list[Any]) -> str:
    """How many of insightface's faces the pipeline found, and how like the vectors are."""
    from arcid.geometry import box_iou

    cosines, count = [], sum(map(len, theirs))
    for mine, other in zip(ours, theirs, strict=True):
        for box, vector in other:
            overlap = [float(box_iou(np.array([box]), np.array([b]))[0, 0]) for b, _ in mine]
            best = int(np.argmax(overlap)) if overlap else -1
            if best >= 0 and overlap[best] > SAME_IOU:
                cosines.append(float(np.dot(vector, mine[best][1])))
    return (
        f"{len(cosines)} of its {count} faces found, {sum(map(len, ours))} in all; cosines median "
        f"{statistics.median(cosines):.3f}, lowest {min(cosines):.3f}"
    )


def turn(python: str, module: str, root: Path, size: str, photos: list[str]) -> dict[str, float]:
    one = told(python, SCRIPT.format(module=module), str(root), size, *photos)
    return {
        "ready": one["ready_s"],
        "photo": 1e3 * statistics.median(one["times_s"]),
        "memory": one["mib"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--theirs", required=True, help="the Python that has insightface")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--own", action="store_true", help="the own pipeline alone")
    options = parser.parse_args()
    data = Path(os.environ.get("ARCID_DATA", "../shared"))
    photos = [
        *map(str, sorted((data / "data/lfw-dev/images").rglob("*.jpg"))[:LFW]),
        *map(str, sorted((data / "data/photos/group").glob("*.jpg"))[:10]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "models/bench").mkdir(parents=True)
        for file in PACK:
            shutil.copyfile(data / "models" / file, root / "models/bench" / file)
        kinds = {"pipeline": own(options.theirs, root, photos[:LFW], options.rounds)}
        if not options.own:
            kinds["compat"] = stand_in(options.theirs, root, photos, options.rounds)
    for kind, rows in kinds.items():
        print("\n".join(common.lines(rows)))
        name = f"{kind}-insightface-{common.hardware_slug()}.csv"
        common.write_csv(Path(__file__).parent / "results" / name, rows)


def stand_in(python: str, root: Path, photos: list[str], rounds: int) -> list[common.Row]:
    """``arcid.compat.insightface`` beside insightface: a photo, until ready, memory."""
    rows: list[common.Row] = []
    for size in SIZES:
        theirs, ours = [], []
        for _ in range(rounds):
            theirs.append(turn(python, "insightface", root, size, photos))
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
    return rows


if __name__ == "__main__":
    main()
