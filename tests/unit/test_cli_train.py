"""arcid train, distill and backbones: what they print, refuse and leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from arcid.train.backbones import BACKBONES
from arcid.train.engine.model import Model

pytestmark = [pytest.mark.data, pytest.mark.training]
CONFIG = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  size: 32
  batch: 16
  workers: 1
  identities: 8
  max_images: 12
  holdout: 0.2
  holdout_identities: 2
model: {backbone: mobilefacenet_relu_x0.5, dim: 32, options: {width: 0.25}}
schedule: {steps: 4}
validation: {every: 0, photos: 60}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG + f"out: {tmp_path / 'run'}\n")
    return path


def test_train_tells_network_data_and_result(cli: Callable[..., Any], config: Path) -> None:
    ran = cli("train", config, "schedule.steps=3", "optim.lr=0.05")
    assert ran.code == 0, ran.err
    assert "mobilefacenet_relu_x0.5: " in ran.err
    assert "parameters" in ran.err
    assert "training on 80 photos of 8 identities" in ran.err
    assert "2 identities held out whole" in ran.err
    assert "step 3  epoch" in ran.err
    assert ran.out.startswith("done: 3 steps, 0.6 epochs")
    assert "held_auc: 0." in ran.out
    assert "lr: 0.05" in (config.parent / "run" / "config.yaml").read_text()


def test_train_in_json_goes_on_where_it_stopped(
    cli: Callable[..., Any], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Model.step

    def asked(self: Model, batch: Any, at: int, run: Path) -> dict[str, float]:
        if at == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, at, run)

    with monkeypatch.context() as patch:
        patch.setattr(Model, "step", asked)
        ran = cli("train", config, "--json")
    assert ran.code == 130
    assert (ran.json["steps"], ran.json["stopped"]) == (2, True)
    ran = cli("train", config)
    assert ran.code == 0
    assert "going on from step 2" in ran.err
    ran = cli("train", config, "--json")
    assert ran.err == ""
    found = ran.json
    assert (found["steps"], found["stopped"]) == (4, False)
    assert found["checkpoint"].endswith("step-00000004")
    assert {"train_accuracy", "holdout_accuracy", "held_auc"} <= set(found["metrics"])


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("optim.lrr=1",), 2, "did you mean optim.lr?"),
        (("optim.lr",), 2, "optim.lr"),
        (("distil.teachers=[mobilefacenet_128]",), 2, "arcid distill tiny.yaml"),
        (("data.sources=[/nowhere]",), 3, "nowhere"),
        (("init_from=/nowhere/model",), 4, "not there"),
    ],
)
def test_train_refuses_with_an_exit_code(
    words: tuple[str, ...], code: int, text: str, cli: Callable[..., Any], config: Path
) -> None:
    ran = cli("train", config, *words)
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert not (config.parent / "run").exists()
    assert cli("train", config, *words, "--json").json["error"]["message"]


def test_train_without_its_file_says_so(cli: Callable[..., Any], tmp_path: Path) -> None:
    ran = cli("train", tmp_path / "none.yaml")
    assert ran.code == 2
    assert "none.yaml cannot be read: No such file" in ran.err


def test_train_measures_whole_photos_with_the_default_detector(
    cli: Callable[..., Any], config: Path, data_dir: Path, tmp_path: Path
) -> None:
    lfw = data_dir / "data" / "lfw-dev"
    lines = (lfw / "pairsDevTest.txt").read_text().splitlines()
    few = ["4", *lines[1:5], *lines[501:505]]
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "pairs.txt").write_text("\n".join(few) + "\n")
    (tmp_path / "few" / "images").symlink_to(lfw / "images")
    words = (f"validation.pairs=[{tmp_path / 'few'}]", "schedule.steps=1", "data.holdout=0")
    found = cli("train", config, *words, "--json").json["metrics"]
    assert 0 <= found["few_auc"] <= 1
    assert "few_accuracy" in found


def test_distill_reports_how_many_dimensions_are_used(
    cli: Callable[..., Any], config: Path
) -> None:
    words = (
        "distil.teachers=[mobilefacenet_128]", "data.size=112", "data.batch=8", "schedule.steps=2",
    )  # fmt: skip
    ran = cli("distill", config, *words)
    assert ran.code == 0, ran.err
    assert " of 32 dimensions, on " in ran.out
    assert "photos of identities held out" in ran.out
    student = cli("distill", config, *words, "--json").json["student"]
    assert 1 < student["effective_rank"] < 32
    assert student["photos"] == 260


def test_distill_needs_a_teacher(cli: Callable[..., Any], config: Path) -> None:
    ran = cli("distill", config)
    assert ran.code == 2
    assert "arcid train tiny.yaml" in ran.err


def test_backbones_lists_what_can_be_trained(cli: Callable[..., Any]) -> None:
    found = cli("backbones", "--json").json
    costs = {row["name"]: row for row in found["backbones"]}
    assert set(costs) == set(BACKBONES)
    assert costs["iresnet50"]["parameters"] == pytest.approx(43.59e6, rel=1e-4)
    assert costs["iresnet50"]["macs"] == pytest.approx(6.31e9, rel=0.01)


def test_torchrun_runs_the_command(config: Path, data_dir: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    ran = subprocess.run(
        [*command, "--nproc-per-node", "2", "-m", "arcid", "train", str(config), "--json"],
        capture_output=True, check=False, text=True, timeout=300,
        env={**os.environ, "ARCID_DATA": str(data_dir), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.count('"steps": 4') == 1, "the first rank alone prints"
    parts = sorted((config.parent / "run/checkpoints/step-00000004").glob("rank-*.pt"))
    shapes = [torch.load(p, weights_only=True)["classifier"]["weight"].shape for p in parts]
    assert [tuple(s) for s in shapes] == [(4, 1, 32), (4, 1, 32)]


@pytest.mark.parametrize(
    "command", ["train", "distill", "study", "detector train", "detector points"]
)
def test_what_trains_keeps_freed_memory_before_anything_else(
    command: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("arcid.train.engine.memory.keep_freed", lambda: asked.append(True))
    ran = cli(*command.split(), tmp_path / "nowhere.yaml")
    assert ran.code == 2, ran.err
    assert "nowhere.yaml cannot be read" in ran.err
    assert asked == [True]
