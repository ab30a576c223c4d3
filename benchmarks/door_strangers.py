"""Strangers at doors: everybody in ARCID_DATA asks at doors that people of LFW may pass.

    python benchmarks/door_strangers.py [--fpir 1e-5 1e-6] [--doors 10] [--limit N]

500 people of LFW View 1's DevTrain with two photographs or more may pass one door; fifty of them
each, in turn, ``--doors`` others; one door more is passed by fifty with three photographs each, and
one by forty-nine and a small child.
Asked at all of them: every aligned crop of data/train, every face that detector and gate of the
doors let through in the photographs and scenes and in every frame of the films, and everybody else
of LFW. One look decides here, alive or not, which is easier than at a door. The films then pass the
watcher: a track is let in where two looks in a row agree.

Beside it, at the same setting, what genuine people get: their other photographs, one by one and
pooled by two and three, as a door pools its looks. Thresholds come from the packaged calibration
alone; DevTest's pairs are not looked at. Vectors are kept in a temporary folder, so that a second
run is short. Writes ``results/door-strangers-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from kept_vectors import Names, Vectors, kept_vectors

from arcid.apps.access import Door
from arcid.apps.access.chance import chance
from arcid.apps.access.local import Admitted
from arcid.apps.access.rules import DOOR_FPIR, MOST_LOOKS
from arcid.apps.watching import WATCH_GATE, Duty, FaceView, Followed, Observer, Post, Watcher
from arcid.bench import common
from arcid.detect import once
from arcid.evaluate.metrics.rates import wilson
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import find_photos, load_image
from arcid.paths import required_data_dir
from arcid.pipeline import Pipeline
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Image
from arcid.video import Frame

CACHE = Path(tempfile.gettempdir()) / "arcid-benchmark-door-strangers"
LFW = "lfw-train"
PEOPLE, FEW, PHOTOS = 500, 50, 3
TRACKS = "films, tracks"
#: Whom LFW files under two names, or other pictures here show: their likes are no strangers.
SHOWN_ELSEWHERE = (
    "Angelina_Jolie", "Charles_Moose", "Choi_Sung-hong", "Doug_Duncan", "Joseph_Blatter",
    "Sepp_Blatter",
)  # fmt: skip
FILM_FPS = 25.0
PICTURES = (".webp", ".jpg", ".png")
CHILD = "Princess_Elisabeth"  # nearest to UTK's children of one to three years
Named = tuple[Names, Vectors]
Faces = Iterator[tuple[str, Image]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    rates = [DOOR_FPIR, DOOR_FPIR / 10]
    parser.add_argument("--fpir", type=float, nargs="+", default=rates)
    parser.add_argument("--doors", type=int, default=10)
    parser.add_argument("--limit", type=int, default=0, help="faces of each source; 0: all")
    asked = parser.parse_args()
    pipeline = Pipeline.from_models()
    known = {
        name: kept_vectors(pipeline, CACHE, name, make, asked.limit)
        for name, make in _sources(pipeline)
    }
    photos = _by_person(known[LFW])
    passages = _passages(pipeline)
    for person in SHOWN_ELSEWHERE:
        photos.pop(person, None)
    several = [p for p, own in photos.items() if len(own) > 1 and p != CHILD]
    chosen = list(np.random.default_rng(0).permutation(several)[:PEOPLE])
    many = sorted(several, key=lambda person: -len(photos[person]))[:FEW]
    doors = [(f"{len(chosen)} people", chosen, 1)]
    doors += [
        (f"{FEW} people", chosen[i * FEW : (i + 1) * FEW], 1)
        for i in range(min(asked.doors, PEOPLE // FEW))
    ]
    doors.append((f"{FEW} people, {PHOTOS} photos each", many, PHOTOS))
    doors.append((f"{FEW} people, one a small child", [*chosen[: FEW - 1], CHILD], 1))
    rows: list[common.Row] = []
    for fpir in asked.fpir:
        for kind in dict.fromkeys(name for name, _, _ in doors):
            alike = [(people, count) for name, people, count in doors if name == kind]
            rows += _at(pipeline, f"{fpir:g}, {kind}", alike, known, photos, passages, fpir)
    path = Path(__file__).parent / "results" / f"door-strangers-{common.hardware_slug()}.csv"
    common.write_csv(path, rows)
    print(path.name)


def _at(
    pipeline: Pipeline,
    kind: str,
    doors: list[tuple[list[str], int]],
    known: dict[str, Named],
    photos: dict[str, Vectors],
    passages: list[Vectors],
    fpir: float,
) -> list[common.Row]:
    """All strangers at doors of one kind, and their genuine people."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    missed: dict[int, list[bool]] = defaultdict(list)
    at = ""
    for people, count in doors:
        rows = np.concatenate([photos[person][:count] for person in people])
        owners = np.repeat(np.array(people), count)
        now = chance(
            Door("d", "Door", "staff", fpir=fpir), Admitted(frozenset(people), len(rows)),
            pipeline.calibration,
        )  # fmt: skip
        if now is None or now.cosine_threshold is None:
            raise SystemExit("the calibration does not reach that rate")
        at = f"{len(doors)} doors of {len(rows)} templates; FPIR {fpir:g}"
        at += f"; cosine from {now.cosine_threshold:.3f}"
        for source, (names, vectors) in known.items():
            strangers = ~np.isin([_person(str(name)) for name in names], people)
            cosines = vectors[strangers] @ rows.T
            best = cosines.max(axis=1)
            opened = best >= now.cosine_threshold
            tallies[source].add(best, owners[cosines.argmax(axis=1)[opened]])
        tracks = tallies[TRACKS]
        tracks.asked += len(passages)
        tracks.opened += sum(_let_in(one, rows, owners, now.cosine_threshold) for one in passages)
        for person in people:
            own, others = photos[person][:count], photos[person][count:]
            for looks in (1, 2, 3):
                for i in range(0, len(others) - looks + 1, looks):
                    pool = others[i : i + looks].sum(axis=0)
                    cosine = float((own @ pool).max() / np.linalg.norm(pool))
                    missed[looks].append(cosine < now.cosine_threshold)
    print(f"{kind}: {at}")
    return _openings(kind, tallies, at) + _missed(kind, missed, at)


