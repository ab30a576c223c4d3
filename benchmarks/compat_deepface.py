"""deepface and arcid's stand-in for it on the same photos and the same networks, in turns.

deepface's environment has insightface too, whose code runs SCRFD-2.5G and MobileFaceNet as its
detector and recogniser. Every turn is a process of its own. Writes
results/compat-deepface-<hardware>.csv.

python benchmarks/compat_deepface.py --theirs .venv/judges/deepface/bin/python [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

INJECT = """
from deepface import DeepFace
from deepface.models.Detector import FacialAreaRegion
from deepface.modules import modeling
from insightface.model_zoo import get_model

class Finder:
    def __init__(self):
        self.net = get_model(models + "/scrfd_2.5g_bnkps.onnx")
        self.net.prepare(-1, input_size=(640, 640))
    def detect_faces(self, img):
        boxes, points = self.net.detect(img)
        spots = points.round().astype(int).tolist()
        return [
            FacialAreaRegion(*map(int, (x1, y1, x2 - x1, y2 - y1)), tuple(p[1]), tuple(p[0]), score)
            for (x1, y1, x2, y2, score), p in zip(boxes.tolist(), spots)
        ]

class Recogniser:
    model_name, input_shape, output_shape = "ArcFace", (112, 112), 128
    def __init__(self):
        self.net = get_model(models + "/mobilefacenet_128.onnx")
    def forward(self, img):
        crops = img if img.ndim == 4 else img[None]
        pixels = [(crop * 255).clip(0, 255).astype("uint8") for crop in crops]
        found = self.net.get_feat(pixels)
        return found[0].tolist() if len(crops) == 1 else found.tolist()

built = {"facial_recognition": Recogniser(), "face_detector": Finder()}
modeling.build_model = lambda model_name, task: built[task]
names = {"model_name": "ArcFace", "detector_backend": "retinaface"}
"""
OURS = """
from arcid.compat.deepface import DeepFace
names = {"model_name": "mobilefacenet_128", "detector_backend": "scrfd_2.5g"}
"""
MEASURE = """
photo = photos[0]
DeepFace.verify(photo, photos[1], threshold=0.5, enforce_detection=False, **names)
told = {"ready": time.perf_counter() - began}

def timed(name, call, count):
    times = []
    for number in range(count):
        started = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - started)
    told[name] = 1e3 * sorted(times)[count // 2]

names["enforce_detection"] = False
pairs = list(zip(photos, photos[1:]))
timed("verify", lambda i: DeepFace.verify(*pairs[i], threshold=0.5, **names), len(pairs))
timed("represent", lambda i: DeepFace.represent(photos[i], **names), len(photos))
search = dict(db_path=folder, threshold=0.5, silent=True, return_type="dict", **names)
started = time.perf_counter()
DeepFace.find(photo, **search)
told["first_find"] = time.perf_counter() - started
timed("second_find", lambda i: DeepFace.find(photo, **search), 5)
told["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(told))
"""
HEAD = """
import json, resource, sys, time
began = time.perf_counter()
models, folder, *photos = sys.argv[1:]
"""
UNITS = {
    "verify": "ms", "represent": "ms", "second_find": "ms", "first_find": "s", "ready": "s",
    "memory": "MiB",
}  # fmt: skip


def turn(python: str, script: str, models: Path, photos: list[str]) -> dict[str, float]:
    """One process's times; the folder that is searched is a copy of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos:
            shutil.copyfile(photo, Path(folder) / Path(photo).name)
        done = subprocess.run(
            [python, "-W", "ignore", "-c", HEAD + script + MEASURE, str(models), folder, *photos],
            capture_output=True, text=True, check=True,
            env={**os.environ, "ARCID_HOME": folder + "/.home", "DEEPFACE_HOME": folder},
        )  # fmt: skip
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    from arcid.bench import common

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--theirs", required=True, help="the Python that has deepface")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=100)
    options = parser.parse_args()
    data = Path(os.environ.get("ARCID_DATA", "../shared"))
    found = sorted((data / "data/lfw-dev/images").rglob("*.jpg"))[: options.photos]
    photos = [str(path.resolve()) for path in found]
    models = (data / "models").resolve()
    theirs, ours = [], []
    for _ in range(options.rounds):
        theirs.append(turn(options.theirs, INJECT, models, photos))
        ours.append(turn(sys.executable, OURS, models, photos))
    rows: list[common.Row] = []
    for what, unit in UNITS.items():
        mine, others = [one[what] for one in ours], [one[what] for one in theirs]
        rows += common.by_turns(
            what, unit, mine, others, peer="deepface 0.0.103", samples=options.rounds,
            notes=f"{len(photos)} photos",
        )  # fmt: skip
    print("\n".join(common.lines(rows)))
    common.write_csv(
        Path(__file__).parent / f"results/compat-deepface-{common.hardware_slug()}.csv", rows
    )


if __name__ == "__main__":
    main()
