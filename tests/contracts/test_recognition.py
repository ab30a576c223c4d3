"""Photographs to decisions with every five-point detector and mobilefacenet_128."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid import load_image
from arcid.embed import OnnxEmbedder
from arcid.evaluate.metrics import auc
from arcid.models import weights
from arcid.pipeline import Pipeline, load_detector, load_embedder
from arcid.runtime import open_session
from arcid.types import Crops

pytestmark = pytest.mark.data
RECOGNISER = "mobilefacenet_128"
PLAIN, CONVERTED = ("scrfd_2.5g", "yunet"), ("retinaface_mnet025", "mtcnn")

#: Cosines of pairs of deepface-pairs with SCRFD-2.5G and mobilefacenet_128, fp32. Swapped
#: channels or skipped normalisation move them by far more than the tolerance.
GOLDEN = {
    ("img1", "img6"): 0.7081,
    ("img1", "img7"): 0.6429,
    ("img1", "img21"): 0.0726,
    ("img5", "img10"): 0.8462,
    ("img6", "img11"): 0.7664,
    ("img7", "img20"): -0.0640,
}
TOLERANCE = 0.01


def _pairs(data_dir: Path) -> Iterator[tuple[str, str, bool]]:
    with (data_dir / "data/deepface-pairs/master.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            yield row["file_x"], row["file_y"], row["Decision"] == "Yes"


def _scores(pipeline: Pipeline, data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and labels of the 300 pairs, the largest face of each photo."""
    photos = sorted((data_dir / "data/deepface-pairs").glob("*.jpg"))
    faces = pipeline.faces_batch(photos, select="largest")
    vectors = {Path(item.name).name: item.get().embeddings for item in faces}
    assert all(len(v) == 1 for v in vectors.values())
    rows = list(_pairs(data_dir))
    assert len(rows) == 300
    scores = np.array([vectors[a].cosine(vectors[b])[0, 0] for a, b, _ in rows])
    return scores, np.array([same for _, _, same in rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLAIN, *CONVERTED])
def test_all_300_pairs_are_separated(name: str, data_dir: Path, bundles: Any) -> None:
    detector = str(bundles(name)) if name in CONVERTED else name
    scores, same = _scores(Pipeline.from_models(detector, RECOGNISER), data_dir)
    assert auc(scores[same], scores[~same]) == 1.0


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    return Pipeline.from_models("scrfd_2.5g", RECOGNISER)


def _golden_errors(pipeline: Pipeline, data_dir: Path) -> list[float]:
    folder = data_dir / "data/deepface-pairs"
    names = sorted({name for pair in GOLDEN for name in pair})
    faces = pipeline.faces_batch([folder / f"{n}.jpg" for n in names], select="largest")
    vectors = {Path(item.name).stem: item.get().embeddings for item in faces}
    return [
        abs(float(vectors[a].cosine(vectors[b])[0, 0]) - cosine)
        for (a, b), cosine in GOLDEN.items()
    ]


def test_golden_cosines(pipeline: Pipeline, data_dir: Path) -> None:
    assert max(_golden_errors(pipeline, data_dir)) < TOLERANCE


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_golden_cosines_hold_on_every_runtime(runtime: str, data_dir: Path) -> None:
    pipeline = Pipeline.from_models("scrfd_2.5g", RECOGNISER, runtime=runtime)
    assert max(_golden_errors(pipeline, data_dir)) < TOLERANCE


@pytest.mark.parametrize(
    "damage",
    [
        {"colour": "BGR"},
        {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        {"std": (64.0, 64.0, 64.0)},
    ],
    ids=["channels swapped", "not normalised", "half the range"],
)
def test_the_golden_catches_a_wrong_input_contract(
    damage: dict[str, object], data_dir: Path
) -> None:
    bundle = weights.resolve(RECOGNISER)
    manifest = replace(bundle.manifest, input=replace(bundle.manifest.input, **damage))
    embedder = OnnxEmbedder(open_session(bundle.path), manifest)
    assert embedder.contract_id != bundle.manifest.contract_id
    wrong = Pipeline(load_detector("scrfd_2.5g"), embedder)
    assert max(_golden_errors(wrong, data_dir)) > TOLERANCE


def test_bgr_pictures_say_so(pipeline: Pipeline, data_dir: Path) -> None:
    path = data_dir / "data/deepface-pairs/img1.jpg"
    rgb = load_image(path)
    from_bgr = load_image(rgb[..., ::-1], color="bgr")
    assert np.array_equal(rgb, from_bgr)
    right = pipeline.faces(path, select="largest").embeddings
    wrong = pipeline.faces(np.ascontiguousarray(rgb[..., ::-1]), select="largest").embeddings
    assert float(right.cosine(wrong)[0, 0]) < 0.999


def test_verify_states_its_error_rate(pipeline: Pipeline, data_dir: Path) -> None:
    folder = data_dir / "data/deepface-pairs"
    same = pipeline.verify(folder / "img1.jpg", folder / "img2.jpg")
    other = pipeline.verify(folder / "img1.jpg", folder / "img3.jpg")
    assert same.decision.outcome == "match"
    assert other.decision.outcome == "no_match"
    assert same.decision.target_fmr == 1e-4
    assert same.decision.fmr is not None
    assert same.decision.fmr < 1e-4
    assert same.decision.probability is not None
    assert same.decision.probability > 0.99


def test_batch_equals_singles_and_crops_equal_photos(pipeline: Pipeline, data_dir: Path) -> None:
    photos = sorted((data_dir / "data/deepface-pairs").glob("*.jpg"))[:6]
    together = pipeline.faces_batch(photos, select="largest")
    for photo, item in zip(photos, together, strict=True):
        faces = item.get()
        alone = pipeline.faces(photo, select="largest")
        assert float(alone.embeddings.cosine(faces.embeddings)[0, 0]) > 0.9999
        aligned = pipeline.faces(alone.crops.pixels[0], aligned=True)
        assert float(alone.embeddings.cosine(aligned.embeddings)[0, 0]) > 0.9999


def test_embedder_takes_crops_of_a_crop(pipeline: Pipeline) -> None:
    embedder = load_embedder(weights.resolve(RECOGNISER))
    assert len(embedder.embed(Crops.empty())) == 0
