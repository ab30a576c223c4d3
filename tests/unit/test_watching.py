"""One camera, several observers: one detection and one embedding a look, over real film."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from arcid.apps.attendance import Attendance, Policy
from arcid.apps.attendance.observer import duty
from arcid.apps.enrol import new_face
from arcid.apps.watching import Camera, Duty, FaceView, Followed, Note, Post, Watcher
from arcid.apps.watching.recorder import Recorder
from arcid.cameras import observers
from arcid.cameras.watching import Cameras
from arcid.errors import UsageError
from arcid.events import acting
from arcid.gallery import Gallery
from arcid.gallery.store.audit import actor_now
from arcid.pipeline import Pipeline
from arcid.types import Crops, Embeddings, Image
from arcid.video import Frame, PushedFrames, VideoFile

pytestmark = pytest.mark.data
SINGER = "data/video/short_hamilton_clip.mp4"


@dataclass
class Witness:
    """Writes down what it is told."""

    post: Post
    told: list[str] = field(default_factory=list)
    faces: dict[int, Followed] = field(default_factory=dict)
    looks: Counter[int] = field(default_factory=Counter)
    late_s: list[float] = field(default_factory=list)

    def look(self, face: Followed) -> None:
        self.faces[face.number] = face
        self.looks[face.number] += 1
        if face.looks == face.looking.tracking.first_looks:
            self.late_s.append(face.visible_s)

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        self.told.append("see")

    def gone(self, face: Followed) -> None:
        assert self.faces.get(face.number, face) is face
        self.told.append("gone")

    def idle(self, at: float) -> None:
        self.told.append("idle")

    def moved(self, by_s: float) -> None:
        self.told.append(f"moved {by_s:.0f}")

    def ended(self, first_at: float, last_at: float) -> None:
        self.told.append("ended")

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        return replace(shown, notes=(*shown.notes, Note(f"{face.looks} looks", "bad")))

    def close(self) -> None:
        self.told.append("close")


def witness(key: str, into: list[Witness]) -> Duty:
    def begin(post: Post) -> Witness:
        into.append(Witness(post))
        return into[-1]

    return Duty(key, begin, vital=True)


def picked(path: Path, numbers: Sequence[int]) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    read = [capture.read()[1] for _ in range(max(numbers) + 1)]
    capture.release()
    return [np.ascontiguousarray(read[number][:, :, ::-1]) for number in numbers]


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return Pipeline.from_models()


@pytest.fixture(scope="module")
def film(data_dir: Path) -> list[Image]:
    """The singer for 2 s, at 10 frames a second."""
    return picked(data_dir / SINGER, range(84, 134, 3))


@pytest.fixture
def gallery(fresh: Path, pipeline: Pipeline, film: list[Image]) -> Iterator[Gallery]:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        faces = pipeline.faces(film[2])
        face = max(
            (faces[i] for i in range(len(faces))),
            key=lambda face: 0 if face.box is None else face.box[2] - face.box[0],
        )
        gallery.enrol("staff", "Singer", [new_face(face, "film", pipeline.provenance)])
        yield gallery


@pytest.fixture
def embedded(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many crops every call of the embedder was given."""
    calls: list[int] = []
    embed = pipeline.embedder.embed

    def counted(crops: Crops) -> Embeddings:
        calls.append(len(crops))
        return embed(crops)

    monkeypatch.setattr(pipeline.embedder, "embed", counted)
    return calls


def frames(film: list[Image]) -> Iterator[Frame]:
    for number, image in enumerate(film):
        yield Frame(image, 1e9 + number / 10, number / 10, number)


