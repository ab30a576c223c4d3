"""The machine-readable zone read in pictures of specimens; nothing of a real document."""

from __future__ import annotations

import dataclasses
import socket
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.test_onboarding_mrz import TD1, TD2, TD3

from arcid.apps.demo.documents import FORMS, Form, photographed, specimen, zone_of
from arcid.apps.onboarding import mrz, zones
from arcid.apps.onboarding.applicant import Agreed, Applicant
from arcid.apps.onboarding.cases import Cases
from arcid.apps.onboarding.degrading import degraded
from arcid.apps.onboarding.documents import Reader
from arcid.apps.onboarding.records import Rules, Session
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import Image

BORN, EXPIRES = date(1984, 2, 29), date(2049, 12, 31)


def text_of(form: Form, name: str = "Anna Maria Eriksson", born: date = BORN) -> str:
    return zone_of(form, name, "L898902C3", born, EXPIRES)


@pytest.fixture(scope="module")
def scanner() -> zones.Zones:
    found = zones.load()
    assert found is not None, "the extra dev brings rapidocr"
    return found


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.from_models()


@pytest.fixture(scope="module")
def heads(data_dir: Path) -> list[Image]:
    """Two photos of one person."""
    return [load_image(data_dir / f"data/deepface-pairs/{name}.jpg") for name in ("img4", "img10")]


@pytest.mark.parametrize("form", FORMS)
def test_the_specimens_of_utopia_are_drawn_with_right_digits(form: Form) -> None:
    zone = mrz.read(text_of(form))
    assert (zone.form, zone.surname, zone.given) == (form, "ERIKSSON", "ANNA MARIA")
    assert (zone.birth_date, zone.expires, zone.number) == (BORN, EXPIRES, "L898902C3")


@pytest.mark.parametrize("turns", [0, 3])
def test_the_back_of_a_card_is_read_whichever_way_it_lies(scanner: zones.Zones, turns: int) -> None:
    picture = photographed(specimen("TD1", None, text_of("TD1")), turns=turns, slant=0.03)
    assert scanner.turned(picture) == mrz.read(text_of("TD1"))


def test_a_zone_with_a_wrong_digit_is_not_read(scanner: zones.Zones) -> None:
    text = text_of("TD1").replace("840229", "840228")
    assert scanner.read(specimen("TD1", None, text)) is None
    assert scanner.read(np.full((540, 856, 3), 200, np.uint8)) is None


