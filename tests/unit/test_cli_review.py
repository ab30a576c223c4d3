"""``arcid review …``: list, show, answer, undo."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.cli import app
from arcid.cli.output import run_command
from arcid.events import Place, Question, Sightings
from arcid.gallery import Gallery, NewFace
from arcid.types import Embeddings, Match

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def vector(seed: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(seed).standard_normal((1, 32)), "c" * 64)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        people = [
            gallery.enrol("staff", name, [NewFace(vector(i))])[0]
            for i, name in enumerate(("Ann", "Ben"))
        ]
        asked = [Match(p.id, p.name, 0.4 - i / 50, "f", 1) for i, p in enumerate(people)]
        Sightings(gallery).visitor(
            "staff", Place("door", "door"), NOON, NOON, "1", cooldown_s=60, alike=0.5,
            grounds={"reason": "too few people: a human decides"}, vector=vector(9),
            question=Question(asked, None, 0.01),
        )  # fmt: skip
    return path


def test_a_review_is_listed_answered_and_taken_back(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str, code: int = 0) -> str:
        own = ("--collection", "staff", "--database", str(database))
        assert run_command(app, ["review", *words, *own]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    def told(*words: str) -> Any:
        return json.loads(run(*words, "--json"))

    (one,) = told("list")["reviews"]
    event = one["id"]
    assert "Ann (0.40), Ben (0.38)" in run("list") and "1 wait for an answer" in run("list")
    assert "a human decides" in run("show", event)
    assert "say of whom with --person; this asks about Ann, Ben" in run(
        "answer", event, "yes", code=2
    )
    assert "Ann" in run("answer", event, "not-person", "--person", "Ann", "--actor", "op")
    assert "it is Ben (last answer by op (os:" in run("answer", event, "yes", "--actor", "op")
    assert "settled before: yes, Ben, by op" in run("answer", event, "no", code=5)
    assert told("list")["waiting"] == 0
    assert told("list", "--state", "yes")["reviews"][0]["name"] == "Ben"
    assert told("undo", event)["state"] == "open"
    assert [c["refused"] for c in told("undo", event)["candidates"]] == [False, False]
    assert "nothing was answered" in run("undo", event, code=3)
    assert "use yes, no, not-person" in run("answer", event, "maybe", code=2)