def test_three_observers_share_every_embedding(
    pipeline: Pipeline, gallery: Gallery, film: list[Image], embedded: list[int]
) -> None:
    alone: list[Witness] = []
    watcher = Watcher(pipeline, [witness("a", alone)], camera="door")
    for frame in frames(film):
        watcher.see(frame)
    watcher.finish()
    watcher.close()
    needed, embedded[:] = list(embedded), []

    seen: list[Witness] = []
    attendance = duty(gallery, "staff", Policy())
    watcher = Watcher(pipeline, [attendance, witness("a", seen), witness("b", seen)], camera="door")
    views = [watcher.see(frame) for frame in frames(film)]
    watcher.finish()
    watcher.close()
    assert embedded == needed and sum(needed) == watcher.counts.embeddings > 1
    first, second = seen
    assert first.looks == second.looks == alone[0].looks
    assert first.faces == second.faces  # the same objects
    assert first.told == ["see"] * len(film) + ["gone"] * watcher.counts.tracks + ["ended", "close"]
    (arrival,) = Attendance(gallery, "staff").events(kinds=["arrival"])
    assert arrival.name == "Singer"
    (singer,) = [face for face in views[-1].faces if face.name]
    looks = first.looks[singer.track]
    assert singer.notes == (Note(f"{looks} looks", "bad"),) * 2
    face = first.faces[singer.track]
    assert face.crop is not None and face.embedding is not None and face.ready and face.evident()
    assert face.grounds()["looks"] == looks and face.liveness is None


def test_observers_come_and_go_while_the_camera_goes_on(
    pipeline: Pipeline, film: list[Image], embedded: list[int]
) -> None:
    seen: list[Witness] = []
    watcher = Watcher(pipeline, camera="door")
    shots = list(frames(film))
    assert [watcher.see(shot).faces for shot in shots[:3]] == [()] * 3
    assert embedded == [], "nobody observes, so nobody is looked at"
    watcher.assign([witness("first", seen)])
    for shot in shots[3:8]:
        watcher.see(shot)
    watcher.assign([witness("first", seen), witness("second", seen)])
    first, second = seen
    assert second.faces == first.faces and first.faces, "the faces in view are told of"
    watcher.assign([witness("second", seen)])
    watcher.see(shots[8])
    assert (first.told, second.told) == (["see"] * 5 + ["close"], ["see"])
    assert len(seen) == 2
    watcher.see(replace(shots[9], at=shots[9].at - 60))
    assert second.told[1:] == ["moved -60", "see"]
    watcher.close()


def test_scores_are_asked_for_by_whoever_needs_them(pipeline: Pipeline, film: list[Image]) -> None:
    loads: list[str] = []

    class Half:
        """Says the same of every face."""

        name, threshold = "half", 0.5

        def scores(self, image: Image, detections: Any) -> Any:
            return np.full(len(detections), 0.5, np.float32)

    def load() -> Half:
        loads.append("loaded")
        return Half()

    seen: list[Witness] = []
    plain = witness("plain", seen)
    watcher = Watcher(pipeline, [plain], camera="door", liveness=load)
    assert loads == []
    watcher.assign([plain, replace(witness("wary", seen), liveness=True)])
    for frame in frames(film[:6]):
        watcher.see(frame)
    assert loads == ["loaded"]
    assert {face.liveness for face in seen[1].faces.values()} == {0.5}
    watcher.close()


def test_how_late_a_decision_is_is_told_by_the_clock_on_the_wall(
    pipeline: Pipeline, film: list[Image]
) -> None:
    seen: list[Witness] = []
    source = PushedFrames("browser")
    watcher = Watcher(pipeline, [witness("a", seen)], camera="door")
    source.push(film[0])
    began = time.monotonic()
    for number, view in enumerate(watcher.watch(source, idle_s=0.05)):
        if seen[0].late_s or number == 100:
            break
        if view.frame is not None:
            time.sleep(0.15)
        source.push(film[number % len(film)])
    passed = time.monotonic() - began
    assert 0.15 < seen[0].late_s[0] < passed


class Broken(Witness):
    """Fails at what it is told to fail at."""

    at = "see"

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        if self.at == "see":
            raise UsageError("the list is gone")

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        if self.at == "show":
            raise ZeroDivisionError
        return shown

    def close(self) -> None:
        super().close()
        raise OSError("the relay is gone")


