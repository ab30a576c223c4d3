"""The loop: the same run however often it is stopped, on however many ranks, or a clear error."""

from __future__ import annotations

import csv
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.unit import train_runs as runs

from arcid import files
from arcid.errors import (
    ArcidError,
    CheckpointInvalid,
    CheckpointMismatch,
    ConfigError,
    DatasetInvalid,
    ModelNotFound,
    TrainingDiverged,
    UsageError,
)
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.dataset import open_data
from arcid.train.data.draws import Draws
from arcid.train.data.features import read_crops
from arcid.train.engine.loop import LOCK
from arcid.train.engine.model import Model
from arcid.train.ranks import Ranks
from arcid.train.recogniser.job import train
from arcid.train.weights.checkpoint import CheckpointStore
from arcid.train.weights.initial import open_initial
from arcid.train.weights.restore import restore_backbone

pytestmark = [pytest.mark.data, pytest.mark.training, pytest.mark.usefixtures("one_thread")]
SCRIPT = Path(__file__).with_name("train_runs.py")
FROZEN = ("model.freeze_norm=true", "optim.clip=0", "checkpoint.every=5", "schedule.steps=10")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """Six steps without a break, stored at 3 and 6."""
    return train(runs.config(folder / "whole")).run


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[Model], None]], None]:
    """Have something happen as update ``step`` begins."""
    original = Model.step

    def install(step: int, event: Callable[[Model], None]) -> None:
        def changed(self: Model, batch: Any, at: int, run: Path) -> dict[str, float]:
            if at == step:
                event(self)
            return original(self, batch, at, run)

        monkeypatch.setattr(Model, "step", changed)

    return install


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, float]]:
    with (run / name).open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def far(found: Any, expected: Any) -> float:
    """Largest relative distance of two weights of one name."""
    one, two = runs.tensors(found), runs.tensors(expected)
    assert set(one) == set(two)
    return max(
        float(torch.linalg.vector_norm((one[k] - two[k]).double()))
        / max(float(torch.linalg.vector_norm(two[k].double())), 1e-3)
        for k in one
        if one[k].is_floating_point()
    )


def test_a_run_leaves_what_the_docs_say(whole: Path) -> None:
    assert {p.name for p in whole.iterdir()} >= {
        "config.yaml", "report.txt", "metrics.csv", "validation.csv", "checkpoints",
    }  # fmt: skip
    assert [p.name for p in CheckpointStore(whole / "checkpoints").paths()] == [
        "step-00000003", "step-00000006",
    ]  # fmt: skip
    (row,) = rows(whole)
    assert row["step"] == 6
    assert row["epoch"] == pytest.approx(6 * 16 / (8 * 12), rel=1e-5)
    assert 0 < row["loss"] < 20
    from arcid.train.config.recipe import load_config

    assert load_config(whole / "config.yaml") == runs.config(whole)
    assert "training on 96 photos of 8 identities" in (whole / "report.txt").read_text()


def test_sigkill_changes_nothing(whole: Path, tmp_path: Path) -> None:
    job = {"name": "killed", "overrides": [], "kill_at": 5}
    (tmp_path / "jobs.json").write_text(json.dumps([job]))
    killed = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    run = tmp_path / "killed"
    assert [p.name for p in CheckpointStore(run / "checkpoints").paths()] == ["step-00000003"]
    result = train(runs.config(run))
    assert (result.steps, result.stopped) == (6, False)
    assert not runs.unlike(runs.state(run, 6), runs.state(whole, 6))


PARTIAL = ("classifier.kind=partial", "classifier.rate=0.5", "loss.name=subcenter_arcface",
           "classifier.centres=2")  # fmt: skip
