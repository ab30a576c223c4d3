"""arcid finetune: whose photos teach, stop and judge, and what is said of the result."""

from __future__ import annotations

import csv
import hashlib
import itertools
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from arcid.cli.finetune import _commands, _show
from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate.differences import Difference
from arcid.models import weights
from arcid.train.config.recipe import ScheduleConfig, parse_config
from arcid.train.data.dataset import SampleSet, open_data
from arcid.train.data.tar import TarSource
from arcid.train.engine.loop import BEST
from arcid.train.engine.model import Model
from arcid.train.export import ExportRequest, export
from arcid.train.finetune import make_plan
from arcid.train.finetune.crops import crops_in
from arcid.train.finetune.people import JUDGES, LEAST, STOPPERS, judging_crops
from arcid.train.finetune.verdict import Verdict
from arcid.train.recogniser.job import train
from arcid.train.weights.checkpoint import CheckpointStore
from arcid.train.weights.initial import open_initial

pytestmark = [pytest.mark.data, pytest.mark.usefixtures("one_thread")]
PEOPLE, SINGLE = 24, 2
TINY = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  size: 32
  batch: 16
  workers: 1
  identities: 40
  max_images: 12
model: {backbone: mobilefacenet_relu_x0.5, dim: 32, options: {width: 0.25}}
loss: {name: arcface, options: {m2: 0.2, s: 16}}
optim: {lr: 0.05}
schedule: {steps: 80}
validation: {every: 0}
"""
QUICK = ("data.workers=1", "validation.every=2", "data.batch=16")


@pytest.fixture(scope="module")
def crops(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Aligned crops of 24 people, four each, and of two with a single one; written to by nobody."""
    place = tmp_path_factory.mktemp("people") / "crops"
    source = TarSource([data_dir / "data" / "train" / "fiw.tar"])
    many = np.flatnonzero(np.bincount(source.identity) >= 4)[: PEOPLE + SINGLE]
    for number, person in enumerate(many):
        folder = place / f"person {number:02}"
        folder.mkdir(parents=True)
        for index in np.flatnonzero(source.identity == person)[: 1 if number < SINGLE else 4]:
            (folder / f"{index}.webp").write_bytes(source.read(int(index)))
    return place


