"""The one command that trains what ships, on a few pictures: every step runs and learns."""

from __future__ import annotations

import csv
import os
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_defaults.py"
#: Opens both bundles in a process of their own; prints how alike 24 faces are to their mirror
#: images (median), and to those of others (80th percentile).
CHECK = """
import sys
from pathlib import Path
import numpy as np
from arcid.pipeline import Pipeline
from arcid.train.config.recipe import SourceConfig
from arcid.train.data.crops import centre, decode_crop
from arcid.train.data.sources import open_source
from arcid.train.detector.scenes import read_picture
from arcid.types import Crops
out = Path(sys.argv[1])
models = out / "models"
pipeline = Pipeline.from_models(str(models / "arcid-detect-s"), str(models / "arcid-face-s"))
scenes = open_source(SourceConfig(path=str(out / "runs/scenes.tar"), labelled=False))
if len(pipeline.detector.detect([read_picture(scenes, 0)])) != 1:
    raise SystemExit("one picture in, one answer out")
crops = open_source(SourceConfig(path=sys.argv[2], labelled=False))
faces = np.stack([centre(decode_crop(crops.read(i)), 112) for i in range(24)])
mirrored = np.ascontiguousarray(faces[:, :, ::-1])
one, other = (pipeline.embedder.embed(Crops(f)).vectors for f in (faces, mirrored))
likeness = one @ other.T
print(np.median(np.diag(likeness)), np.percentile(likeness, 80))
"""


def started(out: Path, data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")}
    env = kept | {"ARCID_DATA": str(data), "ARCID_HOME": str(out / "home")}
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(out), "--smoke", *options],
        env=env, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip


def column(path: Path, name: str) -> list[float]:
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_half_a_selection_is_not_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = runpy.run_path(str(SCRIPT))["some"]
    whole, out = tmp_path / "whole.tar", tmp_path / "some.tar"
    with tarfile.open(whole, "w") as archive:
        for n in range(6):
            archive.addfile(tarfile.TarInfo(f"{n}.webp"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stop(*arguments: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(tarfile.TarFile, "addfile", stop)
        some(whole, out, 2)
    some(whole, out, 2)
    with tarfile.open(out) as archive:
        assert archive.getnames() == ["0.webp", "2.webp", "4.webp"]


@pytest.mark.long
@pytest.mark.training
@pytest.mark.data
def test_recipes_run_from_photographs_to_bundles(data_dir: Path, tmp_path: Path) -> None:
    ended = started(tmp_path, data_dir)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
    stage_error = column(tmp_path / "runs/face_s_1/metrics.csv", "stage_error")
    assert stage_error[-1] < 0.5 * stage_error[0]
    loss = column(tmp_path / "runs/face_s_2/metrics.csv", "loss")
    assert loss[-1] < 0.5 * loss[0]
    assert column(tmp_path / "runs/face_s_3/metrics.csv", "step")[-1] == 10
    assert column(tmp_path / "runs/face_s_4/metrics.csv", "step")[-1] == 5
    assert column(tmp_path / "runs/face_s_5/metrics.csv", "neighbours")[-1] > 0
    maps = column(tmp_path / "runs/detect_s_1/metrics.csv", "maps")
    assert maps[-1] < 0.8 * maps[0]
    for run in ("detect_s_2", "detect_s_3", "detect_s_4", "detect_s_5"):
        assert column(tmp_path / f"runs/{run}/metrics.csv", "step")[-1] == 10
    points = column(tmp_path / "runs/detect_points/metrics.csv", "loss")
    assert points[-1] < points[0]
    assert (tmp_path / "models/arcid-detect-s/points.onnx").is_file()

    told = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path), str(data_dir / "data/train/ukmp.tar")],
        env=os.environ | {"ARCID_HOME": str(tmp_path / "home")},  # which vouches for what it made
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-2000:]
    own, others = map(float, told.stdout.split()[-2:])
    assert own > others

    again = started(tmp_path, data_dir, "--only", "recogniser")
    assert again.returncode == 0, (again.stdout + again.stderr)[-3000:]
    assert column(tmp_path / "runs/face_s_2/metrics.csv", "loss") == loss
    assert column(tmp_path / "runs/face_s_3/metrics.csv", "step")[-1] == 10
    assert column(tmp_path / "runs/face_s_4/metrics.csv", "step")[-1] == 5
    assert column(tmp_path / "runs/face_s_5/metrics.csv", "neighbours")[-1] > 0
