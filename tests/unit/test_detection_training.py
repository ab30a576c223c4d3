"""A short run from labels to a bundle that finds faces in the product, resumed on the way."""

from __future__ import annotations

import csv
import dataclasses
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit import train_runs as runs

from arcid.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    ConfigError,
    ManifestInvalid,
    TrainingDiverged,
)
from arcid.files import write_text
from arcid.geometry import letterbox
from arcid.models.manifest import Manifest
from arcid.pipeline import Pipeline
from arcid.runtime import open_session
from arcid.train.config.file import dump
from arcid.train.detector.config import DetectConfig, parse_detect_config
from arcid.train.detector.export import export_detector
from arcid.train.detector.folded import fold
from arcid.train.detector.initial import load_weights, total
from arcid.train.detector.job import (
    INPUT,
    detector_session,
    measure_network,
    restore_network,
    train_detector,
)
from arcid.train.detector.network import DetectorNetwork
from arcid.train.detector.scenes import split
from arcid.train.engine.model import Model
from arcid.types import Image

STEPS = 240
RECIPE = """
scenes: {{path: {scenes}, labels: {labels}, pictures: 16, batch: 8, reserve: 0.3}}
views:
  {{sizes: [128], mosaic: 0, crowd: 0, empty: 0, face_px: 48, face_share: 0.5, rotate: 0,
   rotate_deg: 0, mask: 0}}
network: {{stem: 8, quarter: 16, channels: 24, inner: 24, blocks: 2, head: 1}}
optim: {{lr: 0.01, ema: 0.9}}
schedule: {{steps: {steps}, warmup: 3, final: 0.2}}
validation: {{minutes: 0, pictures: 0, size: 192}}
out: {out}
threads: 1
"""


@pytest.fixture(scope="module")
def labels(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty single portraits, labelled through the command line."""
    import tarfile

    from arcid.cli import app
    from arcid.cli.output import run_command

    folder = tmp_path_factory.mktemp("scenes")
    with tarfile.open(data_dir / "data/scenes.tar") as archive:
        members = [m for m in archive if m.name.startswith("single/")][:30]
        archive.extractall(folder, members, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        command = ["detector", "label", "--out", str(folder / "labels.jsonl")]
        assert run_command(app, [*command, "--scenes", str(folder), "--json"]) == 0
    return folder / "labels.jsonl"


def recipe(labels: Path, out: Path, **settings: Any) -> DetectConfig:
    values = {"steps": STEPS, **settings}
    text = RECIPE.format(scenes=labels.parent, labels=labels, out=out, **values)
    return parse_detect_config(text)


@pytest.fixture(scope="module")
def run(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a minute at most, stopped and resumed once."""
    out = tmp_path_factory.mktemp("run") / "detect"
    first = train_detector(recipe(labels, out, steps=STEPS // 2))
    assert first.steps == STEPS // 2
    assert train_detector(recipe(labels, out)).steps == STEPS
    return out


pytestmark = [pytest.mark.data, pytest.mark.training]


def test_the_loss_falls_and_rows_are_kept_over_a_resume(run: Path) -> None:
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == list(range(10, STEPS + 1, 10))
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    assert rows[-1]["points"] < 0.5 * rows[0]["points"]
    _, checkpoint = restore_network(run)
    assert (checkpoint.step, checkpoint.position) == (STEPS, STEPS * 8)


def test_pictures_trained_on_are_found_again(run: Path, labels: Path) -> None:
    config = recipe(labels, run)
    training, _ = split(config.scenes)
    network, _ = restore_network(run)
    assert measure_network(network, training, config).recall_at[1.0] >= 0.6


def test_a_run_with_other_settings_is_not_resumed(run: Path, labels: Path) -> None:
    other = recipe(labels, run)
    other = other.but(network=other.network.but(inner=16))
    with pytest.raises(CheckpointMismatch, match=r"another network .*network\.inner: 24 → 16"):
        train_detector(other)
    fewer = recipe(labels, run)
    fewer = fewer.but(scenes=fewer.scenes.but(further_share=0.1))
    with pytest.raises(CheckpointMismatch, match=r"scenes\.further_share"):
        train_detector(fewer)


def test_a_run_of_an_older_arcid_is_named(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match="holds no checkpoint"):
        restore_network(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"of before")
    for opened in (
        lambda: restore_network(tmp_path),
        lambda: train_detector(recipe(labels, tmp_path)),
    ):
        with pytest.raises(CheckpointInvalid, match=r"older arcid, .* init_from=BUNDLE"):
            opened()


@pytest.fixture
def short(labels: Path) -> Callable[..., DetectConfig]:
    """Runs of six steps, stored after every third."""

    def made(out: Path, **changes: Any) -> DetectConfig:
        config = recipe(labels, out, steps=6)
        often = config.checkpoint.but(every=3, minutes=0.0)
        views = config.views.but(sizes=(128, 96), mosaic=0.3)
        return config.but(checkpoint=often, views=views, **changes)

    return made


KILLED = """
import sys
from tests.unit.train_runs import kill_at
from arcid.train.detector.config import load_detect_config
from arcid.train.detector.job import train_detector
kill_at(5)
train_detector(load_detect_config(sys.argv[1]))
"""


def test_killed_or_asked_to_stop_it_goes_on_to_the_bit(
    short: Callable[..., DetectConfig], tmp_path: Path
) -> None:
    whole = train_detector(short(tmp_path / "whole")).run
    killed = short(tmp_path / "killed")
    write_text(tmp_path / "killed.yaml", dump(killed))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed.yaml")],
        capture_output=True, check=False, timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]

    stopped = short(tmp_path / "stopped")
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 3, lambda model: os.kill(os.getpid(), signal.SIGTERM))
        result = train_detector(stopped)
    assert (result.steps, result.stopped, result.checkpoint.name) == (4, True, "step-00000004")

    for config in (killed, stopped):
        result = train_detector(config)
        assert (result.steps, result.stopped) == (6, False)
        assert not runs.unlike(runs.state(result.run, 6), runs.state(whole, 6))
    assert runs.unlike(runs.state(whole, 3), runs.state(whole, 6)), "nothing was learned"
    (last,) = result.history
    assert last["step"] == 6 and "recall" in last
    assert "faces of 16 pictures" in (whole / "report.txt").read_text()


def at_step(patch: pytest.MonkeyPatch, step: int, event: Callable[[Model], object]) -> None:
    """Have something happen as update ``step`` begins."""
    original = Model.step

    def changed(self: Model, batch: Any, at: int, run: Path) -> dict[str, float]:
        if at == step:
            event(self)
        return original(self, batch, at, run)

    patch.setattr(Model, "step", changed)


def test_a_loss_that_is_no_number_stops_the_run(
    short: Callable[..., DetectConfig], tmp_path: Path
) -> None:
    config = short(tmp_path / "diverged")

    def poison(model: Model) -> None:
        with torch.no_grad():
            next(model.backbone.parameters()).fill_(torch.nan)

    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, poison)
        with pytest.raises(TrainingDiverged, match="step 4: the loss is not"):
            train_detector(config)
    (kept,) = (tmp_path / "diverged" / "diverged").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    batch = torch.load(kept, weights_only=True)
    assert len(batch["images"]) >= 8 and batch["boxes"].shape[1] == 4
    assert train_detector(config).steps == 6


