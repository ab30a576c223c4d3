"""Inversion: the prior's equation, pictures a small network takes for their targets, and kills."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image as Pil  # noqa: E402
from tests.unit import train_runs as runs  # noqa: E402
from tests.unit.inversions import Small, drawn, small_network  # noqa: E402
from torch import nn  # noqa: E402

from arcid.errors import (  # noqa: E402
    CheckpointInvalid,
    CheckpointMismatch,
    ContractMismatch,
    InvalidArray,
    UsageError,
)
from arcid.train.backbones import Backbone  # noqa: E402
from arcid.train.invert import NormPrior, Settings, Targets, invert, read_people  # noqa: E402
from arcid.train.invert.batch import Batch, features  # noqa: E402
from arcid.train.invert.sources import aim  # noqa: E402
from arcid.train.recogniser.job import train  # noqa: E402
from arcid.train.weights.initial import open_initial  # noqa: E402

QUICK = Settings(steps=30, batch=2, jitter=1)


@pytest.fixture
def network() -> Backbone:
    return small_network()


@pytest.fixture
def targets(network: Backbone) -> Targets:
    return Targets(features(network, drawn(4, seed=99)), ("a", "b", "c", "d"))


def test_the_prior_is_its_equation() -> None:
    """Against NumPy, in float64, for maps and for vectors."""
    rng = np.random.default_rng(0)
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.BatchNorm1d(48)).double().eval()
    expected = 0.0
    x = rng.normal(2.0, 3.0, (5, 3, 4, 4))
    seen = x
    for norm in (layers[0], layers[2]):
        mean, variance = rng.normal(size=norm.num_features), rng.uniform(1, 4, norm.num_features)
        norm.running_mean, norm.running_var = torch.from_numpy(mean), torch.from_numpy(variance)
        axes = (0, 2, 3) if seen.ndim == 4 else (0,)
        usual = np.sqrt(variance + norm.eps)
        shift = (seen.mean(axes) - mean) / usual
        ratio = np.sqrt(seen.var(axes) + norm.eps) / usual
        expected += (shift**2).mean() + ((ratio - 1) ** 2).mean()
        shape = (1, -1, 1, 1) if seen.ndim == 4 else (1, -1)
        seen = ((seen - mean.reshape(shape)) / usual.reshape(shape)).reshape(5, -1)
    prior = NormPrior(layers.requires_grad_(False))
    with prior.watching():
        layers(torch.from_numpy(x))
        assert float(prior.loss()) == pytest.approx(expected, rel=1e-9)
        assert prior.loss() == 0.0  # once for each pass
    layers(torch.from_numpy(x))
    assert prior.loss() == 0.0  # nobody watches


def test_pictures_like_those_seen_cost_less_than_noise(network: Backbone) -> None:
    prior = NormPrior(network)
    noise = np.random.default_rng(1).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    with prior.watching():
        features(network, drawn(16, seed=50))
        like = float(prior.loss())
        features(network, noise)
        assert float(prior.loss()) > 3 * like > 0


def test_norms_that_counted_nothing_are_no_prior(network: Backbone, tmp_path: Path) -> None:
    assert (NormPrior(network).layers, NormPrior(network).channels) == (4, 24 + 32 + 32 + 32)
    fresh = Small().eval()
    assert NormPrior(fresh).folded and NormPrior(nn.Conv2d(3, 8, 3)).folded
    told: list[str] = []
    targets = Targets(features(fresh, drawn(1)), ("a",))
    result = invert(fresh, targets, tmp_path / "run", QUICK, tell=told.append)
    assert result.layers == 0 and "no batch-norm statistics" in told[0]


@pytest.mark.parametrize("goal", ["open", "closed"])
def test_pictures_are_taken_for_their_targets(
    network: Backbone, targets: Targets, tmp_path: Path, goal: Any
) -> None:
    if goal == "closed":
        targets = Targets.of_centres(targets.vectors, targets.names)
    settings = Settings(goal=goal, steps=160, batch=4, jitter=1)
    result = invert(network, targets, tmp_path / "run", settings)
    seen = features(network, result.pictures) @ targets.vectors.T
    assert result.pictures.shape == (4, 32, 32, 3) and result.pictures.dtype == np.uint8
    assert np.allclose(result.cosines, seen.diagonal().numpy(), atol=1e-6)
    assert (seen.argmax(1) == torch.arange(4)).all()
    assert result.cosines.mean() > (0.9 if goal == "open" else 0.5)
    files = list((tmp_path / "run").iterdir())
    names = {"inversion.json", "pictures-00000.npz", "sheet-001.jpg"}
    assert {p.name for p in files} == names
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in files)
    again = invert(network, targets, tmp_path / "run", settings)  # nothing is left to do
    assert np.array_equal(again.pictures, result.pictures)


def test_sub_centres_give_the_dominant_one(network: Backbone) -> None:
    weight = torch.randn(5, 3, 32)
    targets = Targets.of_centres(weight, list("abcde"), [4, 1])
    first = nn.functional.normalize(weight[:, 0], dim=1)
    assert torch.equal(targets.vectors, first[[4, 1]]) and targets.names == ("e", "b")
    assert targets.labels is not None and targets.labels.tolist() == [4, 1]


def test_a_run_that_stopped_anywhere_gives_the_same_pictures(
    network: Backbone, targets: Targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = invert(network, targets, tmp_path / "whole", QUICK)
    advance = Batch.advance

    def run_of(most: int) -> tuple[Any, int]:
        """What a call that is stopped after so many steps gives, and how many it took."""
        taken = 0

        def counted(self: Batch, prior: NormPrior) -> float:
            nonlocal taken
            if taken == most:
                raise KeyboardInterrupt
            taken += 1
            return advance(self, prior)

        monkeypatch.setattr(Batch, "advance", counted)
        try:
            return invert(network, targets, tmp_path / "cut", QUICK, stored_every=0), taken
        except KeyboardInterrupt:
            return None, taken

    steps = []
    for most in (0, 4, 5, 11, 20, 40):  # in each of the three resolutions, and in both batches
        result, taken = run_of(most)
        steps.append(taken)
    assert steps == [0, 4, 5, 11, 20, 20]  # 60 in all: nothing was done twice
    assert np.array_equal(result.pictures, whole.pictures)
    assert np.array_equal(result.cosines, whole.cosines)


def test_another_inversion_is_not_gone_on_with(
    network: Backbone, targets: Targets, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    invert(network, targets, run, QUICK)
    with pytest.raises(CheckpointMismatch, match="other settings"):
        invert(network, targets, run, Settings(steps=31, batch=2, jitter=1))
    with pytest.raises(CheckpointMismatch, match="other vectors"):
        invert(network, Targets(targets.vectors.flip(0), targets.names), run, QUICK)
    (run / "inversion.json").write_text("{")
    with pytest.raises(CheckpointInvalid, match="no record of an inversion"):
        invert(network, targets, run, QUICK)
    other = tmp_path / "other"
    other.mkdir()
    (other / "state.pt").write_bytes(b"junk")
    with pytest.raises(CheckpointInvalid, match=r"state\.pt cannot be read"):
        invert(network, targets, other, QUICK)


def test_what_cannot_be_inverted_is_told(network: Backbone, tmp_path: Path) -> None:
    with pytest.raises(InvalidArray, match="unit norm"):
        Targets(torch.ones(2, 32), ("a", "b"))
    with pytest.raises(InvalidArray, match=r"\(N,D\)"):
        Targets(torch.ones(2, 32), ("a",))
    short = Targets(torch.eye(16)[:1], ("a",))
    with pytest.raises(InvalidArray, match="16 numbers, the network gives 32"):
        invert(network, short, tmp_path / "run", QUICK)
    single = Targets(torch.eye(32)[:1], ("a",))
    with pytest.raises(UsageError, match="centres of classes"):
        invert(network, single, tmp_path / "run", Settings(goal="closed", steps=1))
    for wrong in ({"steps": 0}, {"rate": float("nan")}, {"norms": -1}, {"goal": "both"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.training
@pytest.mark.data
def test_a_run_is_inverted_to_its_own_classes(data_dir: Path, tmp_path: Path) -> None:
    """The centres are those it was trained with, the first of several."""
    config = runs.config(tmp_path / "run", "schedule.steps=2", "classifier.centres=2")
    trained = train(config)
    initial = open_initial(tmp_path / "run")
    targets, people = aim(initial, None, "closed", 3, 1)
    own = torch.load(trained.checkpoint / "rank-00000.pt", weights_only=True)
    weight = own["classifier"]["weight"][:, 0]
    assert people is None and targets.centres is not None and targets.centres.shape == (8, 32)
    assert torch.allclose(targets.vectors, nn.functional.normalize(weight[:3], dim=1))
    assert all(name for name in targets.names) and len(targets) == 3
    result = invert(initial.backbone, targets, tmp_path / "out", Settings(goal="closed", steps=2))
    assert len(result.pictures) == 3
    with pytest.raises(UsageError, match="goal closed"):
        aim(initial, None, "open", 3, 1)


@pytest.mark.slow
@pytest.mark.data
def test_pictures_of_people_nobody_learnt_from_are_taken_for_them(
    data_dir: Path, tmp_path: Path
) -> None:
    """White-box cosine above 0.6 on the packaged recogniser; a grey square is nobody."""
    network = open_initial("arcid-face-s").backbone
    people = read_people(str(data_dir / "data/lfw-dev/train-chips.tar"), network.size, 2)
    targets = Targets(features(network, people.photos), people.names)
    result = invert(network, targets, tmp_path / "out", Settings(steps=30, batch=2))
    assert result.cosines.min() > 0.6
    grey = features(network, np.full_like(people.photos, 127))
    assert (grey * targets.vectors).sum(1).max() < 0.3


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Three drawn people of two pictures each, and one of a single one."""
    for number, picture in enumerate(drawn(7, size=128, seed=5)):
        folder = tmp_path / "crops" / f"p{number // 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Pil.fromarray(picture).save(folder / f"{number}.png")
    return tmp_path / "crops"


