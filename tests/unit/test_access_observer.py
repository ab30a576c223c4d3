"""A camera at a door, with real models and film: who is let in, and who comes in behind nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcid.apps.access import Answer, Door, Doorman, Doors, Groups, Passages, Pulse
from arcid.apps.access.chance import chance
from arcid.apps.access.observer import duties, duty
from arcid.apps.enrol import new_face
from arcid.apps.watching import Watcher
from arcid.cameras.book import Camera
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.types import Image
from arcid.video import PushedFrames, VideoFile

pytestmark = pytest.mark.data
SINGER = "data/video/short_hamilton_clip.mp4"


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return Pipeline.from_models()


@pytest.fixture(scope="module")
def film(data_dir: Path) -> list[Image]:
    """The singer, near and alone."""
    capture = cv2.VideoCapture(str(data_dir / SINGER))
    read = [capture.read()[1] for _ in range(134)]
    capture.release()
    return [np.ascontiguousarray(frame[:, :, ::-1]) for frame in read[84:134:3]]


class Relay:
    ready = True

    def __init__(self) -> None:
        self.pulses: list[Pulse] = []

    def open(self, pulse: Pulse) -> None:
        self.pulses.append(pulse)

    def close(self) -> None:
        """Nothing is held."""


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
def relay() -> Relay:
    return Relay()


@pytest.fixture
def doorman(
    gallery: Gallery, pipeline: Pipeline, relay: Relay, tmp_path: Path
) -> Iterator[Doorman]:
    doors = Doors(gallery)
    # As long as a door may wait: a machine that stalls must not make a decision here too old.
    doors.add("Front", "staff", camera="Entrance", liveness=False, near=0.2, fresh_s=5)
    Groups(gallery).add("staff", "Staff")
    doors.allow("Front", "Staff")
    with Doorman(gallery, pipeline.contract_id, tmp_path, make_opener=lambda *_: relay) as one:
        yield one


def member(gallery: Gallery) -> None:
    Groups(gallery).add_member("staff", "Staff", gallery.person_called("staff", "Singer").id)


def shown(
    pipeline: Pipeline, gallery: Gallery, doorman: Doorman, door: Door, frames: list[Image]
) -> list[Answer]:
    """What the door answers to frames of a live camera."""
    told: list[Answer] = []
    source = PushedFrames("fake camera")
    job = duty(gallery, doorman, door, told.append)
    watcher = Watcher(pipeline, [job], camera="Entrance")
    views = watcher.watch(source)
    for frame in frames:
        source.push(frame)
        next(views)
        time.sleep(0.05)
    source.close()
    list(views)
    return told


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_member_is_let_in_once_and_others_are_not(
    pipeline: Pipeline, gallery: Gallery, doorman: Doorman, film: list[Image], relay: Relay
) -> None:
    door = doorman.door("Front")
    told = shown(pipeline, gallery, doorman, door, film)
    assert told and not any(answer.granted for answer in told)
    assert told[-1].words == "Singer is in no group that may pass this door"
    member(gallery)
    doorman.refresh()
    told = shown(pipeline, gallery, doorman, door, film)
    granted = [answer for answer in told if answer.granted]
    assert len(granted) == 1, "one opening while they stand there"
    decision = granted[0].decision
    assert decision is not None and (decision.target_fpir, decision.gallery_size) == (1e-5, 1)
    until(lambda: len(relay.pulses) == 1)
    until(lambda: Passages(gallery).find("staff")[0].opening == "opened")
    assert Passages(gallery).find("staff")[0].name == "Singer"


def test_as_many_looks_as_the_door_wants_have_to_agree(
    pipeline: Pipeline, gallery: Gallery, doorman: Doorman, film: list[Image]
) -> None:
    member(gallery)
    answers = []
    for looks in (1, 4):
        Doors(gallery).change("Front", looks=looks)
        doorman.refresh()
        nobody = np.zeros_like(film[0])  # whoever was let in has gone
        told = shown(pipeline, gallery, doorman, doorman.door("Front"), [nobody, *film])
        answers.append([answer.granted for answer in told].index(True))
    assert answers[0] < answers[1], "frames until it opens"


def test_a_rate_that_the_calibration_does_not_reach_lets_nobody_in(
    pipeline: Pipeline, gallery: Gallery, doorman: Doorman, film: list[Image], relay: Relay
) -> None:
    member(gallery)
    Doors(gallery).change("Front", fpir=1e-12)
    doorman.refresh()
    told = shown(pipeline, gallery, doorman, doorman.door("Front"), film)
    assert [one.code for one in told[-1].reasons] == ["beyond"] and relay.pulses == []
    now = chance(
        doorman.door("Front"), doorman.admitted(doorman.door("Front").id), pipeline.calibration
    )
    assert now is not None and now.support == "out_of_reach" and "nobody is let in" in now.words


def test_somebody_unknown_in_front_keeps_the_door_shut(
    pipeline: Pipeline,
    gallery: Gallery,
    doorman: Doorman,
    film: list[Image],
    relay: Relay,
    data_dir: Path,
) -> None:
    member(gallery)
    doorman.refresh()
    photo = cv2.imread(str(data_dir / "data/deepface-pairs/img1.jpg"))[:, :, ::-1]
    side = film[0].shape[0]
    stranger = cv2.resize(photo, (round(photo.shape[1] * side / photo.shape[0]), side))
    frames = [np.ascontiguousarray(np.hstack([frame, stranger])) for frame in film]
    told = shown(pipeline, gallery, doorman, doorman.door("Front"), frames)
    assert told and not any(answer.granted for answer in told)
    assert "several" in {one.code for answer in told for one in answer.reasons}
    assert relay.pulses == []


def test_a_recording_opens_nothing(
    pipeline: Pipeline,
    gallery: Gallery,
    doorman: Doorman,
    data_dir: Path,
    relay: Relay,
) -> None:
    member(gallery)
    doorman.refresh()
    told: list[Answer] = []
    job = duty(gallery, doorman, doorman.door("Front"), told.append)
    watcher = Watcher(pipeline, [job], camera="Entrance")
    for _ in watcher.watch(VideoFile(data_dir / SINGER)):
        if len(told) > 20:
            break
    assert told and {one.code for answer in told for one in answer.reasons} == {"recording"}
    assert relay.pulses == []


def test_a_stored_camera_looks_at_the_doors_that_name_it(
    gallery: Gallery, doorman: Doorman
) -> None:
    def camera(name: str) -> Camera:
        return Camera("c1", name, "0", "staff", "", "off", True)

    (found,) = duties(gallery, camera("entrance"))
    assert found.key.startswith(f"door {doorman.door('Front').id}") and not found.vital
    door = Doors(gallery).get("Front")
    assert (door.camera, door.camera_id) == ("entrance", "c1")
    (found,) = duties(gallery, camera("Yard"))
    assert found.key.startswith(f"door {door.id}"), "the camera has another name now"
    assert Doors(gallery).get("Front").camera == "Yard"
    assert duties(gallery, replace(camera("Entrance"), id="c2")) == [], "another camera"
    Doors(gallery).change("Front", camera="Entrance")
    doorman.refresh()
    assert duties(gallery, camera("Yard")) == [], "it was told to look elsewhere"
    doorman.close()
    assert duties(gallery, camera("entrance")) == []


def test_where_nothing_tells_whether_a_face_is_alive_the_door_stays_shut_and_says_so(
    pipeline: Pipeline, gallery: Gallery, doorman: Doorman, film: list[Image], relay: Relay
) -> None:
    member(gallery)
    Doors(gallery).change("Front", liveness=True)
    doorman.refresh()
    told = shown(pipeline, gallery, doorman, doorman.door("Front"), film)
    assert told[-1].words == "whether the face is alive cannot be checked here"
    until(lambda: len(Passages(gallery).find("staff")) == 1)
    assert relay.pulses == []
