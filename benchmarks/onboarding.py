"""Documents against selfies at the shipped calibration, on people it was not measured on.

    python benchmarks/onboarding.py

Every photo of lfw-dev's DevTest (963 people) is degraded as a document (print and scan, low
resolution, grey, in turn), turned by a random quarter, and read as onboarding reads documents:
found, turned, judged, aligned. It is compared with every photo of every person but itself. The
calibration comes from DevTrain, nobody of which is in DevTest. Also counted:
documents refused and why, selfies taken for the document's picture, the document's picture held
into the camera, and photos taken for a replay. Intervals resample people. Writes
``benchmarks/results/onboarding-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from arcid import paths
from arcid.apps.onboarding import calibrating
from arcid.apps.onboarding.degrading import KINDS, degraded
from arcid.apps.onboarding.documents import Reader
from arcid.apps.onboarding.judging import ALIKE, IDENTICAL, REPEATED, REPLAYED
from arcid.apps.onboarding.prints import distance, picture_print
from arcid.bench.common import hardware_slug, write_csv
from arcid.errors import InputError
from arcid.evaluate.cross import Cross
from arcid.evaluate.intervals import clustered_rate
from arcid.evaluate.readers.folder import read_people
from arcid.geometry import rotate_quarter
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.results import Face
from arcid.types import Embeddings, Image

RATES = (1e-2, 1e-3, 1e-4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, help="only so many, to try it out")
    options = parser.parse_args()
    pipeline = Pipeline.from_models()
    reader, rng = Reader(pipeline), np.random.default_rng(18)
    folder = paths.required_data_dir() / "data/lfw-dev/images"
    people = read_people(folder)
    selfies: dict[int, Face] = {}
    documents: dict[int, Face] = {}
    refused: Counter[str] = Counter()
    copies: list[tuple[int, str]] = []  # signs between a document and its own picture held up
    listed = list(zip(people.photos, people.people, strict=True))[: options.photos]
    for number, (photo, person) in enumerate(listed):
        image = load_image(folder / photo.name)
        found = pipeline.faces(image, select="center")
        if not len(found) or found.quality[0].inter_eye_px is None:
            continue
        selfies[number] = found[0]
        kind, eyes = KINDS[number % len(KINDS)], found.quality[0].inter_eye_px
        copy = rotate_quarter(degraded(image, kind, eyes, rng), int(rng.integers(4)))
        try:
            documents[number] = seen = reader.read(copy).face
        except InputError as error:
            refused.update(error.details.get("reasons") or [error.code])
            continue
        held = degraded(slanted(image, rng), KINDS[int(rng.integers(3))], eyes, rng)
        again = pipeline.faces(held, select="center")
        if len(again):
            apart = distance(picture_print(seen.crop), picture_print(again[0].crop))
            copies.append((apart, person))
    rows = rates(pipeline, listed, selfies, documents)
    rows += pictures(listed, selfies, documents, copies)
    rows.append({"what": "documents read", "count": len(documents), "of": len(selfies)})
    rows += [{"what": f"refused: {c}", "count": n, "of": len(selfies)} for c, n in refused.items()]
    for row in rows:
        print({k: v for k, v in row.items() if v is not None})
    if options.photos is None:
        header = ["what", "kind", "target", "threshold", "value", "low", "high", "count", "of"]
        path = Path(__file__).parent / "results" / f"onboarding-{hardware_slug()}.csv"
        write_csv(path, [{key: row.get(key) for key in header} for row in rows])
    return 0


def rates(
    pipeline: Pipeline,
    listed: list[Any],
    selfies: dict[int, Face],
    documents: dict[int, Face],
) -> list[dict[str, Any]]:
    """FMR and FNMR at the shipped thresholds, of all documents and of each kind."""
    calibration = calibrating.find(pipeline.contract_id)
    found = []
    for kind in (None, *KINDS):
        own = [n for n in documents if kind is None or KINDS[n % len(KINDS)] == kind]
        columns = list(selfies)
        where = {n: i for i, n in enumerate(columns)}
        cross = Cross(
            stacked([documents[n] for n in own]), [listed[n][1] for n in own],
            stacked([selfies[n] for n in columns]), [listed[n][1] for n in columns],
            one_photo=[(i, where[n]) for i, n in enumerate(own)],
        )  # fmt: skip
        for rate in RATES:
            threshold = calibration.threshold_at_fmr(rate).cosine
            value, low, high = cross.fmr(threshold)
            matches = round(value * cross.impostors)
            common = {"kind": kind or "all", "target": rate, "threshold": round(threshold, 4)}
            row = {"value": value, "low": low, "high": high, "count": matches}
            found.append({"what": "FMR", **common, **row, "of": cross.impostors})
            missed = clustered_rate(cross.genuine < threshold, cross.own)
            row = {"value": missed.value, "low": missed.low, "high": missed.high}
            counted = {"count": missed.count, "of": missed.trials}
            found.append({"what": "FNMR", **common, **row, **counted})
    return found


def pictures(
    listed: list[Any],
    selfies: dict[int, Face],
    documents: dict[int, Face],
    copies: list[tuple[int, str]],
) -> list[dict[str, Any]]:
    """How often one picture is told from two."""
    prints = {n: picture_print(face.crop) for n, face in selfies.items()}
    papers = {n: picture_print(face.crop) for n, face in documents.items()}
    of_person: dict[str, list[int]] = defaultdict(list)
    for n in selfies:
        of_person[listed[n][1]].append(n)
    others, same = [], []
    for person, numbers in of_person.items():
        for a in numbers:
            same += [(distance(prints[a], prints[b]), person) for b in numbers if a < b]
            if a in papers:
                others += [(distance(papers[a], prints[b]), person) for b in numbers if a != b]
    strangers = np.array(
        [
            distance(prints[a], prints[b])
            for i, a in enumerate(prints)
            for b in list(prints)[i + 1 : i + 200]
            if listed[a][1] != listed[b][1]
        ]
    )
    rows = []
    for what, pairs, limits in (
        ("document's picture held up", copies, (IDENTICAL, ALIKE)),
        ("another photo of the person", others, (IDENTICAL, ALIKE)),
        ("two photos of one person", same, (REPLAYED, REPEATED)),
    ):
        apart, owners = (np.array(x) for x in zip(*pairs, strict=True))
        for limit in limits:
            rate = clustered_rate(apart <= limit, owners)
            row = {"value": rate.value, "low": rate.low, "high": rate.high}
            counts = {"count": rate.count, "of": rate.trials}
            rows.append({"what": f"{what}: at most {limit} signs", **row, **counts})
    for limit in (REPLAYED, REPEATED):
        count = int((strangers <= limit).sum())
        what = f"two photos of strangers: at most {limit} signs"
        rows.append({"what": what, "count": count, "of": len(strangers)})
    return rows


def slanted(image: Image, rng: np.random.Generator) -> Image:
    """As a picture in a hand: its corners moved by up to 5 % of its sides."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + rng.uniform(-0.05, 0.05, (4, 2)) * [width, height]
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height)), np.uint8)


def stacked(faces: list[Face]) -> Embeddings:
    vectors = np.concatenate([face.embedding.vectors for face in faces])
    return Embeddings(vectors, faces[0].embedding.contract_id)


if __name__ == "__main__":
    sys.exit(main())
