"""Watching real clips: expected arrivals, no false name, kills and faults survived."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import shutil
import signal
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from arcid.apps.attendance import Attendance, Policy, View, Watcher
from arcid.apps.enrol import new_face
from arcid.apps.telling import Deliverer, Webhook, check_signature
from arcid.apps.watching.redetection import SAME_POINTS, Cutout, cut_out, distance
from arcid.detect import once
from arcid.errors import CollectionNotFound, UsageError
from arcid.events import Outbox, Reviews
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.results import Face
from arcid.types import Detections, FloatArray, Image
from arcid.video import Frame, PushedFrames, VideoFile, open_source

pytestmark = pytest.mark.data
SINGER = "data/video/short_hamilton_clip.mp4"
PAIR = "data/video/yakhyo_in_video.mp4"
CROWD = "data/video/facenet_pytorch_video.mp4"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
FPS = 12.5
SECRET = "a secret of the receiver"


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


def width(face: Face) -> float:
    assert face.box is not None
    return face.box[2] - face.box[0]


def left_edge(face: Face) -> float:
    assert face.box is not None
    return face.box[0]


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Iterator[Pipeline]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        yield Pipeline.from_models()


@pytest.fixture(scope="module")
def clip(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The singer for 5 s, then a cut to an audience without him for 3 s; every second frame."""
    numbers = [*range(84, 208, 2), *range(211, 275, 2)]
    return filmed(data_dir, numbers, tmp_path_factory.mktemp("clip") / "stage.avi")


