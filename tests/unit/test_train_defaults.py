"""The one command that trains what ships, on a few pictures: every step runs and learns."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from arcid.pipeline import Pipeline
from arcid.train.config import SourceConfig
from arcid.train.data.chips import centre, decode_chip
from arcid.train.data.sources import open_source
from arcid.train.detection.scenes import read_picture
from arcid.types import Crops

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_defaults.py"


def started(out: Path, data: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")}
    env = kept | {"ARCID_DATA": str(data), "ARCID_HOME": str(out / "home")}
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(out), "--smoke"],
        env=env, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip


def column(path: Path, name: str) -> list[float]:
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


@pytest.mark.data
def test_recipes_run_from_photographs_to_bundles(data_dir: Path, tmp_path: Path) -> None:
    ended = started(tmp_path, data_dir)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
    stage_error = column(tmp_path / "runs/face_s_1/metrics.csv", "stage_error")
    assert stage_error[-1] < 0.5 * stage_error[0]
    cosine = column(tmp_path / "runs/face_s_2/metrics.csv", "cosine")
    assert cosine[-1] > cosine[0] + 0.05
    loss = column(tmp_path / "runs/detect_smoke/metrics.csv", "loss")
    assert loss[-1] < loss[0]

    models = tmp_path / "models"
    pipeline = Pipeline.from_models(str(models / "arcid-detect-s"), str(models / "arcid-face-s"))
    scenes = open_source(SourceConfig(str(tmp_path / "runs/scenes.tar"), labelled=False))
    assert len(pipeline.detector.detect([read_picture(scenes, 0)])) == 1
    chips = open_source(SourceConfig(str(data_dir / "data/train/ukmp.tar"), labelled=False))
    faces = np.stack([centre(decode_chip(chips.read(i)), 112) for i in range(24)])
    vectors = pipeline.embedder.embed(Crops(faces)).vectors
    mirrored = pipeline.embedder.embed(Crops(np.ascontiguousarray(faces[:, :, ::-1]))).vectors
    likeness = vectors @ mirrored.T
    assert np.median(np.diag(likeness)) > np.percentile(likeness, 80)

    again = started(tmp_path, data_dir)
    assert again.returncode == 0, (again.stdout + again.stderr)[-3000:]
    assert column(tmp_path / "runs/face_s_2/metrics.csv", "cosine") == cosine
