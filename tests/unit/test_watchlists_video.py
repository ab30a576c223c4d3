"""Watchlists at real clips: who is listed alerts once, and strangers leave nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import sqlalchemy as sa

from arcid.apps.enrol import new_face
from arcid.apps.watching import Watcher
from arcid.apps.watchlists import Alerts, Terms, Watchlist, Watchlists
from arcid.apps.watchlists.observer import duties, duty
from arcid.events import Place
from arcid.gallery import Gallery, schema
from arcid.pipeline import Pipeline
from arcid.types import Image
from arcid.video import VideoFile

pytestmark = pytest.mark.data
SINGER = "data/video/short_hamilton_clip.mp4"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
FPS = 12.5
DOOR = Place("door", "door")


def picked(path: Path, numbers: Sequence[int]) -> list[Image]:
    """Frames of a clip by number, (H,W,3) uint8 RGB."""
    capture = cv2.VideoCapture(str(path))
    wanted, found = set(numbers), []
    for number in range(max(numbers) + 1):
        ok, bgr = capture.read()
        assert ok
        if number in wanted:
            found.append(np.ascontiguousarray(bgr[:, :, ::-1]))
    capture.release()
    return found


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    return Pipeline.from_models()


@pytest.fixture(scope="module")
def clip(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The singer for 2 s, then an audience without him for 1 s; every second frame."""
    path = tmp_path_factory.mktemp("clip") / "stage.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 360))
    for frame in picked(data_dir / SINGER, [*range(84, 140, 2), *range(211, 241, 2)]):
        writer.write(frame[:, :, ::-1])
    writer.release()
    return path