def _openings(kind: str, tallies: dict[str, Tally], at: str) -> list[common.Row]:
    faces = Tally()
    for source, one in tallies.items():
        if source != TRACKS:
            faces.join(one)
    rows = []
    for source, tally in [*tallies.items(), ("all faces", faces)]:
        low, high = wilson(tally.opened, tally.asked)
        notes = f"{low:.1e} to {high:.1e} (95 %)"
        if not tally.opened:
            notes = f"at most {3 / tally.asked:.1e} (95 %, rule of 3)"
        if tally.nearest > -1:
            notes += f"; nearest {tally.nearest:.3f}"
        if tally.people:
            notes += f"; {tally.people.most_common(1)[0][1]} of them as one person"
        print(f"  {source:26s} {tally.asked:7d} asked, {tally.opened} openings; {notes}")
        rows.append(
            common.row(
                "openings to strangers", f"{kind}: {source}", tally.opened, "openings",
                samples=tally.asked, notes=f"{notes}; {at}",
            )
        )  # fmt: skip
    return rows


def _missed(kind: str, missed: dict[int, list[bool]], at: str) -> list[common.Row]:
    rows = []
    for looks, wrong in missed.items():
        low, high = wilson(sum(wrong), len(wrong))
        rate = sum(wrong) / len(wrong)
        print(f"  FNMR, {looks} pooled: {rate:.1%} [{low:.1%}, {high:.1%}] of {len(wrong)}")
        rows.append(
            common.row(
                "FNMR of genuine people", f"{kind}: {looks} photos pooled", 100 * rate, "%",
                samples=len(wrong), notes=f"{low:.1%} to {high:.1%} (95 %); {at}",
            )
        )  # fmt: skip
    return rows


@dataclass
class Tally:
    """Strangers who asked, and those whom a door took for one of its people."""

    asked: int = 0
    opened: int = 0
    nearest: float = -1.0
    people: Counter[str] = field(default_factory=Counter)

    def add(self, best: Vectors, taken_for: Names) -> None:
        self.asked, self.opened = self.asked + len(best), self.opened + len(taken_for)
        self.nearest = max(self.nearest, float(best.max()))
        self.people.update(map(str, taken_for))

    def join(self, other: Tally) -> None:
        self.asked, self.opened = self.asked + other.asked, self.opened + other.opened
        self.nearest = max(self.nearest, other.nearest)
        self.people.update(other.people)