DISTIL = (
    "distil.teachers=[mobilefacenet_128]", "distil.relational=1", "distil.margin=0.1",
    "distil.mix=0.5", "distil.clean=0.5", "data.size=112", "data.batch=8", "model.dropout=0.2",
    "augment.blur=0.5", "schedule.steps=4", "checkpoint.every=2",
)  # fmt: skip
VARIANTS = {
    "triplets": ("loss={name: triplet_semihard}", "data.per_identity=4", "optim.clip=1"),
    "averaged_adamw": ("optim.name=adamw", "optim.lr=1e-3", "optim.ema=0.9", "model.dropout=0.3"),
    "partial": (*PARTIAL, "optim.name=adamw", "optim.lr=1e-3"),
    "adaface_accumulated": ("loss={name: adaface}", "optim.accumulate=2", "data.holdout=0.2"),
    "distilled": DISTIL,
    "balanced_bf16": ("data.class_balance=0.5", "precision.autocast=bf16"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_run_is_the_uninterrupted_one(variant: str, folder: Path) -> None:
    overrides = VARIANTS[variant]
    whole, broken = folder / variant, folder / f"{variant}-broken"
    last = train(runs.config(whole, *overrides)).steps

    class PowerCut(Exception):
        pass

    with pytest.MonkeyPatch.context() as patch:
        original = Model.step

        def deadly(self: Model, batch: Any, at: int, run: Path) -> dict[str, float]:
            if at == last - 1:
                raise PowerCut
            return original(self, batch, at, run)

        patch.setattr(Model, "step", deadly)
        with pytest.raises(PowerCut):
            train(runs.config(broken, *overrides))
    torch.manual_seed(99)  # whatever was drawn meanwhile
    np.random.seed(99)
    assert train(runs.config(broken, *overrides)).steps == last
    found, expected = runs.state(broken, last), runs.state(whole, last)
    assert not runs.unlike(found, expected)
    assert runs.unlike(found, runs.state(whole, last // 2)), "nothing was learned in between"


def aligned_pairs(path: Path, config: TrainConfig) -> Path:
    """A .bin of 15 pairs of aligned faces, an odd number of photos for two ranks."""
    samples = open_data(config.data).train
    crops, people = read_crops(samples)
    rows = [np.flatnonzero(people == who) for who in range(5)]
    sides = [(r[i], r[i + 1]) for r in rows for i in range(2)]
    sides += [(rows[i][0], rows[i + 1][2]) for i in range(4)] + [(rows[4][1], rows[0][5])]
    photos = [
        cv2.imencode(".png", crops[i][..., ::-1])[1].tobytes() for pair in sides for i in pair
    ]
    path.write_bytes(pickle.dumps((photos, [True] * 10 + [False] * 5), protocol=4))
    return path


@pytest.fixture(scope="module")
def two(folder: Path, whole: Path) -> Path:
    """Runs of two ranks from the weights and norms of ``whole``."""
    place = folder / "two_ranks"
    place.mkdir()
    frozen = [*FROZEN, f"init_from={whole}", "data.holdout=0.2"]
    listed = aligned_pairs(place / "few.bin", runs.config(place / "none"))
    packaged = open_initial("arcid-face-s")
    options = {k: v for k, v in packaged.options.items() if k != "size"}
    model = {"backbone": packaged.name, "dim": packaged.backbone.dim, "options": options}
    good = [
        "init_from=arcid-face-s", "data.size=112", f"model={json.dumps(model)}",
        "optim.lr=0", "schedule.steps=1", "data.holdout=0.2", "data.holdout_identities=4",
        f"validation={{pairs: [{listed}], flip: true}}", "model.freeze_norm=true",
    ]  # fmt: skip
    still = [
        "optim.lr=0", "model.freeze_norm=true", "data.holdout_identities=4", "schedule.steps=40",
        "validation={every: 0.5, patience: 1}",
    ]  # fmt: skip
    jobs = [
        {"name": "two", "overrides": frozen},
        {"name": "still", "overrides": still},
        {"name": "again", "copy": "two", "step": 5, "overrides": frozen},
        {"name": "passes", "overrides": [*frozen, "optim.accumulate=2"]},
        {"name": "good", "overrides": good},
        {"name": "halved", "overrides": [*frozen, "precision.exchange=fp16"]},
        {"name": "dropout", "overrides": ["model.dropout=0.5", "schedule.steps=1"]},
    ]
    (place / "jobs.json").write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    ran = subprocess.run(
        [*command, "--nproc-per-node", "2", str(SCRIPT), str(place)],
        capture_output=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    train(runs.config(place / "one", *frozen))
    train(runs.config(place / "good_one", *good))
    return place


def joined(run: Path, step: int) -> dict[str, Any]:
    """Weights, and centres of all ranks, of a checkpoint."""
    from arcid.train.heads.classifier import reshard_state

    (path,) = (
        p for p in CheckpointStore(run / "checkpoints").paths() if p.name.endswith(str(step))
    )
    parts = [torch.load(p, weights_only=True)["classifier"] for p in sorted(path.glob("rank-*"))]
    shared = torch.load(path / "shared.pt", weights_only=True)
    return {"backbone": shared["backbone"], "centres": reshard_state(parts, 0, 1)["weight"]}


@pytest.mark.parametrize("name", ["two", "passes"])
def test_two_ranks_are_one(name: str, two: Path) -> None:
    assert len(list((two / name / "checkpoints" / "step-00000010").glob("rank-*"))) == 2
    expected = joined(two / "one", 10)
    assert far(joined(two / name, 10), expected) < 1e-5
    assert far(joined(two / "one", 5), expected) > 1e-3, "nothing was learned"
    found, wanted = rows(two / name, "validation.csv"), rows(two / "one", "validation.csv")
    assert found[-1]["holdout_accuracy"] == wanted[-1]["holdout_accuracy"] > 0


def test_ranks_share_what_is_measured(two: Path) -> None:
    (found,), (wanted,) = (rows(two / name, "validation.csv") for name in ("good", "good_one"))
    assert set(found) == set(wanted) > {"holdout_loss", "held_tar_1e-3_low", "few_auc"}
    for name in wanted.keys() - {"train_accuracy", "cosine"}:  # of each rank's own photos
        assert found[name] == pytest.approx(wanted[name], abs=1e-4), name
    assert 0.7 < wanted["few_accuracy"] <= 1
    assert 0.9 < wanted["held_auc"] <= 1


def test_ranks_end_together_where_nothing_gets_better(two: Path) -> None:
    assert [row["step"] for row in rows(two / "still", "validation.csv")] == [3, 6]
    (best,) = (two / "still" / "best").iterdir()
    assert best.name == "step-00000003" and len(list(best.glob("rank-*"))) == 2


def test_gradients_may_travel_in_half_precision(two: Path) -> None:
    expected = joined(two / "one", 10)
    assert 1e-6 < far(joined(two / "halved", 10), expected) < 1e-2


def test_two_ranks_resume_to_the_bit(two: Path) -> None:
    assert not runs.unlike(joined(two / "again", 10), joined(two / "two", 10))


def test_one_rank_goes_on_where_two_stopped(two: Path, whole: Path) -> None:
    run = runs.kept_until(two / "two", 5, two / "moved")
    train(runs.config(run, *FROZEN, f"init_from={whole}", "data.holdout=0.2"))
    assert len(list((run / "checkpoints" / "step-00000010").glob("rank-*"))) == 1
    assert far(joined(run, 10), joined(two / "one", 10)) < 1e-5


def test_ranks_draw_their_own_dropout(two: Path) -> None:
    states = [
        torch.load(p, weights_only=True)["random"]["torch"]
        for p in sorted((two / "dropout" / "checkpoints" / "step-00000001").glob("rank-*"))
    ]
    assert len(states) == 2
    assert not states[0].equal(states[1])


def test_two_passes_are_one(folder: Path, whole: Path) -> None:
    frozen = (*FROZEN, f"init_from={whole}", "schedule.steps=5")
    for passes in (1, 2, 4):
        train(runs.config(folder / f"passes{passes}", *frozen, f"optim.accumulate={passes}"))
    expected = joined(folder / "passes1", 5)
    assert far(joined(folder / "passes2", 5), expected) < 1e-5
    assert far(joined(folder / "passes4", 5), expected) < 1e-5
    first = runs.state(whole, 6)["shared"]["backbone"]
    assert expected["backbone"]["stem.1.running_mean"].equal(first["stem.1.running_mean"])
    assert not expected["backbone"]["stem.1.weight"].equal(first["stem.1.weight"])


def test_averaged_weights_follow_their_formula(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decay, seen = 0.3, []
    original = Model.step

    def watched(self: Model, *args: Any) -> dict[str, float]:
        facts = original(self, *args)
        seen.append({k: v.double().clone() for k, v in self.backbone.state_dict().items()})
        return facts

    monkeypatch.setattr(Model, "step", watched)
    run = train(runs.config(folder / "ema", f"optim.ema={decay}")).run
    average = seen[0]
    for n, now in enumerate(seen[1:], 1):
        d = min(decay, (1 + n) / (10 + n))
        average = {
            k: now[k] if k.endswith("tracked") else d * average[k] + (1 - d) * now[k] for k in now
        }
    stored = runs.state(run, 6)["shared"]
    assert set(stored["averaged"]) == set(average)
    for name, value in stored["averaged"].items():
        torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=1e-7)
    assert runs.unlike(stored["averaged"], stored["backbone"])
    restored = restore_backbone(run)
    assert restored.averaged
    assert not runs.unlike(dict(restored.backbone.state_dict()), stored["averaged"])


def test_only_the_modules_that_are_named_learn(folder: Path, whole: Path) -> None:
    wanted = runs.config(folder / "only", "optim.only=[head]", f"init_from={whole}")
    now = dict(restore_backbone(train(wanted).run).backbone.state_dict())
    before = dict(restore_backbone(whole).backbone.state_dict())
    moved = {name.removeprefix("/") for name in runs.unlike(now, before)}
    assert all(name.startswith("head.") for name in moved)
    assert "head.fc.weight" in moved and any("running" in name for name in moved)
    with pytest.raises(ConfigError, match=r"optim\.only names tail; the network has .*head"):
        train(wanted.but(out=str(folder / "none"), optim={"only": ["tail"]}))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_stores_and_goes_on_later(
    number: signal.Signals, whole: Path, folder: Path
) -> None:
    run = folder / f"stopped-{number.name}"
    original = Model.step

    def asked(self: Model, batch: Any, at: int, where: Path) -> dict[str, float]:
        if at == 4:
            os.kill(os.getpid(), number)
        return original(self, batch, at, where)

    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "step", asked)
        result = train(runs.config(run))
    assert (result.steps, result.stopped) == (5, True)
    assert result.checkpoint.name == "step-00000005"
    assert result.images_per_s > 0
    assert signal.getsignal(number) is before
    result = train(runs.config(run))
    assert (result.steps, result.stopped) == (6, False)
    assert not runs.unlike(runs.state(run, 6), runs.state(whole, 6))


def test_a_loss_that_is_no_number_stops_the_run(folder: Path, whole: Path) -> None:
    run = folder / "diverged"
    original = Model.step

    def poisoned(self: Model, batch: Any, at: int, where: Path) -> dict[str, float]:
        if at == 4:
            with torch.no_grad():
                self.backbone.stem[0].weight[0, 0, 0, 0] = torch.inf
        return original(self, batch, at, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "step", poisoned)
        with pytest.raises(TrainingDiverged, match=r"step 4: the loss is not .* delete it") as info:
            train(runs.config(run))
    assert info.value.details["step"] == 4
    (kept,) = (run / "diverged").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    batch = torch.load(kept, weights_only=True)
    assert batch["images"].shape == (16, 3, 32, 32)
    assert all(key.startswith("vgg/n") for key in batch["keys"])
    weights = restore_backbone(run).backbone.state_dict().values()
    assert all(bool(torch.isfinite(w).all()) for w in weights)
    assert train(runs.config(run)).steps == 6
    assert not runs.unlike(runs.state(run, 6), runs.state(whole, 6))


def test_a_gradient_that_is_no_number_never_reaches_the_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Model._clip

    def broken(self: Model) -> dict[str, Any]:
        if self.objective.centres is not None and self.objective.centres.steps == 3:
            assert self.objective.centres.weight.grad is not None
            self.objective.centres.weight.grad[0, 0, 0] = torch.nan
        return original(self)

    monkeypatch.setattr(Model, "_clip", broken)
    with pytest.raises(TrainingDiverged, match="step 2: the centre gradient"):
        train(runs.config(folder / "nan_gradient", "checkpoint.every=1"))
    for step in (1, 2):
        assert torch.isfinite(joined(folder / "nan_gradient", step)["centres"]).all()


def test_worker_processes_draw_nothing_from_the_run(folder: Path) -> None:
    from arcid.train.data.dataset import open_data
    from arcid.train.data.loader import BatchLoader

    config = runs.config(folder / "processes", "data.worker_kind=process", "data.identities=4")
    crops = open_data(config.data).train
    draws = Draws(config, crops.labels, Ranks(0, 1, torch.device("cpu")))
    before = torch.get_rng_state()
    with BatchLoader(crops, draws, None, config.data) as batches:
        assert len(next(iter(batches)).labels) == 16
    assert torch.get_rng_state().equal(before)


def test_minutes_end_a_run_and_lower_its_rate(folder: Path) -> None:
    timed = ("schedule={minutes: 0.05, warmup: 0.005}", "checkpoint.every=1000")
    result = train(runs.config(folder / "timed", *timed))
    assert result.seconds >= 3
    assert result.steps >= 1
    assert not result.stopped
    table = rows(result.run)
    assert 0 < table[-1]["lr"] < 0.02
    assert table[-1]["lr"] == min(row["lr"] for row in table)
    assert result.checkpoint.name == f"step-{result.steps:08d}"
    again = train(runs.config(folder / "timed", *timed))
    assert (again.steps, again.images_per_s) == (result.steps, 0)
    assert again.metrics == result.metrics
    assert len(again.history) == len(result.history) == 1
    longer = ("schedule={minutes: 0.1, warmup: 0.005}", "checkpoint.every=1000")
    assert train(runs.config(folder / "timed", *longer)).steps > result.steps


def test_photos_without_identity_are_left_to_distillation(folder: Path, data_dir: Path) -> None:
    utk = f"data.sources=[{data_dir}/data/train/vgg.tar, {{path: {data_dir}/data/train/utk.tar, "
    told: list[str] = []
    run = runs.config(folder / "utk", utk + "labelled: false}]", "schedule.steps=1")
    train(run, tell=told.append)
    assert "5200 photos without identity" in told
    assert any(line.startswith("training on 96 photos of 8") for line in told)
    assert any("parameters" in line and "MACs at 32 px" in line for line in told)
    assert not any(line.startswith("advice") for line in told)
    train(run.but(data=run.data.but(batch=128), out=str(folder / "large")), tell=told.append)
    assert any(line.startswith("advice: data.batch=128 is more than the 96") for line in told)
    assert CheckpointStore(folder / "utk/checkpoints").latest().extra["photos"] == 96  # type: ignore[union-attr]


@pytest.fixture
def odd(tmp_path: Path, data_dir: Path) -> Path:
    """Sources that are wrong, each in its own way."""
    import cv2

    (tmp_path / "empty").mkdir()
    for who in ("a", "b"):
        (tmp_path / "small" / who).mkdir(parents=True)
        for i in range(2):
            tiny = np.full((40, 40, 3), 90, np.uint8)
            cv2.imwrite(str(tmp_path / "small" / who / f"{i}.png"), tiny)
    (tmp_path / "no.onnx").write_bytes(b"no model")
    (tmp_path / "file").write_text("in the way")
    return tmp_path


WRONG: dict[str, tuple[tuple[str, ...], type[ArcidError], str]] = {
    "empty folder": (("data.sources=[{odd}/empty]",), DatasetInvalid, "empty"),
    "wrong sizes": (("data.sources=[{odd}/small]",), DatasetInvalid, "112"),
    "missing shard": (
        ("data.sources=['{data}/data/train/celeba-{{000..002}}.tar']",),
        DatasetInvalid,
        "celeba-000",
    ),
    "nothing there": (("data.sources=[{odd}/nowhere]",), DatasetInvalid, "nowhere"),
    "unknown teacher": (
        ("distil.teachers=[mobilefacenet_821]", "data.size=112"), ConfigError, "mobilefacenet_821",
    ),
    "damaged teacher": (
        ("distil.teachers=[{odd}/no.onnx]", "data.size=112"), ConfigError, "teacher",
    ),
    "no length": (("schedule={{}}",), ConfigError, "no length"),
    "no identities": (("data.min_images=500", "data.identities=0"), DatasetInvalid, "at least 2"),
    "backbone": (("model.backbone=mobilefacenet_relu_x9",), ConfigError, "no backbone"),
    "option": (("model.options={{widht: 1}}",), ConfigError, "widht"),
    "loss": (("loss={{name: arcfacee}}",), ConfigError, "arcface"),
    "loss option": (("loss={{name: arcface, options: {{margin: 1}}}}",), ConfigError, "margin"),
    "triplets of single photos": (("loss={{name: triplet_hard}}",), ConfigError, "per_identity"),
    "passes": (("optim.accumulate=3",), ConfigError, "use a multiple of 3"),
    "identities a pass": (
        ("loss={{name: triplet_hard}}", "data.per_identity=8", "optim.accumulate=2"),
        ConfigError, "triplets need two",
    ),
    "softmax with centres": (
        ("loss={{name: softmax}}", "classifier.centres=3"), ConfigError, "no cosines",
    ),
    "initial weights": (("init_from={odd}/nothing",), ModelNotFound, "nothing"),
    "another backbone to start from": (
        ("init_from={whole}", "model.options={{width: 0.5}}"), CheckpointMismatch, "another shape",
    ),
    "pairs that need a detector": (
        ("validation.pairs=[{data}/data/lfw-dev]",), ConfigError, "detector",
    ),
    "pairs that are not there": (("validation.pairs=[{odd}/lfw]",), ConfigError, "not there"),
    "one identity held out": (("data.holdout_identities=1",), ConfigError, "no pair"),
    "a file in the way": (("out={odd}/file/run",), UsageError, "cannot be written"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_before_the_first_step(
    name: str, odd: Path, data_dir: Path, whole: Path, at_step: Any
) -> None:
    def never(model: Model) -> None:
        pytest.fail("a step was made")

    at_step(0, never)
    overrides, kind, text = WRONG[name]
    places = {"odd": odd, "data": data_dir, "whole": whole}
    run = odd / "run"
    with pytest.raises(kind, match=text) as info:
        train(runs.config(run, *(line.format(**places) for line in overrides)))
    assert len(info.value.message) > 30
    assert not run.exists()


def test_a_run_is_not_gone_on_with_by_another(whole: Path, folder: Path, at_step: Any) -> None:
    copy = runs.kept_until(whole, 3, folder / "copy")
    with pytest.raises(CheckpointMismatch, match=r"model\.dim: 32 → 64"):
        train(runs.config(copy, "model.dim=64"))
    with pytest.raises(CheckpointMismatch, match=r"mobilefacenet_relu_x0\.5"):
        train(runs.config(copy, "model.backbone=mobilefacenet_prelu_x0.5"))
    with pytest.raises(CheckpointMismatch, match=r"optim\.lr"):
        train(runs.config(copy, "optim.lr=0.3"))
    assert rows(copy) == rows(whole)


def test_one_process_at_a_time_trains_in_a_folder(whole: Path, folder: Path) -> None:
    copy = runs.kept_until(whole, 3, folder / "held")
    with (copy / LOCK).open("rb") as held:
        assert files.lock(held)
        with pytest.raises(UsageError, match=r"another process trains in .*held; wait"):
            train(runs.config(copy))
        assert rows(copy) == rows(whole)
        assert [p.name for p in CheckpointStore(copy / "checkpoints").paths()] == ["step-00000003"]
    assert train(runs.config(copy)).steps == 6


def test_a_run_goes_on_in_half_precision(whole: Path, folder: Path) -> None:
    copy = runs.kept_until(whole, 3, folder / "half")
    train(runs.config(copy, "precision.autocast=fp16", "schedule.steps=5"))
    assert runs.state(copy, 5)["shared"]["scaler"]["scale"] > 0
    assert train(runs.config(copy)).steps == 6


def test_a_run_is_not_gone_on_with_on_other_photos(folder: Path) -> None:
    def keep(people: range) -> None:
        keys = [key for who in people for key in names[who]]
        listing.write_text("\n".join(["key", *keys]) + "\n")

    import tarfile

    from arcid.paths import data_dir

    names: list[list[str]] = []
    with tarfile.open(data_dir() / "data/train/vgg.tar") as tar:
        people: dict[str, list[str]] = {}
        for member in tar.getnames():
            if "/" in member:
                people.setdefault(member.split("/")[0], []).append(f"vgg/{member}")
        names = [sorted(photos)[:4] for photos in people.values()]
    listing, run = folder / "kept.csv", folder / "kept"
    chosen = (f"data.keep={listing}", "data.identities=0", "data.max_images=0")
    keep(range(6))
    train(runs.config(run, *chosen, "schedule.steps=2"))
    keep(range(1, 7))
    with pytest.raises(
        CheckpointMismatch, match=r"6 classes and 24 photos, .* bring the data back"
    ):
        train(runs.config(run, *chosen, "schedule.steps=4"))


def test_ranks_that_do_not_fit_the_batch_are_told(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(8), 12)
    three = Ranks(1, 3, torch.device("cpu"))
    with pytest.raises(ConfigError, match="does not divide over 3 ranks; use 15 or 18"):
        Draws(runs.config(tmp_path / "a"), labels, three)
    with pytest.raises(ConfigError, match="2 passes"):
        Draws(runs.config(tmp_path / "a", "data.batch=9", "optim.accumulate=2"), labels, three)
    both = ("distil.teachers=[t]", "data.per_identity=4")
    with pytest.raises(ConfigError, match="draws single photos"):
        Draws(runs.config(tmp_path / "a", *both), labels, Ranks(0, 1, torch.device("cpu")))


def test_ranks_share_every_batch(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(8), 12)
    config = runs.config(tmp_path / "a")
    device = torch.device("cpu")
    one = iter(Draws(config, labels, Ranks(0, 1, device)))
    parts = [iter(Draws(config, labels, Ranks(r, 2, device))) for r in range(2)]
    for _ in range(20):
        whole, halves = next(one), [next(part) for part in parts]
        assert np.array_equal(whole.index, np.concatenate([h.index for h in halves]))
        assert whole.position == halves[0].position == halves[1].position


def test_a_run_past_a_damaged_checkpoint_names_what_it_stored(whole: Path, tmp_path: Path) -> None:
    run = runs.kept_until(whole, 6, tmp_path / "damaged")
    (run / "checkpoints" / "step-00000006" / "shared.pt").unlink()
    result = train(runs.config(run, "schedule.steps=4"))
    assert result.checkpoint == run / "checkpoints" / "step-00000004"
    assert result.checkpoint.is_dir()


def test_a_checkpoint_damaged_within_is_named_with_what_to_do(whole: Path, tmp_path: Path) -> None:
    run = runs.kept_until(whole, 6, tmp_path / "damaged")
    newest = run / "checkpoints" / "step-00000006"
    data = bytearray((newest / "shared.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "shared.pt").write_bytes(data)
    with pytest.raises(CheckpointInvalid, match=r"sha256.*move .*step-00000006 away and start aga"):
        train(runs.config(run, "schedule.steps=4"))
    newest.rename(tmp_path / "away")
    assert train(runs.config(run, "schedule.steps=4")).steps == 4


def test_validation_and_storing_keep_their_rhythm_when_resumed(folder: Path) -> None:
    held = ("data.holdout=0.2", "validation.every=0.5", "schedule.steps=12", "checkpoint.keep=9")
    run = train(runs.config(folder / "rhythm", *held)).run
    copy = runs.kept_until(run, 6, folder / "rhythm_again")
    train(runs.config(copy, *held))
    found, expected = rows(copy, "validation.csv"), rows(run, "validation.csv")
    wanted = [n for n in range(1, 13) if n * 16 // 40 > (n - 1) * 16 // 40]
    assert [r["step"] for r in expected] == sorted({*wanted, 12})
    assert [(r["step"], r["holdout_accuracy"]) for r in found] == [
        (r["step"], r["holdout_accuracy"]) for r in expected
    ]
    stored = [p.name for p in CheckpointStore(run / "checkpoints").paths()]
    assert stored == [f"step-{n:08d}" for n in (3, 6, 9, 12)]
