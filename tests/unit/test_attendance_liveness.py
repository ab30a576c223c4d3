"""The passive pair inside the watcher, with its real weights, on live and attack photographs."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from arcid.apps.attendance import Attendance, Policy, Watcher
from arcid.cameras.book import Camera
from arcid.cameras.runner import Runner
from arcid.errors import ModelNotFound
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.liveness import passive
from arcid.liveness.passive import PassiveLiveness
from arcid.pipeline import Pipeline
from arcid.types import Detections, FloatArray, Image
from arcid.video import Frame

pytestmark = pytest.mark.data
#: T1 is a living face, F2 a picture of the same person, the others are pictures of strangers.
PHOTOS = ("image_T1.jpg", "image_F1.jpg", "image_F2.jpg", "rgb_fake.jpg")
APART_S = 1000
Door = Callable[[Path, str], list[dict[str, Any]]]


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path) -> Path:
    """The four photographs as a source, taken far apart."""
    made = tmp_path / "photos"
    made.mkdir()
    for number, name in enumerate(PHOTOS):
        copy = made / f"{number}.jpg"
        shutil.copy(data_dir / "data/spoof" / name, copy)
        os.utime(copy, (1.7e9 + APART_S * number,) * 2)
    return made


@pytest.fixture
def door(cli: Callable[..., Any], data_dir: Path, tmp_path: Path) -> Door:
    """``arcid attend`` on the folder, in a gallery where the living person is enrolled."""
    gallery = tmp_path / "gallery.db"
    live = data_dir / "data/spoof/image_T1.jpg"
    assert cli("enrol", "Ada", live, "--database", gallery).code == 0

    def run(folder: Path, mode: str) -> list[dict[str, Any]]:
        ran = cli(
            "attend", "--source", folder, "--database", gallery, "--camera", "door", "--json",
            "--liveness", mode,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return [json.loads(line) for line in ran.out.splitlines()]

    return run


def test_required_liveness_lets_the_living_face_in_and_no_picture(
    door: Door, folder: Path, liveness_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(liveness_models))
    events = door(folder, "require")
    (arrival,) = (e for e in events if e["kind"] == "arrival")
    assert arrival["name"] == "Ada"
    assert arrival["at"].startswith("2023-11-14T22:13:20")  # the time of the live photograph
    assert arrival["grounds"]["liveness"]["outcome"] == "live"
    assert arrival["grounds"]["liveness"]["score"] > 0.9
    spoofs = {e["at"]: e for e in events if e["kind"] == "spoof"}
    assert len(spoofs) == 3
    assert {e["kind"] for e in events} == {"arrival", "departure", "spoof"}
    assert sorted(e["name"] or "" for e in spoofs.values()) == ["", "", "Ada"]
    for spoof in spoofs.values():
        found = spoof["grounds"]["liveness"]
        assert (found["outcome"], found["policy"]) == ("refused", "require")
        assert found["score"] < found["threshold"] == passive.THRESHOLD
        assert found["check"] == "+".join(passive.PAIR)


def test_flagged_liveness_lets_the_picture_in_with_a_flag(
    door: Door, folder: Path, liveness_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(liveness_models))
    events = door(folder, "flag")
    live, picture = (e for e in events if e["kind"] == "arrival")
    assert (live["name"], picture["name"]) == ("Ada", "Ada")
    assert (live["flagged"], picture["flagged"]) == (False, True)
    assert len([e for e in events if e["kind"] == "spoof"]) == 3


def test_switched_off_it_needs_no_models_and_the_picture_is_ada(door: Door, folder: Path) -> None:
    events = door(folder, "off")
    assert [e["name"] for e in events if e["kind"] == "arrival"] == ["Ada", "Ada"]
    assert {e.get("liveness") for e in events} == {None}


def test_missing_models_are_named_at_the_start(
    cli: Callable[..., Any], folder: Path, data_dir: Path, tmp_path: Path
) -> None:
    gallery = tmp_path / "gallery.db"
    cli("enrol", "Ada", data_dir / "data/spoof/image_T1.jpg", "--database", gallery)
    ran = cli(
        "attend", "--source", folder, "--database", gallery, "--liveness", "require", "--json"
    )
    assert ran.code != 0
    assert json.loads(ran.out)["error"]["code"] == "model_not_found"
    for name in passive.PAIR:
        assert f"arcid models pull {name}" in ran.err + ran.out
    with Gallery.open(gallery) as opened:
        assert Attendance(opened, "default").events() == []


# cameras of the service


@pytest.fixture
def pipeline(cli: Callable[..., Any]) -> Pipeline:
    return Pipeline.from_models()


def test_a_camera_of_the_service_checks_as_well(
    door: Door, pipeline: Pipeline, data_dir: Path, tmp_path: Path, liveness_models: Path
) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (480, 640))
    for name in ("image_T1.jpg", "image_F2.jpg"):
        image = load_image(data_dir / "data/spoof" / name)
        for _ in range(6):
            writer.write(image[:, :, ::-1])
        for _ in range(12):
            writer.write(np.zeros_like(image))
    writer.release()
    camera = Camera("1", "hall", str(clip), "default", "", "require", True)
    names = [str(liveness_models / name) for name in passive.PAIR]
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        runner = Runner(camera, pipeline, gallery, lambda: passive.load(names))
        runner.join(60)
        assert runner.status.state == "ended", runner.status.problem
        book = Attendance(gallery, "default")
        (arrival,) = book.events(kinds=["arrival"])
        (spoof,) = book.events(kinds=["spoof"])
        assert (arrival.name, spoof.name) == ("Ada", "Ada")
        assert (spoof.at - arrival.at).total_seconds() == pytest.approx(1.8, abs=0.2)


def test_a_camera_says_which_models_it_lacks(
    door: Door, pipeline: Pipeline, folder: Path, tmp_path: Path
) -> None:
    camera = Camera("1", "hall", str(folder), "default", "", "flag", True)
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        runner = Runner(camera, pipeline, gallery, passive.load)
        deadline = time.monotonic() + 20
        while runner.status.state != "trouble" and time.monotonic() < deadline:
            time.sleep(0.02)
        runner.stop()
        runner.join(20)
        assert runner.status.state == "trouble"
        assert "arcid models pull minifasnet_v2" in runner.status.problem
        assert Attendance(gallery, "default").events() == []


# over a track


@pytest.fixture
def pair(liveness_models: Path) -> PassiveLiveness:
    return passive.load([str(liveness_models / name) for name in passive.PAIR])


class Watched:
    """Counts how often the check is asked; ``silent`` makes it answer nothing."""

    def __init__(self, check: PassiveLiveness, *, silent: bool = False) -> None:
        self.name, self.threshold = check.name, check.threshold
        self.check, self.silent, self.asked = check, silent, 0

    def scores(self, image: Image, detections: Detections) -> FloatArray:
        self.asked += len(detections)
        found = self.check.scores(image, detections)
        return np.full_like(found, np.nan) if self.silent else found


def shown(watcher: Watcher, image: Image, seconds: float, began: float = 0.0) -> list[str]:
    """One photograph before the camera, 10 frames a second, moving a little."""
    outcomes = []
    for step in range(int(seconds * 10)):
        ticks = began + step / 10
        moved = np.roll(image, step % 3, axis=1)
        view = watcher.see(Frame(moved, 1.7e9 + ticks, ticks, step))
        outcomes += [face.outcome for face in view.faces]
    return outcomes


def test_a_track_is_checked_when_it_is_looked_at_and_pooled(
    door: Door, pipeline: Pipeline, pair: PassiveLiveness, data_dir: Path, tmp_path: Path
) -> None:
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        for name, kinds in (("image_T1.jpg", {"arrival"}), ("image_F2.jpg", {"spoof"})):
            check = Watched(pair)
            watcher = Watcher(
                pipeline, gallery, "default", Policy(liveness="require"), camera=name,
                liveness=check,
            )  # fmt: skip
            outcomes = shown(watcher, load_image(data_dir / "data/spoof" / name), 1.2)
            watcher.close()
            found = Attendance(gallery, "default").events(camera=name)
            assert {event.kind for event in found} == kinds
            assert ("recognised" in outcomes) == (kinds == {"arrival"})
            assert check.asked == watcher.counts.embeddings < len(outcomes) / 3
            grounds = found[0].grounds["liveness"]
            assert grounds["looks"] >= 2
            assert (grounds["score"] >= grounds["threshold"]) == (kinds == {"arrival"})


def test_without_a_verdict_required_liveness_lets_nobody_in(
    door: Door, pipeline: Pipeline, pair: PassiveLiveness, data_dir: Path, tmp_path: Path
) -> None:
    live = load_image(data_dir / "data/spoof/image_T1.jpg")
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        for mode, kinds in (("require", set()), ("flag", {"arrival"})):
            policy: Any = Policy(liveness=mode)  # type: ignore[arg-type]
            watcher = Watcher(
                pipeline, gallery, "default", policy, camera=mode,
                liveness=Watched(pair, silent=True),
            )  # fmt: skip
            shown(watcher, live, 0.6)
            watcher.close()
            found = Attendance(gallery, "default").events(camera=mode)
            assert {event.kind for event in found} == kinds


def test_loading_names_every_model_that_is_missing(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(tmp_path))
    with pytest.raises(ModelNotFound) as raised:
        passive.load()
    for name in passive.PAIR:
        assert f"arcid models pull {name}" in raised.value.message
