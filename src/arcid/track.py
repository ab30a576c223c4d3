"""Faces over time: which detections are one face, and what is known about it so far.

``FaceTracks.update`` joins detections to tracks; ``wants_look`` says when a track's face is worth
embedding: at first, when it shows better than ever, and now and then to notice a track that slid
from one person to another. ``look`` pools the embeddings, weighted by quality; two looks in a row
that agree with each other and not with the pool make a new track. So does a picture that changes
from one frame to the next as only a cut or a swap of faces changes it.

Association is ByteTrack (Zhang et al., ECCV 2022) from the package ``edgefirst-tracker``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, MissingExtra
from arcid.types import Detections, Embeddings, FloatArray, Image

PATCH = 24  # pixels a side of what is compared from frame to frame
Likelihood = Callable[[float], float]  # cosine → how many times likelier one person than two


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """When to join, to look and to doubt; times in seconds of the source."""

    lifespan_s: float = 1.0  # a face unseen for so long is a new track
    gap_s: float = 10.0  # between two frames: nothing is joined across (slow machines skip frames)
    iou: float = 0.15  # least overlap with where a face was expected
    min_score: float = 0.5  # detections below it only continue tracks
    look_gap_s: float = 0.1  # between two looks at a face
    retry_s: float = 0.25  # after a face that could not be used
    better: float = 1.2  # so many times better than its best is worth a look
    recheck_s: float = 3.0  # even if nothing improved
    first_looks: int = 2  # wanted as soon as possible
    alike: float = 0.4  # least correlation of a face's pixels with those of the frame before
    contrary: float = 0.1  # likelihood ratio at which a look speaks against the track


@dataclass(slots=True, eq=False)
class Pool:
    """Embeddings of one face, weighted by quality."""

    total: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    weight: float = 0.0
    looks: int = 0
    contract_id: str = ""

    def add(self, embedding: Embeddings, weight: float) -> None:
        vector = embedding.vectors[0].astype(np.float64) * weight
        self.total = vector if self.total is None else self.total + vector
        self.weight += weight
        self.looks += 1
        self.contract_id = embedding.contract_id

    @property
    def embedding(self) -> Embeddings | None:
        """One unit-norm row; None before the first look."""
        if self.total is None or not np.linalg.norm(self.total) > 1e-9:
            return None
        return Embeddings.normalised(self.total[None], self.contract_id)

    def cosine(self, embedding: Embeddings) -> float:
        own = self.embedding
        return 1.0 if own is None else float(own.cosine(embedding)[0, 0])


@dataclass(slots=True, eq=False)
class Track:
    """One face while it can be followed."""

    number: int
    first_at: float  # seconds since 1970, of the frame it was first seen in
    first_ticks: float
    first_box: tuple[float, ...]
    last_at: float = 0.0
    last_ticks: float = 0.0
    box: tuple[float, ...] = ()
    frames: int = 0
    pool: Pool = field(default_factory=Pool)
    best: float = 0.0  # usefulness of its best look
    last_look: float = -np.inf  # ticks
    last_try: float = -np.inf
    # (P,) its pixels in the last frame, normalised
    patch: FloatArray | None = field(default=None, repr=False)
    against: list[tuple[Embeddings, float, float, float]] = field(default_factory=list)
    over: bool = False  # replaced by another track

    @property
    def doubted(self) -> bool:
        """Whether the last look spoke against the ones before."""
        return bool(self.against)

    @property
    def mark(self) -> str:
        """Tells the tracks that begin in one frame apart, the same at every replay."""
        return ",".join(str(round(v)) for v in self.first_box)


class FaceTracks:
    """The tracks of one source. Not thread-safe."""

    def __init__(self, likelihood: Likelihood, settings: TrackSettings | None = None) -> None:
        self.settings = settings or TrackSettings()
        self._likelihood = likelihood
        self._joiner = _byte_track(self.settings)
        self._tracks: dict[str, Track] = {}
        self._numbers = 0

    def update(
        self, detections: Detections, at: float, ticks: float, image: Image | None = None
    ) -> list[Track]:
        """The track of every detection, in order. ``at`` is told, ``ticks`` never runs back.

        Without the ``image``, (H,W,3) uint8 RGB, cuts are not noticed.
        """
        if len(detections) and not np.isfinite(detections.boxes).all():
            raise InvalidArray("boxes hold NaN or infinite values")
        joined = self._joiner.update(
            np.array(detections.boxes, np.float32, order="C"),
            np.array(detections.scores, np.float32, order="C"),
            np.zeros(len(detections), np.uintp),
            int(ticks * 1e9),
        )
        tracks = []
        for box, info in zip(detections.boxes, joined, strict=True):
            place = tuple(float(v) for v in box)
            if info is None:  # too uncertain to begin a track
                tracks.append(Track(0, at, ticks, place, at, ticks, place, 1))
                continue
            patch = None if image is None else _patch(image, place)
            track = self._tracks.get(info.uuid)
            if track is not None and not self._continues(track, patch, ticks):
                self._retire(info.uuid, track)
                track = None
            if track is None:
                track = self._tracks[info.uuid] = self._new(at, ticks, place)
            track.box, track.last_at, track.last_ticks = place, at, ticks
            track.patch = patch
            track.frames += 1
            tracks.append(track)
        return tracks

    def ended(self, ticks: float) -> list[Track]:
        """Tracks unseen for longer than their lifespan, oldest first; they are forgotten."""
        old = [
            key
            for key, track in self._tracks.items()
            if track.over or ticks - track.last_ticks > self.settings.lifespan_s
        ]
        return sorted((self._tracks.pop(key) for key in old), key=lambda t: t.number)

    def end(self) -> list[Track]:
        """Every track, for a source that has come to its end."""
        return self.ended(np.inf)

    def wants_look(
        self, track: Track, usefulness: float, ticks: float, *, eager: bool = False
    ) -> bool:
        """Whether to embed the face now. ``eager``: whatever it shows, its first looks in one frame
        after the other, then as often as looks differ."""
        s, since = self.settings, ticks - track.last_look
        if not track.number or ticks - track.last_try < s.retry_s:
            return False
        if track.doubted:
            return since >= s.look_gap_s
        first = track.pool.looks < s.first_looks
        if since < s.look_gap_s and not (eager and first):
            return False
        return eager or first or usefulness >= s.better * track.best or since >= s.recheck_s

    def look(
        self, track: Track, embedding: Embeddings, usefulness: float, at: float, ticks: float
    ) -> Track | None:
        """Take in a face that was embedded: the track it is of, None while that is in doubt.

        Two embeddings in a row that disagree with the pool and agree with each other end the track
        and begin another one at the time of the first of them.
        """
        track.last_look, track.last_try = ticks, -np.inf
        agrees = (
            track.pool.looks == 0
            or self._likelihood(track.pool.cosine(embedding)) >= self.settings.contrary
        )
        if agrees:
            track.against.clear()
            track.pool.add(embedding, usefulness)
            track.best = max(track.best, usefulness)
            return track
        alike = [
            entry
            for entry in track.against
            if self._likelihood(float(entry[0].cosine(embedding)[0, 0])) >= 1
        ]
        track.against = [*alike, (embedding, usefulness, at, ticks)]
        return self._split(track) if alike else None

    def missed(self, track: Track, ticks: float) -> None:
        """A look was wanted, but the face could not be used."""
        track.last_try = ticks

    def _split(self, old: Track) -> Track:
        first = old.against[0]
        new = self._new(first[2], first[3], old.box)
        new.box, new.frames, new.patch = old.box, len(old.against), old.patch
        new.last_at, new.last_ticks = old.last_at, old.last_ticks
        for embedding, usefulness, _, ticks in old.against:
            new.pool.add(embedding, usefulness)
            new.best = max(new.best, usefulness)
            new.last_look = ticks
        key = next(key for key, track in self._tracks.items() if track is old)
        self._retire(key, old)
        self._tracks[key] = new
        old.last_at, old.last_ticks = min(old.last_at, first[2]), min(old.last_ticks, first[3])
        return new

    def _continues(self, track: Track, patch: FloatArray | None, ticks: float) -> bool:
        if ticks - track.last_ticks > self.settings.gap_s:  # the joiner looks at overlap alone
            return False
        if patch is None or track.patch is None:
            return True
        return float(patch @ track.patch) >= self.settings.alike

    def _retire(self, key: str, track: Track) -> None:
        """Its place is another's from now on; it still has to be handed out as ended."""
        track.over = True
        track.against.clear()
        self._tracks[f"{key} until {self._numbers}"] = track

    def _new(self, at: float, ticks: float, box: tuple[float, ...]) -> Track:
        self._numbers += 1
        return Track(self._numbers, at, ticks, box, at, ticks, box)


