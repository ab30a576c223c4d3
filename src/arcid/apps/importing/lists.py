"""A list of photos as CSV: ``person`` and ``photo``, consents, and what else is known of people.

    person,photo,consent,consent_evidence,department
    Ada,photos/1.jpg,2026-03,form 17,engineering

``external_id`` is what another system calls them. Every other column is kept as metadata of people
who are new. Excel's semicolons are read too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from unicodedata import normalize

from arcid.apps.importing.items import About, Item, Left
from arcid.errors import InputError
from arcid.files import unguarded
from arcid.gallery import NewConsent

MAX_BYTES = 32 * 2**20
CONSENT = ("consent", "consent_evidence", "consent_by", "consent_at")
_NEEDED = ("person", "photo")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list says."""

    items: list[Item]
    left: list[Left]
    about: dict[str, About]  # by name


def read(data: bytes, present: Iterable[str] | None = None) -> Listed:
    """``present``: paths of the photos there are; what is not listed stays behind, and so do rows
    whose photo is not there. Raises ``InputError`` where the list itself cannot be read."""
    there = None if present is None else {normalize("NFC", name): name for name in present}
    items: dict[str, Item] = {}
    left: list[Left] = []
    about: dict[str, About] = {}
    for number, row in enumerate(_rows(data), 2):
        person, photo = row["person"], row["photo"].replace("\\", "/").removeprefix("./")
        if there is not None:  # a Mac writes names of files in another composition than Excel
            photo = there.get(normalize("NFC", photo), photo)
        label = photo or f"line {number}"
        if not person or not photo:
            left.append(Left(label, person, "row_incomplete", f"line {number} lacks {_lack(row)}"))
        elif photo in items:
            left.append(Left(label, person, "listed_twice", f"line {number} lists it again"))
        elif there is not None and normalize("NFC", photo) not in there:
            left.append(Left(label, person, "photo_missing", f"line {number}: no such photo"))
        else:
            name = normalize("NFC", person)
            first, told = about.get(name, About()), _about(row, number)
            if len({first.external_id, told.external_id} - {None}) > 1:
                why = f"line {number}: this name has another external_id above; two people need two"
                left.append(Left(label, person, "external_id_differs", f"{why} names"))
                continue
            about[name] = _joined(first, told)
            items[photo] = Item(person, photo)
    for name in sorted({*(there or {}).values()} - set(items) - {one.label for one in left}):
        left.append(Left(name, "", "not_listed", "the list does not name it"))
    return Listed(list(items.values()), left, about)


def load(path: Path) -> bytes:
    """A list of this machine. Raises ``InputError``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None


def _rows(data: bytes) -> Iterator[dict[str, str]]:
    if len(data) > MAX_BYTES:
        raise InputError(f"a list may have at most {MAX_BYTES // 2**20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("the list is not UTF-8; save it as CSV UTF-8") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        lacking = [name for name in _NEEDED if name not in header]
        if lacking or len(set(header)) != len(header):
            raise InputError(
                "the first line of the list names its columns once each, and person and photo are "
                f"among them; it says: {', '.join(header)[:200] or 'nothing'}"
            )
        for row in reader:
            if any(cell.strip() for cell in row):
                cells = [unguarded(cell.strip()) for cell in row] + [""] * len(header)
                yield dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of the list cannot be read: {error}") from None


def _about(row: dict[str, str], number: int) -> About:
    known = (*_NEEDED, *CONSENT, "external_id")
    outside = row.get("external_id") or None
    metadata = {name: value for name, value in row.items() if name not in known and name and value}
    text = row.get("consent", "")
    if not text:
        return About(None, metadata, outside)
    at = row.get("consent_at", "")
    try:
        when = datetime.fromisoformat(at).astimezone() if at else None
    except (ValueError, OverflowError):
        raise InputError(f"line {number}: consent_at is no time; write 2026-03-01") from None
    evidence, by = row.get("consent_evidence", ""), row.get("consent_by", "") or "themselves"
    return About(NewConsent(text, evidence, by, "", when), metadata, outside)


def _joined(first: About, told: About) -> About:
    """What two lines say of one person; where both say it, the first counts."""
    return About(
        first.consent or told.consent,
        {**told.metadata, **first.metadata},
        first.external_id or told.external_id,
    )


def _lack(row: dict[str, str]) -> str:
    return " and ".join(name for name in _NEEDED if not row[name])
