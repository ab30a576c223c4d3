"""Lists and alerts as rows: terms, budgets, states, four eyes, what is suppressed and forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.apps.telling import Hooks
from arcid.apps.watchlists import (
    Alert,
    Alerts,
    Flow,
    Seen,
    Terms,
    Watchlist,
    Watchlists,
    budget,
    flows,
    latency,
)
from arcid.apps.watchlists.matching import Templates
from arcid.apps.watchlists.store import find as find_row
from arcid.apps.watchlists.tables import alerts as _alerts
from arcid.calibration import Calibration, fpir_for_fmr
from arcid.errors import (
    AlertAnswered,
    AlertNotFound,
    AlreadyExists,
    InputError,
    PersonNotFound,
    SecondPersonNeeded,
    WatchlistNotFound,
)
from arcid.events import Events, Outbox, Place
from arcid.events.audit import Audit, acting
from arcid.events.tables import events, traces
from arcid.gallery import Gallery, NewFace
from arcid.gallery.store.journal import to_us
from arcid.models import weights
from arcid.protection import Keys
from arcid.types import Embeddings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DOOR = Place("door", "Door")
CONTRACT = "c" * 64
VECTORS = np.random.default_rng(0).standard_normal((8, 32))
CROP = np.full((112, 112, 3), 128, np.uint8)


def face(number: int) -> Embeddings:
    return Embeddings.normalised(VECTORS[[number]], CONTRACT)


def terms(**changes: Any) -> Terms:
    expires = datetime.now(UTC) + timedelta(days=90)
    given = {"purpose": "bans of the shop", "legal_basis": "house right", "owner": "Ada"}
    return Terms(**(given | {"expires_at": expires} | changes))


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("guests")
        for number, name in enumerate(("Ann", "Ben", "Cleo")):
            gallery.enrol("guests", name, [NewFace(face(number), photo_id=name)])
        yield gallery


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return weights.find_calibration(weights.resolve("arcid-face-s"))


def who(gallery: Gallery, name: str) -> str:
    return gallery.person_called("guests", name).id


def listed(gallery: Gallery, *names: str, called: str = "Banned", **changes: Any) -> Watchlist:
    lists = Watchlists(gallery)
    made = lists.create(called, "guests", terms(**changes), actor="Ada")
    for name in names:
        assert lists.add(made.id, who(gallery, name), actor="Ada")
    return lists.get(made.id)


def seen(
    gallery: Gallery, own: Watchlist, name: str = "Ann", minute: float = 0, **more: Any
) -> Seen:
    at = NOON + timedelta(minutes=minute)
    given = {
        "level": "alert", "until": at + timedelta(seconds=2), "mark": "1,2,3,4",
        "grounds": {"cosine": 0.7, "reason": "near"}, "vector": face(5), "crop": CROP,
    }  # fmt: skip
    return Seen(own.id, who(gallery, name), place=DOOR, at=at, **(given | more))


def raised(gallery: Gallery, own: Watchlist, *args: Any, **more: Any) -> Alert:
    made = Alerts(gallery).raise_(seen(gallery, own, *args, **more), targets=("hook",))
    assert made is not None
    return made


# lists


def test_a_list_says_what_it_is_for_and_who_answers_for_it(gallery: Gallery) -> None:
    for missing in ("purpose", "legal_basis", "owner"):
        with pytest.raises(InputError, match=missing.replace("_", " ")):
            terms(**{missing: " "})
    with pytest.raises(InputError, match="zone"):
        terms(expires_at=datetime(2030, 1, 1))
    with pytest.raises(InputError, match="reviews_per_hour"):
        terms(false_alerts_per_hour=1.0, reviews_per_hour=0.1)
    lists = Watchlists(gallery)
    for expiry in (NOON.replace(year=2020), datetime.now(UTC) + timedelta(days=800)):
        with pytest.raises(InputError, match="two years"):
            lists.create("Old", "guests", terms(expires_at=expiry), actor="Ada")
    listed(gallery)
    with pytest.raises(AlreadyExists):
        lists.create("banned", "guests", terms(), actor="Ada")
    with pytest.raises(WatchlistNotFound):
        lists.get("nobody")


def test_no_list_is_found_by_the_id_of_another(gallery: Gallery) -> None:
    lists = Watchlists(gallery)
    first, second, third = (listed(gallery, called=name) for name in ("One", "Two", "Three"))
    for thief in (first, third):  # before and behind it in the table
        lists.update(thief.id, name=second.id, actor="Eve")
        assert lists.get(second.id).id == second.id
        lists.update(thief.id, name=f"no more {thief.id}", actor="Eve")


def test_people_come_and_go(gallery: Gallery) -> None:
    own, lists = listed(gallery, "Ann", "Ben"), Watchlists(gallery)
    assert [m.name for m in lists.members(own.id)] == ["Ann", "Ben"]
    assert own.people == 2
    page = lists.members(own.id, limit=1)
    assert [m.name for m in lists.members(own.id, limit=1, after=page.next)] == ["Ben"]
    assert not lists.add(own.id, who(gallery, "Ann"), actor="Ada")
    assert lists.remove(own.id, who(gallery, "Ann"), actor="Ada")
    assert not lists.remove(own.id, who(gallery, "Ann"), actor="Ada")
    with pytest.raises(PersonNotFound):
        lists.add(own.id, "0" * 32, actor="Ada")
    assert lists.get(own.id).version > own.version


def test_only_those_on_the_list_are_searched(gallery: Gallery) -> None:
    own = listed(gallery, "Ben")
    with gallery.database.read() as connection:
        searched = Templates(connection, find_row(connection, own.id), CONTRACT)
    assert len(searched) == 1
    (nearest,) = searched.nearest(face(0))  # Ann's own face finds nobody but Ben
    assert nearest.name == "Ben" and nearest.cosine < 0.9
    assert searched.nearest(face(1))[0].cosine == pytest.approx(1, abs=1e-5)


def test_who_may_see_a_list(gallery: Gallery) -> None:
    own = listed(gallery, roles=("officer",), accounts=("Eve",))
    assert own.visible_to("anybody", "officer") and own.visible_to("eve ", "guard")
    assert own.visible_to("root", "admin") and not own.visible_to("Bob", "guard")


def test_a_list_is_watched_by_the_cameras_it_names(gallery: Gallery) -> None:
    assert listed(gallery).watches("any")
    own = listed(gallery, called="Other", cameras=("Door",))
    assert own.watches("door") and not own.watches("yard")


# the budget


def test_the_threshold_is_the_calibrations_and_follows_size_and_faces(
    calibration: Calibration,
) -> None:
    quiet, busy = Flow(100, 10.0), Flow(6000, 10.0)
    assert Flow().faces_per_hour == 60 and busy.faces_per_hour == pytest.approx(6060 / 11)
    small = budget(0.5, 5.0, 50, quiet, calibration)
    assert small.alert.target_fpir == pytest.approx(0.5 / quiet.faces_per_hour)
    asked = calibration.threshold_at_fpir(small.alert.target_fpir, 50, allow_extrapolation=True)
    assert small.alert.cosine_threshold == asked.cosine
    assert small.review.cosine_threshold < small.alert.cosine_threshold
    more = budget(0.5, 5.0, 5000, quiet, calibration)
    louder = budget(0.5, 5.0, 50, busy, calibration)
    for other in (more, louder):
        assert other.alert.cosine_threshold > small.alert.cosine_threshold
        assert other.alert.missed >= small.alert.missed
    for one in (small, more, louder):
        assert one.alert.expected_low <= one.alert.expected_per_hour <= one.alert.expected_high
        assert one.alert.expected_per_hour <= 0.5 * 1.2


def test_a_budget_says_what_stands_behind_it(calibration: Calibration) -> None:
    assert budget(0.5, 5.0, 5, Flow(0, 0), calibration).review.support == "measured"
    assert budget(0.01, 0.1, 5000, Flow(), calibration).alert.support == "extrapolated"
    beyond = budget(1e-9, 1e-8, 1_000_000, Flow(10_000, 1.0), calibration).alert
    assert beyond.support == "out_of_reach"
    assert beyond.expected_per_hour > 1e-9
    reached = fpir_for_fmr(calibration.smallest_fmr, 1_000_000)
    assert beyond.target_fpir == pytest.approx(reached, rel=1e-3)


def test_faces_are_counted_by_the_hour_of_the_newest_week(gallery: Gallery) -> None:
    counter = flows.Faces()
    start = NOON.timestamp()
    for second in range(0, 3700, 2):
        counter.frame(start + second, second)
    counter.face(start)
    counter.face(start + 3650)
    counted = counter.take()
    assert [faces for _, faces in counted.values()] == [1, 1] and not counter.take()
    with gallery.database.write() as connection:
        for _ in range(2):
            flows.write(connection, "Door", counted)
        flows.write(connection, "Yard", dict.fromkeys(range(400), (3600.0, 5)))
        known, yard = flows.flow(connection, "Door"), flows.flow(connection, "Yard")
        assert flows.flow(connection, None) == Flow()
    assert known.faces == 4 and known.hours == pytest.approx(2 * 3698 / 3600)
    assert yard.hours == flows.WEEK and yard.faces == 5 * flows.WEEK


# alerts


def test_an_alert_is_told_and_keeps_the_face(gallery: Gallery) -> None:
    own = listed(gallery, "Ann")
    made = raised(gallery, own)
    assert (made.state, made.level, made.name, made.camera) == ("new", "alert", "Ann", "Door")
    assert made.latency_ms >= 0 and made.picture_kept
    kept = Alerts(gallery).face(made.id)
    assert kept is not None and kept.crop is not None
    ((_, _, told),) = Outbox(gallery).due("hook", datetime.now(UTC))
    assert told.kind == "alert" and told.told()["grounds"]["details"]["alert_id"] == made.id


def test_one_person_at_one_camera_is_one_alert_within_the_cooldown(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann", cooldown_s=300), Alerts(gallery)
    made = raised(gallery, own)
    assert alerts.raise_(seen(gallery, own, minute=4)) is None
    assert alerts.raise_(seen(gallery, own, minute=8)) is None  # 4 minutes after the last
    now = alerts.get(made.id)
    assert now.sightings == 3 and now.last_seen_at == NOON + timedelta(minutes=8, seconds=2)
    assert alerts.raise_(seen(gallery, own)) is None  # replayed
    assert alerts.get(made.id).sightings == 3
    assert alerts.raise_(seen(gallery, own, minute=30)) is not None
    elsewhere = replace(seen(gallery, own, minute=8), place=Place("yard", "Yard"))
    assert alerts.raise_(elsewhere) is not None


def test_how_long_alerts_took_is_known(gallery: Gallery) -> None:
    none = latency(gallery)
    assert (none.stored.count, none.stored.p50_ms, none.delivered.p95_ms) == (0, None, None)
    own = listed(gallery, "Ann", "Ben")
    quiet = seen(gallery, own, "Ben", minute=90, level="review", visible=0.0)
    assert Alerts(gallery).raise_(quiet) is not None
    for number in range(2):  # 10 and 20 s ago, the second taken by a receiver
        ago = time.monotonic() - 10 * (number + 1)
        raised(gallery, own, minute=30 * number, visible=ago)
    *_, (delivery, _, _) = Outbox(gallery).due("hook", datetime.now(UTC))
    Outbox(gallery).delivered(delivery)
    taken = latency(gallery)
    assert (taken.stored.count, taken.delivered.count) == (2, 1)
    assert taken.stored.p50_ms == pytest.approx(15_000, abs=2_000)
    assert taken.stored.p95_ms == pytest.approx(19_500, abs=2_000)
    assert taken.delivered.p50_ms == pytest.approx(20_000, abs=3_000)


def test_a_silent_review_tells_nobody_until_it_is_an_alert(
    gallery: Gallery, tmp_path: Path
) -> None:
    own, alerts, outbox = listed(gallery, "Ann"), Alerts(gallery), Outbox(gallery)
    outbox.subscribe({"hook": None})
    hooks = Hooks(gallery, tmp_path)
    hooks.add("stored", "https://hr.example/arcid")
    quiet = raised(gallery, own, level="review")
    assert not outbox.due("hook", datetime.now(UTC))
    assert alerts.raise_(seen(gallery, own, minute=1, level="review")) is None
    alerts.answer(quiet.id, "dismiss", actor="Gil")
    alerts.undo(quiet.id, actor="Gil")
    assert not outbox.due("hook", datetime.now(UTC)) and hooks.get("stored").waiting == 0
    loud = raised(gallery, own, minute=2)
    assert loud.id == quiet.id and loud.level == "alert" and loud.event_id != quiet.event_id
    assert len(outbox.due("hook", datetime.now(UTC))) == hooks.get("stored").waiting == 1
    assert Events(gallery).trace("guests", quiet.event_id) is None
    assert [one.id for one in alerts.find(levels=["alert"], states=["new"])] == [loud.id]


def test_an_expired_list_and_those_not_on_it_match_nobody(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann"), Alerts(gallery)
    assert alerts.raise_(seen(gallery, own, "Ben")) is None
    assert Watchlists(gallery).expire(own.id, actor="Ada").expired()
    assert alerts.raise_(seen(gallery, own)) is None
    assert not Events(gallery).find("guests")


def test_answers_and_taking_them_back(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann"), Alerts(gallery)
    made = raised(gallery, own)
    assert alerts.answer(made.id, "acknowledge", actor="Gil").state == "acknowledged"
    assert len(alerts.answer(made.id, "acknowledge", actor="Gil").steps) == 1
    assert alerts.answer(made.id, "escalate", actor="Gil", note="armed").state == "escalated"
    done = alerts.answer(made.id, "confirm", actor="Ada")
    assert done.state == "confirmed" and done.confirmed_by == ("Ada",)
    with pytest.raises(AlertAnswered, match="confirmed already, by Ada"):
        alerts.answer(made.id, "dismiss", actor="Gil")
    for state in ("escalated", "acknowledged", "new"):
        assert alerts.undo(made.id, actor="Ada").state == state
    assert [step.undone_by for step in alerts.get(made.id).steps] == ["Ada"] * 3
    with pytest.raises(InputError, match="nothing to take back"):
        alerts.undo(made.id, actor="Ada")
    with pytest.raises(AlertNotFound):
        alerts.get("0" * 32)


def test_those_who_hear_of_alerts_hear_what_became_of_them(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann"), Alerts(gallery)
    made = raised(gallery, own)
    alerts.answer(made.id, "acknowledge", actor="Gil", targets=["hook"])
    alerts.answer(made.id, "escalate", actor="Gil", targets=["hook"])
    alerts.answer(made.id, "dismiss", actor="Gil", targets=["hook"])
    told = [event for _, _, event in Outbox(gallery).due("hook", datetime.now(UTC))]
    steps = [event.grounds.get("details", {}).get("step") for event in told]
    assert steps == ["raise", "escalate", None]
    assert (told[2].kind, told[2].action) == ("correction", "not_person")


def test_four_eyes_are_of_two_people(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann", four_eyes=True), Alerts(gallery)
    made = raised(gallery, own)
    with acting("account:1"):
        once = alerts.answer(made.id, "confirm", actor="Ada")
    assert once.state == "acknowledged" and once.waits_for_second
    with acting("key:1f8e22aa"), pytest.raises(SecondPersonNeeded, match="you are the first"):
        alerts.answer(made.id, "confirm", actor=" ada")
    with acting("account:1"), pytest.raises(SecondPersonNeeded, match="let in as you are"):
        alerts.answer(made.id, "confirm", actor="Gil")
    assert alerts.get(made.id).state == "acknowledged"
    with acting("key:1f8e22aa"):
        both = alerts.answer(made.id, "confirm", actor="Gil")
    assert both.state == "confirmed" and both.confirmed_by == ("Ada", "Gil (key:1f8e22aa)")
    with acting("account:1"):
        alerts.answer(made.id, "escalate", actor="Ada")
        assert alerts.answer(made.id, "confirm", actor="Ada").state == "confirmed"
    for _ in range(3):
        back = alerts.undo(made.id, actor="Gil")
    assert back.waits_for_second


def test_nobody_is_the_second_pair_of_eyes_by_a_key_of_their_own(gallery: Gallery) -> None:
    own, alerts, keys = listed(gallery, "Ann", four_eyes=True), Alerts(gallery), Keys(gallery)
    with acting("account:1"):
        mine, _ = keys.add("mine", ["decide", "admin"])
    with acting(f"key:{mine.id}"):
        hers, _ = keys.add("made by mine", ["decide"])
    with acting("os:1000"):
        program, _ = keys.add("program", ["decide"])
    made = raised(gallery, own)
    with acting("account:1"):
        alerts.answer(made.id, "confirm", actor="Ada")
    for key in (mine, hers):
        with acting(f"key:{key.id}"), pytest.raises(SecondPersonNeeded, match="by a key of yours"):
            alerts.answer(made.id, "confirm", actor="Gil")
    with acting(f"key:{program.id}"):
        assert alerts.answer(made.id, "confirm", actor="Gil").state == "confirmed"


@pytest.mark.parametrize("by", ["key:1f8e22aa", "os:1000", "local"])
def test_typed_names_stand_beside_what_let_them_in(gallery: Gallery, by: str) -> None:
    own, alerts = listed(gallery), Alerts(gallery)
    with acting(by):
        Watchlists(gallery).add(own.id, who(gallery, "Ann"), actor="Ada")
        made = raised(gallery, own)
        dismissed = alerts.answer(made.id, "dismiss", actor="Ada")
        undone = alerts.undo(made.id, actor="Ada")
    assert [one.added_by for one in Watchlists(gallery).members(own.id)] == [f"Ada ({by})"]
    assert (dismissed.steps[0].credential, dismissed.steps[0].who) == (by, f"Ada ({by})")
    assert undone.steps[0].undone_by == f"Ada ({by})"


def test_one_person_confirms_again_where_no_second_is_asked_for(gallery: Gallery) -> None:
    made = raised(gallery, listed(gallery, "Ann"))
    for verb in ("confirm", "escalate", "confirm"):
        done = Alerts(gallery).answer(made.id, verb, actor="Ada")
    assert done.state == "confirmed"


def test_a_dismissed_face_is_kept_away_until_that_is_undone(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann"), Alerts(gallery)
    made = raised(gallery, own)
    assert alerts.answer(made.id, "dismiss", actor="Gil").state == "dismissed"
    ((person, vector),) = Events(gallery).blocked("guests", CONTRACT)
    assert person == who(gallery, "Ann") and np.allclose(vector, face(5).vectors[0])
    assert alerts.raise_(seen(gallery, own)) is None  # replayed: nobody is told again
    assert alerts.undo(made.id, actor="Gil").state == "new"
    assert not Events(gallery).blocked("guests", CONTRACT)
    assert Events(gallery).get("guests", made.event_id).person_id == who(gallery, "Ann")


def test_people_merged_and_deleted(gallery: Gallery) -> None:
    own, alerts, lists = listed(gallery, "Ann", "Ben"), Alerts(gallery), Watchlists(gallery)
    made = raised(gallery, own)
    gallery.merge_people("guests", who(gallery, "Cleo"), who(gallery, "Ann"))
    assert {m.name for m in lists.members(own.id)} == {"Ben", "Cleo"}
    assert alerts.get(made.id).name == "Cleo"
    gallery.merge_people("guests", who(gallery, "Cleo"), who(gallery, "Ben"))
    assert [m.name for m in lists.members(own.id)] == ["Cleo"]
    version = lists.get(own.id).version
    gallery.delete_person("guests", who(gallery, "Cleo"))
    assert not lists.members(own.id) and lists.get(own.id).version > version
    assert not alerts.find() and Events(gallery).trace("guests", made.event_id) is None


def test_an_undone_merge_gives_places_and_alerts_back(gallery: Gallery) -> None:
    own, alerts, lists = listed(gallery, "Ann", "Ben"), Alerts(gallery), Watchlists(gallery)
    ids = {name: who(gallery, name) for name in ("Ann", "Ben", "Cleo")}
    made = raised(gallery, own)
    for keep, left in (("Cleo", ["Ben", "Cleo"]), ("Ben", ["Ben"])):
        gallery.merge_people("guests", ids[keep], ids["Ann"], reversible=True)
        assert [m.name for m in lists.members(own.id)] == left
        gallery.unmerge("guests", gallery.merges("guests")[0].id)
        assert [m.name for m in lists.members(own.id)] == ["Ann", "Ben"]
        assert alerts.get(made.id).name == "Ann"


def test_alerts_have_their_time(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann", "Ben", keep_days=10), Alerts(gallery)
    old, other = raised(gallery, own), raised(gallery, own, "Ben")
    alerts.answer(old.id, "dismiss", actor="Gil")
    now = datetime.now(UTC)
    assert alerts.forget(now) == 0 and alerts.get(old.id).picture_kept
    assert alerts.forget(now + timedelta(days=2)) == 0
    assert not alerts.get(old.id).picture_kept and alerts.get(other.id).picture_kept
    assert alerts.forget(now + timedelta(days=11)) == 2
    assert Events(gallery).blocked("guests", CONTRACT)  # kept away for good
    with gallery.database.read() as connection:
        for table in (events, traces):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0


def test_a_face_dismissed_late_is_kept_as_long_as_any(gallery: Gallery) -> None:
    own, alerts = listed(gallery, "Ann"), Alerts(gallery)
    made, now = raised(gallery, own), datetime.now(UTC)
    with gallery.database.write() as connection:  # it waited over the weekend
        connection.execute(_alerts.update().values(raised_at=to_us(now - timedelta(days=3))))
    alerts.answer(made.id, "dismiss", actor="Gil")
    alerts.forget(now + timedelta(hours=23))
    assert alerts.get(made.id).picture_kept, "it can be taken back"
    alerts.forget(now + timedelta(hours=25))
    assert not alerts.get(made.id).picture_kept


def test_every_change_is_audited(gallery: Gallery) -> None:
    own, alerts, lists = listed(gallery, "Ann"), Alerts(gallery), Watchlists(gallery)
    made = raised(gallery, own)
    alerts.answer(made.id, "dismiss", actor="Gil", note="her twin")
    alerts.undo(made.id, actor="Gil")
    lists.update(own.id, actor="Ada", cooldown_s=60.0)
    lists.remove(own.id, who(gallery, "Ann"), actor="Ada")
    lists.expire(own.id, actor="Ada")
    lists.delete(own.id, actor="Ada")
    audit = Audit(gallery)
    rows = [row for row in reversed(audit.find()) if row.verb.split(".")[0] in ("list", "alert")]
    assert [row.verb for row in rows] == [
        "list.create", "list.add", "alert.raise", "alert.dismiss", "alert.undo",
        "list.change", "list.remove", "list.expire", "list.delete",
    ]  # fmt: skip
    assert "twin" not in str([row.to_dict() for row in rows])
    assert audit.verify().problem is None


def test_a_deleted_list_leaves_its_people_and_nothing_of_its_alerts(gallery: Gallery) -> None:
    own = listed(gallery, "Ann")
    raised(gallery, own)
    Watchlists(gallery).delete(own.id, actor="Ada")
    assert not Watchlists(gallery).find() and not Alerts(gallery).find()
    assert gallery.person_called("guests", "Ann")
    assert not Events(gallery).find("guests", kinds=["alert"])
