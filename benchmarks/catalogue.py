"""What the recognisers of the catalogue recognise, behind one detector: ``measured.json``.

    python benchmarks/catalogue.py [--recognisers NAME,NAME] [--detector scrfd_2.5g]

Over the 1,549 photos of lfw-dev (face nearest the centre, no flip): accuracy on the 1,000 pairs of
pairsDevTest, every tenth decided by the threshold best on the other nine, and TAR at FMR 1e-4 over
all pairs of photos; 95 % intervals that resample identities. Models that are not installed keep the
row they have. Writes ``src/arcid/models/measured.json``, from which ``arcid models list`` and the
tables of docs/catalogue.md (``python scripts/make_docs.py``) are made.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from arcid import files, paths
from arcid.align import align
from arcid.errors import ModelNotFound
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import accuracy_rate, operating_points
from arcid.evaluate.metrics import FAILED, kfold_accuracy
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.readers import PairList, read_lfw
from arcid.image import load_image
from arcid.models import measured
from arcid.models.measured import Measured
from arcid.models.weights import resolve
from arcid.pipeline import load_detector, load_embedder
from arcid.types import Crops, Detections, Template

DATASET = "LFW View 1 DevTest"
DEFAULT = (
    "arcid-face-s,arcid-face-s-int8,mobilefacenet_128,edgeface_xxs,edgeface_xs,"
    "face_reid_retail_0095,face-reidentification-retail-0095,esp_mfn,esp_mbf"
)
BATCH = 16
Vectors = npt.NDArray[np.float32]


def faces(photos: Sequence[Path], detector: str) -> list[Detections]:
    """The face nearest the middle of each photo; none where none is found."""
    opened, found = load_detector(detector), []
    for start in range(0, len(photos), BATCH):
        images = [load_image(path) for path in photos[start : start + BATCH]]
        found += [one.select("center") for one in opened.detect(images)]
    return found


def crops(photos: Sequence[Path], found: Sequence[Detections], size: int, cut: Template) -> Crops:
    """Of the photos with a face."""
    made = [
        align(load_image(path), one, size=size, template=cut).pixels
        for path, one in zip(photos, found, strict=True)
        if len(one)
    ]
    return Crops(np.concatenate(made))


def measure(
    name: str,
    detector: str,
    listed: PairList,
    vectors: Vectors,
    seen: npt.NDArray[np.bool_],
    contract_id: str,
) -> Measured:
    """``vectors`` (N,D) of all photos, those not ``seen`` zero: they count as errors."""
    people = np.array([Path(str(photo.source)).parent.name for photo in listed.photos])
    both = seen[listed.first] & seen[listed.second]
    scores = np.where(both, (vectors[listed.first] * vectors[listed.second]).sum(1), FAILED)
    pairs = PairScores.from_labels(scores, people[listed.first], people[listed.second])
    decided = kfold_accuracy(scores, listed.same, np.arange(len(scores)) % 10)
    accuracy = accuracy_rate(PairBootstrap(pairs), decided.accepted)
    first, second = np.triu_indices(len(people), k=1)
    every = np.where(seen[first] & seen[second], (vectors @ vectors.T)[first, second], FAILED)
    all_pairs = PairScores.from_labels(every, people[first], people[second])
    (point,) = operating_points(PairBootstrap(all_pairs), [measured.FMR])
    return Measured(
        model=name,
        contract_id=contract_id,
        detector=detector,
        dataset=DATASET,
        photos=len(people),
        genuine_pairs=len(all_pairs.genuine),
        impostor_pairs=len(all_pairs.impostor),
        accuracy=round(accuracy.value, 4),
        accuracy_low=round(accuracy.low, 4),
        accuracy_high=round(accuracy.high, 4),
        tar=round(point.tar.value, 4),
        tar_low=round(point.tar.low, 4),
        tar_high=round(point.tar.high, 4),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recognisers", default=DEFAULT)
    parser.add_argument("--detector", default="scrfd_2.5g")
    parser.add_argument("-o", "--output", type=Path, default=measured.FILE)
    options = parser.parse_args()
    folder = paths.required_data_dir() / "data/lfw-dev"
    listed = read_lfw(folder / "pairsDevTest.txt", folder / "images")
    photos = [Path(str(photo.source)) for photo in listed.photos]
    found = faces(photos, options.detector)
    seen = np.array([len(one) > 0 for one in found])
    known = json.loads(options.output.read_text("utf-8")) if options.output.is_file() else []
    rows = {row["model"]: row for row in known}
    for name in options.recognisers.split(","):
        try:
            embedder = load_embedder(resolve(name))
        except ModelNotFound as missing:
            print(f"{name}: left out: {missing.message}")
            continue
        vectors = np.zeros((len(photos), embedder.dim), np.float32)
        cut = crops(photos, found, embedder.size, embedder.template)
        vectors[seen] = embedder.embed(cut).vectors
        row = measure(name, options.detector, listed, vectors, seen, embedder.contract_id)
        rows[name] = {key: getattr(row, key) for key in row.__slots__}
        print(rows[name], flush=True)
        files.write_text(options.output, json.dumps(list(rows.values()), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
