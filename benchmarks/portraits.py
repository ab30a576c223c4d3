"""Which photos of one named person are taken, and whether the face taken is theirs.

    python benchmarks/portraits.py [--detector NAME]

The 1,549 photos of lfw-dev by every rule of ``--select``. Photos with one face are the reference:
where a person has one or more others, the right face of a photo is the one nearest to their mean;
for everybody else it is the face nearest the centre, where LFW puts the person named. The rule was
chosen on scenes.tar (1,500 portraits, 320 group pictures; ``--scenes`` with the unpacked folder
counts what is taken there), not on these photos. Writes
``benchmarks/results/portraits-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from arcid import load_image, paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.errors import NoFaceFound, SeveralFacesFound
from arcid.pipeline import Pipeline
from arcid.results import Faces
from arcid.types import Detections, Selection

RULES = [rule for rule in get_args(Selection) if rule != "all"]


def taken(found: Detections, rule: Selection) -> Detections | None:
    try:
        chosen = found.select(rule)
    except (NoFaceFound, SeveralFacesFound):
        return None
    return chosen if len(chosen) else None


def right_faces(photos: list[tuple[str, Faces]]) -> Iterator[tuple[Detections, int, str]]:
    """(faces, row of the person named, how that is known) of every photo with several faces."""
    alone = defaultdict(list)
    for person, faces in photos:
        if len(faces) == 1:
            alone[person].append(faces.embeddings.vectors[0])
    for person, faces in photos:
        found = faces.detections
        if found is None or len(found) < 2:
            continue
        if person in alone:
            cosines = faces.embeddings.vectors @ np.mean(alone[person], axis=0)
            yield found, int(cosines.argmax()), "other photos"
        else:
            centre = found.select("center").boxes[0]
            yield found, int((found.boxes == centre).all(axis=1).argmax()), "centre"


def lfw_dev(pipeline: Pipeline, folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*/*.jpg"))
    photos = [(file.parent.name, pipeline.faces(file)) for file in files]
    several = list(right_faces(photos))
    alone = sum(len(faces) == 1 for _, faces in photos)
    rows = []
    for rule in RULES:
        row: dict[str, Any] = {
            "photos": len(photos),
            "rule": rule,
            "accepted": alone,
            "of_several": len(several),
        }
        counts: dict[str, int] = defaultdict(int)
        for found, right, known_by in several:
            chosen = taken(found, rule)
            if chosen is not None:
                row["accepted"] += 1
                same = np.array_equal(chosen.boxes[0], found.boxes[right])
                counts[f"{'right' if same else 'wrong'} by {known_by}"] += 1
        for known_by in ("other photos", "centre"):
            for word in ("right", "wrong"):
                row[f"{word}_by_{known_by.replace(' ', '_')}"] = counts[f"{word} by {known_by}"]
        rows.append(row | {"detector": pipeline.provenance["detector"]})
    return rows


def scenes(pipeline: Pipeline, folder: Path) -> None:
    for kind in ("single", "group"):
        found = [
            pipeline.detector.detect([load_image(file)])[0]
            for file in sorted((folder / kind).glob("*.webp"))
        ]
        several = [each for each in found if len(each) > 1]
        for rule in RULES:
            accepted = sum(taken(each, rule) is not None for each in several)
            print(f"{kind}: {rule} takes {accepted} of {len(several)} with several faces")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", action="append", default=[])
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.detector or [None]:
        pipeline = Pipeline.from_models(name)
        rows += lfw_dev(pipeline, paths.required_data_dir() / "data" / "lfw-dev" / "images")
        if options.scenes:
            scenes(pipeline, options.scenes)
    for row in rows:
        print(row)
    output = options.output or Path("benchmarks/results") / f"portraits-{hardware_slug()}.csv"
    write_csv(output, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