@pytest.fixture(scope="module")
def enrolled(data_dir: Path, pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The singer from other frames, and six people of lfw-dev who are not in the clip."""
    path = tmp_path_factory.mktemp("enrolled") / "gallery.db"
    photos = sorted((data_dir / "data/lfw-dev/images").rglob("*.jpg"))[::250][:6]
    with Gallery.open(path) as gallery:
        gallery.create_collection("guests", keep_crops=True)
        for image in picked(data_dir / SINGER, (90, 120)):
            faces = pipeline.faces(image)
            largest = max(faces, key=lambda one: one.box[2] - one.box[0] if one.box else 0)
            new = new_face(largest, "clip", pipeline.provenance)
            gallery.enrol("guests", "Singer", [new])
        for photo in photos:
            face = pipeline.one_face(photo, select="center")
            gallery.enrol("guests", photo.stem, [new_face(face, "lfw", pipeline.provenance)])
    return path


@pytest.fixture
def gallery(enrolled: Path, fresh: Path, tmp_path: Path) -> Iterator[Gallery]:
    for file in enrolled.parent.iterdir():
        shutil.copy2(file, tmp_path)
    with Gallery.open(fresh) as gallery:
        yield gallery


def listed(gallery: Gallery, *, singer: bool, **changes: Any) -> Watchlist:
    terms = Terms(
        purpose="bans", legal_basis="house right", owner="Ada",
        expires_at=datetime.now(UTC) + timedelta(days=30), **changes,
    )  # fmt: skip
    lists = Watchlists(gallery)
    made = lists.create("Banned", "guests", terms, actor="Ada")
    for person in gallery.everybody("guests"):
        if singer or person.name != "Singer":
            lists.add(made.id, person.id, actor="Ada")
    return made


def watch(gallery: Gallery, pipeline: Pipeline, clip: Path, start: datetime = START) -> int:
    """How many events watching the clip once brought."""
    watcher = Watcher(pipeline, [duty(gallery, DOOR, ("hook",))], camera="door")
    views = list(watcher.watch(VideoFile(clip, start=start)))
    assert watcher.counts.embeddings > 4
    return sum(len(view.events) for view in views) + len(watcher.unseen)


def rows(gallery: Gallery) -> dict[str, int]:
    """How many rows each table has."""
    with gallery.database.read() as connection:
        return {
            table.name: len(connection.execute(sa.select(table)).all())
            for table in schema.metadata.sorted_tables
        }


def test_somebody_listed_alerts_once_with_both_faces(
    gallery: Gallery, pipeline: Pipeline, clip: Path
) -> None:
    own, alerts = listed(gallery, singer=True), Alerts(gallery)
    assert watch(gallery, pipeline, clip) == 1
    (alert,) = alerts.find()
    assert (alert.name, alert.level, alert.state) == ("Singer", "alert", "new")
    assert START <= alert.at < alert.last_seen_at <= START + timedelta(seconds=3)
    assert 0 < alert.latency_ms < 60_000
    assert alert.grounds["track"]["looks"] >= own.terms.confirm_looks
    assert alert.grounds["cosine"] >= alert.grounds["cosine_threshold"]
    kept = alerts.face(alert.id)
    assert kept is not None and kept.crop is not None and kept.crop.std() > 10
    assert gallery.face_crop("guests", alert.to_dict()["face_id"]) is not None


def test_again_within_the_cooldown_is_the_same_alert(
    gallery: Gallery, pipeline: Pipeline, clip: Path
) -> None:
    listed(gallery, singer=True)
    assert watch(gallery, pipeline, clip) == 1
    assert watch(gallery, pipeline, clip) == 0
    assert watch(gallery, pipeline, clip, START + timedelta(minutes=2)) == 0
    assert watch(gallery, pipeline, clip, START + timedelta(minutes=20)) == 1
    again, first = Alerts(gallery).find()
    assert first.sightings == 2 and again.sightings == 1


def test_not_this_person_never_alerts_again(
    gallery: Gallery, pipeline: Pipeline, clip: Path
) -> None:
    listed(gallery, singer=True)
    alerts = Alerts(gallery)
    watch(gallery, pipeline, clip)
    (alert,) = alerts.find()
    alerts.answer(alert.id, "dismiss", actor="Gil")
    for hours in (1, 2):
        assert watch(gallery, pipeline, clip, START + timedelta(hours=hours)) == 0
    alerts.undo(alert.id, actor="Gil")
    assert watch(gallery, pipeline, clip, START + timedelta(hours=3)) == 1


def test_strangers_leave_no_row_vector_or_crop(
    gallery: Gallery, pipeline: Pipeline, clip: Path
) -> None:
    listed(gallery, singer=False)
    before = rows(gallery)
    assert watch(gallery, pipeline, clip) == 0
    after = rows(gallery)
    assert after.pop("watched_hours") == 1 and before.pop("watched_hours") == 0
    assert after == before
    with gallery.database.read() as connection:
        (counted,) = connection.execute(sa.text("SELECT * FROM watched_hours")).mappings()
    assert set(counted) == {"id", "camera", "hour", "seconds", "faces"} and counted["faces"] >= 1
    budget = Watchlists(gallery).budget("Banned", "door", pipeline.calibration)
    assert budget.flow.faces == counted["faces"] and budget.templates == 6


def test_strangers_are_kept_where_a_list_says_so(
    gallery: Gallery, pipeline: Pipeline, clip: Path
) -> None:
    listed(gallery, singer=False, strangers="vector")
    assert watch(gallery, pipeline, clip) >= 1
    assert rows(gallery)["traces"] >= 1


def test_an_expired_list_watches_nobody(gallery: Gallery, pipeline: Pipeline, clip: Path) -> None:
    own = listed(gallery, singer=True)
    camera = type("Stored", (), {"id": "1", "name": "door", "collection": "guests", "place": ""})()
    (wanted,) = duties(gallery, camera)
    assert wanted.key == "watchlists"
    Watchlists(gallery).expire(own.id, actor="Ada")
    assert duties(gallery, camera) == []
    assert watch(gallery, pipeline, clip) == 0


def test_more_looks_are_waited_for(gallery: Gallery, pipeline: Pipeline, clip: Path) -> None:
    listed(gallery, singer=True, confirm_looks=10)
    assert watch(gallery, pipeline, clip) == 0
