"""What is too old is erased, counted where it is erased, once, and gone on with after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.apps import doctor
from arcid.errors import GalleryBusy
from arcid.events import Audit, Duty, Event, Events, Place, Question, Reviews, Sightings, tables
from arcid.gallery import Gallery, NewFace
from arcid.gallery.schema import embeddings
from arcid.protection import Counts, Policies, Retention
from arcid.protection.retention import DUTY, _Turn
from arcid.types import Embeddings, Match

CONTRACT = "c" * 64
DOOR = Place("door", "door")


def vector(seed: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(seed).standard_normal((1, 64)), CONTRACT)


def crop(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (112, 112, 3)).astype(np.uint8)


def later(**span: float) -> datetime:
    return datetime.now(UTC) + timedelta(**span)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        for seed, name in enumerate(("Ann", "Ben", "Cleo")):
            gallery.enrol("staff", name, [NewFace(vector(seed), photo_id=name)])
        yield gallery


def who(gallery: Gallery, name: str) -> str:
    found = gallery.find_person("staff", name)
    assert found is not None
    return found.id


def seen(gallery: Gallery, name: str, at: datetime, seed: int = 20) -> Event:
    (event,) = Sightings(gallery).person(
        "staff", DOOR, who(gallery, name), at, cooldown_s=1, grounds={}, vector=vector(seed),
        crop=crop(seed),
    )  # fmt: skip
    return event


def stranger(gallery: Gallery, seed: int = 30, asked: Sequence[str] = ()) -> Event:
    at = datetime.now(UTC)
    matches = [
        Match(who(gallery, n), n, 0.4, gallery.faces("staff", who(gallery, n))[0].id, 1)
        for n in asked
    ]
    (event,) = Sightings(gallery).visitor(
        "staff", DOOR, at, at, f"{seed}", cooldown_s=60, alike=0.9, grounds={},
        vector=vector(seed), crop=crop(seed),
        question=Question(matches, None, 0.01) if asked else None,
    )  # fmt: skip
    return event


def faces_kept(gallery: Gallery) -> int:
    with gallery.database.read() as connection:
        query = sa.select(sa.func.count()).select_from(tables.traces)
        return int(connection.execute(query).scalar_one())


def names(gallery: Gallery) -> list[str]:
    return [person.name for person in gallery.people("staff")]


def test_strangers_always_go_and_the_faces_of_people_when_their_time_is_over(
    gallery: Gallery,
) -> None:
    stranger(gallery)
    seen(gallery, "Ann", datetime.now(UTC))
    wrong = seen(gallery, "Ben", datetime.now(UTC), 21)
    Events(gallery).correct("staff", wrong.id, "not_person", actor="op", block=False)
    book = Retention(gallery)
    assert book.due(later(hours=23))["staff"].total == 0
    assert book.due(later(hours=25))["staff"] == Counts(strangers=2)
    assert faces_kept(gallery) == 3  # nothing was changed
    assert book.carry_out(later(hours=25)).total == 2
    assert faces_kept(gallery) == 1 and len(Events(gallery).find("staff")) == 3
    assert book.carry_out(later(days=29)).total == 0
    assert book.carry_out(later(days=31)).total == 1
    assert faces_kept(gallery) == 0 and names(gallery) == ["Ann", "Ben", "Cleo"]


def test_a_question_waits_as_long_as_a_face_of_somebody_known(gallery: Gallery) -> None:
    event = stranger(gallery, asked=["Ann"])
    book = Retention(gallery)
    assert book.carry_out(later(hours=25)).total == 0
    Reviews(gallery).answer("staff", event.id, "no", actor="op", block=False)
    assert book.carry_out(later(hours=25)).total == 1
    stranger(gallery, seed=31, asked=["Ann"])
    assert book.carry_out(later(days=31)).total == 1 and faces_kept(gallery) == 0


def test_faces_said_not_to_be_somebody_go_where_the_policy_says_so(gallery: Gallery) -> None:
    wrong = seen(gallery, "Ben", datetime.now(UTC))
    Events(gallery).correct("staff", wrong.id, "not_person", actor="op", block=True)
    book = Retention(gallery)
    assert book.due(later(days=3000))["staff"].refused == 0
    Policies(gallery).change("staff", refused_days=90.0)
    assert book.carry_out(later(days=91)).erased[gallery.collection("staff").id].refused == 1
    assert Events(gallery).blocked("staff", CONTRACT) == []


def test_people_go_who_were_not_seen_and_nobody_who_was(gallery: Gallery) -> None:
    Policies(gallery).change("staff", unseen_days=365.0)
    seen(gallery, "Ann", later(days=300))
    told, book = Audit(gallery), Retention(gallery)
    book.carry_out(later(days=364))
    assert names(gallery) == ["Ann", "Ben", "Cleo"]
    book.carry_out(later(days=366))
    assert names(gallery) == ["Ann"]
    rows = told.find(verb="person.delete")
    assert {row.reason for row in rows} == {"not seen for 365 days"}
    Policies(gallery).change("staff", keep_days=1000.0)
    book.carry_out(later(days=667))
    assert names(gallery) == []
    Policies(gallery).change("staff", unseen_days=None)
    gallery.enrol("staff", "Dora", [NewFace(vector(9))])
    book.carry_out(later(days=999))
    assert names(gallery) == ["Dora"]
    book.carry_out(later(days=1001))
    assert names(gallery) == []
    assert told.verify().problem is None


def test_a_login_by_face_counts_as_being_seen(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    Policies(gallery).change("staff", unseen_days=365.0)
    future = int(later(days=300).timestamp() * 1e6)
    monkeypatch.setattr("arcid.gallery.store.audit.now_us", lambda: future)
    Audit(gallery).record(verb="person.authenticate", subject=f"person:{who(gallery, 'Ben')}")
    monkeypatch.undo()
    Retention(gallery).carry_out(later(days=366))
    assert names(gallery) == ["Ben"]


def test_what_is_due_is_asked_again_in_the_transaction_and_counted_once(gallery: Gallery) -> None:
    Policies(gallery).change("staff", unseen_days=365.0)
    at = int(later(days=400).timestamp() * 1e6)
    ids = [who(gallery, name) for name in names(gallery)]
    seen(gallery, "Cleo", later(days=300))  # between the question and the answer
    for turn in (_Turn(gallery, at, lambda: True), _Turn(gallery, at, lambda: True)):
        turn._delete("staff", ids)
        turn.end()
    assert names(gallery) == ["Cleo"]
    assert sum(run.total for run in Retention(gallery).runs()) == 2
    assert len(Audit(gallery).find(verb="person.delete")) == 2


def test_one_process_at_a_time(gallery: Gallery) -> None:
    other = Duty(gallery, DUTY)
    assert other.mine()
    with pytest.raises(GalleryBusy, match=str(os.getpid())):
        Retention(gallery).carry_out()
    other.release()
    Retention(gallery).carry_out()


def test_turns_that_erased_nothing_leave_one_row(gallery: Gallery) -> None:
    book = Retention(gallery)
    for _ in range(3):
        book.carry_out()
    stranger(gallery)
    book.carry_out(later(hours=25))
    book.carry_out(later(hours=25))
    assert [run.total for run in book.runs()] == [0, 1]
    assert all(run.ended_at is not None for run in book.runs())


KILLED = """
    import os, signal, sys
    from datetime import UTC, datetime, timedelta
    from arcid.gallery import Gallery
    from arcid.protection import Retention, retention

    retention.PEOPLE, retention.LEASE_S = 4, 0.001
    whole = retention._Turn._count
    def count(self, connection, own, what, n):
        whole(self, connection, own, what, n)
        if self._erased[own["uid"]]["people"] >= int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)   # before this batch is committed
    retention._Turn._count = count
    with Gallery.open(sys.argv[1]) as gallery:
        Retention(gallery).carry_out(datetime.now(UTC) + timedelta(days=400))