def test_the_clock_stores_and_measures(short: Callable[..., DetectConfig], tmp_path: Path) -> None:
    config = short(tmp_path / "clock")
    often = config.checkpoint.but(every=0, minutes=1e-6, keep=99)
    measured = config.validation.but(minutes=1e-6)
    found = train_detector(config.but(checkpoint=often, validation=measured))
    assert len(list((found.run / "checkpoints").iterdir())) == 6
    assert [row["step"] for row in found.history] == [1, 2, 3, 4, 5, 6]
    still = short(tmp_path / "still", optim=config.optim.but(lr=0.0, ema=0.0))
    found = train_detector(still.but(validation=measured.but(patience=2)))
    assert (found.steps, found.stopped) == (3, False), "no weight moves"
    assert [path.name for path in (found.run / "best").iterdir()] == ["step-00000001"]


def test_what_detectors_cannot_do_is_refused(
    short: Callable[..., DetectConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"optim\.accumulate"):
        parse_detect_config("optim: {accumulate: 2}")
    with pytest.raises(ConfigError, match="channels_last alone"):
        parse_detect_config("precision: {autocast: bf16}")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="without torchrun"):
        train_detector(short(tmp_path / "two"))


def test_the_command_tells_stops_and_goes_on(
    short: Callable[..., DetectConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import json

    from arcid.cli import app
    from arcid.cli.output import run_command

    write_text(tmp_path / "recipe.yaml", dump(short(tmp_path / "run")))
    command = ["detector", "train", str(tmp_path / "recipe.yaml")]
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 1, lambda model: os.kill(os.getpid(), signal.SIGTERM))
        assert run_command(app, command) == 130
    out, err = capsys.readouterr()
    assert "training on" in err and "parameters" in err
    assert out.startswith("stopped; run it again to go on: 2 steps")
    assert run_command(app, [*command, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["steps"], found["stopped"], err) == (6, False, "")
    assert "recall" in found["metrics"]


@pytest.fixture(scope="module")
def bundle(run: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="exporting needs onnx")
    _, validation = split(recipe(labels, run).scenes)
    return export_detector(
        run,
        tmp_path_factory.mktemp("bundles"),
        [validation.image(0), validation.image(1)],
        name="arcid-detect-smoke",
        threshold=0.2,
    )


def test_the_bundle_finds_faces_in_the_product(
    bundle: Path, run: Path, labels: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    # so few steps make it sure of nothing
    pipeline = Pipeline.from_models(detector=str(bundle), size=192, sure=None)
    assert pipeline.detector.name == "arcid-detect-smoke" and pipeline.detector.has_points  # type: ignore[attr-defined]
    training, _ = split(recipe(labels, run).scenes)
    met = 0
    for row in range(len(training)):
        known = training.labels(row)
        faces = pipeline.faces(training.image(row), select="all")
        if not len(faces) or not len(known.boxes) or faces.detections is None:
            continue
        box = faces.detections.boxes[0]
        centre = (box[:2] + box[2:]) / 2
        met += bool((centre > known.boxes[0, :2]).all() and (centre < known.boxes[0, 2:]).all())
        assert np.isfinite(faces.embeddings.vectors).all()
    assert met >= 0.7 * len(training)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_the_file_answers_as_torch_does_on_any_shape(
    bundle: Path, run: Path, labels: Path, runtime: Any
) -> None:
    network, _ = restore_network(run)
    session, ours = open_session(bundle / "model.onnx", runtime=runtime), detector_session(network)
    _, validation = split(recipe(labels, run).scenes)
    for shape in ((192, 96), (96, 224)):
        pictures: list[Image] = [letterbox(validation.image(i), *shape)[0] for i in range(2)]
        tensor = INPUT.prepare(np.stack(pictures))
        theirs, wanted = session.run(tensor), ours.run(tensor)
        for name, value in wanted.items():
            assert value.std() > 0
            np.testing.assert_allclose(theirs[name], value, atol=2e-3)


def test_card_and_manifest_say_what_was_done(bundle: Path) -> None:
    manifest = Manifest.load(bundle / "manifest.json")
    assert (manifest.task, manifest.family) == ("detection", "arcid")
    assert manifest.provenance["steps"] == STEPS
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    assert manifest.sha256 in card and f"{STEPS * 8:,} canvases" in card


def test_folding_changes_nothing_and_a_bundle_starts_another_run(bundle: Path, run: Path) -> None:
    network, _ = restore_network(run)
    x = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    config = recipe(run, run).network
    started, copied = DetectorNetwork(config), DetectorNetwork(config)
    of_run = {"steps": STEPS, "pictures": STEPS * 8}
    for given in (
        load_weights(started, bundle, restore_network),
        load_weights(copied, run, restore_network),
    ):
        assert of_run.items() <= given.items() and given["seconds"] >= 0
    with torch.inference_mode():
        wanted = network(x)
        for other in (fold(network), started.eval(), copied.eval()):
            for mine, theirs in zip(other(x), wanted, strict=True):
                torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=1e-3)
    wider = DetectorNetwork(config.but(inner=16))
    with pytest.raises(CheckpointMismatch, match="does not fit the network"):
        load_weights(wider, bundle, restore_network)
    with pytest.raises(CheckpointMismatch, match="does not fit the network") as caught:
        load_weights(wider, run, restore_network)
    (setting,) = shlex.split(caught.value.message.partition("set ")[2])
    assert parse_detect_config("{}", [setting]).network == config


def test_a_manifest_of_other_strides_is_refused(bundle: Path) -> None:
    from arcid.detect import create

    manifest = Manifest.load(bundle / "manifest.json")
    session = open_session(bundle / "model.onnx")
    other = dataclasses.replace(manifest, options={"strides": [16, 32, 64]})
    with pytest.raises(ManifestInvalid, match="cells"):
        create(other, session).detect([np.zeros((64, 64, 3), np.uint8)])


def test_a_run_counts_what_it_was_started_from(run: Path, labels: Path, tmp_path: Path) -> None:
    config = recipe(labels, tmp_path, steps=20).but(init_from=str(run))
    train_detector(config)
    _, checkpoint = restore_network(tmp_path)
    assert (checkpoint.step, total(checkpoint)["steps"]) == (20, STEPS + 20)
    assert total(checkpoint)["pictures"] == (STEPS + 20) * 8
    train_detector(recipe(labels, tmp_path, steps=40))
    _, again = restore_network(tmp_path)
    assert total(again)["steps"] == STEPS + 40