@pytest.fixture(scope="module")
def bundle(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny recogniser, as arcid export writes it."""
    folder = tmp_path_factory.mktemp("bundle")
    run = train(parse_config(TINY, [f"out={folder / 'run'}"])).run
    return export(run, folder, ExportRequest(name="tiny", licence="ours")).path


# whose photos


def test_crops_are_known_by_the_journal_or_by_their_size(crops: Path, tmp_path: Path) -> None:
    assert crops_in(crops).to_dict()["margin_px"] == -1
    place = tmp_path / "made"
    shutil.copytree(crops, place)
    (place / ".journal.jsonl").write_text('{"folder": "/photos of us", "margin": 16}\n')
    with pytest.raises(DatasetInvalid, match=f"arcid align '/photos of us' {place}$"):
        crops_in(place)
    (place / "report.csv").write_text("photo\n")
    assert crops_in(place).margin_px == 16


@pytest.mark.parametrize("size", [(250, 250), (128, 112), (640, 480)])
def test_whole_photos_are_refused_with_what_to_run_first(
    size: tuple[int, int], crops: Path, tmp_path: Path
) -> None:
    photo = Pil.open(sorted(crops.rglob("*.webp"))[0])
    place = tmp_path / "our people"
    (place / "ada").mkdir(parents=True)
    photo.resize(size).save(place / "ada" / "1.jpg")
    with pytest.raises(DatasetInvalid) as told:
        crops_in(place)
    assert f"arcid align '{place}' '{place}-crops'" in told.value.message
    assert f"{size[0]}×{size[1]}" in told.value.message


def digests(samples: SampleSet) -> set[str]:
    rows = samples.rows.tolist()
    return {hashlib.sha256(samples.store.read(row).tobytes()).hexdigest() for row in rows}


@pytest.mark.training
def test_nobody_is_in_two_groups(crops: Path, bundle: Path, tmp_path: Path) -> None:
    plan = make_plan(crops, str(bundle), out=str(tmp_path / "run"))
    judges, data = plan.groups.judges, plan.config.data
    found = open_data(data)
    assert (len(judges), plan.groups.stoppers, plan.groups.small) == (6, 4, SINGLE)
    assert len(found.classes) == plan.groups.learnt == PEOPLE - 10
    assert found.report.held_identities == 4 and not {*judges} & {*found.classes}
    judging = judging_crops(data, judges, plan.judges_list)
    assert len(judging) == 6 * 4 and len({*judging.labels.tolist()}) == 6
    everybody = open_data(data.but(leave_out=(), holdout_identities=0))
    names = [everybody.classes[label] for label in everybody.train.labels.tolist()]
    theirs = np.isin(names, judges)
    own = SampleSet(everybody.train.store, everybody.train.rows[theirs],
                    everybody.train.labels[theirs])  # fmt: skip
    groups = [digests(found.train), digests(found.held), digests(own)]
    assert [len(group) for group in groups] == [4 * (PEOPLE - 10), 16, 24]
    assert len(set.union(*groups)) == sum(map(len, groups))
    again = make_plan(crops, str(bundle), out=str(tmp_path / "run"))
    assert again.config == plan.config and again.groups == plan.groups
    other = make_plan(crops, str(bundle), out=str(tmp_path / "other"), seed=2)
    assert other.groups.judges != judges
    train(plan.config.but(schedule=ScheduleConfig(steps=1)))
    with pytest.raises(UsageError, match="other people or another seed"):
        make_plan(crops, str(bundle), out=str(tmp_path / "run"), seed=2)


@pytest.mark.training
def test_too_few_people_are_refused_with_what_is_needed(
    crops: Path, bundle: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    for folder in sorted(crops.iterdir())[: SINGLE + LEAST - 1]:
        shutil.copytree(folder, few / folder.name)
    with pytest.raises(DatasetInvalid, match=r"19 people have 2 photos or more .2 have fewer") as e:
        make_plan(few, str(bundle), out=str(tmp_path / "run"))
    assert (e.value.details["people"], e.value.details["needed"]) == (19, 20)
    assert not (tmp_path / "run").exists()
    shutil.copytree(sorted(crops.iterdir())[-1], few / "one more")
    plan = make_plan(few, str(bundle), out=str(tmp_path / "run"))
    assert (len(plan.groups.judges), plan.groups.stoppers) == (JUDGES, STOPPERS)


# what is trained


@pytest.mark.training
def test_the_network_is_that_of_the_bundle(crops: Path, bundle: Path, tmp_path: Path) -> None:
    plan = make_plan(
        crops, str(bundle), out=str(tmp_path / "run"), minutes=4, overrides=["optim.lr=3e-5"]
    )
    config = plan.config
    assert (config.model.backbone, config.model.dim) == ("mobilefacenet_relu_x0.5", 32)
    assert config.model.options == {"width": 0.25} and config.data.size == 32
    assert config.model.freeze_norm and config.classifier.start == "imprint"
    assert (config.schedule.minutes, config.schedule.epochs) == (4, 0)
    assert config.optim.lr == 3e-5 and plan.name == "tiny-own"
    with pytest.raises(UsageError, match="one length"):
        make_plan(crops, str(bundle), epochs=1, minutes=1)


def test_the_packaged_recogniser_can_be_trained_on(crops: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    plan = make_plan(crops, out=str(tmp_path / "run"))
    assert plan.original.label == "arcid-face-s"
    assert (plan.config.model.dim, plan.config.data.size) == (256, 112)


def validations(run: Path) -> list[dict[str, float]]:
    with (run / "validation.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def best_step(run: Path) -> int:
    (path,) = CheckpointStore(run / BEST).paths()
    return int(path.name.partition("-")[2])


@pytest.mark.training
def test_the_best_state_is_kept_and_the_run_ends_after_it(
    crops: Path, bundle: Path, tmp_path: Path
) -> None:
    def ran(name: str, *overrides: str) -> Path:
        given = [*QUICK, "validation.every=1", *overrides]
        config = make_plan(crops, str(bundle), out=str(tmp_path / name), overrides=given).config
        return train(config).run

    still = ran("still", "optim.lr=0", "validation.patience=2", "schedule.epochs=9")
    rows = validations(still)
    assert len(rows) == 3 and best_step(still) == rows[0]["step"]
    wild = ran("wild", "optim.lr=0.03", "optim.ema=0", "validation.patience=3",
               "schedule.epochs=6")  # fmt: skip
    rows = validations(wild)
    best = max(rows, key=lambda row: (row["held_tar_1e-3"], row["held_auc"]))
    assert best_step(wild) == best["step"] != rows[-1]["step"]
    assert len(rows) == min(6, rows.index(best) + 4)


# what is said


def verdict(low: float, difference: float, high: float) -> Verdict:
    rate = Difference("TAR@FMR=0.01", 0.9, 0.9 + difference, difference, low, high, 0.5)
    return Verdict("old", "new", rate, 0.01, 12, 48, 72, 1056)


@pytest.mark.parametrize(
    ("found", "outcome", "lead"),
    [
        (verdict(0.004, 0.031, 0.059), "better", "new is better than old. At a false"),
        (verdict(-0.05, -0.03, -0.001), "worse", "new is worse than old. At a false"),
        (verdict(-0.01, 0.03, 0.06), "undecided", "new and old cannot be told apart. At"),
        (verdict(0.0, 0.03, 0.06), "undecided", "new and old cannot be told apart. At"),
        (verdict(float("nan"), 0.0, float("nan")), "undecided", "new and old cannot be told"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(found: Verdict, outcome: str, lead: str) -> None:
    assert found.outcome == outcome and found.to_dict()["sentence"].startswith(lead)
    assert found.sentences[2].startswith("Judged by 12 people kept for this alone: 48 photos, ")
    assert found.to_dict()["verdict"] == outcome


def test_the_sentence_has_both_rates_and_the_interval() -> None:
    text = verdict(0.004, 0.031, 0.059).sentences[1]
    assert "new accepts 93.1 % of the pairs of one person, old 90.0 %" in text
    assert "+3.1 points, 95 % interval +0.4 to +5.9." in text
    missing = verdict(float("nan"), 0.0, float("nan")).sentences[1]
    assert missing.endswith("+0.0 points, no interval: too few people.")


@pytest.mark.parametrize(
    ("impostors", "said"),
    [(3000, "of two."), (1056, "take the numbers as a hint."), (240, "more people would tell.")],
)
def test_few_pairs_behind_a_verdict_are_said(impostors: int, said: str) -> None:
    found = replace(verdict(0.004, 0.031, 0.059), impostor_pairs=impostors)
    assert found.sentences[2].endswith(said)


# the command


@pytest.mark.training
def test_finetune_makes_a_calibrated_bundle_and_replaces_nothing(
    cli: Callable[..., Any], crops: Path, bundle: Path, environment: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = ("finetune", crops, *QUICK, "--from", bundle, "--epochs", "4", "--name", "ours")
    whole = cli(*words, "--out", tmp_path / "whole", "--json")
    assert (whole.code, whole.err) == (0, ""), whole.err
    found = whole.json
    assert found["verdict"] in ("better", "worse", "undecided")
    assert found["people"] == {
        "learnt_from": 14, "stopped_by": 4, "judged_by": 6, "too_few_photos": 2,
    }  # fmt: skip
    assert found["judged"] == {
        "people": 6, "photos": 24, "genuine_pairs": 36, "impostor_pairs": 240,
    }  # fmt: skip
    assert bool(found["use"]) == (found["verdict"] == "better")
    assert not (environment / "models").exists()
    ready = weights.resolve(found["bundle"])
    assert ready.trust == "accepted" and ready.name == "ours"
    assert ready.manifest.licence.name == "ours"
    assert open_initial(found["bundle"]).options["width"] == 0.25
    if found["calibration"] is not None:
        calibration = weights.find_calibration(ready)
        assert calibration.data["people"] == 10

    original = Model.step

    def asked(self: Model, batch: Any, at: int, run: Path) -> dict[str, float]:
        if at == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, at, run)

    with monkeypatch.context() as patch:
        patch.setattr(Model, "step", asked)
        ran = cli(*words, "--out", tmp_path / "parts", "--json")
    assert ran.code == 130 and ran.json["stopped"]
    assert not (tmp_path / "parts" / "models").exists()
    ran = cli(*words, "--out", tmp_path / "parts")
    assert ran.code == 0 and "going on from step 6" in ran.err
    assert found["sentence"] in ran.out.replace("\n", " ")
    again = cli(*words, "--out", tmp_path / "parts", "--json").json
    for key in ("contract_id", "best_step", "difference", "calibration"):
        assert again[key] == found[key], key


def test_each_system_is_told_its_own_commands(environment: Path) -> None:
    done: Any = SimpleNamespace(bundle=Path("our runs/models/ours"), name="ours")
    bundle, place = str(done.bundle), environment / "models"
    for windows, copying in (
        (True, [["robocopy", bundle, str(place / "ours"), "/E"]]),
        (False, [["mkdir", "-p", str(place)], ["cp", "-r", bundle, str(place)]]),
    ):
        *told, use, embed = _commands(done, windows=windows)
        assert [shlex.split(command) for command in told] == copying
        assert use == "arcid models use ours" and embed.startswith(
            "arcid gallery reembed --to ours"
        )


def test_thresholds_beyond_all_data_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    found = weights.packaged_calibration(weights.resolve("arcid-face-s"))
    done: Any = SimpleNamespace(
        verdict=verdict(-0.1, 0.0, 0.1), bundle=Path("ours"), calibration=found
    )
    _show(done, [])
    told = [line for line in capsys.readouterr().out.splitlines() if "cosine" in line]
    beyond = [row["extrapolated"] for row in found.data["thresholds"]]
    assert [line.endswith("beyond all data") for line in told] == beyond
    assert set(beyond) == {True, False}


@pytest.mark.training
def test_only_a_better_model_is_offered_and_the_offer_works(
    cli: Callable[..., Any], crops: Path, bundle: Path, environment: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = ("finetune", crops, *QUICK, "--from", bundle, "--out", tmp_path / "run", "--epochs=1")
    assert cli(*words, "--json").json["use"] == []
    with monkeypatch.context() as patch:
        patch.setattr(Verdict, "outcome", "better")
        better = cli(*words, "--json").json
    assert not (environment / "models").exists()
    assert better["steps"] == 4, "nothing was trained again"
    make, copy, use, embed = better["use"]
    for command in (make, copy):
        subprocess.run(shlex.split(command), check=True)
    assert cli(*shlex.split(use)[1:]).code == 0
    ready = weights.resolve_default("recognition")
    assert (ready.manifest.contract_id, ready.trust) == (better["contract_id"], "accepted")
    assert cli("gallery", "create", "default").code == 0
    assert cli(*shlex.split(embed, comments=True)[1:]).code == 0


@pytest.mark.training
def test_what_was_spoilt_is_told(cli: Callable[..., Any], crops: Path, tmp_path: Path) -> None:
    spoil = ("optim.lr=0.01", "optim.ema=0", "model.freeze_norm=false", "--epochs=2")
    ran = cli("finetune", crops, "--out", tmp_path / "run", *QUICK, *spoil)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("arcid-face-s-own is worse than arcid-face-s.\nAt a false match rate")
    assert "arcid-face-s stays in use" in ran.out
    assert "to use it" not in ran.out


@pytest.mark.training
def test_finetune_refuses_with_an_exit_code(
    cli: Callable[..., Any], crops: Path, bundle: Path, data_dir: Path, tmp_path: Path
) -> None:
    photos = data_dir / "data" / "lfw-dev" / "images"
    ran = cli("finetune", photos, "--from", bundle, "--out", tmp_path / "run")
    assert ran.code == 3 and f"arcid align {photos} {photos}-crops" in ran.err
    ran = cli("finetune", crops, "--from", "mobilefacenet_128", "--out", tmp_path / "run")
    assert ran.code == 4 and "only bundles written by arcid export can be trained on" in ran.err
    ran = cli("finetune", crops, "optim.lrr=1", "--from", bundle, "--out", tmp_path / "run")
    assert ran.code == 2 and "did you mean optim.lr?" in ran.err
    ran = cli("finetune", tmp_path / "none", "--from", bundle, "--out", tmp_path / "run")
    assert ran.code == 3
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.training
def test_from_photos_to_a_calibrated_model(
    cli: Callable[..., Any], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = data_dir / "data" / "lfw-dev" / "images"
    people = [who for who in sorted(images.iterdir()) if len(list(who.iterdir())) >= 3]
    for name, chosen in {"people": people[:50], "others": people[50:62]}.items():
        for who in chosen:
            shutil.copytree(who, tmp_path / name / who.name)
    crops, run = tmp_path / "crops.tar", tmp_path / "run"
    ran = cli("finetune", tmp_path / "people", "--out", run)
    assert ran.code == 3 and f"arcid align {tmp_path}/people" in ran.err
    assert cli("align", tmp_path / "people", crops, "--size", 144, "--margin", 16).code == 0
    ran = cli("finetune", crops, "--out", run, "--name", "ours", "--epochs", 2, "--json")
    assert ran.code == 0, ran.out
    found = ran.json
    assert sum(found["people"].values()) == 50 and found["judged"]["people"] == 12
    assert found["difference"]["a"] > 0.9 and found["difference"]["b"] > 0.9
    assert found["calibration"]["status"] == "provisional"
    assert found["calibration"]["smallest_supported_fmr"] < 1e-4
    monkeypatch.setenv("ARCID_MODELS", str(run / "models"))
    monkeypatch.setenv("ARCID_RECOGNISER", "ours")
    assert cli("models", "verify", "ours").code == 0
    same = [sorted(who.iterdir())[:2] for who in people[50:60]]
    other = [[one, photos[0]] for (_, one), photos in itertools.pairwise(same)]

    def said(photos: list[Path]) -> str:
        outcome: str = cli("verify", *photos, "--fmr", 0.01, "--json").json["outcome"]
        return outcome

    assert [*map(said, same)].count("match") >= 9
    assert "match" not in [*map(said, other)]
    ran = cli("calibrate", tmp_path / "others", "--json")
    assert ran.code == 0 and ran.json["people"] == 12
    assert cli("verify", *sorted(people[50].iterdir())[:2], "--json").code in (0, 1)