def test_where_one_observer_fails_the_others_go_on_and_it_is_opened_anew(
    pipeline: Pipeline, film: list[Image]
) -> None:
    broken: list[Broken] = []
    seen: list[Witness] = []

    def begin(post: Post) -> Broken:
        broken.append(Broken(post))
        if len(broken) == 2:
            raise UsageError("the door is not there")
        broken[-1].at = "show" if len(broken) == 3 else "see"
        return broken[-1]

    duties = [Duty("list", begin), witness("attendance", seen)]
    watcher = Watcher(pipeline, duties, camera="door")
    shots = list(frames(film[:8]))
    said = [entry.detail for shot in shots[:2] for entry in watcher.see(shot).health]
    assert said == ["list: the list is gone", "list: OSError"] and broken[0].told == ["close"]
    watcher.assign(duties)
    said = [entry.detail for entry in watcher.see(shots[2]).health]
    assert said == ["list: the door is not there"]
    watcher.assign(duties)
    views = [watcher.see(shot) for shot in shots[3:]]
    assert [h.detail for v in views for h in v.health][:2] == [
        "list: ZeroDivisionError",
        "list: OSError",
    ]
    assert seen[0].told == ["see"] * 8 and len(seen) == 1 and all(view.faces for view in views)
    watcher.close()
    with pytest.raises(UsageError, match="the list is gone"):
        watcher = Watcher(pipeline, [Duty("list", Broken, vital=True)], camera="door")
        watcher.see(shots[0])


# cameras of the service


def soon(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


class Application(ModuleType):
    """An application's module whose duties a test sets."""

    now: Sequence[Duty] = ()

    def duties(self, gallery: Gallery, camera: Camera) -> Sequence[Duty]:
        if camera.place == "nowhere":
            raise UsageError("this place is not known")
        return self.now


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    made = Application("an_application")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(observers, "OBSERVERS", (*observers.OBSERVERS, made.__name__))
    monkeypatch.setattr("arcid.cameras.watching.REFRESH_S", 0.05)
    observers.applications.cache_clear()
    yield made
    observers.applications.cache_clear()


@pytest.mark.slow
def test_what_is_set_up_for_a_camera_is_followed_without_opening_it_again(
    pipeline: Pipeline,
    gallery: Gallery,
    data_dir: Path,
    tmp_path: Path,
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []

    def again(source: str) -> VideoFile:
        opened.append(source)
        return VideoFile(Path(source), loops=100)

    monkeypatch.setattr("arcid.cameras.runner.open_source", again)
    seen: list[Witness] = []
    running = Cameras(pipeline, gallery, tmp_path)
    running.start()
    try:
        clip = str(data_dir / SINGER)
        made = running.add(name="Door", source=clip, collection="staff", attendance=False)
        assert soon(lambda: running.status(made.id).state == "live"), running.status(made.id)
        application.now = [witness("list", seen)]
        assert soon(lambda: any(w.faces for w in seen))
        application.now = []
        assert soon(lambda: seen[0].told[-1] == "close")
        assert opened == [clip] and running.status(made.id).state == "live"
        assert Attendance(gallery, "staff").events() == []
        application.now = [witness("list", seen)]
        running.change(made.id, attendance=True)
        book = Attendance(gallery, "staff")
        assert soon(lambda: bool(book.events(kinds=["arrival"]))), running.status(made.id)
        assert soon(lambda: any(w.faces for w in seen[1:]))
        running.change(made.id, attendance=False)
        assert len(book.events(kinds=["departure"])) == 1
        assert book.present() == []
    finally:
        running.close()


def test_an_application_that_cannot_be_asked_leaves_who_observes(
    pipeline: Pipeline, gallery: Gallery, data_dir: Path, tmp_path: Path, application: Application
) -> None:
    running = Cameras(pipeline, gallery, tmp_path)
    running.add(name="Gate", source=str(data_dir / SINGER), collection="staff", place="nowhere")
    other = running.add(name="Door", source=str(data_dir / SINGER), collection="staff")
    running.start()
    try:
        assert soon(lambda: running.status(other.id).state in ("live", "ended"))
        (gate,) = [c for c in running.book.all() if c.name == "Gate"]
        assert soon(lambda: running.status(gate.id).state == "trouble")
        assert running.status(gate.id).problem == "this place is not known"
    finally:
        running.close()


def test_what_is_written_behind_the_frames_is_audited_as_whoever_watches() -> None:
    actors: list[str] = []

    def write() -> list[Any]:
        actors.append(actor_now())
        return []

    with acting("camera:door"):
        recorder = Recorder(wait=False, trouble=lambda failing, why: None)
        recorder.put(write)
    recorder.close()
    assert actors == ["camera:door"]