def test_people_come_with_two_photos(crops: Path) -> None:
    people = read_people(str(crops), 112, 10)
    assert sorted(people.names) == ["p0", "p1", "p2"] and people.photos.shape == (3, 112, 112, 3)
    assert not any(np.array_equal(*both) for both in zip(people.photos, people.others, strict=True))
    assert len(read_people(str(crops), 112, 2)) == 2
    assert read_people(str(crops), 112, 2, seed=7).names == read_people(
        str(crops), 112, 2, seed=7
    ).names  # fmt: skip


def test_vectors_of_another_contract_are_refused(crops: Path, tmp_path: Path) -> None:
    initial = open_initial("arcid-face-s")
    assert initial.manifest is not None
    unit = np.eye(initial.backbone.dim, dtype=np.float32)[:3]
    place = tmp_path / "vectors.npz"
    names = np.array(["a", "b", "c"])
    np.savez(place, vectors=unit, names=names, contract_id=initial.manifest.contract_id)
    assert aim(initial, str(place), "open", 2, 1).targets.names == ("a", "b")
    with pytest.raises(UsageError, match="no classes"):
        aim(initial, str(place), "closed", 2, 1)
    np.savez(place, vectors=unit, names=names, contract_id="0" * 64)
    with pytest.raises(ContractMismatch):
        aim(initial, str(place), "open", 2, 1)
    with pytest.raises(UsageError, match="aligned crops by person"):
        aim(initial, None, "open", 2, 1)
    closed = aim(initial, str(crops), "closed", 3, 1)
    assert closed.targets.centres is not None and closed.targets.centres.shape == (3, 256)


