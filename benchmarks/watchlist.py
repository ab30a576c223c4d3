"""False alerts of watchlists: replayed hours against the predicted interval, and 10,000 entries.

    python benchmarks/watchlist.py hours [--strangers 5000] [--minutes 15]
    python benchmarks/watchlist.py entries

``hours``: photographs of strangers (LFW View 1: DevTest's, which neither training nor calibration
saw, then DevTrain's aligned crops, which the packaged calibration was measured on) pass a camera,
one every five seconds, four frames each, moved, brightened and noisy as frames are; then the clips
of data/video. They pass the whole of ``arcid watchlist watch``: detector, tracks, looks,
confirmation. Five lists of 1,000 people of CelebA and ten of 100 look for them, each at two
budgets: 7.2 and 0.72 false alerts an hour, at the 720 faces an hour that the camera was seen to
see; each with two looks that have to agree, as by default, and with one. Observed false alerts
stand beside the number that the budget predicts, with the calibration's interval and Poisson's
around it. Then the photographs of DevTest alone pass lists of DevTrain's people: strangers and
listed people of one set of photographs, as the calibration's are.

``entries``: one face each of 10,000 people (train chips: most of them trained the model, so they
are easier to tell apart than strangers would be) against strangers, at one false alert in 6,000
faces (what NPL reported of NEC's NeoFace V4 at 10,000 entries, 2023): at the calibration's
threshold, and at the one where it is true of these photographs, with the share of genuine faces
that still alerts. Galleries of synthetic templates, drawn with mean and covariance of the real
ones, beside them. Vectors are kept in a temporary folder, so that a second run is short. Writes
``results/watchlist-<what>-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from kept_vectors import Names, Vectors, kept_vectors
from scipy.stats import poisson

from arcid import paths
from arcid.apps.watching import Watcher
from arcid.apps.watchlists import Alerts, Terms, Watchlists, flows
from arcid.apps.watchlists.observer import duty
from arcid.apps.watchlists.tables import members, watchlists
from arcid.bench.common import hardware_slug, write_csv
from arcid.calibration import fpir_for_fmr
from arcid.evaluate.metrics import binomial_rate
from arcid.events import Place
from arcid.gallery import Gallery, NewFace
from arcid.gallery.schema import people
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Embeddings, Image
from arcid.video import Frame, Health, VideoFile

CACHE = Path(tempfile.gettempdir()) / "arcid-benchmark-watchlist"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
EVERY_S, STEP_S, FRAMES = 5.0, 0.15, 4  # a stranger every 5 s, for four frames
RATE = 3600 / EVERY_S
RIM = 32  # pixels around a crop, so that the face does not fill the frame
BUDGETS = (7.2, 0.72)  # false alerts an hour
SIZES = {1000: 5, 100: 10}  # entries → lists
OF_ONE_SET = {1000: 2, 100: 10}
LOOKS = (2, 1)  # that have to agree
Kinds = dict[str, tuple[int, float, int]]  # list → entries, budget, looks
NPL = 1 / 6000  # of one face, against 10,000 entries
ENTRIES = 10_000


def chips(archive: Path, *, first: bool = False) -> Iterator[tuple[str, Image]]:
    """(person, (112,112,3) aligned crop), in the archive's order; ``first``: one of each person."""
    seen: set[str] = set()
    with tarfile.open(archive) as members_:
        for member in members_:
            file = members_.extractfile(member)
            person = Path(member.name).parent.name or Path(member.name).stem
            if file is None or (first and person in seen):
                continue
            seen.add(person)
            yield person, centre(fit_crop(decode_crop(file.read()), 8, 112), 112)


def aligned_photos(pipeline: Pipeline, folder: Path) -> Iterator[tuple[str, Image]]:
    """The face in the middle of each photo, aligned."""
    for path in sorted(folder.rglob("*.jpg")):
        image = load_image(path)
        found = pipeline.detect(image).select("center")
        if len(found):
            yield path.stem.rpartition("_")[0], pipeline.align(image, found).pixels[0]


