"""Events, stays, corrections, sheets, outbox and exports, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import openpyxl
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests.databases import leave_unsealed

from arcid.apps.attendance import Attendance, Event, export
from arcid.apps.telling import Deliverer, DeliveryFailed
from arcid.calibration import Calibration
from arcid.decide import identify
from arcid.errors import (
    EventNotFound,
    GalleryDamaged,
    InputError,
    PersonNotFound,
    PossibleDuplicate,
)
from arcid.events import Action, Events, Outbox, Place, Sightings, tables
from arcid.events.store import events as events_store
from arcid.events.store import log
from arcid.gallery import Gallery, NewFace, pages, schema
from arcid.gallery.mark import Mark
from arcid.models import weights
from arcid.types import Decision, Embeddings

DIM = 32
CONTRACT = "c" * 64
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
DOOR = Place("door", "door")
GROUNDS = {"cosine": 0.7, "cosine_threshold": 0.4, "target_fpir": 0.001, "gallery_size": 6,
           "contract_id": CONTRACT, "calibration_id": "abc", "reason": "alike"}  # fmt: skip


def vector(seed: int, near: Embeddings | None = None) -> Embeddings:
    raw = np.random.default_rng(seed).standard_normal((1, DIM))
    if near is not None:
        raw = near.vectors + 0.02 * raw
    return Embeddings.normalised(raw, CONTRACT)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        for seed, name in enumerate(("Ann", "Ben")):
            gallery.enrol("staff", name, [NewFace(vector(seed), photo_id=name)])
        yield gallery


@pytest.fixture
def book(gallery: Gallery) -> Attendance:
    return Attendance(gallery, "staff")


def person(gallery: Gallery, name: str) -> str:
    found = gallery.find_person("staff", name)
    assert found is not None
    return found.id


def seen(
    gallery: Gallery,
    name: str,
    at: float,
    place: Place = DOOR,
    cooldown: float = 60,
    **options: Any,
) -> list[str]:
    found = Sightings(gallery).person(
        "staff", place, person(gallery, name), after(at), cooldown_s=cooldown, grounds=GROUNDS,
        **options,
    )  # fmt: skip
    return [event.kind for event in found]


def left(gallery: Gallery, now: float, cooldown: float = 60) -> list[tuple[str | None, datetime]]:
    found = Sightings(gallery).depart("staff", "door", after(now - cooldown), "gone")
    return [(event.name, event.at) for event in found]


def stranger(gallery: Gallery, face: Embeddings, at: float, mark: str = "1,2,3,4") -> int:
    found = Sightings(gallery).visitor(
        "staff", DOOR, after(at), after(at + 1), mark, cooldown_s=60, alike=0.5, grounds=GROUNDS,
        vector=face,
    )  # fmt: skip
    return len(found)


# stays


def test_one_arrival_within_the_cooldown_and_a_departure_when_last_seen(gallery: Gallery) -> None:
    assert seen(gallery, "Ann", 0) == ["arrival"]
    for at in (1, 30, 80):
        assert seen(gallery, "Ann", at) == []
    assert seen(gallery, "Ben", 31) == ["arrival"]
    assert left(gallery, 100) == [("Ben", after(31))]
    assert left(gallery, 139) == []
    assert left(gallery, 141) == [("Ann", after(80))]
    assert left(gallery, 999) == []
    assert seen(gallery, "Ann", 500) == ["arrival"]


def test_a_replay_writes_nothing_and_ends_nothing(gallery: Gallery, book: Attendance) -> None:
    def run() -> None:
        for at in (0, 20, 50, 200, 230):
            left(gallery, at)
            seen(gallery, "Ann", at)
        left(gallery, 400)

    run()
    once = [e.id for e in book.events()]
    assert [e.kind for e in book.events()] == ["departure", "arrival", "departure", "arrival"]
    for _ in range(2):
        run()
    assert [e.id for e in book.events()] == once


def test_overlapping_cameras_of_one_place_see_one_arrival(gallery: Gallery) -> None:
    left_camera, right_camera = Place("hall", "left"), Place("hall", "right")
    assert seen(gallery, "Ann", 10, left_camera) == ["arrival"]
    assert seen(gallery, "Ann", 9.5, right_camera) == []  # its clock is a little behind
    assert seen(gallery, "Ann", 11, Place("gate", "gate")) == ["arrival"]


def test_processes_that_report_at_once_write_one_arrival(
    gallery: Gallery, database_url: str
) -> None:
    found: list[str] = []

    def watch() -> None:
        with Gallery.open(database_url) as other:
            found.extend(seen(other, "Ann", 5))

    threads = [threading.Thread(target=watch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["arrival"]


def test_a_clock_set_back_does_not_make_people_arrive_again(gallery: Gallery) -> None:
    seen(gallery, "Ann", 3600)
    Sightings(gallery).shift("staff", "door", -3600)
    assert seen(gallery, "Ann", 1) == []


def test_unknown_visitors_are_told_apart_by_their_faces(gallery: Gallery) -> None:
    first, other = vector(10), vector(11)
    assert stranger(gallery, first, 0) == 1
    assert stranger(gallery, vector(12, near=first), 20) == 0
    assert stranger(gallery, other, 20) == 1
    assert stranger(gallery, first, 0) == 0  # replayed
    assert stranger(gallery, first, 300) == 1  # after the cooldown
    assert left(gallery, 999) == []  # nobody knows who left


def test_deleting_a_person_leaves_neither_name_nor_face(
    gallery: Gallery, book: Attendance, database_url: str
) -> None:
    seen(gallery, "Ann", 0, vector=vector(0))
    (event,) = book.events()
    assert book.explain(event.id)["face_kept"]
    gallery.delete_person("staff", person(gallery, "Ann"))
    assert book.event(event.id).name is None
    assert not book.explain(event.id)["face_kept"]
    assert book.present() == []
    if "://" not in database_url:
        assert b"Ann" not in Path(database_url).read_bytes()


def test_merged_people_keep_their_events(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    seen(gallery, "Ben", 5, vector=vector(1))
    gallery.merge_people("staff", person(gallery, "Ann"), person(gallery, "Ben"))
    assert [e.name for e in book.events()] == ["Ann", "Ann"]
    assert [book.explain(e.id)["face_kept"] for e in book.events()] == [True, False]
    assert left(gallery, 999) == [("Ann", after(0)), ("Ann", after(5))]


def test_notes_outlive_a_merge_and_go_with_whoever_is_left(
    gallery: Gallery, book: Attendance
) -> None:
    ann, ben = person(gallery, "Ann"), person(gallery, "Ben")
    event = book.add("arrival", ben, NOON, actor="op", note="came by the back door")
    book.correct(event.id, "retime", at=after(-600), actor="op", note="clock was wrong")

    def notes() -> set[str]:
        with log.reading(gallery.database, "staff") as reading:
            rows = reading.execute(sa.select(tables.events)).mappings().all()
            return {note for row in rows if (note := events_store.note_of(reading, row))}

    gallery.merge_people("staff", ann, ben)
    kept = {"came by the back door", "clock was wrong", "two people were merged"}
    assert notes() == kept
    gallery.delete_person("staff", ann)
    assert notes() == set()


# corrections


def test_corrections_are_new_rows(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    (event,) = book.events()

    def raw() -> list[Any]:
        query = sa.select(tables.events).where(tables.events.c.uid == event.id)
        with gallery.database.read() as connection:
            return list(connection.execute(query).all())

    written = raw()
    book.correct(event.id, "retime", at=after(-600), actor="op", note="clock was wrong")
    fixed = book.correct(event.id, "reassign", person_id=person(gallery, "Ben"), actor="op")
    now = book.event(event.id)
    assert (now.name, now.at) == ("Ben", after(-600))
    book.correct(fixed.id, "void", actor="op")
    assert book.event(event.id).name == "Ann"
    book.correct(event.id, "void", actor="op")
    assert book.events() == []
    assert [e.voided for e in book.events(voided=True)] == [True]
    assert raw() == written
    history = [row.get("action") for row in book.explain(event.id)["history"]]
    assert history == [None, "retime", "reassign", "void", "void"]
    assert gallery.check() == []


def test_a_retimed_event_is_found_where_it_was_moved_to(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    (event,) = book.events()
    book.correct(event.id, "retime", at=after(-86_400), actor="op")
    assert book.events(since=after(-10), until=after(10)) == []
    assert [e.id for e in book.events(since=after(-86_410), until=after(-86_390))] == [event.id]


def test_not_this_person_takes_the_stay_along(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0, vector=vector(0))
    (event,) = book.events()
    correction, blocked = book.not_this_person(event.id, actor="op")
    assert (correction.action, blocked) == ("not_person", True)
    now = book.event(event.id)
    assert (now.kind, now.person_id, now.name) == ("unknown", None, None)
    assert book.present() == []
    assert seen(gallery, "Ann", 5) == []  # the same stay goes on
    assert left(gallery, 999) == []
    ((who, face),) = Events(gallery).blocked("staff", CONTRACT)
    assert who == person(gallery, "Ann")
    assert float(face @ vector(0).vectors[0]) > 0.999


def test_a_departure_already_written_follows_its_arrival(
    gallery: Gallery, book: Attendance
) -> None:
    seen(gallery, "Ann", 0)
    left(gallery, 999)
    arrival = book.events(kinds=["arrival"])[0]
    book.correct(arrival.id, "reassign", person_id=person(gallery, "Ben"), actor="op")
    assert {e.name for e in book.events()} == {"Ben"}


def test_what_cannot_be_corrected_is_refused(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    (event,) = book.events()
    with pytest.raises(EventNotFound):
        book.correct("0" * 32, "void", actor="op")
    with pytest.raises(PersonNotFound):
        book.correct(event.id, "reassign", person_id="nobody", actor="op")
    for bad in ({"action": "reassign"}, {"action": "void", "at": NOON}, {"action": "erase"}):
        with pytest.raises(InputError):
            book.correct(event.id, actor="op", **bad)
    with pytest.raises(InputError, match="who"):
        book.correct(event.id, "void", actor=" ")
    with pytest.raises(InputError, match="zone"):
        book.add("arrival", person(gallery, "Ann"), datetime(2026, 3, 2, 8), actor="op")


def test_a_damaged_event_is_an_error(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    with gallery.database.write() as connection:
        connection.execute(tables.events.update().values(at=tables.events.c.at + 1))
    with pytest.raises(GalleryDamaged):
        book.events()
    assert any("events" in finding for finding in gallery.check())


def test_pages_follow_one_another(gallery: Gallery, book: Attendance) -> None:
    for at in range(0, 700, 100):
        seen(gallery, "Ann", at)
    ids = [event.id for event in pages(lambda after: book.events(limit=3, after=after))]
    assert ids == [event.id for event in book.events()]
    assert len(ids) == 13  # an arrival each, and a departure before all but the first


# corrections undone


def sheet(book: Attendance, now: float) -> dict[str, tuple[Any, ...]]:
    """By name: first in, last out, seconds, still there, incomplete."""
    rows = book.day(NOON.date(), zone=UTC, now=after(now)).rows
    return {r.name: (r.first_in, r.last_out, r.seconds, r.still_there, r.incomplete) for r in rows}


def undo(book: Attendance, correction: Event) -> None:
    book.correct(correction.id, "void", actor="op")


GONE = (None, None, 0.0, False, False)


@pytest.mark.parametrize("how", ["void", "not_person", "reassign"])
def test_an_undone_correction_restores_a_stay_that_had_ended(
    gallery: Gallery, book: Attendance, how: Action
) -> None:
    seen(gallery, "Ann", 0)
    seen(gallery, "Ann", 50)
    left(gallery, 999)
    before = sheet(book, 2000)
    assert before["Ann"] == (NOON, after(50), 50.0, False, False)
    arrival = book.events(kinds=["arrival"])[0]
    fixed = changed(gallery, book, arrival, how)
    meanwhile = sheet(book, 2000)
    assert meanwhile["Ann"] == GONE
    assert meanwhile["Ben"] == (before["Ann"] if how == "reassign" else GONE)
    undo(book, fixed)
    assert sheet(book, 2000) == before
    assert [(e.kind, e.name) for e in book.events()] == [("departure", "Ann"), ("arrival", "Ann")]
    assert book.present() == []
    assert left(gallery, 9999) == []
    assert gallery.check() == []


@pytest.mark.parametrize("how", ["void", "not_person", "reassign"])
def test_an_undone_correction_restores_who_is_there_now(
    gallery: Gallery, book: Attendance, how: Action
) -> None:
    seen(gallery, "Ann", 0)
    seen(gallery, "Ann", 20)
    before = book.present()
    fixed = changed(gallery, book, book.events(kinds=["arrival"])[0], how)
    assert [stay.name for stay in book.present()] == (["Ben"] if how == "reassign" else [])
    undo(book, fixed)
    assert book.present() == before
    assert sheet(book, 25)["Ann"][3]
    assert seen(gallery, "Ann", 30) == []  # the same stay goes on
    assert left(gallery, 999) == [("Ann", after(30))]


def test_a_stay_that_ended_while_it_was_nobodys_ends_when_it_was_last_seen(
    gallery: Gallery, book: Attendance
) -> None:
    arrived = Sightings(gallery).person(
        "staff", DOOR, person(gallery, "Ann"), NOON, cooldown_s=60,
        grounds=GROUNDS | {"cooldown_s": 60.0},
    )  # fmt: skip
    seen(gallery, "Ann", 40)
    fixed, _ = book.not_this_person(arrived[0].id, actor="op")
    assert left(gallery, 999) == []  # the watcher came by and found nobody to see off
    undo(book, fixed)
    assert book.present() == []
    assert sheet(book, 2000)["Ann"] == (NOON, after(40), 40.0, False, False)


def test_undoing_can_be_undone_and_every_step_is_a_row(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0, vector=vector(0))
    left(gallery, 999)
    arrival = book.events(kinds=["arrival"])[0]
    fixed, blocked = book.not_this_person(arrival.id, actor="op")
    assert blocked and len(Events(gallery).blocked("staff", CONTRACT)) == 1
    undone = book.correct(fixed.id, "void", actor="op")
    assert Events(gallery).blocked("staff", CONTRACT) == []
    assert sheet(book, 2000)["Ann"][0] == NOON
    undo(book, undone)
    assert book.event(arrival.id).kind == "unknown"
    assert sheet(book, 2000)["Ann"] == GONE
    history = [row.get("action") for row in book.explain(arrival.id)["history"]]
    assert history == [None, "not_person", "void", "void"]


def test_a_departure_the_operator_voided_stays_void(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    left(gallery, 999)
    departure, arrival = book.events()
    book.correct(departure.id, "void", actor="op")
    undo(book, book.correct(arrival.id, "void", actor="op"))
    assert [e.kind for e in book.events()] == ["arrival"]


def test_a_stay_moved_twice_and_back_meets_the_one_begun_meanwhile(
    gallery: Gallery, book: Attendance
) -> None:
    gallery.enrol("staff", "Cleo", [NewFace(vector(7))])
    seen(gallery, "Ann", 0)
    (arrival,) = book.events()
    moves = [
        book.correct(arrival.id, "reassign", person_id=person(gallery, name), actor="op")
        for name in ("Ben", "Cleo")
    ]
    assert [stay.name for stay in book.present()] == ["Cleo"]
    assert seen(gallery, "Ann", 10) == ["arrival"]  # the camera still says so
    for move in reversed(moves):
        undo(book, move)
    (stay,) = book.present()
    assert (stay.name, stay.arrived_at, stay.last_seen_at) == ("Ann", NOON, after(10))
    assert left(gallery, 999) == [("Ann", after(10))]
    assert sheet(book, 2000)["Ann"][:3] == (NOON, after(10), 10.0)


def changed(gallery: Gallery, book: Attendance, event: Event, how: Action) -> Event:
    if how == "not_person":
        return book.not_this_person(event.id, actor="op")[0]
    who = person(gallery, "Ben") if how == "reassign" else None
    return book.correct(event.id, how, person_id=who, actor="op")


# visitors


@pytest.mark.data
def test_an_unknown_visitor_is_enrolled_from_what_was_seen(
    gallery: Gallery, book: Attendance, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    measured = weights.find_calibration(weights.resolve_default("recognition"))
    calibration = Calibration(dict(measured.data) | {"contract_id": CONTRACT})
    face = vector(54)
    stranger(gallery, face, 0)
    stranger(gallery, vector(21, near=face), 500)
    stranger(gallery, vector(22), 510)
    groups = book.unknowns(calibration)
    assert sorted(len(group.events) for group in groups) == [1, 2]
    group = max(groups, key=lambda g: len(g.events))
    assert (group.first_seen, group.last_seen) == (NOON, after(500))
    sightings = [e.id for e in group.events]
    known, _ = gallery.enrol("staff", "Dora", [NewFace(vector(23, near=face))])

    def decide(cosine: float, size: int) -> Decision:
        return identify(cosine, calibration, size, unsupported="extrapolate")

    with pytest.raises(PossibleDuplicate, match="'Dora' already") as told:
        book.enrol_unknown(sightings, "Cleo", actor="op", decide=decide)
    assert told.value.details["person_id"] == known.id
    assert gallery.find_person("staff", "Cleo") is None and len(book.unknowns(calibration)) == 2
    gallery.delete_person("staff", known.id)
    new = book.enrol_unknown(sightings, "Cleo", actor="op", decide=decide)
    assert (new.name, new.faces) == ("Cleo", 2)
    assert {e.name for e in book.events(kinds=["arrival"])} == {"Cleo"}
    assert len(book.unknowns(calibration)) == 1
    assert gallery.search("staff", face)[0][0].name == "Cleo"
    assert book.forget_faces(datetime.now(UTC) + timedelta(minutes=1)) == 3
    assert book.unknowns(calibration) == []


# sheets


def test_a_day_counts_stays_once_and_says_who_is_absent(gallery: Gallery, book: Attendance) -> None:
    zone = ZoneInfo("Europe/Berlin")
    ann = person(gallery, "Ann")

    def at(hour: int, minute: int = 0) -> datetime:
        return datetime(2026, 3, 2, hour, minute, tzinfo=zone)

    for kind, moment in (("arrival", at(8)), ("departure", at(12)), ("arrival", at(13)),
                         ("departure", at(17, 30))):  # fmt: skip
        book.add(kind, ann, moment, actor="op")
    rows = {row.name: row for row in book.day(date(2026, 3, 2), zone=zone, now=at(20)).rows}
    assert (rows["Ann"].first_in, rows["Ann"].last_out) == (at(8), at(17, 30))
    assert rows["Ann"].hours == 8.5
    assert rows["Ben"].absent
    month = book.month(2026, 3, zone=zone, now=at(20))
    ann_row, ben_row = month.rows
    assert (ann_row.days_present, ann_row.hours, ann_row.workdays_absent) == (1, 8.5, 0)
    assert (ben_row.days_present, ben_row.workdays_absent) == (0, 1)  # the 1st was a Sunday
    assert ann_row.days[2] is None  # still to come


def test_a_night_shift_counts_on_both_days(gallery: Gallery, book: Attendance) -> None:
    ann = person(gallery, "Ann")
    book.add("arrival", ann, datetime(2026, 3, 2, 22, tzinfo=UTC), actor="op")
    book.add("departure", ann, datetime(2026, 3, 3, 6, tzinfo=UTC), actor="op")
    days = [book.day(date(2026, 3, d), zone=UTC).rows[0] for d in (2, 3, 4)]
    assert [day.hours for day in days] == [2.0, 6.0, 0.0]
    assert days[2].absent


def test_who_is_still_there_has_not_left(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", 0)
    seen(gallery, "Ann", 50)
    row = book.day(NOON.date(), zone=UTC, now=after(60)).rows[0]
    assert (row.still_there, row.last_out, row.seconds) == (True, None, 50.0)
    assert [stay.name for stay in book.present()] == ["Ann"]


# exports


def test_exports_read_back_and_names_are_no_formulas(gallery: Gallery, book: Attendance) -> None:
    evil = '=HYPERLINK("http://evil.example","x")'
    gallery.update_person("staff", person(gallery, "Ann"), name=evil)
    found = gallery.find_person("staff", evil)
    assert found is not None
    book.add("arrival", found.id, NOON, actor="op", note="+1")
    table = export.events_table(book.events(), zone=UTC)

    (row,) = csv.DictReader(io.StringIO(export.csv_text(table)))
    assert row["name"] == "'" + evil
    assert row["note"] == "'+1"
    assert row["at"] == NOON.isoformat()

    sheet = openpyxl.load_workbook(io.BytesIO(export.xlsx_bytes(table))).active
    header, values = (list(row) for row in sheet.iter_rows())
    cells = dict(zip((cell.value for cell in header), values, strict=True))
    assert cells["name"].value == evil
    assert cells["name"].data_type == "s"
    assert cells["at"].value == NOON.replace(tzinfo=None)

    (plain,) = json.loads(export.json_text(table))
    assert plain["name"] == evil

    day = export.day_table(book.day(NOON.date(), zone=UTC))
    rows = list(csv.DictReader(io.StringIO(export.csv_text(day))))
    assert [r["absent"] for r in rows] == ["no", "yes"]


# the outbox


class Receiver:
    """A target that is down at first."""

    name = "hr"
    up = False

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        if not self.up:
            raise DeliveryFailed("no answer")
        self.told.append(json.loads(body))


def test_the_outbox_keeps_events_in_order_until_they_are_taken(
    gallery: Gallery, database_url: str
) -> None:
    book = Attendance(gallery, "staff", targets=("hr",))
    seen(gallery, "Ann", 0, targets=("hr",))
    seen(gallery, "Ben", 1, targets=("hr",))
    (_, ann) = book.events()
    book.correct(ann.id, "void", actor="op")
    receiver, start = Receiver(), datetime.now(UTC)
    assert Deliverer(gallery, [receiver]).run_once(start) == 0
    receiver.up = True
    assert Deliverer(gallery, [receiver]).run_once(start + timedelta(seconds=1)) == 0  # not yet due
    with Gallery.open(database_url) as restarted:
        assert Deliverer(restarted, [receiver]).run_once(start + timedelta(seconds=3)) == 3
        assert Deliverer(restarted, [receiver]).run_once(start + timedelta(days=1)) == 0
    assert [(e["kind"], e["name"]) for e in receiver.told] == [
        ("arrival", "Ann"),
        ("arrival", "Ben"),
        ("correction", None),
    ]
    assert Outbox(gallery).counts() == {"hr": {"waiting": 0, "done": 3, "failed": 0}}


# a gallery of before


def taken_back(path: Path, version: str) -> None:
    """A gallery's file as schema ``version`` left it: the tables and columns it knew."""
    before = path.with_name("before.db")
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    engine = sa.create_engine(f"sqlite:///{before}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        tables = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
    engine.dispose()
    with sqlite3.connect(before) as db:
        db.execute("ATTACH ? AS now", (str(path),))
        for table in tables:
            known = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
            db.execute(f"INSERT INTO main.{table} ({known}) SELECT {known} FROM now.{table}")
    before.chmod(0o600)
    before.replace(path)
    Mark(path).path.unlink()


def test_an_older_gallery_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with Gallery.open(path) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ann", [NewFace(vector(0))])
    taken_back(path, "0001")
    with Gallery.open(path) as gallery:
        assert gallery.stats()["schema_version"] == schema.HEAD
        assert seen(gallery, "Ann", 0) == ["arrival"]
        assert gallery.search("staff", vector(0))[0][0].name == "Ann"
        assert gallery.check() == []


def test_stays_of_schema_0002_go_on_and_follow_their_arrivals(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with Gallery.open(path) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ann", [NewFace(vector(0))])
        seen(gallery, "Ann", 0)
    taken_back(path, "0002")
    with Gallery.open(path) as gallery:
        book = Attendance(gallery, "staff")
        assert seen(gallery, "Ann", 30) == []
        (arrival,) = book.events()
        fixed = book.correct(arrival.id, "void", actor="op")
        assert book.present() == []
        undo(book, fixed)
        assert [(v.name, v.last_seen_at) for v in book.present()] == [("Ann", after(30))]
        assert gallery.check() == []
