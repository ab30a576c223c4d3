"""Each day the audit is sealed: whoever writes it anew cannot seal it anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from arcid import signing
from arcid.events import Audit
from arcid.events.seals import KIND, Seals, own_keys
from arcid.gallery import Gallery
from arcid.gallery.schema import audit as rows
from arcid.gallery.schema import audit_seals
from arcid.gallery.schema import gallery as counter
from arcid.gallery.store.audit import FIRST, digest

MONDAY = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # seals Sunday, the first


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


def told(gallery: Gallery, n: int = 3) -> None:
    for number in range(n):
        Audit(gallery).record(verb="list.view", subject=f"list:{number}")


def written_anew(gallery: Gallery, **changes: Any) -> None:
    """The first row changed, and all that follow, with the end, by somebody with the database."""
    with gallery.database.write() as connection:
        previous = FIRST
        for found in connection.execute(sa.select(rows).order_by(rows.c.seq)).mappings().all():
            row = dict(found) | {"previous": previous} | (changes if found["seq"] == 1 else {})
            row["digest"] = previous = digest(row)
            own = rows.update().where(rows.c.seq == row["seq"])
            connection.execute(own.values(**row))
        connection.execute(counter.update().values(audit_digest=previous))


def test_a_day_is_sealed_once_and_the_seal_is_a_file_of_its_own(
    gallery: Gallery, tmp_path: Path
) -> None:
    seals = Seals(gallery, tmp_path)
    assert seals.seal(MONDAY) is None and own_keys(tmp_path) is not None  # nothing was written
    told(gallery)
    made = seals.seal(MONDAY)
    assert made is not None and (made.day, made.row) == (date(2026, 3, 1), 3)
    assert seals.seal(MONDAY) is None
    said, signed_by = signing.verify(made.file.encode(), KIND)
    assert said["digest"] == Audit(gallery).find(limit=1)[0].digest == made.digest
    assert {signed_by} == own_keys(tmp_path)
    told(gallery, 2)
    found = Audit(gallery).verify(own_keys(tmp_path), MONDAY)
    assert (found.problem, found.seals, found.sealed, found.rows) == (None, 1, 3, 5)


def test_a_chain_that_was_written_anew_does_not_fit_its_seals(
    gallery: Gallery, tmp_path: Path
) -> None:
    told(gallery)
    Seals(gallery, tmp_path).seal(MONDAY)
    written_anew(gallery, actor="account:another")
    done = Audit(gallery).verify()
    assert done.problem is not None and "sealed on 2026-03-01" in done.problem
    assert (done.first_wrong, done.seals) == (3, 0)


def test_a_seal_of_another_key_or_of_something_else_is_none(
    gallery: Gallery, tmp_path: Path
) -> None:
    told(gallery)
    seals = Seals(gallery, tmp_path)
    made = seals.seal(MONDAY)
    assert made is not None
    written_anew(gallery, actor="account:another")
    forged = signing.Signer(tmp_path / "theirs")
    said, _ = signing.verify(made.file.encode(), KIND)
    with gallery.database.read() as connection:
        now = connection.execute(sa.select(counter.c.audit_digest)).scalar_one()
    body = {k: v for k, v in said.items() if k not in ("format", "version")} | {"digest": now}
    with gallery.database.write() as connection:
        file = forged.sign(KIND, body).decode()
        connection.execute(audit_seals.update().values(digest=now, signed=file))
    assert Audit(gallery).verify().problem is None  # any key will do
    done = Audit(gallery).verify(own_keys(tmp_path))
    assert done.problem is not None and "another key" in done.problem
    for change in ({"day": "2026-03-02"}, {"row": 1}, {"gallery": "0" * 32}):
        file = signing.Signer(tmp_path).sign(KIND, body | change).decode()
        with gallery.database.write() as connection:
            connection.execute(audit_seals.update().values(signed=file))
        done = Audit(gallery).verify(own_keys(tmp_path))
        assert done.problem is not None and "something else" in done.problem
    with gallery.database.write() as connection:
        connection.execute(audit_seals.update().values(signed=file.replace("a", "b")))
    assert "not what was signed" in (Audit(gallery).verify().problem or "")


def test_days_that_nobody_sealed_are_said(gallery: Gallery, tmp_path: Path) -> None:
    told(gallery)
    seals = Seals(gallery, tmp_path)
    for days in (0, 1, 4):
        seals.seal(MONDAY + timedelta(days=days))
        told(gallery, 1)
    book = Audit(gallery)
    now = MONDAY + timedelta(days=4)
    assert book.verify(now=now).unsealed_days == (date(2026, 3, 3), date(2026, 3, 4))
    early = MONDAY.replace(hour=1) + timedelta(days=5)  # it has until two
    assert len(book.verify(now=early).unsealed_days) == 2
    assert len(book.verify(now=early + timedelta(hours=2)).unsealed_days) == 3
    with gallery.database.write() as connection:  # taken away, so that the chain may be changed
        connection.execute(audit_seals.delete().where(audit_seals.c.day == "2026-03-02"))
    found = book.verify(now=now)
    assert date(2026, 3, 2) in found.unsealed_days
    assert json.loads(json.dumps(found.to_dict()))["unsealed_days"][0] == "2026-03-02"


def test_it_is_sealed_and_verified_at_the_command_line(cli: Any) -> None:
    assert cli("gallery", "create", "staff").code == 0
    assert "nothing was written" in cli("audit", "seal").out
    assert "no day is sealed" in cli("audit", "verify").out
    assert cli("gallery", "policy", "staff", "--purpose", "Doors").code == 0
    made = cli("audit", "seal")
    assert made.code == 0 and signing.verify(made.out.encode(), KIND)[0]["row"] == 1
    assert len(cli("audit", "seal", "--json").json["seals"]) == 1
    good = cli("audit", "verify")
    assert good.code == 0 and "sealed up to row 1, seals: 1" in good.out
    assert cli("audit", "verify", "--fingerprint", "0" * 64, "--json").code == 5