"""


def test_a_kill_in_the_middle_loses_nothing_and_repeats_nothing(
    gallery: Gallery, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Policies(gallery).change("staff", unseen_days=365.0)
    for number in range(20):
        gallery.enrol("staff", f"Person {number}", [NewFace(vector(100 + number))])
    script = textwrap.dedent(KILLED)
    for most in ("8", "4"):
        done = subprocess.run([sys.executable, "-c", script, database_url, most], check=False)
        assert done.returncode == -9
    assert gallery.collection("staff").people == 23 - 4  # each batch whole, or not at all
    book = Retention(gallery)
    runs = book.runs()
    assert [(run.total, run.ended_at) for run in runs] == [(0, None), (4, None)]
    book.carry_out(later(days=400))
    assert names(gallery) == [] and sum(run.total for run in book.runs()) == 23
    rows = Audit(gallery).find(verb="person.delete")
    assert len(rows) == len({row.subject for row in rows}) == 23
    assert Audit(gallery).verify().problem is None and gallery.check() == []


def test_what_was_erased_is_in_no_byte(tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    folder.mkdir()
    with Gallery.open(folder / "gallery.db") as gallery:
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ann Needle", [NewFace(vector(1))])
        stranger(gallery)
        Policies(gallery).change("staff", unseen_days=365.0)
        with gallery.database.read() as connection:
            row = connection.execute(sa.select(tables.traces)).mappings().one()
            needles = [bytes(row["vector"])[64:192], bytes(row["crop"])[300:400], b"Ann Needle"]
            own = connection.execute(sa.select(embeddings.c.vector)).scalar_one()
            needles.append(bytes(own)[64:192])
        assert all(needle in on_disk(folder) for needle in needles)
        Retention(gallery).carry_out(later(days=400))
        kept = on_disk(folder)
        assert not [number for number, needle in enumerate(needles) if needle in kept]


def on_disk(folder: Path) -> bytes:
    """Read by another process: a descriptor of ours would drop SQLite's locks."""
    files = [str(file) for file in folder.iterdir() if file.is_file()]
    return subprocess.run(["cat", *files], check=True, capture_output=True).stdout


def test_the_doctor_says_what_nobody_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ann", [NewFace(vector(1))])
        stranger(gallery)
    assert doctor.examine(str(path)).facts["database"]["overdue"] == 0
    old = int(later(hours=-26).timestamp() * 1e6)
    with Gallery.open(path) as gallery, monkeypatch.context() as patch:
        patch.setattr("arcid.events.store.events.now_us", lambda: old)
        seen(gallery, "Ann", later(hours=-26), 41)
        patch.setattr("arcid.events.store.events.now_us", lambda: old - 1)
        (event,) = Events(gallery).find("staff", kinds=["arrival"])
        Events(gallery).correct("staff", event.id, "not_person", actor="op")
    report = doctor.examine(str(path))
    assert report.facts["database"]["overdue"] == 1
    assert any("arcid gallery retention" in problem.advice for problem in report.problems)
