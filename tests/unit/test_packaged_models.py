"""The models that ship: whole, small, honest about their terms, and enough to work offline."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from arcid import paths
from arcid.detect import once
from arcid.errors import ManifestInvalid, ModelUnsupported
from arcid.evaluate.metrics import auc
from arcid.models import goldens, weights
from arcid.models.manifest import Manifest
from arcid.pipeline import Pipeline
from arcid.types import Detections, Image

CARDS = Path(__file__).parents[2] / "model_cards"
FOLDERS = sorted(p.parent for p in paths.packaged_models_dir().glob("*/manifest.json"))
LARGEST = {"recognition": 6e6, "detection": 1.5e6, "landmarks": 1e6}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The product on a machine that has nothing but the package."""
    for name in ("ARCID_MODELS", "ARCID_DATA", "ARCID_DETECTOR", "ARCID_RECOGNISER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("ARCID_DATA", str(tmp_path / "none"))
    names = [weights.resolve_default(task).name for task in ("detection", "recognition")]
    return Pipeline.from_models(*names)


def test_every_kind_ships() -> None:
    tasks = {json.loads((f / "manifest.json").read_text("utf-8"))["task"] for f in FOLDERS}
    assert tasks == set(LARGEST)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_bundle_is_whole(folder: Path) -> None:
    bundle = weights.resolve(folder.name)
    assert bundle.origin == "packaged" and bundle.path.parent == folder
    manifest: Manifest = bundle.manifest
    size = sum(file.stat().st_size for file in folder.glob("*.onnx"))
    assert size <= LARGEST[manifest.task]
    assert "research" in manifest.licence.name and not manifest.licence.commercial_use
    assert manifest.training_data and manifest.accuracy and manifest.provenance
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    for part in ("## Terms", "## Intended use", "## Measured accuracy", "## Where it fails"):
        assert part in card
    assert manifest.licence.name in card and manifest.training_data in card
    assert re.search(r"\b\d[\d.]* minutes", card), "the card does not say how long was trained"
    assert (CARDS / f"{folder.name}.md").read_text("utf-8") == card


def test_they_work_without_any_other_model(alone: Pipeline) -> None:
    assert alone.detector.name.startswith("arcid-")  # type: ignore[attr-defined]
    grey = np.full((240, 320, 3), 127, np.uint8)
    assert len(alone.detector.detect([grey])[0]) == 0
    found = weights.resolve_default("detection")
    overlap = goldens.check_finds(found.manifest, once(alone.detector), found.folder)
    assert overlap is not None and overlap > goldens.MINIMUM_IOU
    assert 4 <= len(once(alone.detector)([goldens.synthetic_picture()])[0]) <= 5  # ovals
    bundle = weights.resolve_default("recognition")
    apart = goldens.check(bundle.manifest, alone.embedder.embed, bundle.path.parent)
    assert apart is not None
    assert alone.calibration.threshold_at_fmr(1e-3).cosine > 0


def test_a_detector_that_answers_otherwise_is_found(alone: Pipeline, tmp_path: Path) -> None:
    bundle = weights.resolve_default("detection")
    manifest, detect = bundle.manifest, once(alone.detector)

    def swapped(images: Sequence[Image]) -> list[Detections]:
        return detect([np.ascontiguousarray(image[..., ::-1]) for image in images])

    def shifted(images: Sequence[Image]) -> list[Detections]:
        moved = []
        for d in detect(images):
            assert d.points is not None
            moved.append(Detections(d.boxes, d.scores, d.points + 9, d.image_size))
        return moved

    def blind(images: Sequence[Image]) -> list[Detections]:
        return [Detections.empty(image.shape[:2]) for image in images]

    for other in (swapped, shifted, blind):
        with pytest.raises(ModelUnsupported, match="answers otherwise"):
            goldens.check_finds(manifest, other, bundle.folder)
    assert goldens.check_finds(manifest, detect, tmp_path) is None
    goldens.write_finds(tmp_path, manifest, detect)
    assert goldens.check_finds(manifest, detect, tmp_path) == pytest.approx(1, abs=1e-3)
    with pytest.raises(ManifestInvalid, match="another model file"):
        edited = dataclasses.replace(manifest, sha256="0" * 64)
        goldens.check_finds(edited, detect, tmp_path)
    stored = json.loads((tmp_path / goldens.FILE).read_text("utf-8"))
    for change in ({"score": "sure"}, {"box": [1, 2]}, {"points": [[1, 2], [3]]}):
        text = json.dumps(stored | {"faces": [stored["faces"][0] | change]})
        (tmp_path / goldens.FILE).write_text(text, "utf-8")
        with pytest.raises(ManifestInvalid, match="cannot be read"):
            goldens.check_finds(manifest, detect, tmp_path)
    (tmp_path / goldens.FILE).write_text('{"schema_version": 1}', "utf-8")
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        goldens.check_finds(manifest, detect, tmp_path)


@pytest.mark.data
def test_they_tell_people_apart(alone: Pipeline, data_dir: Path) -> None:
    """25 photos of public figures, 300 pairs, 38 of one person."""
    folder = data_dir / "data" / "deepface-pairs"
    with (folder / "master.csv").open() as file:
        pairs = list(csv.reader(file))[1:]
    photos = sorted({name for first, second, _ in pairs for name in (first, second)})
    vectors = {
        name: alone.one_face(folder / name, select="largest").embedding.vectors[0]
        for name in photos
    }
    cosines = np.array([float(vectors[a] @ vectors[b]) for a, b, _ in pairs])
    same = np.array([answer == "Yes" for _, _, answer in pairs])
    assert same.sum() == 38
    assert auc(cosines[same], cosines[~same]) > 0.97
    threshold = alone.calibration.threshold_at_fmr(1e-3).cosine
    assert (cosines[~same] >= threshold).mean() <= 0.01
    assert (cosines[same] >= threshold).mean() >= 0.6