class Passing:
    """A source of strangers who pass one after another; its clock is its own."""

    name, live = "strangers", False

    def __init__(self, photos: Iterator[Image], seed: int, until: float) -> None:
        self._photos, self._random = photos, np.random.default_rng(seed)
        self._until = until
        self.passed = 0

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame]:
        index = 0
        for photo in self._photos:
            if time.perf_counter() > self._until:
                return
            for step in range(FRAMES):
                ticks = self.passed * EVERY_S + step * STEP_S
                yield Frame(self._moved(photo), START.timestamp() + ticks, ticks, index)
                index += 1
            self.passed += 1

    def _moved(self, photo: Image) -> Image:
        x, y = self._random.integers(-3, 4, 2)
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        size = (photo.shape[1], photo.shape[0])
        moved = cv2.warpAffine(photo, shift, size, borderMode=cv2.BORDER_REPLICATE)
        light = self._random.uniform(0.92, 1.08)
        noisy = moved * light + self._random.normal(0, 3, photo.shape)
        return np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8))

    def health(self) -> list[Health]:
        return []

    def close(self) -> None:
        """Nothing is open."""


def strangers(data: Path, most: int) -> Iterator[Image]:
    """(H,W,3) uint8 RGB: DevTest's photos, then DevTrain's crops with a rim."""
    photos = sorted((data / "lfw-dev/images").rglob("*.jpg"))[:most]
    yield from (load_image(path) for path in photos)
    left = most - len(photos)
    with tarfile.open(data / "lfw-dev/train-chips.tar") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and left > 0:
                left -= 1
                chip = decode_crop(file.read())
                rimmed = cv2.copyMakeBorder(chip, RIM, RIM, RIM, RIM, cv2.BORDER_REFLECT)
                yield np.asarray(rimmed, np.uint8)


def hours(pipeline: Pipeline, data: Path, most: int, minutes: float) -> list[dict[str, Any]]:
    listed = {
        "CelebA": kept_vectors(
            pipeline, CACHE, "celeba-b", chips(data / "train/celeba-b.tar", first=True)
        ),
        "DevTrain": kept_vectors(
            pipeline, CACHE, "devtrain-first", chips(data / "lfw-dev/train-chips.tar", first=True)
        ),
    }
    rows = []
    for name, (names, vectors) in listed.items():
        alone = name == "DevTrain"
        passing = min(most, len(list((data / "lfw-dev/images").rglob("*.jpg")))) if alone else most
        order = np.random.default_rng(0).permutation(len(names))
        folder = Path(tempfile.mkdtemp())
        try:
            with Gallery.open(folder / "gallery.db") as gallery:
                sizes = OF_ONE_SET if alone else SIZES
                lists = _lists(gallery, pipeline, names[order], vectors[order], sizes)
                found = _watched(gallery, pipeline, data, lists, passing, minutes, clips=not alone)
                rows += [{"listed": name} | row for row in found]
        finally:
            shutil.rmtree(folder)
    return rows


def _lists(
    gallery: Gallery, pipeline: Pipeline, names: Names, vectors: Vectors, sizes: dict[int, int]
) -> Kinds:
    """Lists by id: entries, budget and looks that have to agree."""
    gallery.create_collection("listed")
    keys = {}
    for name, vector in zip(names, vectors, strict=True):
        face = NewFace(Embeddings(vector[None], pipeline.contract_id))
        keys[name] = gallery.enrol("listed", name, [face])[0].id
    with gallery.database.read() as connection:
        rows = dict(
            connection.execute(people.select().with_only_columns(people.c.uid, people.c.id)).all()
        )
    made: Kinds = {}
    kinds = product(sizes, BUDGETS, LOOKS)
    for (size, budget, looks), number in ((k, n) for k in kinds for n in range(sizes[k[0]])):
        own = names[number * size : (number + 1) * size]
        terms = Terms(
            purpose="a benchmark", legal_basis="research", owner="benchmark",
            expires_at=datetime.now(UTC) + timedelta(days=1), cooldown_s=0.0,
            false_alerts_per_hour=budget, reviews_per_hour=budget, confirm_looks=looks,
        )  # fmt: skip
        one = Watchlists(gallery).create(
            f"{size} {number} {budget} {looks}", "listed", terms, actor="benchmark"
        )
        with gallery.database.write() as connection:
            query = watchlists.select().where(watchlists.c.uid == one.id)
            key = connection.execute(query.with_only_columns(watchlists.c.id)).scalar_one()
            connection.execute(
                members.insert(),
                [{"list_id": key, "person_id": rows[keys[n]], "reason": "",
                  "added_by": "benchmark", "added_at": 0} for n in own],
            )  # fmt: skip
        made[one.id] = (size, budget, looks)
    with gallery.database.write() as connection:  # what the camera was seen to see
        flows.write(connection, "camera", {h: (3600.0, round(RATE)) for h in range(flows.WEEK)})
    return made


