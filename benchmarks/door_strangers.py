"""Strangers at doors: everybody in ARCID_DATA asks at doors that people of LFW may pass.

    python benchmarks/door_strangers.py [--fpir 1e-5] [--doors 10] [--limit N]

500 people of LFW View 1's DevTrain with two photographs or more may pass one door; fifty of them
each, in turn, ``--doors`` others; and one door more is passed by fifty with three photographs each.
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
import re
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from arcid.apps.access import Chance, Door
from arcid.apps.access.chance import chance
from arcid.apps.access.local import Admitted
from arcid.apps.access.rules import DOOR_FPIR, MOST_LOOKS
from arcid.apps.watching import WATCH_GATE, Duty, Followed, Post, Watcher
from arcid.bench import common
from arcid.detect import once
from arcid.evaluate.metrics.rates import wilson
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import find_photos, load_image
from arcid.paths import required_data_dir
from arcid.pipeline import Pipeline
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Crops, Image
from arcid.video import Frame

CACHE = Path(tempfile.gettempdir()) / "arcid-benchmark-door-strangers"
LFW = "lfw-train"
PEOPLE, FEW, PHOTOS = 500, 50, 3
BATCH = 64
FILM_FPS = 25.0
PICTURES = (".webp", ".jpg", ".png")
Vectors = npt.NDArray[np.float32]
Named = tuple[npt.NDArray[np.str_], Vectors]
Faces = Iterator[tuple[str, Image]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fpir", type=float, default=DOOR_FPIR)
    parser.add_argument("--doors", type=int, default=10)
    parser.add_argument("--limit", type=int, default=0, help="faces of each source; 0: all")
    asked = parser.parse_args()
    pipeline = Pipeline.from_models()
    known = {
        name: _embedded(pipeline, name, make, asked.limit) for name, make in _sources(pipeline)
    }
    photos = _by_person(known[LFW])
    several = [person for person, own in photos.items() if len(own) > 1]
    chosen = list(np.random.default_rng(0).permutation(several)[:PEOPLE])
    many = sorted(several, key=lambda person: -len(photos[person]))[:FEW]
    doors = [(f"{len(chosen)} people", chosen, 1)]
    doors += [
        (f"{FEW} people", chosen[i * FEW : (i + 1) * FEW], 1)
        for i in range(min(asked.doors, PEOPLE // FEW))
    ]
    doors.append((f"{FEW} people, {PHOTOS} photos each", many, PHOTOS))
    rows: list[common.Row] = []
    for kind in dict.fromkeys(name for name, _, _ in doors):
        alike = [(people, count) for name, people, count in doors if name == kind]
        rows += _at(pipeline, kind, alike, known, photos, asked.fpir)
    path = Path(__file__).parent / "results" / f"door-strangers-{common.hardware_slug()}.csv"
    common.write_csv(path, rows)
    print(path.name)


def _at(
    pipeline: Pipeline,
    kind: str,
    doors: list[tuple[list[str], int]],
    known: dict[str, Named],
    photos: dict[str, Vectors],
    fpir: float,
) -> list[common.Row]:
    """All strangers at doors of one kind, and their genuine people."""
    asked: dict[str, int] = defaultdict(int)
    opened: dict[str, int] = defaultdict(int)
    nearest: dict[str, float] = defaultdict(lambda: -1.0)
    missed: dict[int, list[bool]] = defaultdict(list)
    for people, count in doors:
        rows = np.concatenate([photos[person][:count] for person in people])
        now = chance(
            Door("d", "Door", "staff", fpir=fpir), Admitted(frozenset(people), len(rows)),
            pipeline.calibration,
        )  # fmt: skip
        assert now is not None and now.cosine_threshold is not None
        spelt = {_spelling(person) for person in people}
        for source, (names, vectors) in known.items():
            strangers = np.array([_spelling(_person(name)) not in spelt for name in names], bool)
            best = (vectors[strangers] @ rows.T).max(axis=1)
            asked[source] += len(best)
            opened[source] += int((best >= now.cosine_threshold).sum())
            nearest[source] = max(nearest[source], float(best.max()))
        for person in people:
            others = photos[person][count:]
            for looks in (1, 2, 3):
                for i in range(0, len(others) - looks + 1, looks):
                    pool = others[i : i + looks].sum(axis=0)
                    cosine = float((photos[person][:count] @ pool).max() / np.linalg.norm(pool))
                    missed[looks].append(cosine < now.cosine_threshold)
        passed = _films(pipeline, rows, now)
        asked["films, tracks"] += passed[0]
        opened["films, tracks"] += passed[1]
    return _told(kind, len(doors), now, asked, opened, nearest, missed)


def _told(
    kind: str,
    doors: int,
    now: Chance,
    asked: dict[str, int],
    opened: dict[str, int],
    nearest: dict[str, float],
    missed: dict[int, list[bool]],
) -> list[common.Row]:
    print(f"{kind}, {doors} doors, cosine from {now.cosine_threshold:.3f}: {now.words}")
    rows = []
    at = f"{doors} doors; {now.templates} templates each; FPIR {now.target_fpir:g}"
    total, all_opened = (sum(n for s, n in d.items() if "," not in s) for d in (asked, opened))
    for source, count in [*asked.items(), ("all", total)]:
        found = all_opened if source == "all" else opened[source]
        high = 3 / count if not found else wilson(found, count)[1]
        near = f"; nearest {nearest[source]:.3f}" if source in nearest else ""
        print(f"  {source:24s} {count:7d} asked, {found} openings, at most {high:.1e}{near}")
        rows.append(
            common.row(
                "openings to strangers", f"{kind}: {source}", found, "openings", samples=count,
                notes=f"at most {high:.1e} (95 %){near}; {at}",
            )
        )  # fmt: skip
    for looks, wrong in missed.items():
        low, high = wilson(sum(wrong), len(wrong))
        rate = sum(wrong) / len(wrong)
        print(f"  FNMR, looks pooled {looks}: {rate:.1%} [{low:.1%}, {high:.1%}] of {len(wrong)}")
        rows.append(
            common.row(
                "FNMR of genuine people", f"{kind}: {looks} photos pooled", 100 * rate, "%",
                samples=len(wrong), notes=f"{low:.1%} to {high:.1%} (95 %); {at}",
            )
        )  # fmt: skip
    return rows


class Pools:
    """An observer that keeps what a door decides on: the pool of all looks, after every look."""

    def __init__(self, post: Post) -> None:
        self.tracks: dict[int, list[Vectors]] = defaultdict(list)

    def look(self, face: Followed) -> None:
        if face.embedding is not None:
            self.tracks[face.number].append(face.embedding.vectors[0])
        face.eager = face.looks < MOST_LOOKS

    def see(self, frame: Frame, faces: object) -> None: ...
    def gone(self, face: Followed) -> None: ...
    def idle(self, at: float) -> None: ...
    def moved(self, by_s: float) -> None: ...
    def ended(self, first_at: float, last_at: float) -> None: ...
    def close(self) -> None: ...
    def show(self, shown: object, face: Followed) -> object:
        return shown


_passed: list[list[Vectors]] = []


def _films(pipeline: Pipeline, rows: Vectors, now: Chance) -> tuple[int, int]:
    """Tracks of the films, and how many of them a door with these templates lets in."""
    if not _passed:
        for film in sorted((required_data_dir() / "data/video").glob("*.mp4")):
            made: list[Pools] = []

            def observe(post: Post, made: list[Pools] = made) -> Pools:
                made.append(Pools(post))
                return made[0]

            watcher = Watcher(pipeline, [Duty(film.stem, observe)])
            for i, (_, picture) in enumerate(_film(film)):
                watcher.see(Frame(picture, 1e9 + i / FILM_FPS, i / FILM_FPS, i))
            watcher.close()
            _passed.extend(made[0].tracks.values())
    opened = 0
    for pools in _passed:
        cosines = np.stack(pools) @ rows.T
        who = np.where(cosines.max(axis=1) >= now.cosine_threshold, cosines.argmax(axis=1), -1)
        opened += bool(((who[1:] == who[:-1]) & (who[1:] >= 0)).any())
    return len(_passed), opened


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


def _embedded(pipeline: Pipeline, name: str, faces: Faces, limit: int) -> Named:
    """Names of pictures and the vectors of their faces, from the temporary folder if known."""
    file = CACHE / f"{name}-{pipeline.contract_id[:8]}.npz"
    if not file.exists():
        names: list[str] = []
        parts: list[Vectors] = []
        crops: list[Image] = []
        for picture, crop in faces:
            names.append(picture)
            crops.append(crop)
            if len(crops) == BATCH:
                parts.append(pipeline.embedder.embed(Crops(np.stack(crops))).vectors)
                crops = []
            if len(names) == limit:
                break
        if crops:
            parts.append(pipeline.embedder.embed(Crops(np.stack(crops))).vectors)
        if limit:
            return np.array(names), np.concatenate(parts)
        CACHE.mkdir(exist_ok=True, mode=0o700)
        np.savez(file, names=np.array(names), vectors=np.concatenate(parts))
    stored = np.load(file)
    return stored["names"], stored["vectors"]


def _person(picture: str) -> str:
    """Whose folder it lies in."""
    return picture.rpartition("/")[0].rpartition("/")[2]


def _spelling(person: str) -> frozenset[str]:
    """LFW files one person as Choi_Sung-hong and as Sung_Hong_Choi."""
    return frozenset(re.split("[_-]", person.lower()))


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
