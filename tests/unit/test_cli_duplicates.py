"""``arcid duplicates …``: run, list, answer, undo, groups, export, status, stop."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.apps.duplicates import Runs, searching
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.events import Events
from arcid.events.audit import Audit
from arcid.gallery import Gallery, NewFace
from arcid.models import weights
from arcid.types import Embeddings


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Ten people, of whom =Ann is enrolled again as Anna, and in another collection."""
    contract = weights.resolve_default("recognition").manifest.contract_id
    rows = np.random.default_rng(7).standard_normal((12, 128))
    rows[10] = rows[0] + rows[10] / 3
    rows[11] = rows[0] + rows[11] / 3
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        for name in ("staff", "guests"):
            gallery.create_collection(name)
        names = ["=Ann", *(f"person {i}" for i in range(1, 10)), "Anna", "Ann too"]
        for name, row in zip(names, rows, strict=True):
            vector = Embeddings.normalised(row[None], contract)
            gallery.enrol("guests" if name == "Ann too" else "staff", name, [NewFace(vector)])
    return path


def test_a_run_that_was_stopped_elsewhere_is_not_done(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ("--collection", "staff", "--database", str(database))
    commit = searching._Worker.commit

    def stopped_first(self: Any, *given: Any) -> bool:
        with Gallery.open(database) as gallery:
            Runs(gallery).stop("staff", self._run_id)
        return commit(self, *given)

    monkeypatch.setattr(searching._Worker, "commit", stopped_first)
    assert run_command(app, ["duplicates", "run", "--false-pairs", "0.01", *own]) == 1
    assert run_command(app, ["duplicates", "run", "--false-pairs", "0.01", *own, "--json"]) == 1


def test_from_a_run_to_one_person_and_back(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str, code: int = 0) -> str:
        own = ("--collection", "staff", "--database", str(database))
        assert run_command(app, ["duplicates", *words, *own]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    def told(*words: str) -> Any:
        return json.loads(run(*words, "--json"))

    said = run("run", "--false-pairs", "0.01")
    assert "at most 0.01 false pairs expected in 55 comparisons" in said
    assert re.search(r"done: 1 of 1 blocks, 1 pairs, 1 wait for an answer", said)
    refused = run("run", "--false-pairs", "0.0001", code=4)
    assert "ask for 1 false pairs or more, allow extrapolation" in refused
    run("run", "--false-pairs", "0.0001", "--allow-extrapolation")
    (pair,) = told("list")["pairs"]
    assert {pair["a"]["name"], pair["b"]["name"]} == {"=Ann", "Anna"}
    assert "1 wait for an answer" in run("list") and "Anna" in run("list")
    assert told("groups")["groups"][0]["pairs"] == [pair["id"]] and "=Ann, Anna" in run("groups")
    out = tmp_path / "pairs.csv"
    run("export", "--out", str(out))
    (row,) = csv.DictReader(out.read_text("utf-8").splitlines())
    assert row["pair"] == pair["id"] and "'=Ann" in row.values()
    assert "written as .csv or .json" in run("export", "-o", "pairs.txt", code=2)
    assert told("export", "-o", str(tmp_path / "pairs.json"))["pairs"] == 1
    assert json.loads((tmp_path / "pairs.json").read_text("utf-8"))[0] == pair
    assert "use same, different" in run("answer", pair["id"], "yes", code=2)
    answer = told("answer", pair["id"], "same", "--keep", "Anna", "--actor", "op")
    assert re.fullmatch(r"op \(os:\w+\)", answer["actor"])
    assert answer["verdict"] == "same" and answer["merge_id"]
    assert "nothing" not in run("list") and told("list")["pairs"] == []
    assert "taken back" in run("undo", answer["id"])
    assert told("list")["waiting"] == 1
    assert run("undo", "0" * 32, code=5)
    runs = told("status")["runs"]
    assert [r["state"] for r in runs] == ["done", "done"] and runs[0]["extrapolated"]
    assert "extrapolated" in run("status", runs[0]["id"]) and "100%" in run("status")
    assert "done:" in run("stop", runs[0]["id"])  # too late
    assert "this run is done" in run("run", "--resume", runs[0]["id"], code=2)
    assert told("run", "--since-last")["run"]["comparisons"] > 0  # who was merged and came back
    between = told("run", "--with", "guests")["run"]
    assert (between["other"], between["pairs"], between["comparisons"]) == ("guests", 2, 11)
    with Gallery.open(database) as gallery:
        (*_, first) = Events(gallery).find("staff", kinds=["duplicate"])
        assert first.grounds["details"]["pairs"] == 1 and first.grounds["target_fmr"] > 0
        looks = {row.subject for row in Audit(gallery).find(verb="duplicates.view")}
        assert looks == {"duplicates:list", "duplicates:groups", "duplicates:export"}


@pytest.mark.slow
def test_two_processes_find_what_one_finds(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(*words: str) -> list[tuple[str, str, float]]:
        own = ("--collection", "staff", "--database", str(database), "--json")
        assert run_command(app, ["duplicates", "run", "--false-pairs", "1", *words, *own]) == 0
        pairs = json.loads(capsys.readouterr().out)["pairs"]
        return [(pair["a"]["name"], pair["b"]["name"], pair["cosine"]) for pair in pairs]

    alone = found()
    assert [set(names) for *names, _ in alone] == [{"=Ann", "Anna"}]
    assert found("--workers", "2") == alone


def test_workers_and_ray_exclude_one_another(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["duplicates", "run", "--workers", "2", "--ray", "auto", "--database", str(database)]
    assert run_command(app, words) == 2
    assert "name one of the two" in capsys.readouterr().err