@pytest.fixture(scope="module")
def short(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The singer for 2 s."""
    return filmed(data_dir, range(84, 140, 2), tmp_path_factory.mktemp("short") / "song.avi")


def filmed(data_dir: Path, numbers: Sequence[int], path: Path) -> Path:
    frames = picked(data_dir / SINGER, numbers)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 360))
    for frame in frames:
        writer.write(frame[:, :, ::-1])
    writer.release()
    return path


@pytest.fixture(scope="module")
def enrolled(data_dir: Path, pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the singer and the two of the other clip, from frames of those clips."""
    path = tmp_path_factory.mktemp("enrolled") / "gallery.db"
    who: list[tuple[str, str, tuple[int, int], Callable[[Face], float]]] = [
        ("Singer", SINGER, (90, 120), width),
        ("Left", PAIR, (10, 60), lambda face: -left_edge(face)),
        ("Right", PAIR, (10, 60), left_edge),
    ]
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        gallery.create_collection("empty")
        for name, source, numbers, best in who:
            for image in picked(data_dir / source, numbers):
                faces = pipeline.faces(image)
                face = max((faces[i] for i in range(len(faces))), key=best)
                origin = pipeline.provenance
                gallery.enrol("staff", name, [new_face(face, "clip", origin)])
    return path


def copied(gallery: Path, to: Path) -> None:
    """With its key store."""
    for suffix in ("", "-keys"):
        shutil.copy(f"{gallery}{suffix}", f"{to}{suffix}")


@pytest.fixture
def database(enrolled: Path, tmp_path: Path) -> Path:
    path = tmp_path / "gallery.db"
    copied(enrolled, path)
    return path


@pytest.fixture
def gallery(database: Path) -> Iterator[Gallery]:
    with Gallery.open(database) as gallery:
        yield gallery


def watched(
    pipeline: Pipeline, gallery: Gallery, clip: Path, policy: Policy | None = None, **options: Any
) -> tuple[list[View], Watcher]:
    collection = options.pop("collection", "staff")
    watcher = Watcher(pipeline, gallery, collection, policy or Policy(), camera="door", **options)
    return list(watcher.watch(VideoFile(clip, start=START))), watcher


def kinds_of(views: list[View]) -> list[tuple[str, str | None]]:
    return [(event.kind, event.name) for view in views for event in view.events]


# who came


def test_the_enrolled_person_arrives_and_nobody_else_is_named(
    pipeline: Pipeline, gallery: Gallery, clip: Path
) -> None:
    views, watcher = watched(pipeline, gallery, clip, Policy(cooldown_s=1.5, touch_s=0.3))
    found = kinds_of(views)
    assert found.count(("arrival", "Singer")) == 1
    assert found.count(("departure", "Singer")) == 1
    assert {name for _, name in found} <= {"Singer", None}
    named = {f.name for view in views for f in view.faces}
    assert named == {"Singer", None}
    last = max(v.frame.ticks for v in views if v.frame and any(f.name for f in v.faces))
    assert 4.5 < last < 5.0  # the name is gone with the cut
    assert watcher.counts.embeddings <= 0.1 * watcher.counts.detections

    book = Attendance(gallery, "staff")
    arrival = book.events(kinds=["arrival"])[0]
    assert START <= arrival.at < START + timedelta(seconds=0.5)
    departure = book.events(kinds=["departure"])[0]
    assert abs((departure.at - START).total_seconds() - last) < 0.5
    grounds = book.explain(arrival.id)["grounds"]
    assert grounds["contract_id"] == pipeline.embedder.contract_id
    assert grounds["calibration_id"] == pipeline.calibration.calibration_id
    assert grounds["gallery_size"] == 6
    assert grounds["target_fpir"] == 0.001
    assert grounds["cosine"] > grounds["cosine_threshold"]
    expected = pipeline.calibration.threshold_at_fpir(0.001, 6).cosine
    assert grounds["cosine_threshold"] == pytest.approx(expected)
    assert grounds["track"]["looks"] >= 2
    assert grounds["track"]["quality"]["inter_eye_px"] > 20


def test_what_the_calibration_cannot_decide_waits_for_a_human_and_is_nobody_unknown(
    pipeline: Pipeline, gallery: Gallery, short: Path
) -> None:
    views, _ = watched(pipeline, gallery, short, Policy(fpir=1e-9, keep="crop"))
    found = kinds_of(views)
    assert found.count(("review", None)) == 1
    assert ("arrival", "Singer") not in found
    assert "review" in {face.outcome for view in views for face in view.faces}
    (review,) = Reviews(gallery).find("staff")
    assert (review.candidates[0].name, review.target_fpir) == ("Singer", 1e-9)
    assert {c.name for c in review.candidates} == {"Singer"}  # the others are far away
    assert "a human decides" in review.event.grounds["reason"]
    assert review.picture_kept
    again, _ = watched(pipeline, gallery, short, Policy(fpir=1e-9, keep="crop"))
    assert kinds_of(again) == []  # read again
    singer = review.candidates[0].person_id
    Reviews(gallery).answer("staff", review.id, "yes", actor="op", person_id=singer)
    book = Attendance(gallery, "staff")
    assert {("arrival", "Singer"), ("departure", "Singer")} <= {
        (e.kind, e.name) for e in book.events()
    }


def test_another_clip_gives_no_name_to_strangers(
    pipeline: Pipeline, gallery: Gallery, data_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "crowd.avi"
    frames = picked(data_dir / CROWD, range(0, 105, 3))
    size = (960, 540)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 8.3, size)
    for frame in frames:
        writer.write(cv2.resize(frame[:, :, ::-1], size))
    writer.release()
    views, watcher = watched(pipeline, gallery, path)
    assert watcher.counts.detections > 100
    assert {name for _, name in kinds_of(views)} <= {None}
    assert ("unknown", None) in kinds_of(views)
    assert {f.name for view in views for f in view.faces} == {None}


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "visitors"), [(PAIR, 6), (CROWD, 5), (SINGER, 2)])
def test_hands_backs_of_heads_and_bare_profiles_are_no_visitors(
    pipeline: Pipeline, gallery: Gallery, data_dir: Path, clip: str, visitors: int
) -> None:
    """Every face that was a visitor before, and none of two hands, a profile and hair."""
    views, _ = watched(pipeline, gallery, data_dir / clip, collection="empty")
    events = [event for view in views for event in view.events]
    assert [event.kind for event in events] == ["unknown"] * visitors
    assert all(event.grounds["track"]["faces"] >= 1 for event in events)
    assert len(Attendance(gallery, "empty").unknowns(pipeline.calibration)) == visitors


