"""Tracks on a real clip: cuts end them, embeddings are few, contrary looks split them."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcid.errors import ArcidError
from arcid.pipeline import Pipeline
from arcid.track import FaceTracks, TrackSettings, usefulness
from arcid.types import Detections, Embeddings, Image

CONTRACT = "c" * 64


def odds(cosine: float) -> float:
    """Even at 0.3, ten times a tenth."""
    return 10 ** ((cosine - 0.3) * 10)


def face(x: float, y: float, size: float = 60, score: float = 0.9) -> Detections:
    box = np.array([[x, y, x + size, y + size]], np.float32)
    eyes = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
    points = box[:, None, :2] + np.array([eyes], np.float32) * size
    return Detections(box, np.array([score], np.float32), points, (480, 640))


def embedding(*values: float) -> Embeddings:
    return Embeddings.normalised(np.array([values], np.float32), CONTRACT)


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return Pipeline.from_models()


def frames(path: Path, first: int, last: int) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    found = []
    for number in range(last):
        ok, bgr = capture.read()
        assert ok
        if number >= first:
            found.append(np.ascontiguousarray(bgr[:, :, ::-1]))
    capture.release()
    return found


@pytest.mark.data
def test_a_cut_to_another_face_in_the_same_place_is_another_track(
    pipeline: Pipeline, data_dir: Path
) -> None:
    """At frame 211 the picture cuts from the singer to the audience; boxes overlap by 0.38."""
    clip = frames(data_dir / "data/video/short_hamilton_clip.mp4", 203, 219)
    found = pipeline.detector.detect(clip)

    def numbers(seeing: bool) -> list[set[int]]:
        tracks = FaceTracks(odds)
        return [
            {t.number for t in tracks.update(d, i / 30, i / 30, image if seeing else None)}
            for i, (image, d) in enumerate(zip(clip, found, strict=True))
        ]

    blind, seen = numbers(False), numbers(True)
    assert set.union(*blind[:8]) & set.union(*blind[8:])  # overlap alone joins two people
    assert not set.union(*seen[:8]) & set.union(*seen[8:])
    assert all(len(now) == 1 for now in seen[:8])
    assert all(len(now) == len(found[8 + i]) for i, now in enumerate(seen[8:]))


def test_a_moving_face_is_one_track_and_one_that_comes_back_late_another() -> None:
    tracks = FaceTracks(odds)
    first = {tracks.update(face(20 + 8 * i, 50), i / 25, i / 25)[0].number for i in range(25)}
    assert first == {1}
    assert tracks.ended(1.5) == []
    (gone,) = tracks.ended(2.5)
    assert (gone.number, gone.frames, gone.last_ticks) == (1, 25, 24 / 25)
    assert tracks.update(face(212, 50), 3, 3)[0].number == 2


def test_a_face_in_the_same_place_after_a_gap_is_another_track() -> None:
    tracks = FaceTracks(odds)
    first = [tracks.update(face(100, 100), t, t)[0].number for t in (0, 0.5)]
    (slow,) = tracks.update(face(100, 100), 2.5, 2.5)  # a busy machine took two seconds
    assert slow.number == first[0]
    gap = 2 + TrackSettings().gap_s + 0.5
    (later,) = tracks.update(face(100, 100), 0.5 + gap, 0.5 + gap)
    assert later.number not in first
    assert [t.number for t in tracks.ended(0.5 + gap)] == [first[0]]
    assert tracks.ended(0.5 + gap) == []


def test_looks_come_first_then_only_for_better_or_after_a_while() -> None:
    tracks = FaceTracks(odds, TrackSettings(recheck_s=3))
    looked = []
    for i in range(250):
        ticks = i / 25
        (track,) = tracks.update(face(100, 100, 60 if i < 100 else 90), ticks, ticks)
        worth = float(usefulness(face(100, 100, 60 if i < 100 else 90))[0])
        if tracks.wants_look(track, worth, ticks):
            tracks.look(track, embedding(1, 0), worth, ticks, ticks)
            looked.append(i)
    assert looked[:2] == [0, 3]
    assert 100 in looked  # it came closer
    assert len(looked) <= 6


def test_an_eager_observer_has_two_looks_at_once_and_then_as_often_as_looks_differ() -> None:
    tracks = FaceTracks(odds)
    looked = []
    for i in range(10):
        (track,) = tracks.update(face(100, 100), i / 25, i / 25)
        if tracks.wants_look(track, 0.5, i / 25, eager=True):
            tracks.look(track, embedding(1, 0), 0.5, i / 25, i / 25)
            looked.append(i)
    assert looked == [0, 1, 4, 7]


def test_the_pool_leans_to_the_better_look() -> None:
    tracks = FaceTracks(odds)
    (track,) = tracks.update(face(0, 0), 0, 0)
    tracks.look(track, embedding(1, 0), 0.9, 0, 0)
    tracks.look(track, embedding(0.8, 0.6), 0.1, 1, 1)
    pooled = track.pool.embedding
    assert pooled is not None
    assert float(pooled.cosine(embedding(1, 0))[0, 0]) > 0.99
    assert math.isclose(float(np.linalg.norm(pooled.vectors)), 1, rel_tol=1e-5)


def test_one_contrary_look_is_doubt_and_two_that_agree_are_another_track() -> None:
    tracks = FaceTracks(odds)
    (track,) = tracks.update(face(0, 0), 0, 0)
    for ticks in (0.5, 1.0, 1.5, 2.0):
        assert tracks.update(face(0, 0), ticks, ticks) == [track]
    for ticks in (0.0, 0.2):
        assert tracks.look(track, embedding(1, 0, 0), 0.5, ticks, ticks) is track
    assert tracks.look(track, embedding(0, 1, 0), 0.5, 1, 1) is None
    assert track.doubted
    assert tracks.look(track, embedding(1, 0, 0), 0.5, 1.2, 1.2) is track  # a bad look, no more
    assert not track.doubted
    tracks.look(track, embedding(0, 1, 0), 0.5, 2, 2)
    assert tracks.look(track, embedding(0, 0, 1), 0.5, 2.2, 2.2) is None  # they do not agree
    new = tracks.look(track, embedding(0, 0.1, 1), 0.5, 2.4, 2.4)
    assert new is not None
    assert (new.number, new.first_at) == (2, 2.2)
    assert tracks.update(face(0, 0), 2.5, 2.5)[0] is new
    (old,) = tracks.ended(2.5)
    assert old is track
    assert old.last_at <= 2.2


def test_two_faces_of_a_frame_are_never_one_track() -> None:
    tracks = FaceTracks(odds)
    for i in range(30):
        near = [face(100, 100).boxes, face(130 - i, 100).boxes]
        both = Detections(np.concatenate(near), np.array([0.9, 0.8], np.float32), None, (480, 640))
        assert len({t.number for t in tracks.update(both, i / 25, i / 25)}) == 2


def test_nothing_is_ordinary_and_usefulness_falls_with_size_and_turning() -> None:
    tracks = FaceTracks(odds)
    assert tracks.update(Detections.empty((480, 640)), 0, 0) == []
    turned = face(0, 0)
    points = turned.points.copy() if turned.points is not None else np.zeros((1, 5, 2), np.float32)
    points[0, 2, 0] += 20
    away = Detections(turned.boxes, turned.scores, points, turned.image_size)
    values = [float(usefulness(d)[0]) for d in (face(0, 0, 150), face(0, 0, 60), away)]
    assert values == sorted(values, reverse=True)
    assert usefulness(Detections.empty((480, 640), points=False)).shape == (0,)


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "edgefirst.tracker", None)
    with pytest.raises(ArcidError, match=r"arcid\[video\]"):
        FaceTracks(odds)
