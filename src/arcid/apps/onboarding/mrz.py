"""The machine-readable zone of a travel document: parsed and checked.

ICAO Doc 9303 (8th edition): part 3 for the characters and check digits, 4 for passports (TD3), 5
for cards (TD1), 6 for TD2, 7 for visas. A zone that passes was copied without a slip; anybody can
compute check digits, so it proves nothing about the document.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from arcid.errors import MrzInvalid

#: Who read it: the applicant, arcid in the picture, both alike, or both and not alike.
Source = Literal["typed", "picture", "both", "contradicted"]
WEIGHTS = (7, 3, 1)
_CHARACTERS = re.compile(r"[A-Z0-9<]+")
#: Latin letters that Doc 9303-3 section 6 writes as others, where dropping the accent is not it.
_LETTERS = {
    "Ä": "AE", "Ö": "OE", "Ü": "UE", "Å": "AA", "Æ": "AE", "Ø": "OE", "Œ": "OE", "ẞ": "SS",
    "Þ": "TH", "Ð": "D", "Đ": "D", "Ł": "L", "Ħ": "H", "Ŧ": "T", "ı": "I", "Ŋ": "N",
}  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Zone:
    """What a zone says."""

    form: str  # TD1, TD2, TD3, MRVA or MRVB
    issuer: str  # as printed: D, UTO, …
    surname: str
    given: str
    number: str
    birth_date: date | None  # None where the zone leaves a part of it open
    expires: date | None
    source: Source = "typed"

    @property
    def name(self) -> str:
        return f"{self.given} {self.surname}".strip()

    def __repr__(self) -> str:
        return f"Zone({self.form} of {self.issuer})"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Zone:
        """What ``to_dict`` gave."""
        days = {
            name: None if values[name] is None else date.fromisoformat(values[name])
            for name in ("birth_date", "expires")
        }
        return cls(**{**values, **days})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; personal data."""
        dates = {"birth_date": self.birth_date, "expires": self.expires}
        return {
            "form": self.form,
            "issuer": self.issuer,
            "surname": self.surname,
            "given": self.given,
            "number": self.number,
            **{name: None if day is None else day.isoformat() for name, day in dates.items()},
            "source": self.source,
        }


def check_digit(field: str) -> str:
    """Doc 9303-3, 4.9: weights 7, 3, 1 over digits, letters from A = 10 and fillers as 0."""
    values = (0 if c == "<" else int(c, 36) for c in field)
    return str(sum(v * WEIGHTS[i % 3] for i, v in enumerate(values)) % 10)


def read(text: str, *, today: date | None = None) -> Zone:
    """The zone in a text of two or three lines, blanks and small letters forgiven.

    Raises ``MrzInvalid``, saying which line or field is wrong; what was typed is not repeated.
    """
    lines = [re.sub(r"\s", "", line).upper() for line in text.strip().splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        if not _CHARACTERS.fullmatch(line):
            raise MrzInvalid(
                f"line {number} of the machine-readable zone holds other characters than A–Z, 0–9 "
                "and <; type it as it is printed"
            )
    shape = (len(lines), *{len(line) for line in lines})
    if shape == (3, 30):
        return _td1(lines, today or date.today())
    if shape in ((2, 44), (2, 36)):
        return _two_lines(lines, today or date.today())
    raise MrzInvalid(
        "a machine-readable zone has two lines of 44 or 36 characters, or three of 30; got "
        f"{' and '.join(str(len(line)) for line in lines) or 'none'}"
    )


def _two_lines(lines: list[str], today: date) -> Zone:
    """TD3 and MRV-A (44 characters a line), TD2 and MRV-B (36)."""
    head, data = lines
    long = len(head) == 44
    visa = head[0] == "V"
    _check("document number", data[0:9], data[9])
    _check("date of birth", data[13:19], data[19])
    _check("date of expiry", data[21:27], data[27])
    if not visa:
        if long and not (data[42] == "<" and not data[28:42].strip("<")):
            _check("personal number", data[28:42], data[42])
        _check("whole zone", data[0:10] + data[13:20] + data[21:-1], data[-1])
    form = ("MRVA" if long else "MRVB") if visa else ("TD3" if long else "TD2")
    surname, given = _names(head[5:])
    return Zone(
        form, head[2:5].strip("<"), surname, given, data[0:9].strip("<"),
        _birth(data[13:19], today), _date("date of expiry", data[21:27], 2000),
    )  # fmt: skip


def _td1(lines: list[str], today: date) -> Zone:
    first, second, third = lines
    number, digit = first[5:14], first[14]
    if digit == "<" and (more := first[15:30].split("<")[0]):  # longer than nine: 9303-5, 4.2.4
        number, digit = number + more[:-1], more[-1]
    _check("document number", number, digit)
    _check("date of birth", second[0:6], second[6])
    _check("date of expiry", second[8:14], second[14])
    _check("whole zone", first[5:30] + second[0:7] + second[8:15] + second[18:29], second[29])
    surname, given = _names(third)
    return Zone(
        "TD1", first[2:5].strip("<"), surname, given, number.strip("<"),
        _birth(second[0:6], today), _date("date of expiry", second[8:14], 2000),
    )  # fmt: skip


def _check(name: str, field: str, digit: str) -> None:
    if digit != check_digit(field) and not (digit == "<" and not field.strip("<")):
        raise MrzInvalid(
            f"the check digit of the {name} is wrong: a character was misread or mistyped",
            field=name,
        )


def _names(field: str) -> tuple[str, str]:
    surname, _, given = field.partition("<<")
    return " ".join(surname.replace("<", " ").split()), " ".join(given.replace("<", " ").split())


def _birth(field: str, today: date) -> date | None:
    found = _date("date of birth", field, 2000)
    return found.replace(year=found.year - 100) if found is not None and found > today else found


def _date(name: str, field: str, century: int) -> date | None:
    """None where a part is left open with fillers, as Doc 9303 allows for birth dates."""
    if "<" in field:
        return None
    try:
        return date(century + int(field[:2]), int(field[2:4]), int(field[4:6]))
    except ValueError:
        raise MrzInvalid(f"the {name} is no date (YYMMDD)", field=name) from None


# comparing names


def same_name(claimed: str, zone: Zone) -> bool | None:
    """Whether a name is the zone's: every word of it stands there, and of the surname every word in
    it. None where it has letters that no rule turns into A–Z, so that nobody can say."""
    forms = [_words(word) for word in re.split(r"[\s,.\-'’]+", claimed) if word]
    if any(not form for form in forms):
        return None
    there, surname = (re.split(r"\W+", text) for text in (zone.name, zone.surname))
    last = there[-1] if not zone.given else zone.given.split()[-1]
    cut = len(zone.name) >= 28  # names that do not fit end in the middle of a word
    found = all(
        form & set(there) or (cut and any(w.startswith(last) for w in form)) for form in forms
    )
    return bool(forms) and found and all(any(w in form for form in forms) for w in surname if w)


def _words(word: str) -> set[str]:
    """A word as the zone may write it; empty where it cannot."""
    spelt, plain = "", ""
    for letter in unicodedata.normalize("NFC", word.upper().replace("ß", "SS")):
        base = unicodedata.normalize("NFKD", letter)[0]
        spelt += _LETTERS.get(letter, base)
        plain += base if base.isascii() else _LETTERS.get(letter, base)
    return {form for form in (spelt, plain) if form.isascii()}
