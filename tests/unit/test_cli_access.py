"""``arcid access``: a door from its set-up to its log."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.conftest import Ran

from arcid.gallery import Gallery

pytestmark = pytest.mark.data
Cli = Callable[..., Ran]


@pytest.fixture
def home(environment: Path) -> Path:
    environment.mkdir()
    with Gallery.open(environment / "gallery.db") as gallery:
        gallery.create_collection("staff")
        gallery.add_person("staff", "Ada")
    return environment


def test_a_door_from_its_set_up_to_its_log(cli: Cli, home: Path) -> None:
    where = ("--collection", "staff")
    made = cli(
        "access", "door", "add", "Front", *where, "--set", "two_person=true", "--set", "fpir=0.01",
        "--json",
    ).json  # fmt: skip
    assert (made["name"], made["two_person"], made["fpir"], made["liveness"]) == (
        "Front", True, 0.01, True,
    )  # fmt: skip
    cli("access", "group", "add", "Staff", *where)
    cli("access", "group", "join", "Staff", "ada", "--until", "2026-01-01", *where)
    cli("access", "schedule", "add", "Office", "mon-fri 07:00-19:00", "--zone", "Europe/Berlin",
        *where)  # fmt: skip
    cli("access", "holiday", "add", "2026-12-25", "--name", "Christmas")
    assert cli("access", "rule", "add", "--door", "front", "--group", "staff", "--schedule",
               "office").code == 0  # fmt: skip
    shown = cli("access", "door", "show", "Front")
    assert "may pass: Staff, Office" in shown.out and "two_person: True" in shown.out
    assert (
        "at most 1 in 100 strangers opens this door: 1 person may pass (no enrolled face)"
        in shown.out
    )
    assert "Ada" in cli("access", "group", "list", *where).out
    assert cli("access", "rule", "list", "--json").json["rules"][0]["schedule"] == "Office"
    assert cli("access", "holiday", "list", "--json").json["holidays"][0]["day"] == "2026-12-25"
    assert "Europe/Berlin" in cli("access", "schedule", "list", *where).out
    assert "has no output" in cli("access", "door", "test", "Front").out
    assert "changed" in cli("access", "door", "change", "Front", "--set", "release_s=3").out

    opened = cli("access", "open", "Front", "--reason", "courier", "--actor", "Gus", "--json")
    assert (opened.code, opened.json["state"]) == (0, "opened")
    assert cli("access", "lockdown", "--reason", "alarm").out == "Front is locked down\n"
    assert "locked down" in cli("access", "door", "list").out
    refused = cli("access", "open", "Front", "--reason", "courier")
    assert refused.code == 1 and "locked down: alarm" in refused.out
    assert "opens again" in cli("access", "lockdown", "Front", "--lift").out
    passages = cli("access", "log", *where, "--door", "front", "--json").json["passages"]
    assert [(p["outcome"], p["opening"]) for p in passages] == [
        ("refused", None), ("granted", "opened"),
    ]  # fmt: skip
    assert re.fullmatch(r"Gus \(os:\w+\)", passages[1]["actor"])
    assert passages[1]["note"] == "courier"
    assert "opened by hand by Gus (os:" in cli("access", "log", *where).out

    cli("access", "group", "leave", "Staff", "Ada", *where)
    cli("access", "group", "forgive", "Ada", *where)
    cli("access", "rule", "delete", "--door", "Front", "--group", "Staff", "--schedule", "Office")
    for gone in (
        ("group", "delete", "Staff", *where), ("schedule", "delete", "Office", *where),
        ("holiday", "delete", "2026-12-25"), ("door", "delete", "Front", "--yes"),
    ):  # fmt: skip
        assert cli("access", *gone).code == 0, gone
    assert cli("access", "door", "list", "--json").json == {"doors": []}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("door", "show", "Nowhere"), 5, "no door"),
        (("door", "add", "X", "--collection", "staff", "--set", "colour=red"), 2, "no setting"),
        (("door", "add", "X", "--collection", "staff", "--set", "release_s=soon"), 2, "no value"),
        (("door", "add", "X", "--collection", "staff", "--output", "fax:1"), 2, "no output"),
        (("schedule", "add", "X", "moon 1-2", "--collection", "staff"), 2, "no window"),
        (("group", "join", "X", "Ada", "--collection", "staff"), 5, "no group"),
        (("holiday", "add", "soon"), 2, "no day"),
        (("open", "Nowhere", "--reason", "x"), 5, "no door"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    cli: Cli, home: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = cli("access", *words)
    assert (ran.code, said in ran.err) == (code, True), ran.err
