"""configs/smoke.yaml from start to finish: it learns faces, and its bundle runs in the product."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from arcid.apps.aligned import Aligner
from arcid.embed import OnnxEmbedder
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.evaluate.protocols import verify
from arcid.evaluate.readers import PairList, read_lfw
from arcid.models.weights import resolve
from arcid.runtime import open_session
from arcid.train.config.recipe import load_config
from arcid.train.data.features import embed
from arcid.train.export import ExportRequest, export
from arcid.train.recogniser.job import train
from arcid.train.weights.restore import backbone_of
from arcid.types import Crops, FloatArray

CONFIG = Path(__file__).parents[2] / "configs" / "smoke.yaml"
PAIRS = 150  # of each kind
ENOUGH = 200  # steps; two idle cores make more within the time of the config


def lfw_dev(data_dir: Path, folder: Path) -> PairList:
    lines = (data_dir / "data/lfw-dev/pairsDevTest.txt").read_text().splitlines()
    count = int(lines[0])
    some = [str(PAIRS), *lines[1 : 1 + PAIRS], *lines[1 + count : 1 + count + PAIRS]]
    (folder / "pairs.txt").write_text("\n".join(some) + "\n")
    return read_lfw(folder / "pairs.txt", data_dir / "data/lfw-dev/images")


@pytest.mark.data
@pytest.mark.training
def test_smoke_config_ends_with_a_bundle_that_beats_the_untrained_network(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    out = f"out={tmp_path / 'smoke'}"
    config = load_config(CONFIG, [out])
    began = time.monotonic()
    result = train(config)
    assert config.schedule.minutes * 60 <= result.seconds
    assert not result.stopped
    minutes = config.schedule.minutes
    while result.steps < ENOUGH and minutes < 10:  # a slow machine goes on from where it stopped
        minutes *= 2
        result = train(load_config(CONFIG, [out, f"schedule.minutes={minutes}"]))
    written = export(result.run, tmp_path / "models", ExportRequest(licence="test", name="smoke"))
    spent = time.monotonic() - began
    assert spent < 100 or minutes > config.schedule.minutes  # 50 on two idle cores

    listed = lfw_dev(data_dir, tmp_path)
    found = Aligner(112, None)([photo.source for photo in listed.photos])
    failures = {i: f for i, f in enumerate(found) if isinstance(f, Failure)}
    blank = np.zeros((112, 112, 3), np.uint8)
    crops = np.stack([blank if isinstance(f, Failure) else f for f in found])
    assert len(failures) < 5

    def auc(vectors: FloatArray) -> float:
        names = tuple(photo.name for photo in listed.photos)
        return verify(listed, EmbeddingSet(names, vectors, "x", failures), replicates=2).auc

    bundle = resolve(str(written.path))
    embedder = OnnxEmbedder(open_session(bundle.path), bundle.manifest)
    trained = auc(embedder.embed(Crops(crops)).vectors)
    torch.manual_seed(config.seed)
    small = np.stack([cv2.resize(c, (64, 64), interpolation=cv2.INTER_AREA) for c in crops])
    fresh = embed(backbone_of(config).eval(), small, torch.device("cpu"))
    untrained = auc(torch.nn.functional.normalize(fresh, dim=1).numpy())
    print(f"AUC {untrained:.3f} untrained, {trained:.3f} after {result.steps} steps, {spent:.0f} s")
    assert trained > untrained + 0.03
