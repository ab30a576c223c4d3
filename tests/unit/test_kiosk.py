"""What a kiosk decides and writes into the book, from photographs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from tests.toys import drawn

from arcid.apps.attendance import Attendance
from arcid.apps.kiosk import ANSWER_S, ANSWERS, FAILURES, LOOKS, Kiosk, Look, State
from arcid.events import Events, Reviews
from arcid.gallery import Gallery, NewFace
from arcid.image import load_image
from arcid.landmarks import Landmarks
from arcid.liveness.challenge import ACTIONS, Challenge, Hint, Status
from arcid.liveness.expression import EXPRESSIONS
from arcid.pipeline import Pipeline
from arcid.quality import Reason
from arcid.server.console import strings as S
from arcid.server.console.live.watching import attend
from arcid.server.console.pages.kiosk import words
from arcid.types import Detections, Image, Match
from arcid.video import Frame

pytestmark = pytest.mark.data
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> dict[str, Image]:
    folder = data_dir / "data/deepface-pairs"
    return {name: load_image(folder / f"{name}.jpg") for name in ("img1", "img2", "img3", "img4")}


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return Pipeline.from_models("scrfd_2.5g", "mobilefacenet_128")


@pytest.fixture
def gallery(pipeline: Pipeline, photos: dict[str, Image], fresh: Path) -> Iterator[Gallery]:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        enrol(gallery, pipeline, "Ann", photos["img1"])
        yield gallery


def enrol(gallery: Gallery, pipeline: Pipeline, name: str, photo: Image) -> str:
    face = pipeline.embed([pipeline.prepare(photo, select="largest")])[0][0]
    return gallery.enrol("staff", name, [NewFace(face.embedding, photo_id=name)])[0].id


def kiosk(gallery: Gallery, pipeline: Pipeline) -> Kiosk:
    return Kiosk(pipeline, gallery, gallery.collection("staff"), "Kiosk", challenged=False)


def shown(one: Kiosk, photo: Image | None, at: datetime, count: int = LOOKS) -> list[Look]:
    """What so many frames come to; no photo: nothing comes."""
    began = at.timestamp()
    frames = [
        None if photo is None else Frame(photo, began + n / 10, began + n / 10, n)
        for n in range(count)
    ]
    source: Any = SimpleNamespace(frames=lambda: iter(frames))
    return [look for _, look in one.watch(source)]


def answer(one: Kiosk, photo: Image, at: datetime) -> tuple[State, str]:
    """The last state, and who was recognised."""
    last = shown(one, photo, at)[-1]
    return last.state, "" if last.person is None else last.person.name


def test_who_came_to_the_kiosk_on_monday_is_not_there_until_tuesday(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image]
) -> None:
    for day in range(3):
        at = MONDAY + timedelta(days=day)
        looks = shown(kiosk(gallery, pipeline), photos["img4"], at)
        states = [look.state for look in looks]
        assert states == [State.LOOKING] * (LOOKS - 1) + [State.CHECKED_IN]
        assert looks[-1].person is not None and looks[-1].person.name == "Ann"
        assert looks[-1].at == at + timedelta(seconds=0.2) and looks[-1].box is not None
    book = Attendance(gallery, "staff")
    assert book.present() == [], "a kiosk's page that was closed sees nobody leave"
    now = MONDAY + timedelta(days=2, minutes=1)
    for day in range(2):
        (row,) = book.day((MONDAY + timedelta(days=day)).date(), zone=UTC, now=now).rows
        assert (row.first_in, row.seconds < 5) == (MONDAY + timedelta(days=day, seconds=0.2), True)
        assert not row.still_there


def test_a_face_refused_for_somebody_is_not_greeted_as_them_again(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image]
) -> None:
    book = Attendance(gallery, "staff")
    ann = (State.CHECKED_IN, "Ann")
    assert answer(kiosk(gallery, pipeline), photos["img4"], MONDAY) == ann
    (event,) = book.events(kinds=["arrival"])
    _, blocked = book.not_this_person(event.id, actor="test")
    assert blocked
    later = MONDAY + timedelta(hours=1)
    assert answer(kiosk(gallery, pipeline), photos["img4"], later) == (State.UNKNOWN, "")
    assert answer(kiosk(gallery, pipeline), photos["img1"], later) == ann, "her own face is"
    bea = enrol(gallery, pipeline, "Bea", photos["img4"])
    later += timedelta(seconds=ANSWER_S)
    assert answer(kiosk(gallery, pipeline), photos["img4"], later) == (State.CHECKED_IN, "Bea")
    assert book.events(kinds=["arrival"])[0].person_id == bea


def test_a_face_it_is_not_certain_of_is_left_to_a_human_and_told_so(
    gallery: Gallery,
    pipeline: Pipeline,
    photos: dict[str, Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identify = Pipeline.identify_embeddings
    strict: Any = functools.partialmethod(identify, fpir=1e-9)  # beyond what is calibrated
    monkeypatch.setattr(Pipeline, "identify_embeddings", strict)
    for minute in range(2):
        at = MONDAY + timedelta(minutes=minute)
        assert answer(kiosk(gallery, pipeline), photos["img4"], at) == (State.REVIEW, "")
    (review,) = Reviews(gallery).find("staff")  # asked once
    assert [one.name for one in review.candidates] == ["Ann"]
    assert review.event.camera == "Kiosk" and review.target_fpir == 1e-9
    Reviews(gallery).answer(
        "staff", review.id, "yes", actor="op", person_id=review.candidates[0].person_id
    )
    assert Attendance(gallery, "staff").events(kinds=["arrival"])[0].name == "Ann"


@pytest.mark.parametrize("page", ["kiosk", "live"])
def test_a_browsers_camera_that_is_closed_leaves_nobody_behind(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image], page: str
) -> None:
    running: Any = SimpleNamespace(pipeline=pipeline, gallery=gallery)
    staff = gallery.collection("staff")
    if page == "kiosk":
        work: Any = kiosk(gallery, pipeline).watch
    else:
        work = attend(running, staff, "Ann's device")

    def frames(idle_s: float = 1.0) -> Iterator[Frame]:
        for n in range(60):
            if Events(gallery).present("staff"):
                return
            yield Frame(photos["img4"], MONDAY.timestamp() + n / 10, n / 10, n)

    source: Any = SimpleNamespace(
        frames=frames, name="browser", live=True, health=list, close=lambda: None
    )
    for _ in work(source):
        pass
    book = Attendance(gallery, "staff")
    (left, came) = book.events()
    assert (left.kind, came.kind, left.name) == ("departure", "arrival", "Ann")
    assert left.grounds["cause"] == "camera_closed"
    assert book.present() == []


# the challenge, and answers that stay


class Run:
    """A challenge that a test moves on: ``phase`` is what the next frame comes to."""

    actions = ("turn_left", "turn_right", "come_closer")

    def __init__(self) -> None:
        self.step, self.phase, self.failure = 0, "centre", None

    @property
    def status(self) -> Status:
        phase: Any = self.phase
        action: Any = self.actions[self.step] if phase == "act" else None
        return Status(phase, action, "go_on", self.step, 3, 5.0, 0.0, self.failure)

    #: Of a challenge whose turns are done.
    passed = property(lambda self: Status("passed", None, "done", 3, 3, 5.0))

    def update(self, points: Any, openness: Any, time_s: float) -> Status:
        return self.status


class Screen:
    """Somebody before a kiosk that asks for head turns; ten frames a second."""

    def __init__(self, gallery: Gallery, pipeline: Pipeline, draw: Any = Run) -> None:
        self.run: Any = draw and draw()
        staff = gallery.collection("staff")
        given = (lambda: self.run) if draw else None
        self.kiosk = Kiosk(pipeline, gallery, staff, "Kiosk", draw=given)
        self.gallery, self.ticks = gallery, 0.0
        self.book = Attendance(gallery, "staff")

    def see(self, photo: Image, frames: int = 1, wait_s: float = 0.1) -> State:
        for _ in range(frames):
            self.ticks += wait_s
            at = MONDAY.timestamp() + self.ticks
            look = self.kiosk.look(Frame(photo, at, self.ticks, int(self.ticks * 10)))
        self.look = look
        return look.state

    def written(self) -> list[str]:
        return [event.kind for event in self.book.events()]


@pytest.fixture
def screen(gallery: Gallery, pipeline: Pipeline) -> Screen:
    return Screen(gallery, pipeline)


class Mimic:
    """Landmarks of a drawn face with eyes and mouth as open as a test says."""

    name, tells_openness, eyes, mouth = "mimic", True, 0.3, 0.0

    def find(self, image: Image, detections: Detections) -> Landmarks:
        return Landmarks(np.stack([drawn(self.eyes, self.mouth)] * len(detections)))


def mimicked(gallery: Gallery, pipeline: Pipeline, mimic: Mimic, patch: Any) -> Screen:
    """Somebody who looks straight ahead and has done all turns."""
    patch.setattr(pipeline, "landmarks", mimic)
    patch.setattr("arcid.pipeline.preparing.head_pose", lambda marks, _: np.zeros((len(marks), 3)))
    patch.setattr(Challenge, "status", Run.passed)
    return Screen(gallery, pipeline, draw=None)


def test_eyes_and_mouth_are_asked_for_after_the_turns_where_landmarks_tell_them(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    mimic = Mimic()
    screen = mimicked(gallery, pipeline, mimic, monkeypatch)
    asked: list[str | None] = []
    for _ in range(60):
        state = screen.see(photos["img4"])
        if state is not State.CHALLENGED:
            if state is not State.LOOKING:
                break
            continue
        status = screen.look.challenge
        assert status is not None and status.steps == 5
        asked += [status.action] if status.action not in (*asked, None) else []
        mimic.eyes = 0.05 if status.action == "close_eyes" else 0.3
        mimic.mouth = 0.5 if status.action == "open_mouth" else 0.0
    assert sorted(map(str, asked)) == ["close_eyes", "open_mouth"]
    assert (state, screen.written()) == (State.CHECKED_IN, ["arrival"])
    (event,) = screen.book.events()
    assert sorted(event.grounds["liveness"]["actions"])[0] == "close_eyes"


def test_a_face_that_does_nothing_when_asked_for_its_eyes_is_refused(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = mimicked(gallery, pipeline, Mimic(), monkeypatch)
    for _ in range(40):
        if (state := screen.see(photos["img4"], wait_s=1.5)) is State.REFUSED:
            break
    assert (state, screen.look.failure, screen.written()) == (State.REFUSED, "too_slow", [])


def test_landmarks_that_do_not_tell_openness_ask_for_turns_alone(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = Mimic()
    blind.tells_openness = False
    monkeypatch.setattr(pipeline, "landmarks", blind)
    screen = Screen(gallery, pipeline, draw=None)
    screen.see(photos["img4"], LOOKS)
    assert screen.look.challenge is not None and screen.look.challenge.steps == 3


NOBODY = np.full((240, 320, 3), 127, np.uint8)


def test_who_passes_the_challenge_is_checked_in_and_told_until_they_step_aside(
    screen: Screen, photos: dict[str, Image]
) -> None:
    assert screen.see(NOBODY) == State.WAITING
    assert screen.see(photos["img4"], LOOKS) == State.CHALLENGED
    assert screen.look.challenge is not None and screen.look.challenge.steps == 3
    for screen.run.step in range(3):
        assert screen.see(photos["img4"]) == State.CHALLENGED
    assert screen.written() == [], "nothing before the challenge is passed"
    screen.run.phase = "passed"
    assert screen.see(photos["img4"]) == State.CHECKED_IN
    assert screen.look.box is not None
    assert screen.written() == ["arrival"]
    (event,) = screen.book.events()
    assert event.grounds["liveness"]["answer"] == "passed"
    assert screen.see(photos["img4"], 3, 2 * ANSWER_S) == State.CHECKED_IN, (
        "still there after the answer's time"
    )
    assert screen.look.box is None
    assert screen.see(NOBODY) == State.WAITING
    assert screen.see(photos["img4"]) == State.LOOKING
    assert screen.written() == ["arrival"]


def test_who_steps_aside_early_reads_the_answer_all_the_same(
    screen: Screen, photos: dict[str, Image]
) -> None:
    screen.see(photos["img4"], LOOKS)
    screen.run.phase, screen.run.failure = "failed", "too_slow"
    assert screen.see(photos["img4"]) == State.REFUSED
    assert screen.see(NOBODY, 5) == State.REFUSED
    assert screen.see(NOBODY, wait_s=ANSWER_S) == State.WAITING
    assert screen.written() == [], "too slow is no attack"


@pytest.mark.parametrize("why", ["changed early", "changed", "flat"])
def test_another_face_or_a_flat_one_is_refused_and_recorded(
    screen: Screen, photos: dict[str, Image], why: str
) -> None:
    screen.see(photos["img4"], LOOKS)
    if why == "flat":
        screen.run.phase, screen.run.failure = "failed", "flat"
        state = screen.see(photos["img4"])
    elif why == "changed":
        state = screen.see(photos["img3"], 6)
    else:  # passed by a face that was not looked at before every action
        screen.run.phase, screen.run.step = "passed", 3
        state = screen.see(photos["img4"])
    assert (state, screen.look.failure) == (State.REFUSED, why.split()[0])
    assert screen.written() == ["spoof"]
    assert screen.book.present() == []


def test_two_people_are_asked_to_come_one_at_a_time(
    screen: Screen, photos: dict[str, Image]
) -> None:
    one = photos["img4"]
    assert screen.see(np.concatenate([one, one], axis=1)) == State.SEVERAL


def test_a_face_that_cannot_be_used_is_told_why(screen: Screen, photos: dict[str, Image]) -> None:
    dark = (photos["img4"] // 12).astype(np.uint8)
    assert screen.see(dark, LOOKS) == State.UNUSABLE
    assert screen.look.reason is not None and screen.look.reason.code == "too_dark"


def test_every_state_and_failure_has_words(gallery: Gallery) -> None:
    person = Match("p", "Ann", 0.9, "f", 1)
    reason = Reason("too_dark", 0.1, 0.2, "Too dark.")
    given: dict[State, dict[str, Any]] = {
        State.CHECKED_IN: {"person": person, "at": MONDAY},
        State.UNUSABLE: {"reason": reason},
        State.CHALLENGED: {"challenge": Run().status},
        State.REFUSED: {"failure": "flat"},
    }
    for state in State:
        said = words(Look(state, (1.0, 2.0, 3.0, 4.0), **given.get(state, {})))
        assert said["prompt"] or said["detail"], state
        assert said["faces"][0]["box"] == [1.0, 2.0, 3.0, 4.0]
        assert (said["tone"] == "plain") == (state not in ANSWERS | {State.SEVERAL, State.UNUSABLE})
    assert S.KIOSK_ACTIONS.keys() == {*ACTIONS, *EXPRESSIONS}
    assert S.KIOSK_HINTS.keys() == set(get_args(Hint))
    for failure in FAILURES:
        assert words(Look(State.REFUSED, failure=failure))["detail"].endswith(".")
    assert "Ann" in words(Look(State.CHECKED_IN, person=person, at=MONDAY))["prompt"]