class Pools:
    """An observer that keeps what a door decides on: the pool of all looks, after every look."""

    def __init__(self, post: Post) -> None:
        self.tracks: dict[int, list[Vectors]] = defaultdict(list)

    def look(self, face: Followed) -> None:
        if face.embedding is not None:
            self.tracks[face.number].append(face.embedding.vectors[0])
        face.eager = face.looks < MOST_LOOKS

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None: ...
    def gone(self, face: Followed) -> None: ...
    def idle(self, at: float) -> None: ...
    def moved(self, by_s: float) -> None: ...
    def ended(self, first_at: float, last_at: float) -> None: ...
    def close(self) -> None: ...
    def show(self, shown: FaceView, face: Followed) -> FaceView:
        return shown


def _passages(pipeline: Pipeline) -> list[Vectors]:
    """Of every track of the films, (L,D): the pool after every look."""
    found: list[Vectors] = []
    for film in sorted((required_data_dir() / "data/video").glob("*.mp4")):
        made: list[Pools] = []

        def observe(post: Post, made: list[Pools] = made) -> Observer:
            made.append(Pools(post))
            return made[0]

        watcher = Watcher(pipeline, [Duty(film.stem, observe)])
        for i, (_, picture) in enumerate(_film(film)):
            watcher.see(Frame(picture, 1e9 + i / FILM_FPS, i / FILM_FPS, i))
        watcher.close()
        found += [np.stack(pools) for pools in made[0].tracks.values()]
    return found


def _let_in(pools: Vectors, rows: Vectors, owners: Names, threshold: float) -> bool:
    """Whether two looks in a row say the same person."""
    cosines = pools @ rows.T
    who = np.where(cosines.max(axis=1) >= threshold, owners[cosines.argmax(axis=1)], "")
    return bool(((who[1:] == who[:-1]) & (who[1:] != "")).any())


def _sources(pipeline: Pipeline) -> Iterator[tuple[str, Faces]]:
    data = required_data_dir() / "data"
    yield LFW, _chips(data / "lfw-dev/train-chips.tar")
    yield "lfw-test", _faces(pipeline, _photos(data / "lfw-dev/images"))
    for archive in sorted((data / "train").glob("*.tar")):
        yield archive.stem, _chips(archive)
    for name in ("photos", "deepface-pairs", "spoof"):
        yield name, _faces(pipeline, _photos(data / name))
    for film in sorted((data / "video").glob("*.mp4")):
        yield f"film-{film.stem}", _faces(pipeline, _film(film))
    scenes = ((name, load_image(one)) for name, one in _members(data / "scenes.tar"))
    yield "scenes", _faces(pipeline, scenes)


def _person(picture: str) -> str:
    """Whose folder it lies in."""
    return picture.rpartition("/")[0].rpartition("/")[2]


def _by_person(faces: Named) -> dict[str, Vectors]:
    found: dict[str, list[Vectors]] = defaultdict(list)
    for name, vector in zip(*faces, strict=True):
        found[_person(str(name))].append(vector)
    return {person: np.stack(rows) for person, rows in found.items()}


def _chips(archive: Path) -> Faces:
    """(112,112,3) uint8 RGB: the aligned crops in the middle of stored ones."""
    for name, data in _members(archive):
        yield name, centre(fit_crop(decode_crop(data), -1, TEMPLATE_SIZE), TEMPLATE_SIZE)


def _faces(pipeline: Pipeline, pictures: Iterator[tuple[str, Image]]) -> Faces:
    """Every face of every picture that the gate of doors lets through, aligned."""
    for name, picture in pictures:
        found = once(pipeline.detector)([picture])[0]
        if len(found):
            crops = pipeline.align(picture, found)
            for i, quality in enumerate(WATCH_GATE.assess(picture, found, crops)):
                if quality.ok:
                    yield f"{name}|{i}", crops.pixels[i]


def _photos(folder: Path) -> Iterator[tuple[str, Image]]:
    for path in find_photos([folder]):
        yield str(path.relative_to(folder)), load_image(path)


def _film(path: Path) -> Iterator[tuple[str, Image]]:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while True:
        ok, bgr = capture.read()
        if not ok:
            break
        yield str(count), np.ascontiguousarray(bgr[:, :, ::-1])
        count += 1
    capture.release()


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and member.name.endswith(PICTURES):
                yield member.name, file.read()


if __name__ == "__main__":
    main()
