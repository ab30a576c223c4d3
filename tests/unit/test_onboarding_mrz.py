"""The machine-readable zone: ICAO's own specimens, and every slip of one character."""

from __future__ import annotations

from datetime import date

import pytest

from arcid.apps.onboarding import mrz
from arcid.errors import MrzInvalid

TODAY = date(2026, 11, 29)
#: Doc 9303 parts 4, 6, 5 and 7: the specimens of Utopia.
TD3 = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
TD2 = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6"
TD1 = (
    "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<"
)
MRVA = "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL8988901C4XXX4009078F96121096ZE184226B<<<<<<"
MRVB = "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nL8988901C4XXX4009078F9612109<<<<<<<<"


@pytest.mark.parametrize(
    ("text", "form", "number", "born"),
    [
        (TD3, "TD3", "L898902C3", date(1974, 8, 12)),
        (TD2, "TD2", "D23145890", date(1974, 8, 12)),
        (TD1, "TD1", "D23145890", date(1974, 8, 12)),
        (MRVA, "MRVA", "L8988901C", date(1940, 9, 7)),
        (MRVB, "MRVB", "L8988901C", date(1940, 9, 7)),
    ],
)
def test_specimens_are_read(text: str, form: str, number: str, born: date) -> None:
    zone = mrz.read(text.lower().replace("\n", "  \n "), today=TODAY)
    assert (zone.form, zone.issuer, zone.number) == (form, "UTO", number)
    assert (zone.surname, zone.given, zone.birth_date) == ("ERIKSSON", "ANNA MARIA", born)
    assert mrz.Zone.of(zone.to_dict()) == zone
    assert "ERIKSSON" not in repr(zone)


def test_a_card_with_a_longer_number_is_read() -> None:
    number = "D23145890734"
    head = f"I<UTO{number[:9]}<{number[9:]}{mrz.check_digit(number)}"
    first = head.ljust(30, "<")
    second = "7408122F1204159UTO" + "<" * 11
    whole = first[5:30] + second[0:7] + second[8:15] + second[18:29]
    text = f"{first}\n{second}{mrz.check_digit(whole)}\nERIKSSON<<ANNA<MARIA<<<<<<<<<<"
    assert mrz.read(text, today=TODAY).number == number


@pytest.mark.parametrize("text", [TD3, TD2, TD1])
def test_a_changed_digit_of_what_is_checked_is_noticed(text: str) -> None:
    """Each digit of number, dates and personal number, read as the next one."""
    lines = text.split("\n")
    row = 1 if len(lines) == 2 else 0
    checked = range(0, 28) if row else range(5, 15)
    noticed = 0
    for at in checked:
        if not lines[row][at].isdigit():
            continue
        changed = str((int(lines[row][at]) + 1) % 10)
        slip = [*lines]
        slip[row] = slip[row][:at] + changed + slip[row][at + 1 :]
        with pytest.raises(MrzInvalid):
            mrz.read("\n".join(slip), today=TODAY)
        noticed += 1
    assert noticed > 7


@pytest.mark.parametrize(
    "text", ["", "P<UTO", TD3[:-1], TD3 + "\n" + "<" * 44, TD3.replace("P", "é")]
)
def test_what_is_no_zone_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MrzInvalid) as caught:
        mrz.read(text, today=TODAY)
    assert "ERIKSSON" not in caught.value.message


def test_a_birth_date_lies_in_the_past_and_may_be_open() -> None:
    assert mrz._birth("251130", TODAY) == date(2025, 11, 30)
    assert mrz._birth("261130", TODAY) == date(1926, 11, 30)
    assert mrz._birth("74<<<<", TODAY) is None


def _zone(surname: str, given: str) -> mrz.Zone:
    return mrz.Zone("TD3", "UTO", surname, given, "X", None, None)


@pytest.mark.parametrize(
    ("claimed", "surname", "given", "same"),
    [
        ("Anna Maria Eriksson", "ERIKSSON", "ANNA MARIA", True),
        ("anna eriksson", "ERIKSSON", "ANNA MARIA", True),  # a second given name left out
        ("Anna Ericsson", "ERIKSSON", "ANNA MARIA", False),
        ("Anna Maria", "ERIKSSON", "ANNA MARIA", False),  # the surname is missing
        ("Eriksson", "ERIKSSON", "ANNA MARIA", True),
        ("Jürgen Groß", "GROSS", "JUERGEN", True),
        ("Jürgen Gross", "GROSS", "JURGEN", True),
        ("Søren Ångström", "AANGSTROEM", "SOEREN", True),
        ("Zoë O'Connor-Smith", "O CONNOR SMITH", "ZOE", True),
        ("Lukas Müller", "MUELLER", "LUKAS", True),
        ("Иван Петров", "PETROV", "IVAN", None),
        ("", "PETROV", "IVAN", False),
    ],
)
def test_names_are_compared_as_the_zone_writes_them(
    claimed: str, surname: str, given: str, same: bool | None
) -> None:
    assert mrz.same_name(claimed, _zone(surname, given)) is same


def test_a_name_that_was_cut_off_still_matches() -> None:
    zone = _zone("PAPANDROPOULOUS", "JONATHON ALEXAN")  # 9303-4: cut after 39 characters
    assert mrz.same_name("Jonathon Alexander Papandropoulous", zone)
