"""``arcid models use`` and ``calibrations``: chosen on this machine, and told to its gallery."""

from __future__ import annotations

from typing import Any


def rows(cli: Any) -> list[tuple[str, str]]:
    found = cli("audit", "list", "--json").json["entries"]
    return [(row["verb"], row["subject"]) for row in found if row["verb"].startswith("models.")]


def test_a_choice_is_told_to_the_gallery_of_the_machine_where_there_is_one(cli: Any) -> None:
    assert cli("models", "use", "arcid-face-s", "--json").json["name"] == "arcid-face-s"
    assert cli("gallery", "create", "staff").code == 0
    assert rows(cli) == [], "there was none"
    assert cli("models", "use", "arcid-face-s-int8").code == 0
    assert cli("models", "use", "--packaged", "recognition").code == 0
    assert rows(cli) == [
        ("models.choose", "model:packaged"),
        ("models.choose", "model:arcid-face-s-int8"),
    ]
    assert cli("models", "use", "nobody-made-it").code == 4
    assert cli("models", "use").code == 2
    assert len(rows(cli)) == 2


def test_calibrations_are_listed_and_what_is_not_there_is_said(cli: Any) -> None:
    (kept,) = cli("models", "calibrations", "--json").json["calibrations"]
    assert kept["packaged"] and kept["in_force"]
    assert cli("models", "calibrations", "--use", "packaged").code == 0
    assert cli("models", "calibrations", "--use", "cafe").code == 4
    assert cli("models", "calibrations", "--delete", kept["calibration_id"]).code == 2