def _watched(
    gallery: Gallery,
    pipeline: Pipeline,
    data: Path,
    lists: Kinds,
    most: int,
    minutes: float,
    *,
    clips: bool,
) -> list[dict[str, Any]]:
    book, began = Watchlists(gallery), time.perf_counter()
    lines = {key: book.budget(key, "camera", pipeline.calibration).alert for key in lists}
    wanted = [duty(gallery, Place("camera", "camera"))]
    watcher = Watcher(pipeline, wanted, camera="camera")
    for view in watcher.watch(Passing(strangers(data, most), 0, began + 60 * minutes)):
        done = watcher.counts.frames
        if done % 800 == 0 and view.frame is not None:
            print(f"{done} frames, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    with gallery.database.read() as connection:
        seen = flows.flow(connection, "camera")
    for number, clip in enumerate(sorted((data / "video").glob("*.mp4")) if clips else ()):
        more = Watcher(pipeline, wanted, camera="camera")
        for _ in more.watch(VideoFile(clip, start=START + timedelta(days=1 + number))):
            pass
    faces = _faces_of(gallery)
    print(f"{faces} faces looked at; flow {seen.faces_per_hour:.0f} an hour", file=sys.stderr)
    alerts = Counter(one.list_id for one in _every(Alerts(gallery)))
    rows = []
    for kind in dict.fromkeys(lists.values()):
        size, budget, looks = kind
        own = [key for key, value in lists.items() if value == kind]
        line = lines[own[0]]
        low, high = pipeline.calibration.fmr_interval(line.cosine_threshold)
        low, mid, high = (
            fpir_for_fmr(fmr, size) * faces * len(own)
            for fmr in (low, pipeline.calibration.fmr(line.cosine_threshold), high)
        )
        observed = sum(alerts[key] for key in own)
        rows.append(
            {
                "entries": size, "lists": len(own), "budget_an_hour": budget, "looks": looks,
                "faces": faces, "camera_hours": round(faces / RATE, 2),
                "target_fpir": line.target_fpir, "cosine": round(line.cosine_threshold, 4),
                "support": line.support, "predicted": round(mid, 1),
                "predicted_low": int(poisson.ppf(0.025, low)),
                "predicted_high": int(poisson.ppf(0.975, high)),
                "observed": observed, "observed_an_hour": observed / (faces / RATE) / len(own),
            }
        )  # fmt: skip
    return rows


def _faces_of(gallery: Gallery) -> int:
    """Tracks that were looked at in this run: those not of the week before."""
    with gallery.database.read() as connection:
        query = "SELECT COALESCE(SUM(faces), 0) FROM watched_hours WHERE hour >= ?"
        return int(connection.exec_driver_sql(query, (flows.WEEK,)).scalar_one())


def _every(alerts: Alerts) -> Iterator[Any]:
    page = alerts.find(levels=["alert"], limit=1000)
    yield from page
    while page.next:
        page = alerts.find(levels=["alert"], limit=1000, after=page.next)
        yield from page


def entries(pipeline: Pipeline, data: Path) -> list[dict[str, Any]]:
    names, vectors = _entries(pipeline, data)
    probes = {
        "devtrain": kept_vectors(
            pipeline, CACHE, "devtrain", chips(data / "lfw-dev/train-chips.tar")
        ),
        "devtest": kept_vectors(
            pipeline, CACHE, "devtest", aligned_photos(pipeline, data / "lfw-dev/images")
        ),
        "celeba-b": kept_vectors(
            pipeline, CACHE, "celeba-b", chips(data / "train/celeba-b.tar", first=True)
        ),
    }
    calibration = pipeline.calibration
    asked = calibration.threshold_at_fpir(NPL, ENTRIES, allow_extrapolation=True)
    random = np.random.default_rng(0)
    drawn = random.multivariate_normal(
        vectors.mean(axis=0), np.cov(vectors.T.astype(np.float64)), ENTRIES
    ).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    rows = []
    for gallery, own, templates in (("train chips", names, vectors), ("synthetic", None, drawn)):
        for which, (whose, faces) in probes.items():
            best = _best(faces, whose, templates, own)
            for threshold, told in ((asked.cosine, "calibration"), (None, "these photographs")):
                cosine = float(np.quantile(best, 1 - NPL)) if threshold is None else threshold
                false = int((best >= cosine).sum())
                rate = binomial_rate(false, len(best))
                genuine, count = _genuine(whose, faces, cosine)
                rows.append(
                    {
                        "gallery": gallery, "probes": which, "threshold_of": told,
                        "cosine": round(cosine, 4), "faces": len(best), "people": len(set(whose)),
                        "false_alerts": false, "fpir": rate.value, "fpir_low": rate.low,
                        "fpir_high": rate.high, "genuine_pairs": count,
                        "genuine_alerted": genuine,
                    }
                )  # fmt: skip
    return rows


def _entries(pipeline: Pipeline, data: Path) -> tuple[Names, Vectors]:
    """One face each of 10,000 people; scut's have no names, each photo counts as one."""
    parts = [
        kept_vectors(pipeline, CACHE, "celeba-b", chips(data / "train/celeba-b.tar", first=True)),
        kept_vectors(pipeline, CACHE, "celeba-a", chips(data / "train/celeba-a.tar", first=True)),
        kept_vectors(pipeline, CACHE, "fiw", chips(data / "train/fiw.tar", first=True)),
        kept_vectors(pipeline, CACHE, "vgg", chips(data / "train/vgg.tar", first=True)),
        kept_vectors(pipeline, CACHE, "ukmp", chips(data / "train/ukmp.tar", first=True)),
        kept_vectors(pipeline, CACHE, "scut", islice(chips(data / "train/scut.tar"), 600)),
    ]
    names = np.concatenate([part[0] for part in parts])[:ENTRIES]
    return names, np.concatenate([part[1] for part in parts])[:ENTRIES]


def _best(faces: Vectors, whose: Names, templates: Vectors, own: Names | None) -> Vectors:
    """(N,) cosine to the nearest entry of somebody else."""
    found = []
    for start in range(0, len(faces), 500):
        cosines = faces[start : start + 500] @ templates.T
        if own is not None:
            cosines[whose[start : start + 500, None] == own[None]] = -1
        found.append(cosines.max(axis=1))
    return np.concatenate(found)


def _genuine(whose: Names, faces: Vectors, cosine: float) -> tuple[float | None, int]:
    """Share of second and later photos that reach the first of the same person, and how many."""
    first: dict[str, int] = {}
    reached = []
    for number, person in enumerate(whose):
        if person in first:
            reached.append(float(faces[number] @ faces[first[person]]) >= cosine)
        first.setdefault(str(person), number)
    return (float(np.mean(reached)) if reached else None), len(reached)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("hours", "entries"))
    parser.add_argument("--strangers", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=1e6, help="of the run, then what passed")
    options = parser.parse_args()
    pipeline, data = Pipeline.from_models(), paths.required_data_dir() / "data"
    if options.what == "hours":
        rows = hours(pipeline, data, options.strangers, options.minutes)
    else:
        rows = entries(pipeline, data)
    for row in rows:
        print(row)
    name = f"watchlist-{options.what}-{hardware_slug()}.csv"
    write_csv(Path(__file__).parent / "results" / name, rows)


if __name__ == "__main__":
    main()