def test_whoever_is_known_is_not_looked_at_a_second_time(
    pipeline: Pipeline, gallery: Gallery, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    detect = once(pipeline.detector)

    def counted(images: Sequence[Image]) -> list[Detections]:
        calls.append(len(images))
        return detect(images)

    monkeypatch.setattr(pipeline.detector, "detect_once", counted)
    views, watcher = watched(pipeline, gallery, short)
    assert ("arrival", "Singer") in kinds_of(views)
    assert calls.count(1) == watcher.counts.frames
    assert ("unknown", None) not in kinds_of(views) and len(calls) == watcher.counts.frames


def test_faces_of_photographs_are_found_again(pipeline: Pipeline, data_dir: Path) -> None:
    pairs = data_dir / "data" / "deepface-pairs"
    for path in [pairs / f"img{n}.jpg" for n in (1, 4, 12, 20)]:
        image = load_image(path)
        found = pipeline.detector.detect([image])[0]
        face = cut_out(image, found[[int(found.sizes.prod(axis=1).argmax())]])
        assert face is not None
        assert distance(pipeline.detector, face) < SAME_POINTS / 2
        empty = Cutout(np.full_like(face.image, 90), face.points)
        assert distance(pipeline.detector, empty) == float("inf")


def test_two_people_in_one_picture_have_two_names(
    pipeline: Pipeline, gallery: Gallery, data_dir: Path
) -> None:
    watcher = Watcher(pipeline, gallery, "staff", camera="door")
    sides = zip(
        picked(data_dir / SINGER, range(84, 164, 4)),
        picked(data_dir / PAIR, range(20, 100, 4)),
        strict=True,
    )
    for number, (singer, pair) in enumerate(sides):
        image = np.hstack([singer, pair[:360, 160:800]])  # of the pair the one who looks ahead
        view = watcher.see(Frame(image, 1e9 + number / 6, number / 6, number))
        names = [face.name for face in view.faces if face.name]
        assert len(names) == len(set(names))
    assert sorted(names) == ["Left", "Singer"]
    watcher.close()


def test_with_an_empty_gallery_everybody_is_a_visitor(
    pipeline: Pipeline, gallery: Gallery, short: Path
) -> None:
    views, _ = watched(pipeline, gallery, short, collection="empty")
    found = kinds_of(views)
    assert found[0] == ("unknown", None)
    assert {kind for kind, _ in found} == {"unknown"}
    (event,) = [e for v in views for e in v.events][:1]
    assert event.grounds["gallery_size"] == 0
    with pytest.raises(CollectionNotFound):
        Watcher(pipeline, gallery, "nobody")


def test_poor_faces_get_a_reason_and_no_decision(
    pipeline: Pipeline, gallery: Gallery, data_dir: Path
) -> None:
    watcher = Watcher(pipeline, gallery, "staff", camera="door")
    (bright,) = picked(data_dir / SINGER, [120])
    dark = np.asarray(bright * 0.2, np.uint8)
    small = np.zeros_like(bright)
    small[:120, :213] = cv2.resize(bright, (213, 120), interpolation=cv2.INTER_AREA)
    why = []
    for number, image in enumerate((dark, small)):
        for step in range(4):
            ticks = number * 10 + step / 10
            view = watcher.see(Frame(image, 1e9 + ticks, ticks, step))
        assert {face.outcome for face in view.faces} == {"low_quality"}
        why.append(view.faces[0].why)
    assert "too dark" in why[0]
    assert "too far away" in why[1]
    watcher.close()


# not this person


def test_a_face_that_was_said_not_to_be_somebody_is_not_taken_for_them_again(
    pipeline: Pipeline, gallery: Gallery, short: Path
) -> None:
    watched(pipeline, gallery, short)
    book = Attendance(gallery, "staff")
    arrival = book.events(kinds=["arrival"])[0]
    _, blocked = book.not_this_person(arrival.id, actor="op")
    assert blocked
    watcher = Watcher(pipeline, gallery, "staff", Policy(), camera="other")
    again = list(watcher.watch(VideoFile(short, start=START)))
    assert {f.name for view in again for f in view.faces} == {None}
    assert ("arrival", "Singer") not in kinds_of(again)


# liveness


class FixedScore:
    """A liveness check that always says the same; the real one is tested elsewhere."""

    name = "fixed"
    threshold = 0.5

    def __init__(self, score: float) -> None:
        self.score = score

    def scores(self, image: Image, detections: Detections) -> FloatArray:
        return np.full(len(detections), self.score, np.float32)


@pytest.mark.parametrize(
    ("mode", "score", "expected"),
    [
        ("require", 0.1, {"spoof"}),
        ("flag", 0.1, {"spoof", "arrival"}),
        ("require", 0.9, {"arrival"}),
        ("off", 0.1, {"arrival"}),
    ],
)
def test_liveness_does_what_the_policy_says(
    pipeline: Pipeline,
    gallery: Gallery,
    data_dir: Path,
    mode: Any,
    score: float,
    expected: set[str],
) -> None:
    policy = Policy(liveness=mode)
    watcher = Watcher(pipeline, gallery, "staff", policy, camera="door", liveness=FixedScore(score))
    names = set()
    for number, image in enumerate(picked(data_dir / SINGER, range(90, 114, 4))):
        view = watcher.see(Frame(image, 1e9 + number / 8, number / 8, number))
        names |= {face.name for face in view.faces}
    watcher.close()
    events = Attendance(gallery, "staff").events()
    assert {event.kind for event in events} == expected
    assert ("Singer" in names) == ("arrival" in expected)
    if "spoof" in expected:
        spoof = next(event for event in events if event.kind == "spoof")
        assert spoof.grounds["liveness"]["score"] == pytest.approx(score, abs=1e-3)


def test_a_policy_that_asks_for_liveness_needs_a_check(
    pipeline: Pipeline, gallery: Gallery
) -> None:
    with pytest.raises(UsageError, match="liveness"):
        Watcher(pipeline, gallery, "staff", Policy(liveness="require"))


# killed, busy, down


def attend(database: Path, clip: Path, data_dir: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "arcid", "attend", "--source", str(clip), "--gallery", str(database),
        "--collection", "staff", "--camera", "door", "--cooldown", "1.5", "--json",
        "--start", START.isoformat(),
    ]  # fmt: skip
    environment = os.environ | {"ARCID_DATA": str(data_dir), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def written(database: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT event_key, kind, at, person_uid FROM events ORDER BY at, kind, event_key"
        )
        return rows.fetchall()


@pytest.mark.soak
def test_a_killed_run_that_is_started_again_writes_what_an_unbroken_one_writes(
    enrolled: Path, clip: Path, data_dir: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    for path in (whole, broken):
        copied(enrolled, path)
    out, _ = attend(whole, clip, data_dir).communicate(timeout=120)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(e["kind"], e["name"]) for e in lines if e["name"]] == [
        ("arrival", "Singer"),
        ("departure", "Singer"),
    ]
    assert len(written(whole)) == len(lines)

    process = attend(broken, clip, data_dir)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert first["kind"] == "arrival"
    assert 0 < len(written(broken)) < len(written(whole))

    out, _ = attend(broken, clip, data_dir).communicate(timeout=120)
    again = [json.loads(line) for line in out.splitlines()]
    assert written(broken) == written(whole)
    assert first["id"] not in {event["id"] for event in again}
    assert len(again) == len(lines) - 1


def test_a_busy_gallery_loses_no_event(pipeline: Pipeline, database: Path, data_dir: Path) -> None:
    images = picked(data_dir / SINGER, range(90, 114, 4))
    with Gallery.open(database, busy_s=0.2) as gallery:
        source = PushedFrames("browser")
        watcher = Watcher(pipeline, gallery, "staff", camera="kiosk")
        holder = sqlite3.connect(database, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        seen: list[str] = []
        events: list[str] = []
        released = False
        deadline = time.monotonic() + 60
        for number, view in enumerate(watcher.watch(source, idle_s=0.05)):
            seen += [entry.kind for entry in view.health]
            events += [event.kind for event in view.events]
            if "store_busy" in seen and not released:
                assert events == []
                holder.execute("ROLLBACK")
                released = True
            if "store_back" in seen and "arrival" in events:
                break
            assert time.monotonic() < deadline, (seen, events)
            source.push(images[number % len(images)])
            time.sleep(0.05)
        holder.close()
        assert released
        assert len(Attendance(gallery, "staff").events(kinds=["arrival"])) == 1


class Receiver:
    """A webhook's receiver on a real socket; down until ``up``."""

    def __init__(self) -> None:
        self.up = False
        self.bodies: list[dict[str, Any]] = []
        self.signed: list[bool] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.up:
                    header = self.headers["X-Arcid-Signature"]
                    receiver.signed.append(check_signature(SECRET, body, header, datetime.now(UTC)))
                    receiver.bodies.append(json.loads(body))
                with suppress(OSError):
                    self.send_response(204 if receiver.up else 503)
                    self.end_headers()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def test_webhooks_wait_for_a_receiver_that_is_down_and_come_signed_and_in_order(
    pipeline: Pipeline, gallery: Gallery, short: Path, receiver: Receiver
) -> None:
    views, _ = watched(pipeline, gallery, short, Policy(targets=("hook",)))
    events = [event for view in views for event in view.events]
    hook = Webhook("hook", receiver.url, SECRET)
    assert SECRET not in repr(hook)
    deliverer = Deliverer(gallery, [hook])
    now = datetime.now(UTC)
    assert deliverer.run_once(now) == 0
    assert deliverer.run_once(now + timedelta(seconds=1)) == 0  # its turn comes after 2 s
    receiver.up = True
    assert deliverer.run_once(now + timedelta(seconds=1)) == 0
    assert Deliverer(gallery, [hook]).run_once(now + timedelta(seconds=3)) == len(events)
    assert [body["id"] for body in receiver.bodies] == [event.id for event in events]
    assert receiver.bodies[0]["grounds"]["calibration_id"]
    assert deliverer.run_once(now + timedelta(seconds=9)) == 0
    assert Outbox(gallery).counts() == {"hook": {"waiting": 0, "done": len(events), "failed": 0}}


def test_a_signature_is_an_hmac_and_old_or_changed_messages_fail(receiver: Receiver) -> None:
    now = datetime.now(UTC)
    body = b'{"kind":"arrival"}'
    seconds = str(int(now.timestamp()))
    digest = hmac.new(SECRET.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={seconds},v1={digest}"
    assert check_signature(SECRET, body, header, now)
    assert not check_signature("another secret of somebody", body, header, now)
    assert not check_signature(SECRET, body + b" ", header, now)
    assert not check_signature(SECRET, body, header, now + timedelta(minutes=6))
    for bad in ("", "t=x,v1=y", f"v1={digest}"):
        assert not check_signature(SECRET, body, bad, now)
    for url, secret in (("ftp://x/y", SECRET), ("http:///x", SECRET), (receiver.url, "short")):
        with pytest.raises(UsageError):
            Webhook("hook", url, secret)


def test_photos_of_a_folder_are_decided_on_one_by_one(
    pipeline: Pipeline, gallery: Gallery, data_dir: Path, tmp_path: Path
) -> None:
    for number, image in enumerate(picked(data_dir / SINGER, (90, 120))):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image[:, :, ::-1])
        os.utime(path, (1e9 + 600 * number, 1e9 + 600 * number))
    source = open_source(tmp_path)
    policy = Policy(cooldown_s=60.0).for_photos_apart()
    watcher = Watcher(pipeline, gallery, "staff", policy, camera="photos")
    found = kinds_of(list(watcher.watch(source)))
    assert found == [("arrival", "Singer"), ("departure", "Singer")] * 2