def test_the_command(cli: Callable[..., Any], crops: Path, tmp_path: Path) -> None:
    words = ("invert", "arcid-face-s", crops, "--people", "2", "--steps", "3", "--batch", "2")
    ran = cli(*words, "--out", tmp_path / "run", "--json")
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    assert answer["pictures"] == 2 and answer["batch_norms"] == 51 and not answer["stopped"]
    assert len(answer["cosines"]) == 2 and Path(answer["sheets"][0]).is_file()
    ran = cli(*words[:-3], "4", "--batch", "2", "--out", tmp_path / "run")
    assert ran.code == 4 and "name another folder" in ran.err
    ran = cli("invert", "arcid-face-s-int8", crops, "--out", tmp_path / "no")
    assert ran.code == 4 and "float bundle" in ran.err and not (tmp_path / "no").exists()


KILLED = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.test_train_invert import LONG, drawn, features, small_network
from arcid.train.invert import Targets, invert
network = small_network()
targets = Targets(features(network, drawn(4, seed=99)), ("a", "b", "c", "d"))
invert(network, targets, Path(sys.argv[2]), LONG, stored_every=0.05)
"""
LONG = Settings(steps=300, batch=2, jitter=1)


@pytest.mark.soak
def test_killed_at_any_moment_it_goes_on(
    network: Backbone, targets: Targets, tmp_path: Path
) -> None:
    """SIGKILL twice; the pictures are those of a run that was left alone."""
    here, cut = str(Path(__file__).parents[2]), tmp_path / "cut"
    for _ in range(2):
        state = cut / "state.pt"
        before = state.stat().st_mtime_ns if state.is_file() else 0
        process = subprocess.Popen([sys.executable, "-c", KILLED, here, str(cut)])
        try:
            while not state.is_file() or state.stat().st_mtime_ns == before:
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert (cut / "state.pt").is_file() and not (cut / "sheet-001.jpg").exists()
    result = invert(network, targets, cut, LONG)
    assert np.array_equal(
        result.pictures, invert(network, targets, tmp_path / "whole", LONG).pictures
    )
