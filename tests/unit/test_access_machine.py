"""The machine that decides at doors: every rule by example, and what never happens by property."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arcid.apps.access import contacts, machine
from arcid.apps.access.machine import Answer, Face, Now, Order, Position, Sight, State
from arcid.apps.access.rules import Door, Pass, Schedule, Site
from arcid.errors import UsageError

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
START = Now(NOON, 1000.0)
HOURS = Schedule.parse("Office", "mon-fri 07:00-19:00; holiday 10:00-11:00", "UTC")
ADA = Face(1, 0.4, "known", "ada", "Ada", True)
BEN = Face(2, 0.3, "known", "ben", "Ben", True)
STRANGER = Face(3, 0.4, "unknown")


def later(now: Now, seconds: float) -> Now:
    return Now(now.at + timedelta(seconds=seconds), now.ticks + seconds)


def site(holidays: frozenset[date] = frozenset(), **settings: Any) -> Site:
    door = Door("d", "Front", "staff", **settings)
    back = Door("b", "Back", "staff")
    passes = {("d", "ada"): (Pass("Staff", HOURS),), ("d", "ben"): (Pass("Staff"),)}
    return Site({"d": door, "b": back}, passes, holidays)


def sight(*faces: Face, at: Now = START, copy_s: float | None = None, id: str = "s1") -> Sight:
    return Sight(id, "d", at, faces, copy_s)


def ask(
    where: Site, *faces: Face, state: State | None = None, now: Now = START, **options: Any
) -> Answer | None:
    return machine.judge(where, state or State("boot"), sight(*faces, at=now, **options), now)[1]


def codes(answer: Answer | None) -> list[str]:
    assert answer is not None
    return [one.code for one in answer.reasons]


def test_a_member_within_the_hours_may_pass_and_the_words_say_why() -> None:
    answer = ask(site(), ADA)
    assert answer is not None and answer.granted
    assert answer.words == "Ada may pass: Staff, Office"
    assert not answer.passing


@pytest.mark.parametrize(
    ("face", "code"),
    [
        (STRANGER, "unknown"),
        (replace(ADA, seen="beyond"), "beyond"),
        (replace(ADA, seen="looking"), "looking"),
        (replace(ADA, seen="unusable", why="too dark"), "unusable"),
        (replace(ADA, live=False), "picture"),
        (replace(ADA, live=None), "liveness_open"),
        (replace(ADA, live=None, unchecked=True), "liveness_missing"),
        (Face(4, 0.4, "known", "eve", "Eve", True), "no_pass"),
    ],
)
def test_a_face_is_refused_for_what_it_is(face: Face, code: str) -> None:
    answer = ask(site(), face)
    assert answer is not None and not answer.granted and codes(answer) == [code]


def test_liveness_is_required_unless_the_door_says_otherwise() -> None:
    assert ask(site(liveness=False), replace(ADA, live=None)).granted


def test_nobody_asks_where_no_face_is_at_the_door() -> None:
    assert ask(site()) is None
    assert ask(site(near=0.5), ADA) is None


def test_hours_holidays_and_admission_times() -> None:
    evening = later(START, 8 * 3600)
    assert codes(ask(site(), ADA, now=evening)) == ["closed"]
    assert ask(site(), BEN, now=evening).granted, "no schedule: at any time"
    off = frozenset({NOON.date()})
    assert codes(ask(site(off), ADA)) == ["closed"]
    assert ask(site(off), ADA, now=later(START, -1.5 * 3600)).granted
    day = timedelta(days=1)
    for begins, ends, code in ((NOON + day, None, "not_yet"), (None, NOON, "expired")):
        own = Site(site().doors, {("d", "ada"): (Pass("Guests", None, begins, ends),)})
        assert codes(ask(own, ADA)) == [code]


def test_hours_go_by_the_clock_of_their_zone_and_past_midnight() -> None:
    night = Schedule.parse("Night", "fri 22:00-06:00", "Europe/Berlin")
    friday = datetime(2026, 3, 6, tzinfo=UTC)
    for hour, open_ in ((20.9, False), (21.0, True), (28.9, True), (29.0, False)):
        assert night.covers(friday + timedelta(hours=hour), frozenset()) is open_
    summer = Schedule.parse("Day", "daily 08:00-09:00", "Europe/Berlin")
    assert summer.covers(datetime(2026, 3, 28, 7, tzinfo=UTC), frozenset())
    assert summer.covers(datetime(2026, 3, 29, 6, tzinfo=UTC), frozenset()), "clocks went forward"
    whole = Schedule.parse("All day", "daily 00:00-24:00", "UTC")
    assert all(whole.covers(friday + timedelta(hours=h), frozenset()) for h in range(48))


@pytest.mark.parametrize("hours", ["", "mon 7-19", "moon 07:00-08:00", "mon 25:00-26:00"])
def test_hours_that_mean_nothing_are_refused(hours: str) -> None:
    with pytest.raises(UsageError):
        Schedule.parse("x", hours)
    with pytest.raises(UsageError, match="zone"):
        Schedule.parse("x", "mon 07:00-08:00", "Mars/Base")


def test_nobody_comes_in_behind_or_before_somebody_unknown() -> None:
    assert codes(ask(site(), ADA, replace(STRANGER, share=0.5))) == [
        "several", "nearer_unknown", "unknown",
    ]  # fmt: skip
    assert codes(ask(site(), ADA, replace(STRANGER, share=0.2))) == ["several"]
    assert codes(ask(site(), ADA, BEN)) == ["several"]
    assert ask(site(), ADA, replace(STRANGER, share=0.05)).granted, "far behind"


def test_two_persons_together_or_one_after_the_other() -> None:
    two = site(two_person=True)
    both = ask(two, ADA, BEN)
    assert both.granted and both.with_id == "ben"
    state, first = machine.judge(two, State("boot"), sight(ADA), START)
    assert codes(first) == ["second"]
    soon, late = later(START, 5), later(START, 11)
    _, again = machine.judge(two, state, sight(ADA, at=soon), soon)
    assert codes(again) == ["second"], "the same person is no second"
    _, second = machine.judge(two, state, sight(BEN, at=soon), soon)
    assert second.granted and second.with_id == "ada"
    _, too_late = machine.judge(two, state, sight(BEN, at=late), late)
    assert codes(too_late) == ["second"]


def test_anti_passback_hard_soft_and_timed() -> None:
    joined = {"from_area": "street", "to_area": "inside"}
    inside = State("boot", positions={"ada": Position("inside", NOON - timedelta(seconds=60))})
    outside = State("boot", positions={"ada": Position("street", NOON)})
    assert codes(ask(site(passback="hard", **joined), ADA, state=inside)) == ["passback"]
    assert ask(site(passback="hard", **joined), ADA, state=outside).granted
    soft = ask(site(passback="soft", **joined), ADA, state=inside)
    assert soft.granted and codes(soft) == ["pass", "passback_soft"]
    timed = site(passback="timed", passback_s=90, **joined)
    assert codes(ask(timed, ADA, state=inside)) == ["passback_timed"]
    assert ask(timed, ADA, state=inside, now=later(START, 31)).granted
    assert codes(ask(timed, ADA, state=inside, now=Now(NOON - timedelta(days=1), 9.0)))


def test_an_interlocked_door_waits_until_the_other_is_shut() -> None:
    locks = site(interlock=("b",))
    opened = State("boot").with_door("b", opened_at=NOON, opened_ticks=START.ticks)
    assert codes(ask(locks, ADA, state=opened, now=later(START, 9))) == ["interlock"]
    assert ask(locks, ADA, state=opened, now=later(START, 10.5)).granted
    held = opened.with_door("b", contact_open=True)
    assert codes(ask(locks, ADA, state=held, now=later(START, 99))) == ["interlock"]
    shut = opened.with_door("b", contact_open=False)
    assert ask(locks, ADA, state=shut, now=later(START, 5.5)).granted
    assert codes(ask(site(interlock=("gone",)), ADA)) == ["interlock"]


def test_a_call_for_help_opens_and_raises_the_alarm_or_refuses() -> None:
    called = machine.call_for_help(State("boot"), "d", START)
    answer = ask(site(), ADA, state=called, now=later(START, 5))
    assert answer.granted and answer.duress and codes(answer) == ["pass", "duress_open"]
    assert codes(ask(site(duress="refuse"), ADA, state=called)) == ["duress"]
    assert not ask(site(), ADA, state=called, now=later(START, 16)).duress


def test_a_lock_down_refuses_faces_and_hands_until_it_is_lifted() -> None:
    locked = machine.lock_down(State("boot"), "d", "fire drill")
    assert ask(site(), ADA, state=locked).words == "the door is locked down: fire drill"
    order = Order("o", "d", "Gus", "courier", NOON)
    assert codes(machine.by_hand(site(), locked, order, START)[1]) == ["lockdown"]
    lifted = machine.lock_down(locked, "d", None)
    assert ask(site(), ADA, state=lifted).granted
    _, granted = machine.judge(site(), State("boot"), sight(ADA), START)
    assert codes(machine.claim(site(), locked, granted, START)[1]) == ["lockdown"]


def test_an_answer_opens_once_soon_and_in_its_own_process() -> None:
    state, answer = machine.judge(site(), State("boot"), sight(ADA), START)
    assert answer is not None
    state, first = machine.claim(site(), state, answer, later(START, 0.1))
    assert first.granted
    assert codes(machine.claim(site(), state, answer, later(START, 0.2))[1]) == ["spent"]
    for now, boot, code in (
        (later(START, 2), "boot", "stale"),
        (later(START, -1), "boot", "stale"),
        (START, "another", "restart"),
    ):
        assert codes(machine.claim(site(), State(boot), answer, now)[1]) == [code]
    again = sight(ADA, at=later(START, 1))
    assert machine.judge(site(), state, again, again.taken)[1] is None, "let in already"
    sent_off = machine.not_opened(state, answer)
    assert machine.judge(site(), sent_off, again, again.taken)[1].granted
    refused = ask(site(), STRANGER)
    assert codes(machine.claim(site(), State("boot"), refused, START)[1]) == ["not_granted"]


def test_old_and_repeated_pictures_and_recordings_open_nothing() -> None:
    now = later(START, 2)
    assert codes(machine.judge(site(), State("boot"), sight(ADA), now)[1]) == ["stale"]
    assert codes(machine.judge(site(), State("boot"), sight(ADA), later(START, 9e5))[1]) == [
        "recording"
    ]
    state, _ = machine.judge(site(), State("boot"), sight(STRANGER), START)
    assert codes(machine.judge(site(), state, sight(ADA), START)[1]) == ["replayed"]
    future = sight(ADA, at=later(START, 1))
    assert codes(machine.judge(site(), State("boot"), future, START)[1]) == ["replayed"]


def test_a_local_copy_is_told_of_and_is_good_for_a_while() -> None:
    answer = ask(site(), ADA, copy_s=30.0)
    assert answer.granted and codes(answer) == ["pass", "from_copy"]
    assert codes(ask(site(offline_s=20), ADA, copy_s=30.0)) == ["offline"]
    assert codes(ask(site(offline_s=0), ADA, copy_s=0.1)) == ["offline"]


def test_an_opening_by_hand_has_a_reason_and_is_not_late() -> None:
    order = Order("o", "d", "Gus", "courier", NOON)
    state, answer = machine.by_hand(site(), State("boot"), order, START)
    assert answer.granted and answer.words == "opened by hand by Gus: courier"
    state, _ = machine.claim(site(), state, answer, START)
    assert codes(machine.by_hand(site(), state, order, START)[1]) == ["spent"]
    assert codes(machine.by_hand(site(), State("b"), replace(order, why=" "), START)[1]) == [
        "no_reason"
    ]
    assert codes(machine.by_hand(site(), State("b"), order, later(START, 11))[1]) == ["stale"]


def test_values_without_meaning_are_refused() -> None:
    for wrong in (
        {"release_s": 0}, {"release_s": 1e9}, {"near": 0}, {"fpir": 2.0}, {"passback": "hard"},
        {"passback": "never"}, {"duress": "cry"}, {"interlock": ("d",)}, {"name": " "},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            Door(**{"id": "d", "name": "Front", "collection": "staff", **wrong})


class AnyOrder(RuleBasedStateMachine):
    """Faces, orders, lock-downs, restarts and delays in any order: what was opened is checked."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.pictures = 0
        self.granted: list[Answer] = []
        self.opened: list[tuple[Answer, Now]] = []
        self.locked: dict[str, bool] = {"d": False, "b": False}

    @initialize(
        two=st.booleans(), passback=st.sampled_from(["off", "soft", "hard", "timed"]),
        interlocked=st.booleans(), duress=st.sampled_from(["open", "refuse"]),
    )  # fmt: skip
    def set_up(self, two: bool, passback: Any, interlocked: bool, duress: Any) -> None:
        areas = {"from_area": "street", "to_area": "inside"}
        front = Door(
            "d", "Front", "staff", two_person=two, passback=passback, duress=duress,
            interlock=("b",) if interlocked else (), **areas,
        )  # fmt: skip
        passes = {
            (door, person): (Pass("Staff", HOURS if person == "ada" else None),)
            for door in "db" for person in ("ada", "ben")
        }  # fmt: skip
        self.site = Site({"d": front, "b": Door("b", "Back", "staff")}, passes)
        self.state = State("boot 0")
        self.boots = self.alarms = 0

    @rule(seconds=st.sampled_from([0.04, 0.5, 2.0, 6.0, 12.0, 400.0, 8 * 3600.0]))
    def wait(self, seconds: float) -> None:
        self.now = later(self.now, seconds)

    @rule(
        door=st.sampled_from("db"),
        faces=st.lists(
            st.builds(
                Face, st.integers(1, 5), st.sampled_from([0.05, 0.2, 0.3, 0.5]),
                st.sampled_from(["known", "unknown", "beyond", "looking"]),
                st.sampled_from(["ada", "ben", "eve"]), st.just("Somebody"),
                st.sampled_from([True, True, False, None]),
            ), max_size=3,
        ),
        age=st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 1e6, -1.0]),
    )  # fmt: skip
    def see(self, door: str, faces: list[Face], age: float) -> None:
        self.picture(door, faces, age)

    @rule(
        door=st.sampled_from("db"), who=st.sampled_from([(ADA,), (BEN,), (ADA, BEN)]),
        age=st.sampled_from([0.0, 0.0, 1.0, 2.0]),
    )  # fmt: skip
    def come(self, door: str, who: tuple[Face, ...], age: float) -> None:
        """Whoever may pass, as they ought to."""
        self.picture(door, [replace(f, track=f.track + 10 * self.pictures) for f in who], age)

    @rule(door=st.sampled_from("db"))
    def come_with_a_stranger(self, door: str) -> None:
        self.picture(door, [replace(ADA, track=90 + self.pictures), STRANGER], 0.0)

    @rule(door=st.sampled_from("db"))
    def come_too_soon(self, door: str) -> None:
        """Before the liveness is known."""
        self.picture(door, [replace(BEN, track=90 + self.pictures, live=None)], 0.0)

    def picture(self, door: str, faces: list[Face], age: float) -> None:
        self.pictures += 1
        self.now = later(self.now, 0.001)
        seen = Sight(f"s{self.pictures}", door, later(self.now, -age), tuple(faces))
        before = self.state
        self.state, answer = machine.judge(self.site, self.state, seen, self.now)
        again = machine.judge(self.site, before, seen, self.now)
        assert again == (self.state, answer), "the same inputs, the same answer"
        if answer is None:
            return
        assert answer.reasons and answer.words
        if answer.granted:
            near = [f for f in faces if f.share >= 0.12]
            assert 0 <= age <= 1.5 and not self.locked[door]
            assert all(f.seen == "known" and f.live and f.person_id != "eve" for f in near)
            two = self.site.doors[door].two_person
            assert len(near) == 1 or (two and len(near) == 2)
            assert not two or answer.with_id not in (None, answer.person_id)
            self.granted.append(answer)

    @rule(door=st.sampled_from("db"), why=st.sampled_from(["courier", ""]))
    def ask_by_hand(self, door: str, why: str) -> None:
        self.pictures += 1
        order = Order(f"o{self.pictures}", door, "Gus", why, self.now.at)
        self.state, answer = machine.by_hand(self.site, self.state, order, self.now)
        if answer.granted:
            assert why and not self.locked[door]
            self.granted.append(answer)

    @rule(pick=st.integers(0, 10**6))
    def open_any(self, pick: int) -> None:
        """Any answer ever granted, however old, used or of whatever boot."""
        if not self.granted:
            return
        self.claim(self.granted[pick % len(self.granted)])

    @rule()
    def open_newest(self) -> None:
        if self.granted:
            self.claim(self.granted[-1])

    def claim(self, answer: Answer) -> None:
        others = self.site.doors[answer.door].interlock
        shut = [machine.is_shut(self.site.doors[o], self.state.door(o), self.now) for o in others]
        self.state, final = machine.claim(self.site, self.state, answer, self.now)
        if final.granted:
            assert not self.locked[answer.door]
            assert all(shut)
            assert answer.boot == f"boot {self.boots}"
            assert self.now.ticks - answer.now.ticks <= 1.5
            self.opened.append((answer, self.now))

    @rule(door=st.sampled_from("db"), on=st.booleans())
    def lock(self, door: str, on: bool) -> None:
        self.locked[door] = on
        self.state = machine.lock_down(self.state, door, "alarm" if on else None)

    @rule(door=st.sampled_from("db"), is_open=st.sampled_from([True, False, None]))
    def contact(self, door: str, is_open: bool | None) -> None:
        self.alarms += 1
        self.state, _ = contacts.contact(
            self.site, self.state, door, is_open, f"alarm {self.alarms}", self.now
        )

    @rule(door=st.sampled_from("db"))
    def call(self, door: str) -> None:
        self.state = machine.call_for_help(self.state, door, self.now)

    @rule()
    def restart(self) -> None:
        """Lock-downs are the database's; the rest of what was in memory is gone."""
        self.boots += 1
        self.state = State(f"boot {self.boots}")
        for door, on in self.locked.items():
            self.state = machine.lock_down(self.state, door, "alarm" if on else None)

    @invariant()
    def no_answer_opened_twice(self) -> None:
        ids = [answer.id for answer, _ in self.opened]
        assert len(ids) == len(set(ids))

    @invariant()
    def two_persons_were_two(self) -> None:
        for answer, _ in self.opened:
            if self.site.doors[answer.door].two_person and not answer.actor:
                assert answer.with_id is not None and answer.with_id != answer.person_id


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow], derandomize=True,
)  # fmt: skip
