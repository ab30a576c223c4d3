"""The review queue: asked once, answered by corrections, taken back, erased; on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import arcid.gallery
from arcid.apps.attendance import Attendance, Event
from arcid.apps.telling import Deliverer
from arcid.errors import ArcidError, EventNotFound, InputError, ReviewAnswered
from arcid.events import Audit, Events, Place, Question, Reviews, Sightings, Verdict, tables
from arcid.gallery import Gallery, NewFace, schema
from arcid.types import Embeddings, Match

CONTRACT = "c" * 64
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DOOR = Place("door", "door")
GROUNDS = {"cosine": 0.4, "cosine_threshold": 0.35, "target_fpir": 0.01, "cooldown_s": 60.0}
PEOPLE = ("Ann", "Ben", "Cleo")


def vector(seed: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(seed).standard_normal((1, 32)), CONTRACT)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        for seed, name in enumerate(PEOPLE):
            gallery.enrol("staff", name, [NewFace(vector(seed), photo_id=name)])
        yield gallery


def who(gallery: Gallery, name: str) -> str:
    found = gallery.find_person("staff", name)
    assert found is not None
    return found.id


def doubt(
    gallery: Gallery,
    at: float = 0,
    names: Sequence[str] = ("Ann", "Ben"),
    *,
    seed: int = 50,
    until: float | None = None,
    targets: Sequence[str] = (),
) -> list[Event]:
    """A face that may be one of these was seen, and for 10 s."""
    matches = []
    for rank, name in enumerate(names):
        person = who(gallery, name)
        face = gallery.faces("staff", person)[0].id
        matches.append(Match(person, name, 0.4 - rank / 50, face, 1))
    return Sightings(gallery).visitor(
        "staff", DOOR, after(at), after(at + 10 if until is None else until), f"{at}",
        cooldown_s=60, alike=0.5, grounds=GROUNDS, vector=vector(seed), targets=targets,
        question=Question(matches, None, 0.01),
    )  # fmt: skip


def seen(gallery: Gallery, name: str, at: float) -> list[str]:
    found = Sightings(gallery).person(
        "staff", DOOR, who(gallery, name), after(at), cooldown_s=60, grounds=GROUNDS
    )
    return [event.kind for event in found]


def left(gallery: Gallery, now: float) -> list[tuple[str | None, datetime]]:
    found = Sightings(gallery).depart("staff", "door", after(now - 60), "gone")
    return [(event.name, event.at) for event in found]


def present(gallery: Gallery) -> list[str | None]:
    return [stay.name for stay in Events(gallery).present("staff")]


def log(gallery: Gallery) -> list[tuple[str, str | None]]:
    return [(e.kind, e.name) for e in Events(gallery).find("staff")]


def answer(gallery: Gallery, event: Event, verdict: Verdict, name: str | None = None) -> Any:
    person = None if name is None else who(gallery, name)
    return Reviews(gallery).answer("staff", event.id, verdict, actor="op", person_id=person)


def hours(gallery: Gallery) -> dict[str, tuple[float, bool]]:
    """Minutes at work and whether a departure is missing, by name."""
    rows = Attendance(gallery, "staff").day(NOON.date(), zone=UTC, now=after(9999)).rows
    return {row.name: (row.seconds, row.incomplete) for row in rows if not row.absent}


def test_a_doubtful_face_waits_and_is_asked_about_once(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    assert (event.kind, event.person_id) == ("review", None)
    assert doubt(gallery, 20) == []  # the same face again
    assert doubt(gallery, 0) == []  # a replay
    (other,) = doubt(gallery, 20, ("Cleo",), seed=60)
    newest, oldest = Reviews(gallery).find("staff")
    assert (newest.id, oldest.id, Reviews(gallery).waiting("staff")) == (other.id, event.id, 2)
    assert oldest.state == "open" and (oldest.target_fmr, oldest.target_fpir) == (None, 0.01)
    assert [(c.name, round(c.cosine, 2), c.refused) for c in oldest.candidates] == [
        ("Ann", 0.4, False), ("Ben", 0.38, False),
    ]  # fmt: skip
    assert log(gallery) == [("review", None), ("review", None)]
    page = Reviews(gallery).find("staff", limit=1)
    assert [r.id for r in Reviews(gallery).find("staff", limit=1, after=page.next)] == [event.id]
    assert Events(gallery).unknown("staff", CONTRACT) == []  # never silently an unknown
    assert json.loads(json.dumps(oldest.to_dict()))["event"]["kind"] == "review"


def test_a_face_that_was_unknown_at_first_is_still_asked_about(gallery: Gallery) -> None:
    first = Sightings(gallery).visitor(
        "staff", DOOR, after(0), after(1), "0", cooldown_s=60, alike=0.5, grounds=GROUNDS,
        vector=vector(50),
    )  # fmt: skip
    assert [event.kind for event in first] == ["unknown"]
    assert [event.kind for event in doubt(gallery, 5)] == ["review"]


def test_yes_makes_it_their_arrival_with_presence_and_hours(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    done = answer(gallery, event, "yes", "Ann")
    assert (done.state, done.name, done.actor) == ("yes", "Ann", "op")
    assert log(gallery) == [("arrival", "Ann")]
    assert present(gallery) == ["Ann"]
    assert seen(gallery, "Ann", 30) == []  # the same stay goes on
    assert left(gallery, 99) == [("Ann", after(30))]
    assert hours(gallery) == {"Ann": (30.0, False)}
    assert Reviews(gallery).waiting("staff") == 0


def test_yes_after_they_had_left_writes_their_departure_too(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    assert left(gallery, 999) == []
    answer(gallery, event, "yes", "Ann")
    assert log(gallery) == [("departure", "Ann"), ("arrival", "Ann")]
    assert hours(gallery) == {"Ann": (10.0, False)}
    Reviews(gallery).undo("staff", event.id, actor="op")
    assert log(gallery) == [("review", None)] and hours(gallery) == {}
    answer(gallery, event, "yes", "Ben")
    assert hours(gallery) == {"Ben": (10.0, False)}


@pytest.mark.parametrize("over", [False, True])
def test_yes_of_somebody_who_was_there_adds_no_second_stay(gallery: Gallery, over: bool) -> None:
    assert seen(gallery, "Ann", 0) == ["arrival"]
    (event,) = doubt(gallery, 20)
    seen(gallery, "Ann", 50)
    if over:
        assert left(gallery, 999) == [("Ann", after(50))]
    before = present(gallery), hours(gallery)
    answer(gallery, event, "yes", "Ann")
    assert present(gallery) == ([] if over else ["Ann"])
    assert hours(gallery)["Ann"][0] == 50.0
    Reviews(gallery).undo("staff", event.id, actor="op")
    assert (present(gallery), hours(gallery)) == before
    if not over:
        assert left(gallery, 999) == [("Ann", after(50))]


def test_yes_of_somebody_who_was_there_and_stayed_longer_counts_once(gallery: Gallery) -> None:
    seen(gallery, "Ann", 0)
    seen(gallery, "Ann", 50)
    (event,) = doubt(gallery, 45, until=80)
    assert left(gallery, 999) == [("Ann", after(50))]
    answer(gallery, event, "yes", "Ann")
    assert hours(gallery) == {"Ann": (80.0, False)}
    Reviews(gallery).undo("staff", event.id, actor="op")
    assert hours(gallery) == {"Ann": (50.0, False)}


def test_taking_yes_back_gives_the_stay_begun_before_its_own_end(gallery: Gallery) -> None:
    seen(gallery, "Ann", 0)
    (event,) = doubt(gallery, 30)
    answer(gallery, event, "yes", "Ann")
    assert present(gallery) == ["Ann"]
    assert left(gallery, 999) == [("Ann", after(40))]
    Reviews(gallery).undo("staff", event.id, actor="op")
    assert [(e.kind, e.name, e.at) for e in Events(gallery).find("staff")] == [
        ("review", None, after(30)), ("departure", "Ann", after(0)), ("arrival", "Ann", after(0)),
    ]  # fmt: skip
    assert present(gallery) == [] and gallery.check() == []


def test_not_this_person_asks_on_and_without_anybody_left_is_an_unknown(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    now = answer(gallery, event, "not_person", "Ann")
    assert now.state == "open" and [c.name for c in now.open_candidates] == ["Ben"]
    assert log(gallery) == [("review", None)]
    assert [uid for uid, _ in Events(gallery).blocked("staff", CONTRACT)] == [who(gallery, "Ann")]
    now = answer(gallery, event, "not_person", "Ben")
    assert now.state == "no" and log(gallery) == [("unknown", None)]
    assert len(Events(gallery).blocked("staff", CONTRACT)) == 2
    assert [e.id for e, _ in Events(gallery).unknown("staff", CONTRACT)] == [event.id]
    back = Reviews(gallery).undo("staff", event.id, actor="op")
    assert back.state == "open" and [c.name for c in back.open_candidates] == ["Ben"]
    assert [uid for uid, _ in Events(gallery).blocked("staff", CONTRACT)] == [who(gallery, "Ann")]
    back = Reviews(gallery).undo("staff", event.id, actor="op")
    assert [c.name for c in back.open_candidates] == ["Ann", "Ben"]
    assert Events(gallery).blocked("staff", CONTRACT) == []


def test_no_is_an_unknown_visitor_kept_from_every_candidate(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    assert answer(gallery, event, "no").state == "no"
    assert log(gallery) == [("unknown", None)] and present(gallery) == []
    assert len(Events(gallery).blocked("staff", CONTRACT)) == 2
    Reviews(gallery).undo("staff", event.id, actor="op")
    assert Reviews(gallery).get("staff", event.id).state == "open"
    assert Events(gallery).blocked("staff", CONTRACT) == []


def test_the_same_answer_again_changes_nothing_and_another_is_refused(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    once = answer(gallery, event, "yes", "Ann")
    assert answer(gallery, event, "yes", "Ann") == once
    for verdict, name in (("yes", "Ben"), ("no", None), ("not_person", "Ben")):
        with pytest.raises(ReviewAnswered, match="yes, Ann, by op") as refused:
            answer(gallery, event, verdict, name)  # type: ignore[arg-type]
        assert refused.value.details["answer_id"] == once.answer_id
    assert len(Events(gallery).history("staff", event.id)) == 2
    Reviews(gallery).undo("staff", event.id, actor="op", answer_id=once.answer_id)
    again = Reviews(gallery).undo("staff", event.id, actor="op", answer_id=once.answer_id)
    assert again.state == "open" and len(Events(gallery).history("staff", event.id)) == 3
    with pytest.raises(InputError, match="nothing"):
        Reviews(gallery).undo("staff", event.id, actor="op")
    answer(gallery, event, "not_person", "Ann")
    with pytest.raises(ReviewAnswered):
        answer(gallery, event, "yes", "Ann")


def test_of_operators_at_once_one_answers_and_the_others_are_told(
    gallery: Gallery, database_url: str
) -> None:
    (event,) = doubt(gallery)
    people = [who(gallery, "Ann"), who(gallery, "Ben")]
    told: list[str | None] = []
    gate = threading.Barrier(6)

    def operator(n: int) -> None:
        with Gallery.open(database_url) as own:
            gate.wait()
            try:
                done = Reviews(own).answer(
                    "staff", event.id, "yes", actor=f"op {n}", person_id=people[n % 2]
                )
                told.append(done.person_id)
            except ReviewAnswered as refused:
                told.append(refused.details["person_id"])

    threads = [threading.Thread(target=operator, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6 and len(set(told)) == 1
    assert Reviews(gallery).get("staff", event.id).person_id == told[0]
    assert len(Events(gallery).history("staff", event.id)) == 2


def test_a_correction_made_elsewhere_answers_it_and_its_undoing_asks_again(
    gallery: Gallery,
) -> None:
    book = Attendance(gallery, "staff")
    (event,) = doubt(gallery)
    given = book.correct(event.id, "reassign", person_id=who(gallery, "Cleo"), actor="op")
    now = Reviews(gallery).get("staff", event.id)
    assert (now.state, now.name) == ("yes", "Cleo")
    book.correct(given.id, "void", actor="op")
    assert Reviews(gallery).get("staff", event.id).state == "open"
    book.correct(event.id, "void", actor="op")
    assert Reviews(gallery).get("staff", event.id).state == "withdrawn"
    assert Reviews(gallery).waiting("staff") == 0


def test_what_the_system_learns_later_withdraws_a_question_but_no_answer(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    (other,) = doubt(gallery, seed=60, at=5)
    answer(gallery, other, "yes", "Ben")
    for each in (event, other):
        Sightings(gallery).supersede("staff", each.id, "recognised later in the same track")
    assert Reviews(gallery).get("staff", event.id).state == "withdrawn"
    assert Reviews(gallery).get("staff", other.id).state == "yes"


def test_what_cannot_be_answered_is_refused(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    seen(gallery, "Cleo", 0)
    arrival = Events(gallery).find("staff", kinds=["arrival"])[0]
    for bad in (event.id[::-1], arrival.id):
        with pytest.raises(EventNotFound):
            Reviews(gallery).get("staff", bad)
    for verdict, name in (("yes", "Cleo"), ("not_person", "Cleo"), ("yes", None), ("no", "Ann")):
        with pytest.raises(InputError):
            answer(gallery, event, verdict, name)  # type: ignore[arg-type]
    for call in (
        lambda: answer(gallery, event, "perhaps"),  # type: ignore[arg-type]
        lambda: Reviews(gallery).answer("staff", event.id, "no", actor=" "),
        lambda: Reviews(gallery).find("staff", states=("shut",)),
        lambda: Reviews(gallery).undo("staff", event.id, actor="op", answer_id="0" * 32),
    ):
        with pytest.raises(ArcidError):
            call()
    assert len(Events(gallery).history("staff", event.id)) == 1


# erased, merged, told


def rows(gallery: Gallery, table: sa.Table) -> int:
    with gallery.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_a_question_goes_with_the_person(gallery: Gallery) -> None:
    (alone,) = doubt(gallery, 0, ("Ann",))
    (two,) = doubt(gallery, 5, ("Ann", "Ben"), seed=60)
    (theirs,) = doubt(gallery, 10, ("Ann", "Ben"), seed=70)
    (hers,) = doubt(gallery, 15, ("Cleo",), seed=80)
    answer(gallery, theirs, "yes", "Ann")
    answer(gallery, two, "not_person", "Ben")
    gallery.delete_person("staff", who(gallery, "Ann"))
    assert [review.id for review in Reviews(gallery).find("staff", states=None)] == [
        hers.id, two.id,
    ]  # fmt: skip
    assert Reviews(gallery).get("staff", two.id).state == "no"  # nobody is left to ask about
    assert dict(log(gallery)) == {"review": None, "arrival": None, "unknown": None}
    assert Events(gallery).get("staff", theirs.id).name is None
    kept = [e.id for e in (alone, two, theirs, hers) if Events(gallery).trace("staff", e.id)]
    assert kept == [hers.id]
    gallery.delete_collection("staff")
    assert rows(gallery, tables.reviews) == rows(gallery, tables.candidates) == 0


def test_questions_and_answers_of_merged_people_are_of_the_one_that_stays(
    gallery: Gallery,
) -> None:
    (asked,) = doubt(gallery, 0, ("Ann", "Ben"))
    (yes,) = doubt(gallery, 5, ("Ben",), seed=60)
    (refused,) = doubt(gallery, 10, ("Ben",), seed=70)
    (other,) = doubt(gallery, 15, ("Ben", "Cleo"), seed=80)
    answer(gallery, yes, "yes", "Ben")
    answer(gallery, refused, "not_person", "Ben")
    given = Attendance(gallery, "staff").correct(
        other.id, "reassign", person_id=who(gallery, "Cleo"), actor="op"
    )
    gallery.merge_people("staff", who(gallery, "Ann"), who(gallery, "Ben"))
    get = Reviews(gallery).get
    assert [c.name for c in get("staff", asked.id).candidates] == ["Ann"]
    assert (get("staff", yes.id).state, get("staff", yes.id).name) == ("yes", "Ann")
    assert get("staff", refused.id).state == "no"
    assert Events(gallery).get("staff", other.id).name == "Cleo"  # theirs no more
    Events(gallery).correct("staff", given.id, "void", actor="op")
    assert [c.name for c in get("staff", other.id).open_candidates] == ["Ann", "Cleo"]
    assert gallery.check() == []


def test_a_review_given_to_somebody_it_did_not_ask_about_outlives_their_merge(
    gallery: Gallery,
) -> None:
    (asked,) = doubt(gallery, 0, ("Ann",))
    Attendance(gallery, "staff").correct(
        asked.id, "reassign", person_id=who(gallery, "Ben"), actor="op"
    )
    gallery.merge_people("staff", who(gallery, "Cleo"), who(gallery, "Ben"))
    review = Reviews(gallery).get("staff", asked.id)
    assert (review.state, review.name) == ("yes", "Cleo")
    assert gallery.check() == []


@pytest.mark.parametrize(("keep", "other"), [("Ann", "Ben"), ("Ben", "Ann")])
@pytest.mark.parametrize("how", ["answered", "corrected"])
def test_a_face_said_to_be_one_and_not_the_other_stays_theirs_when_they_are_merged(
    gallery: Gallery, keep: str, other: str, how: str
) -> None:
    (asked,) = doubt(gallery)
    answer(gallery, asked, "not_person", "Ben")
    if how == "answered":
        answer(gallery, asked, "yes", "Ann")
    else:
        Events(gallery).correct(
            "staff", asked.id, "reassign", person_id=who(gallery, "Ben"), actor="op"
        )
    gallery.merge_people("staff", who(gallery, keep), who(gallery, other))
    review = Reviews(gallery).get("staff", asked.id)
    assert (review.state, review.name) == ("yes", keep)
    assert (review.event.kind, review.event.name) == ("arrival", keep)
    assert Events(gallery).blocked("staff", CONTRACT) == []
    assert gallery.check() == []


def test_nobody_is_asked_about_people_who_are_all_deleted(gallery: Gallery) -> None:
    ann = who(gallery, "Ann")
    face = gallery.faces("staff", ann)[0].id
    gallery.delete_person("staff", ann)
    question = Question([Match(ann, "Ann", 0.4, face, 1)], None, 0.01)
    (event,) = Sightings(gallery).visitor(
        "staff", DOOR, NOON, NOON, "mark", cooldown_s=60, alike=0.5, grounds=GROUNDS,
        vector=vector(50), question=question,
    )  # fmt: skip
    assert Reviews(gallery).waiting("staff") == 0 and not Reviews(gallery).find("staff")
    assert Events(gallery).get("staff", event.id).kind == "unknown"


def test_an_event_goes_through_one_merge_after_another(gallery: Gallery) -> None:
    ann, ben, cleo = (who(gallery, name) for name in PEOPLE)
    (event,) = Sightings(gallery).person(
        "staff", DOOR, ben, NOON, cooldown_s=60, grounds=GROUNDS, vector=vector(1)
    )
    gallery.merge_people("staff", ann, ben)
    Events(gallery).correct("staff", event.id, "reassign", person_id=cleo, actor="op")
    gallery.merge_people("staff", ann, cleo)
    assert Events(gallery).get("staff", event.id).name == "Ann"


def test_an_undone_merge_gives_events_questions_and_stays_back(gallery: Gallery) -> None:
    ann, ben = who(gallery, "Ann"), who(gallery, "Ben")
    (seen_ben,) = Sightings(gallery).person(
        "staff", DOOR, ben, NOON, cooldown_s=60, grounds=GROUNDS, vector=vector(1)
    )
    doubt(gallery, 5, ("Ben",), seed=60)
    (yes,) = doubt(gallery, 10, ("Ben", "Cleo"), seed=70)
    (refused,) = doubt(gallery, 15, ("Ben", "Cleo"), seed=80)
    answer(gallery, yes, "yes", "Ben")
    answer(gallery, refused, "not_person", "Ben")

    def state() -> list[object]:
        reviews = Reviews(gallery).find("staff", states=None)
        return [
            [(r.id, r.state, r.name, r.candidates) for r in reviews],
            [(e.id, e.kind, e.name) for e in Events(gallery).find("staff")],
            [(stay.person_id, stay.arrived_at) for stay in Events(gallery).unfinished("staff")],
            [(person, row.tolist()) for person, row in Events(gallery).blocked("staff", CONTRACT)],
        ]

    before = state()
    gallery.merge_people("staff", ann, ben, reversible=True)
    assert Events(gallery).get("staff", seen_ben.id).name == "Ann" and state() != before
    (since,) = Sightings(gallery).person(
        "staff", DOOR, ann, NOON, cooldown_s=60, grounds=GROUNDS, vector=vector(1)
    ) or [None]
    assert since is None  # they are there already
    gallery.unmerge("staff", gallery.merges("staff")[0].id)
    assert state() == before
    assert gallery.check() == []


class Receiver:
    name = "hr"

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        self.got.append(json.loads(body))


def test_whoever_was_told_of_the_doubt_is_told_of_the_answer(gallery: Gallery) -> None:
    (event,) = doubt(gallery, targets=("hr",))
    answer(gallery, event, "yes", "Ann")  # by somebody who knows nothing of webhooks
    Reviews(gallery).undo("staff", event.id, actor="op")
    receiver = Receiver()
    assert Deliverer(gallery, [receiver]).run_once() == 3
    doubtful, yes, undone = receiver.got
    assert (doubtful["kind"], doubtful["person_id"]) == ("review", None)
    assert (yes["kind"], yes["action"], yes["about_id"], yes["name"]) == (
        "correction", "reassign", event.id, "Ann",
    )  # fmt: skip
    assert (undone["action"], undone["about_id"]) == ("void", yes["id"])


# a gallery of before


def test_a_gallery_of_schema_0003_gets_a_queue(bare_database_url: str) -> None:
    url = bare_database_url
    if "://" not in url:
        Path(url).touch(0o600)
        url = f"sqlite:///{url}"
    config = Config()
    config.set_main_option("script_location", f"{arcid.gallery.__path__[0]}/migrations")
    if "://" not in bare_database_url:
        Path(bare_database_url).touch(0o600)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            schema.gallery.insert().values(id=1, identity="0" * 32, last_change=0, stamp=1)
        )
    engine.dispose()
    with Gallery.open(bare_database_url) as gallery:
        gallery.create_collection("staff")
        for seed, name in enumerate(PEOPLE):
            gallery.enrol("staff", name, [NewFace(vector(seed), photo_id=name)])
        (event,) = doubt(gallery)
        assert answer(gallery, event, "no").state == "no"
        assert len(Events(gallery).blocked("staff", CONTRACT)) == 2
        assert gallery.stats()["schema_version"] == schema.HEAD


def test_answers_and_taking_them_back_are_in_the_audit_once(gallery: Gallery) -> None:
    (event,) = doubt(gallery)
    for verdict, name in (("not_person", "Ann"), ("yes", "Ben"), ("yes", "Ben")):
        answer(gallery, event, verdict, name)  # type: ignore[arg-type]
    Reviews(gallery).undo("staff", event.id, actor="op")
    found = Audit(gallery).find(subject=f"event:{event.id}")
    assert [(entry.verb, entry.details.get("person")) for entry in reversed(found)] == [
        ("review.not_person", who(gallery, "Ann")),
        ("review.yes", who(gallery, "Ben")),
        ("review.undo", None),
    ]
