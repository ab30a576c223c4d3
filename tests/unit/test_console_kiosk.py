"""What a kiosk writes into the book, from photographs; its screen is tested in a browser."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arcid.apps.attendance import Attendance
from arcid.events import Events, Reviews
from arcid.gallery import Gallery, NewFace
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.server.console import strings as S
from arcid.server.console.watching import LOOKS, REFUSE_S, Kiosk, attend
from arcid.types import Image
from arcid.video import Frame

pytestmark = pytest.mark.data
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> dict[str, Image]:
    folder = data_dir / "data/deepface-pairs"
    return {name: load_image(folder / f"{name}.jpg") for name in ("img1", "img2", "img4")}


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return Pipeline.from_models("scrfd_2.5g", "mobilefacenet_128")


@pytest.fixture
def gallery(pipeline: Pipeline, photos: dict[str, Image], tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        enrol(gallery, pipeline, "Ann", photos["img1"])
        yield gallery


def enrol(gallery: Gallery, pipeline: Pipeline, name: str, photo: Image) -> str:
    face = pipeline.embed([pipeline.prepare(photo, select="largest")])[0][0]
    return gallery.enrol("staff", name, [NewFace(face.embedding, photo_id=name)])[0].id


def kiosk(gallery: Gallery, pipeline: Pipeline) -> Kiosk:
    running: Any = SimpleNamespace(pipeline=pipeline, gallery=gallery)
    return Kiosk(running, gallery.collection("staff"), "Kiosk", challenged=False)


def shown(one: Kiosk, photo: Image | None, at: datetime, count: int = LOOKS) -> list[str]:
    """What the kiosk says to so many frames; no photo: nothing comes."""
    began = at.timestamp()
    frames = [
        None if photo is None else Frame(photo, began + n / 10, began + n / 10, n)
        for n in range(count)
    ]
    source: Any = SimpleNamespace(frames=lambda: iter(frames))
    return [str(message["prompt"]) for message in one.work(source)]


def test_who_came_to_the_kiosk_on_monday_is_not_there_until_tuesday(
    gallery: Gallery, pipeline: Pipeline, photos: dict[str, Image]
) -> None:
    for day in range(3):
        words = shown(kiosk(gallery, pipeline), photos["img4"], MONDAY + timedelta(days=day))
        assert "Ann" in words[-1]
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
    assert "Ann" in shown(kiosk(gallery, pipeline), photos["img4"], MONDAY)[-1]
    (event,) = book.events(kinds=["arrival"])
    _, blocked = book.not_this_person(event.id, actor="test")
    assert blocked
    later = MONDAY + timedelta(hours=1)
    assert shown(kiosk(gallery, pipeline), photos["img4"], later)[-1] == S.KIOSK_STRANGER
    assert "Ann" in shown(kiosk(gallery, pipeline), photos["img1"], later)[-1], "her own face is"
    bea = enrol(gallery, pipeline, "Bea", photos["img4"])
    words = shown(kiosk(gallery, pipeline), photos["img4"], later + timedelta(seconds=REFUSE_S))
    assert "Bea" in words[-1]
    assert book.events(kinds=["arrival"])[0].person_id == bea


def test_a_face_it_is_not_certain_of_is_left_to_a_human_and_told_so(
    gallery: Gallery,
    pipeline: Pipeline,
    photos: dict[str, Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identify = Pipeline.identify_faces
    strict: Any = functools.partialmethod(identify, fpir=1e-9)  # beyond what is calibrated
    monkeypatch.setattr(Pipeline, "identify_faces", strict)
    for minute in range(2):
        at = MONDAY + timedelta(minutes=minute)
        assert shown(kiosk(gallery, pipeline), photos["img4"], at)[-1] == S.KIOSK_REVIEW
    (review,) = Reviews(gallery).find("staff")  # asked once
    assert [one.name for one in review.candidates] == ["Ann"]
    assert review.event.camera == "Kiosk" and review.target == 1e-9
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
        work: Any = kiosk(gallery, pipeline).work
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
