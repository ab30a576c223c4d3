"""Doors in a real database: set up, claimed once, opened once, whatever happens in between."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.apps.access import (
    Answer,
    Door,
    Doorman,
    Doors,
    Face,
    Groups,
    Hours,
    Now,
    Openings,
    Order,
    OutputFailed,
    Passage,
    Passages,
    Pulse,
    State,
    late,
)
from arcid.apps.access import machine as _machine
from arcid.apps.access.doorman import clock
from arcid.apps.access.local import Journal
from arcid.apps.access.reasons import reason
from arcid.apps.access.tables import doors as _doors
from arcid.errors import AlreadyExists, DoorNotFound, GalleryBusy, NotFound, UsageError
from arcid.events import Events, Place, Sightings
from arcid.events.audit import Audit
from arcid.gallery import Gallery, NewFace
from arcid.types import Embeddings

CONTRACT = "c" * 64


class Relay:
    """Counts impulses; ``fail`` is raised instead."""

    ready = True

    def __init__(self) -> None:
        self.pulses: list[Pulse] = []
        self.fail: Exception | None = None
        self.hold = threading.Event()  # cleared: it takes its time
        self.hold.set()

    def open(self, pulse: Pulse) -> None:
        self.pulses.append(pulse)
        self.hold.wait(10)
        if self.fail is not None:
            raise self.fail

    def close(self) -> None:
        """Nothing is held."""


def face(seed: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(seed).standard_normal((1, 32)), CONTRACT)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        for seed, name in enumerate(("Ada", "Ben")):
            gallery.enrol("staff", name, [NewFace(face(seed), photo_id=name)])
        yield gallery


def who(gallery: Gallery, name: str) -> str:
    return gallery.person_called("staff", name).id


@pytest.fixture
def door(gallery: Gallery) -> Door:
    doors = Doors(gallery)
    made = doors.add("Front", "staff", liveness=False)
    Groups(gallery).add("staff", "Staff")
    Groups(gallery).add_member("staff", "Staff", who(gallery, "Ada"))
    doors.allow("Front", "Staff")
    return made


@pytest.fixture
def relay() -> Relay:
    return Relay()


Start = Callable[..., Doorman]


@pytest.fixture
def start(gallery: Gallery, relay: Relay, tmp_path: Path) -> Iterator[Start]:
    made: list[Doorman] = []

    def run(**options: Any) -> Doorman:
        doorman = Doorman(
            gallery, CONTRACT, tmp_path, make_opener=lambda *_: relay, **options
        )  # fmt: skip
        made.append(doorman)
        doorman.start()
        return doorman

    yield run
    for doorman in made:
        doorman.close()


def ada(gallery: Gallery, track: int = 1) -> Face:
    return Face(track, 0.4, "known", who(gallery, "Ada"), "Ada", True)


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def granted(gallery: Gallery, door: Door, id: str, state: State) -> Answer:
    site = Doors(gallery).site()[0]
    now = clock()
    sight = _machine.Sight(id, door.id, now, (ada(gallery),))
    answer = _machine.judge(site, state, sight, now)[1]
    assert answer is not None and answer.granted
    return answer


# set up


def test_doors_are_set_up_changed_and_taken_away(gallery: Gallery, door: Door) -> None:
    doors = Doors(gallery)
    back = doors.add("Back", "staff", interlock=["front"], passback="timed", fpir=1e-3)
    assert back.interlock == (door.id,) and doors.get("BACK") == back == doors.get(back.id)
    assert [d.name for d in doors.all()] == ["Back", "Front"]
    with pytest.raises(AlreadyExists):
        doors.add("front", "staff")
    with pytest.raises(AlreadyExists):
        doors.change("Back", name="Front")
    for wrong in ({"colour": "red"}, {"output": "fax:1"}, {"output": "https://a:b@relay.example/"},
                  {"release_s": -1.0}):  # fmt: skip
        with pytest.raises(UsageError):
            doors.change("Back", **wrong)
    for empty in ({"liveness": None}, {"camera": None}, {"name": None}, {"release_s": None}):
        with pytest.raises(UsageError, match="cannot be None"):
            doors.change("Back", **empty)
    with pytest.raises(UsageError, match="near cannot be None"):
        doors.add("Yard", "staff", near=None)
    assert doors.get("Back") == back
    with pytest.raises(UsageError, match="Back waits for"):
        doors.delete("Front")
    assert doors.change("Back", name="Yard", interlock=[]).name == "Yard"
    doors.delete("Yard")
    with pytest.raises(DoorNotFound):
        doors.get("Yard")


def test_a_null_that_was_stored_counts_as_not_set(gallery: Gallery, door: Door) -> None:
    Doors(gallery).change("Front", liveness=True, release_s=9)
    with gallery.database.write() as connection:
        row = connection.execute(sa.select(_doors)).mappings().one()
        nulls = json.loads(row["settings"]) | {"liveness": None, "camera": None, "interlock": None}
        connection.execute(_doors.update().values(settings=json.dumps(nulls)))
    read = Doors(gallery).get("Front")
    assert (read.liveness, read.camera, read.interlock, read.release_s) == (True, "", (), 9)


def test_groups_schedules_holidays_and_rules(gallery: Gallery, door: Door) -> None:
    doors, groups, hours = Doors(gallery), Groups(gallery), Hours(gallery)
    until = datetime(2026, 3, 1, tzinfo=UTC)
    groups.add_member("staff", "staff", who(gallery, "Ben"), valid_until=until)
    (group,) = groups.all("staff")
    assert [(m.name, m.valid_until) for m in group.members] == [("Ada", None), ("Ben", until)]
    hours.add("staff", "Day", "mon-fri 07:00-19:00", "Europe/Berlin")
    doors.allow("Front", "Staff", "day")
    doors.allow("Front", "Staff", "day")
    assert [(r.group, r.schedule) for r in doors.rules("Front")] == [
        ("Staff", None), ("Staff", "Day"),
    ]  # fmt: skip
    hours.add_holiday(datetime(2026, 12, 25).date(), "Christmas")
    site, _, _ = doors.site()
    assert len(site.passes[(door.id, who(gallery, "Ada"))]) == 2
    assert site.holidays == {datetime(2026, 12, 25).date()}
    hours.delete("staff", "Day")
    groups.remove_member("staff", "Staff", who(gallery, "Ben"))
    hours.delete_holiday(datetime(2026, 12, 25).date())
    doors.disallow("Front", "Staff")
    assert doors.rules() == [] and doors.site()[0].passes == {}
    for gone in (
        lambda: groups.delete("staff", "Guests"),
        lambda: groups.remove_member("staff", "Staff", who(gallery, "Ben")),
        lambda: doors.disallow("Front", "Staff"),
        lambda: hours.delete("staff", "Day"),
    ):
        with pytest.raises(NotFound):
            gone()


# claims


def test_one_decision_is_claimed_once_by_whatever_process(gallery: Gallery, door: Door) -> None:
    state, openings = State("boot"), Openings(gallery)
    answer = granted(gallery, door, "s1", state)
    won: list[bool] = []

    def claim() -> None:
        won.append(openings.claim(state, answer, clock()).opening is not None)

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]
    assert [p.granted for p in Passages(gallery).find("staff")].count(True) == 1


def test_a_claim_asks_the_database_again(gallery: Gallery, door: Door) -> None:
    state, openings, doors = State("boot"), Openings(gallery), Doors(gallery)
    answer = granted(gallery, door, "s1", state)
    doors.lock_down("Front", "alarm")
    assert openings.claim(state, answer, clock()).answer.words == "the door is locked down: alarm"
    doors.lock_down(None, None)
    Groups(gallery).remove_member("staff", "Staff", who(gallery, "Ada"))
    refused = openings.claim(state, granted_again(answer), clock())
    assert refused.opening is None and "in no group" in refused.answer.words
    Groups(gallery).add_member("staff", "Staff", who(gallery, "Ada"))
    doors.add("Back", "staff")
    doors.change("Front", interlock=["Back"])
    doors.allow("Back", "Staff")
    back = granted(gallery, doors.get("Back"), "s7", state)
    assert openings.claim(State("another process"), replace(back, boot="another process"), clock()
                          ).opening  # fmt: skip
    blocked = openings.claim(state, replace(answer, id="s8", now=clock()), clock())
    assert blocked.answer.words == "Back is not shut"


def granted_again(answer: Answer) -> Answer:
    return replace(answer, id=answer.id + "'", now=clock())


def test_anti_passback_holds_across_processes_until_it_is_forgiven(
    gallery: Gallery, door: Door
) -> None:
    doors, openings = Doors(gallery), Openings(gallery)
    doors.change("Front", passback="hard", from_area="street", to_area="inside")
    answer = granted(gallery, door, "s1", State("boot"))
    assert openings.claim(State("boot"), answer, clock()).opening
    again = openings.claim(State("boot"), granted_again(answer), clock())
    assert again.opening is None and again.answer.reasons[0].code == "passback"
    doors.forgive(who(gallery, "Ada"))
    assert openings.claim(State("boot"), granted_again(granted_again(answer)), clock()).opening


def test_what_a_crash_left_is_unknown_and_not_repeated(gallery: Gallery, door: Door) -> None:
    openings = Openings(gallery)
    answer = granted(gallery, door, "s1", State("boot"))
    claimed = openings.claim(State("boot"), answer, clock())
    assert claimed.opening is not None
    assert openings.abandon(datetime.now(UTC)) == 0, "it may be under way"
    assert openings.abandon(datetime.now(UTC) + timedelta(minutes=2)) == 1
    found = openings.get(claimed.opening)
    assert found is not None and found.state == "unknown" and "not tried again" in found.detail
    openings.settle(claimed.opening, "opened", "", datetime.now(UTC))
    assert openings.get(claimed.opening).state == "unknown", "what is settled stays"
    assert openings.claim(State("boot"), answer, clock()).opening is None


# the doorman


def test_a_face_opens_once_and_the_book_says_so(
    gallery: Gallery, door: Door, start: Start, relay: Relay
) -> None:
    doorman = start()
    for _ in range(5):
        doorman.see(door.id, [ada(gallery)], clock())
        time.sleep(0.02)
    soon(lambda: Passages(gallery).find("staff")[0].opening == "opened")
    assert [(p.door, p.seconds) for p in relay.pulses] == [("Front", 5.0)]
    (passage,) = Passages(gallery).find("staff", door="Front")
    assert passage.granted and passage.name == "Ada" and passage.words == "Ada may pass: Staff"
    assert Events(gallery).find("staff", kinds=["access"])[0].place == "Front"
    doorman.see(door.id, [Face(2, 0.4, "unknown")], clock())
    soon(lambda: len(Passages(gallery).find("staff")) == 2)
    refused = Passages(gallery).find("staff")[0]
    assert not refused.granted and refused.words == "nobody who is enrolled"
    assert len(relay.pulses) == 1
    assert [a.granted for a in doorman.status("Front").lately] == [False, True]


def test_an_opening_by_hand_is_logged_with_its_reason_and_done_once(
    gallery: Gallery, door: Door, start: Start, relay: Relay
) -> None:
    doorman = start()
    first = doorman.open_by_hand("Front", "Gus", "courier at the gate", once="click 1")
    again = doorman.open_by_hand("Front", "Gus", "courier at the gate", once="click 1")
    assert first.id == again.id and first.state == again.state == "opened"
    assert len(relay.pulses) == 1
    (passage,) = Passages(gallery).find("staff")
    assert (passage.actor, passage.note) == ("Gus", "courier at the gate")
    assert passage.words == "opened by hand by Gus: courier at the gate"
    (opened,) = Audit(gallery).find(verb="door.open")
    assert (opened.subject, opened.reason) == (f"door:{door.id}", "courier at the gate")
    empty = doorman.open_by_hand("Front", "Gus", "  ")
    assert empty.state == "refused" and "needs a reason" in empty.detail
    doorman.lock_down("Front", "alarm")
    locked = doorman.open_by_hand("Front", "Gus", "let me in")
    assert locked.state == "refused" and "locked down: alarm" in locked.detail
    assert len(relay.pulses) == 1


def test_an_order_that_nobody_carried_out_expires(gallery: Gallery, door: Door) -> None:
    openings, at = Openings(gallery), datetime.now(UTC) - timedelta(seconds=30)
    opening = openings.ask(Order("o", door.id, "Gus", "late", at))
    assert openings.asked([door.id], datetime.now(UTC)) == []
    found = openings.get(opening)
    assert found is not None and found.state == "expired"


def test_outputs_that_fail_are_told_apart_and_nothing_is_sent_again(
    gallery: Gallery, door: Door, start: Start, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.apps.access.doorman.WAIT_S", 1.5)
    doorman = start()
    for fail, state in (
        (OutputFailed("no answer", certain=True), "failed"),
        (OutputFailed("no answer", certain=False), "unknown"),
    ):
        relay.fail = fail
        assert doorman.open_by_hand("Front", "Gus", "courier").state == state
    assert len(relay.pulses) == 2
    relay.fail = RuntimeError("broken")
    found = doorman.open_by_hand("Front", "Gus", "courier")
    assert (found.state, found.detail) == ("unknown", "the output failed (RuntimeError)")
    relay.fail = None
    assert doorman.open_by_hand("Front", "Gus", "courier").state == "opened"


def test_a_door_that_certainly_did_not_open_moved_nobody(
    gallery: Gallery, door: Door, start: Start, relay: Relay
) -> None:
    doors, person = Doors(gallery), who(gallery, "Ada")
    doors.change("Front", passback="hard", from_area="street", to_area="inside")
    out = doors.add("Out", "staff", from_area="inside", to_area="street", liveness=False)
    doors.allow("Out", "Staff")
    answer = granted(gallery, out, "s0", State("boot"))
    assert Openings(gallery).claim(State("boot"), answer, clock()).opening
    doorman, passages = start(), Passages(gallery)

    def pass_(track: int) -> str | None:
        answer = doorman.see(door.id, [ada(gallery, track)], clock())
        assert answer is not None and answer.granted, "let in nowhere, and refused for it"
        soon(lambda: len(passages.find("staff", door="Front")) == track)
        soon(lambda: passages.find("staff", door="Front")[0].opening != "claimed")
        time.sleep(0.02)
        return passages.find("staff", door="Front")[0].opening

    relay.fail = OutputFailed("no answer", certain=True)
    assert pass_(1) == "failed" and doors.site()[2][person].area == "street"
    relay.fail = None
    assert pass_(2) == "opened" and doors.site()[2][person].area == "inside"
    doors.forgive(person)
    late.add(gallery.database, replace(answer, id="s9", now=clock()), "failed", "no answer", None)
    assert person not in doors.site()[2]


def test_a_restart_opens_nothing(gallery: Gallery, door: Door, start: Start, relay: Relay) -> None:
    openings = Openings(gallery)
    answer = granted(gallery, door, "s1", State("before the crash"))
    assert openings.claim(State("before the crash"), answer, clock()).opening
    openings.ask(Order("o", door.id, "Gus", "old", datetime.now(UTC) - timedelta(minutes=1)))
    start()
    time.sleep(1.0)
    assert relay.pulses == []


def test_a_lock_down_by_another_process_is_followed(
    gallery: Gallery, door: Door, start: Start, relay: Relay
) -> None:
    doorman = start()
    Doors(gallery).lock_down(None, "alarm")
    doorman.see(door.id, [ada(gallery)], clock())
    soon(lambda: len(Passages(gallery).find("staff")) == 1)
    assert relay.pulses == []
    soon(lambda: doorman.status("Front").lockdown == "alarm")


# without the database


@pytest.fixture
def away(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Every transaction fails as a database that is away makes it fail."""
    read, write = gallery.database.read, gallery.database.write
    gone = [False]

    def refused(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if gone[0]:
                raise GalleryBusy("the database does not answer")
            return real(*args, **options)

        return call

    monkeypatch.setattr(gallery.database, "read", refused(read))
    monkeypatch.setattr(gallery.database, "write", refused(write))
    return lambda is_gone: gone.__setitem__(0, is_gone)


def test_doors_go_on_from_a_local_copy_say_so_and_tell_it_later(
    gallery: Gallery,
    door: Door,
    start: Start,
    relay: Relay,
    away: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arcid.apps.access.doorman.SETTLE_S", 1.0)  # what it tells later
    doorman = start()
    here = ada(gallery)
    away(True)
    soon(lambda: doorman.offline_s is not None)
    (match,), size = doorman.copy_search("staff", face(0))
    assert (match.name, size) == ("Ada", 1), "Ben may pass nowhere: no template of his is kept"
    answer = doorman.see(door.id, [here], clock())
    assert answer is not None and "from a local copy" in answer.words
    soon(lambda: len(relay.pulses) == 1)
    assert doorman.open_by_hand("Front", "Gus", "courier", once="o1").state == "opened"
    assert doorman.open_by_hand("Front", "Gus", "courier", once="o1").state == "refused"
    with pytest.raises(GalleryBusy):
        doorman.lock_down("Front", "alarm")
    assert doorman.open_by_hand("Front", "Gus", "courier").state == "refused", "locked down here"
    assert len(relay.pulses) == 2
    away(False)
    soon(lambda: len(Passages(gallery).find("staff")) == 2, 20)
    told = {p.actor: p for p in Passages(gallery).find("staff")}
    assert told[None].name == "Ada" and "local copy" in told[None].words
    assert told["Gus"].opening == told[None].opening == "opened"
    soon(lambda: Doors(gallery).site()[1][door.id].lockdown == "alarm")
    assert Openings(gallery).ask(Order("o1", door.id, "Gus", "courier", datetime.now(UTC)))
    time.sleep(0.6)
    assert len(relay.pulses) == 2, "the same order is the same opening"


def test_a_lock_down_is_not_lifted_while_the_database_is_away(
    gallery: Gallery, door: Door, start: Start, relay: Relay, away: Callable[[bool], None]
) -> None:
    doorman = start()
    doorman.lock_down("Front", "alarm")
    away(True)
    soon(lambda: doorman.offline_s is not None)
    for reference in ("Front", None):
        with pytest.raises(GalleryBusy):
            doorman.lock_down(reference, None)
        assert doorman.status("Front").lockdown == "alarm"
        assert doorman.open_by_hand("Front", "Gus", "courier").state == "refused"
    with pytest.raises(GalleryBusy):
        doorman.lock_down("Front", "fire")  # held here, which the database does not know of yet
    with pytest.raises(GalleryBusy):
        doorman.lock_down("Front", None)
    assert doorman.status("Front").lockdown == "fire"
    away(False)
    soon(lambda: Doors(gallery).site()[1][door.id].lockdown == "fire")
    doorman.lock_down("Front", None)
    assert doorman.status("Front").lockdown is None
    assert Doors(gallery).site()[1][door.id].lockdown is None
    assert doorman.open_by_hand("Front", "Gus", "courier").state == "opened"
    assert len(relay.pulses) == 1


def test_a_face_that_is_said_not_to_be_somebody_is_not_let_in_from_the_copy_either(
    gallery: Gallery, door: Door, start: Start, away: Callable[[bool], None]
) -> None:
    alike = Embeddings.normalised(face(0).vectors + 0.5 * face(5).vectors, CONTRACT)
    (made,) = Sightings(gallery).person(
        "staff", Place("hall", "hall"), who(gallery, "Ada"), datetime.now(UTC), cooldown_s=300,
        grounds={}, vector=alike,
    )  # fmt: skip
    doorman = start()
    assert doorman.copy_search("staff", alike)[0]
    Events(gallery).correct("staff", made.id, "not_person", actor="Gus", block=True)
    doorman.refresh()
    away(True)
    assert doorman.copy_search("staff", alike) == ([], 1)
    assert doorman.copy_search("staff", face(0))[0][0].name == "Ada"


def test_an_order_sent_again_opens_nothing_again_whether_the_database_is_away_or_not(
    gallery: Gallery,
    door: Door,
    start: Start,
    relay: Relay,
    away: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arcid.apps.access.doorman.SETTLE_S", 1e9)
    back = Doors(gallery).add("Back", "staff")
    doorman = start()

    def ask(once: str, where: str = "Front") -> str:
        return doorman.open_by_hand(where, "Gus", "courier", once=once).state

    assert ask("before") == "opened"
    with pytest.raises(UsageError, match="another door's"):
        ask("before", "Back")
    away(True)
    soon(lambda: doorman.offline_s is not None)
    assert ask("before") == "refused", "its answer was lost, and then the database"
    assert ask("during") == "opened"
    away(False)
    with pytest.raises(UsageError, match="another door's"):
        ask("during", "Back")
    assert ask("during") == "opened", "nothing waited for what the journal holds"
    assert [p.door_id for p in relay.pulses] == [door.id] * 2
    assert len(Passages(gallery).find("staff")) == 2
    assert len(Audit(gallery).find(verb="door.open")) == 2
    relay.hold.clear()
    away(True)
    soon(lambda: doorman.offline_s is not None)
    monkeypatch.setattr("arcid.apps.access.carrying.WAIT_S", 0.1)
    assert ask("held") == "unknown"
    away(False)
    assert ask("held") == "claimed", "it is in the door's hands"
    with pytest.raises(UsageError, match="another door's"):
        ask("held", back.name)
    relay.hold.set()
    soon(lambda: ask("held") == "opened")
    assert len(relay.pulses) == 3


def test_an_opening_of_a_door_that_was_deleted_meanwhile_is_told_with_all_others(
    gallery: Gallery,
    door: Door,
    start: Start,
    relay: Relay,
    away: Callable[[bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arcid.apps.access.doorman.SETTLE_S", 1e9)
    Doors(gallery).add("Back", "staff")
    gallery.create_collection("guests")
    Doors(gallery).add("Gate", "guests")
    doorman, here = start(), ada(gallery)
    away(True)
    soon(lambda: doorman.offline_s is not None)
    doorman.see(door.id, [here], clock())
    for name in ("Gate", "Front", "Back"):
        assert doorman.open_by_hand(name, "Gus", "courier").state == "opened"
    away(False)
    Doors(gallery).delete("Front")
    gallery.delete_collection("guests")
    monkeypatch.setattr("arcid.apps.access.doorman.SETTLE_S", 0.1)
    soon(lambda: len(Passages(gallery).find("staff")) == 3)
    told = [(p.door, p.name, p.actor, p.opening) for p in Passages(gallery).find("staff")]
    assert told == [
        ("Back", None, "Gus", "opened"), ("Front", None, "Gus", None), ("Front", "Ada", None, None)
    ]  # fmt: skip
    rows = Audit(gallery).find(verb="door.open")
    assert [row.reason for row in rows] == ["courier"] * 2 and rows[1].subject == f"door:{door.id}"
    soon(lambda: Journal(tmp_path / "doors-journal.db").waiting() == [])


def test_a_place_told_late_moves_nobody_back(gallery: Gallery, door: Door) -> None:
    doors, person = Doors(gallery), who(gallery, "Ada")
    doors.change("Front", from_area="street", to_area="inside")
    out = doors.add("Out", "staff", from_area="inside", to_area="street", liveness=False)
    doors.allow("Out", "Staff")
    old = granted(gallery, doors.get("Front"), "s1", State("boot"))
    old = replace(old, now=Now(old.now.at - timedelta(hours=1), old.now.ticks))
    assert Openings(gallery).claim(State("b"), granted(gallery, out, "s2", State("b")), clock()
                                   ).opening  # fmt: skip
    late.add(gallery.database, old, "opened", "", None)
    assert doors.site()[2][person].area == "street"
    late.add(gallery.database, replace(old, id="s3", now=clock()), "opened", "", None)
    assert doors.site()[2][person].area == "inside"
    assert len(Passages(gallery).find("staff")) == 3


def test_a_copy_that_is_too_old_opens_nothing(
    gallery: Gallery, door: Door, start: Start, relay: Relay, away: Callable[[bool], None]
) -> None:
    Doors(gallery).change("Front", offline_s=60)
    ahead = [0.0]

    def now() -> Now:
        real = clock()
        return Now(real.at + timedelta(seconds=ahead[0]), real.ticks + ahead[0])

    doorman, here = start(now=now), ada(gallery)
    away(True)
    ahead[0] = 61
    soon(lambda: doorman.offline_s is not None)
    answer = doorman.see(door.id, [here], now())
    assert answer is not None and not answer.granted and "local copy" in answer.words
    assert doorman.open_by_hand("Front", "Gus", "courier").state == "refused"
    assert relay.pulses == []


# whose data it is


def test_people_who_are_merged_or_deleted(gallery: Gallery, door: Door) -> None:
    doors, openings = Doors(gallery), Openings(gallery)
    doors.change("Front", passback="timed")
    answer = granted(gallery, door, "s1", State("boot"))
    assert openings.claim(State("boot"), answer, clock()).opening
    gallery.merge_people("staff", who(gallery, "Ben"), who(gallery, "Ada"))
    ((_, person),) = doors.site()[0].passes
    assert person == who(gallery, "Ben") and person in doors.site()[2]
    (passage,) = Passages(gallery).find("staff")
    assert passage.words == "Ben may pass: Staff"
    gallery.delete_person("staff", person)
    assert doors.site()[0].passes == {} and doors.site()[2] == {}
    (passage,) = Passages(gallery).find("staff")
    assert passage.words == "somebody since deleted may pass: Staff"


def test_an_undone_merge_gives_groups_back_also_where_both_were_in_one(
    gallery: Gallery, door: Door
) -> None:
    groups, until = Groups(gallery), datetime(2030, 3, 1, tzinfo=UTC)
    ada, ben = who(gallery, "Ada"), who(gallery, "Ben")
    groups.add("staff", "Left")
    for group in ("Staff", "Left"):
        groups.add_member("staff", group, ben, valid_until=until)
    groups.add_member("staff", "Left", ada)
    gallery.merge_people("staff", ada, ben, reversible=True)
    groups.remove_member("staff", "Left", ada)
    gallery.unmerge("staff", gallery.merges("staff")[0].id)
    found = {g.name: [(m.name, m.valid_until) for m in g.members] for g in groups.all("staff")}
    assert found == {"Staff": [("Ada", None), ("Ben", until)], "Left": []}


def test_pages_of_one_door_are_no_longer_than_asked_and_leave_nothing_out(
    gallery: Gallery, door: Door
) -> None:
    doors, passages = {"F": door, "B": Doors(gallery).add("Back", "staff")}, Passages(gallery)
    said, now = granted(gallery, door, "s", State("boot")), clock()
    for n, name in enumerate("FFFBFBFF"):  # oldest first
        at = replace(now, at=now.at - timedelta(minutes=60 - n))
        answer = replace(said, id=f"s{n}", door=doors[name].id, granted=False, now=at)
        passages.note(doors[name], answer)
    read: list[Passage] = []
    after: str | None = None
    for count in (3, 3):
        page = passages.find("staff", door="Front", limit=3, after=after)
        read, after = [*read, *page], page.next
        assert len(page) == count
    assert after is None
    assert [p.at for p in read] == sorted((p.at for p in read), reverse=True)
    assert read == [p for p in passages.find("staff") if p.door == "Front"]


def test_passages_are_forgotten_when_the_door_says(gallery: Gallery, door: Door) -> None:
    answer = granted(gallery, door, "s1", State("boot"))
    Openings(gallery).claim(State("boot"), answer, clock())
    passages = Passages(gallery)
    assert passages.forget(datetime.now(UTC) + timedelta(days=89)) == 0
    assert passages.forget(datetime.now(UTC) + timedelta(days=91)) == 1
    assert passages.find("staff") == []


def test_passages_of_a_deleted_door_are_kept_for_as_long_as_it_said(
    gallery: Gallery, door: Door
) -> None:
    doors, passages, now = Doors(gallery), Passages(gallery), datetime.now(UTC)
    other = doors.add("Back", "staff", keep_days=365)
    for name, days in (("Front", 30), ("Front", 10), ("Back", 365)):
        own = doors.change(name, keep_days=days)
        Openings(gallery).refuse(refused(own), clock())
    Events(gallery).write("staff", "access", ("by hand",), Place("x", "X"), now, grounds={})
    doors.delete("Front")
    assert len(passages.find("staff")) == 4
    assert passages.forget(now + timedelta(days=9)) == 0
    assert passages.forget(now + timedelta(days=11)) == 1
    assert passages.forget(now + timedelta(days=31)) == 1
    assert passages.forget(now + timedelta(days=300)) == 0
    assert sorted(p.door_id for p in passages.find("staff")) == sorted(["None", other.id])


def refused(door: Door) -> Answer:
    why = (reason("no_reason"),)
    return Answer(uuid.uuid4().hex, door.id, False, why, clock(), "boot", actor="Gus")


def test_an_opening_without_a_passage_is_forgotten_too(gallery: Gallery, door: Door) -> None:
    openings, now = Openings(gallery), datetime.now(UTC)
    opening = openings.ask(Order("o", door.id, "Gus", "courier", now))
    assert Passages(gallery).forget(now + timedelta(days=89)) == 0
    assert openings.get(opening) is not None
    assert Passages(gallery).forget(now + timedelta(days=91)) == 0
    assert openings.get(opening) is None