def usefulness(detections: Detections) -> FloatArray:
    """(N,) float32, 0 up to 1: how well each face should embed, from its points alone.

    Size (eyes 60 pixels apart count in full), how far the nose is from the middle between the
    eyes, and the detector's score. Cheap, so that it can be asked of every face of every frame.
    """
    if detections.points is None:
        size = np.clip(detections.sizes.min(axis=1, initial=0) / 130, 0, 1)
        return np.asarray(size * detections.scores, np.float32)
    left, right, nose = (detections.points[:, i].astype(np.float64) for i in range(3))
    line = right - left
    eyes = np.maximum(np.linalg.norm(line, axis=1), 1e-6)
    along = ((nose - left) * line).sum(axis=1) / eyes**2  # 0.5: in the middle
    frontal = np.clip(1 - np.abs(along - 0.5) * 1.6, 0.05, 1)
    return np.asarray(np.clip(eyes / 60, 0, 1) * frontal * detections.scores, np.float32)


def _patch(image: Image, box: Sequence[float]) -> FloatArray | None:
    """Zero-mean, unit-norm grey pixels of a face, so that two multiply to their correlation."""
    import cv2

    height, width = image.shape[:2]
    x1, y1 = max(round(box[0]), 0), max(round(box[1]), 0)
    x2, y2 = min(round(box[2]), width), min(round(box[3]), height)
    if x2 - x1 < 8 or y2 - y1 < 8:
        return None
    grey = cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (PATCH, PATCH), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    return None if norm < 1.0 else np.asarray(small.ravel() / norm, np.float32)


def _byte_track(settings: TrackSettings) -> Any:
    try:
        from edgefirst.tracker import ByteTrack
    except ModuleNotFoundError:
        raise MissingExtra("following faces through a video", "video") from None
    return ByteTrack(
        high_conf=settings.min_score,
        iou=settings.iou,
        update=0.5,
        lifespan_ns=int(settings.lifespan_s * 1e9),
    )