def test_nothing_is_downloaded(scanner: zones.Zones, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    fresh = zones.load.__wrapped__()
    assert fresh is not None and fresh is not scanner
    assert fresh.read(specimen("TD1", None, text_of("TD1"))) is not None


# from texts to a zone


def test_what_looks_alike_is_told_apart_by_its_place() -> None:
    slip = TD3.replace("UTOERIKSSON", "UT0ER1KS5ON").replace("7408122", "74O8I22")
    zone = zones.parsed(["UTOPIA PASSPORT", *slip.replace("<<<<<<", "くく＜<<<").split("\n")])
    assert zone == mrz.read(TD3)


@pytest.mark.parametrize("text", [TD1, TD2, TD3])
def test_what_follows_a_name_is_nothing(text: str) -> None:
    lines = text.split("\n")
    row = 2 if len(lines) == 3 else 0
    lines[row] = lines[row][:-2] + "C<"
    assert zones.parsed(lines) == mrz.read(text)


def test_a_letter_too_few_or_a_wrong_digit_is_no_zone() -> None:
    head, data = TD3.split("\n")
    for lines in ([head], [head, data[:-1]], [data, head], [head, "", data], []):
        assert zones.parsed(lines) is None
    for place in range(9):
        wrong = "7" if data[place] != "7" else "2"
        assert zones.parsed([head, data[:place] + wrong + data[place + 1 :]]) is None


def test_pieces_of_a_line_are_joined_and_lines_come_from_the_top() -> None:
    def box(x: float, y: float) -> list[list[float]]:
        return [[x, y], [x + 90, y + 1], [x + 90, y + 21], [x, y + 20]]

    boxes = np.array([box(100, 43), box(0, 0), box(0, 40)], np.float32)
    assert zones.rows(boxes, ["c", "a", "b"]) == ["a", "bc"]


def test_what_was_typed_and_what_was_read() -> None:
    typed = mrz.read(TD3)
    named = dataclasses.replace(typed, given="ANNA MARLA")
    other = dataclasses.replace(typed, number="X")
    assert zones.agreed(None, None) is None
    assert zones.agreed(typed, None) == typed and typed.source == "typed"
    seen = zones.agreed(None, typed)
    assert seen is not None and seen.source == "picture"
    both = zones.agreed(typed, named)
    assert both is not None and (both.given, both.source) == (typed.given, "both")
    against = zones.agreed(typed, other)
    assert against is not None and (against.number, against.source) == (
        typed.number, "contradicted",
    )  # fmt: skip


# an applicant's document


@pytest.mark.data
@pytest.mark.parametrize(("form", "turns"), [("TD2", 1), ("TD3", 0)])
def test_the_zone_under_a_portrait_is_read(
    scanner: zones.Zones, pipeline: Pipeline, heads: list[Image], form: Form, turns: int
) -> None:
    text = text_of(form)
    printed = degraded(specimen(form, heads[0], text), "print_scan", 90, np.random.default_rng(1))
    seen = photographed(printed, turns=turns, slant=0.03)
    assert scanner.document(Reader(pipeline).read(seen)) == mrz.read(text)


@pytest.mark.data
@pytest.mark.parametrize(
    ("form", "name", "born", "typed", "source", "reasons"),
    [
        ("TD2", "Anna Eriksson", BORN, "", "picture", []),
        ("TD2", "Anna Eriksson", BORN, text_of("TD2"), "both", []),
        ("TD2", "Anna Eriksson", BORN, text_of("TD3"), "both", []),
        ("TD2", "Bertha Eriksson", BORN, "", "picture", ["name_uncertain"]),
        ("TD2", "Bertha Eriksson", BORN, text_of("TD2"), "both", ["name_differs"]),
        ("TD2", "Anna Eriksson", date(1984, 2, 28), "", "picture", ["birth_date_differs"]),
        (
            "TD2", "Anna Eriksson", BORN, zone_of("TD2", "Anna Eriksson", "X1", BORN, EXPIRES),
            "contradicted", ["zone_differs"],
        ),
        ("TD1", "Anna Eriksson", BORN, "", "picture", []),  # on the back
    ],
)  # fmt: skip
def test_the_zone_of_the_picture_is_compared(
    tmp_path: Path, scanner: zones.Zones, pipeline: Pipeline, heads: list[Image],
    form: Form, name: str, born: date, typed: str, source: str, reasons: list[str],
) -> None:  # fmt: skip
    session = onboarded(tmp_path, scanner, pipeline, heads, form, name, born, typed)
    assert session.zone is not None and session.zone["source"] == source
    assert [check.code for check in session.reasons] == reasons
    assert session.state == ("review" if reasons else "accepted")


@pytest.mark.data
def test_a_zone_that_is_not_read_is_never_another_person(
    tmp_path: Path, scanner: zones.Zones, pipeline: Pipeline, heads: list[Image]
) -> None:
    session = onboarded(
        tmp_path, scanner, pipeline, heads, "TD2", "Bertha Other", BORN, "", ("840229", "840228")
    )
    assert (session.state, session.zone, session.reasons) == ("accepted", None, ())
    assert "zone_missing" in [check.code for check in session.checks]


def onboarded(
    folder: Path, scanner: zones.Zones, pipeline: Pipeline, heads: list[Image], form: Form,
    name: str, born: date, typed: str, slip: tuple[str, str] = ("", ""),
) -> Session:  # fmt: skip
    """With a document of Anna Maria Eriksson; a card's zone is on its back."""
    text = text_of(form).replace(*slip)
    back = photographed(specimen("TD1", None, text)) if form == "TD1" else None
    with Gallery.open(folder / "gallery.db") as gallery:
        gallery.create_collection("members")
        rules = Rules(live=False, passive="off")
        _, token = Cases(gallery).start("members", rules=rules)
        one = Applicant(gallery, pipeline, zones=scanner)
        one.consent(token, Agreed("1", "I agree."), name=name, birth_date=born)
        attempt = one.document(
            token, photographed(specimen(form, heads[0], text)), back=back, zone=typed
        )
        assert attempt.taken, attempt.problem
        return one.selfie(token, heads[1]).session
