"""What several recognisers together bring over the best of them, and what they cost.

    python benchmarks/ensembles.py [--ensembles a+b,a+b+c] [--replicates 300] [--cache FOLDER]
        [--sets lfw-dev,celeba,fiw]

Every ensemble three ways, all as one vector of weighted unit vectors:

    equal     the mean of the members' cosines
    llr       the sum of their log-likelihood ratios, each calibrated on its own
    logistic  logistic fusion

``llr`` and ``logistic`` are fitted on the people of ``configs/held_out_calibrate.txt``, whom no
set below shows. Judged on lfw-dev (DevTest's 1,549 photos, all pairs), the 300 deepface pairs, and
the people of ``configs/held_out_select.txt`` (vgg, celeba, fiw: all pairs of each): TAR at each
FMR, and its difference from the member that is best on that very set, both with 95 % intervals
that resample people, the same ones for both. Members that were trained before the lists were made
may have seen the held-out photos. Time: milliseconds a face, members and ensemble in turns in one
run, as a ratio to the first member. ``--cache`` keeps vectors, which are personal data, so that a
run that was cut off goes on. Writes ``results/ensembles-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from unseen_people import CONFIGS, SOURCES, read_people

from arcid import paths
from arcid.align import align
from arcid.bench.common import hardware_slug, write_csv
from arcid.embed import Embedder
from arcid.evaluate import fusion
from arcid.evaluate.bootstrap import REPLICATES, PairBootstrap
from arcid.evaluate.differences import Difference, paired_difference
from arcid.evaluate.metrics import auc, tar_at_fmr
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.readers import read_lfw
from arcid.image import load_image
from arcid.models.ensembles import parse
from arcid.models.weights import resolve
from arcid.pipeline import load_detector, load_embedder
from arcid.types import Crops, Image, Selection

DEFAULT = (
    "mobilefacenet_128+face_reid_retail_0095,arcid-face-s+face_reid_retail_0095,"
    "arcid-face-s+mobilefacenet_128+face_reid_retail_0095"
)
DETECTOR = "arcid-detect-s"
FMRS = (1e-3, 1e-4)
BATCH = 64
ROUNDS = 5
Vectors = npt.NDArray[np.float32]


class Set(NamedTuple):
    """(N,112,112,3) aligned crops; which pairs of them are compared, and whose they are."""

    name: str
    crops: Image
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    people_first: npt.NDArray[Any]
    people_second: npt.NDArray[Any]

    def scores(self, cosines: npt.NDArray[Any]) -> PairScores:
        return PairScores.from_labels(cosines, self.people_first, self.people_second)

    def cosines(self, vectors: Vectors) -> Vectors:
        """(M,) of the pairs, in pieces."""
        parts = [
            np.einsum("md,md->m", vectors[self.first[i : i + 500_000]],
                      vectors[self.second[i : i + 500_000]])
            for i in range(0, len(self.first), 500_000)
        ]  # fmt: skip
        return np.concatenate(parts)


def everybody(name: str, crops: Image, people: npt.NDArray[Any]) -> Set:
    """All pairs of photos."""
    first, second = np.triu_indices(len(people), k=1)
    return Set(name, crops, first, second, people[first], people[second])


def found(photos: list[Path], select: Selection) -> tuple[Image, list[int]]:
    """Crops of the photos with a face, and which photos those are."""
    detector, crops, kept = load_detector(DETECTOR), [], []
    for number, path in enumerate(photos):
        image = load_image(path)
        one = detector.detect([image])[0].select(select)
        if len(one):
            crops.append(align(image, one, size=112).pixels[0])
            kept.append(number)
    return np.stack(crops), kept


def lfw(data: Path) -> Set:
    listed = read_lfw(data / "lfw-dev/pairsDevTest.txt", data / "lfw-dev/images")
    photos = [Path(str(photo.source)) for photo in listed.photos]
    crops, kept = found(photos, "center")
    return everybody("lfw-dev", crops, np.array([photos[i].parent.name for i in kept]))


def deepface(data: Path) -> tuple[Image, list[tuple[int, int, bool]]]:
    folder = data / "deepface-pairs"
    photos = sorted(folder.glob("*.jpg"))
    crops, kept = found(photos, "largest")
    row = {photos[number].name: i for i, number in enumerate(kept)}
    with (folder / "master.csv").open(newline="") as stream:
        listed = [(row.get(r["file_x"]), row.get(r["file_y"]), r["Decision"] == "Yes")
                  for r in csv.DictReader(stream)]  # fmt: skip
    return crops, [(a, b, same) for a, b, same in listed if a is not None and b is not None]


def held_out(data: Path, role: str, wanted: Sequence[str] = tuple(SOURCES)) -> Iterator[Set]:
    held = set((CONFIGS / f"held_out_{role}.txt").read_text().splitlines()[1:])
    for name, sources in SOURCES.items():
        if name not in wanted:
            continue
        those = read_people(data, sources, held, yaw=False)
        yield everybody(name, those.crops, those.names)


def embed(embedder: Embedder, crops: Image, cache: Path | None = None, name: str = "") -> Vectors:
    """(N,D), from ``cache`` where they are there."""
    kept = None if cache is None else cache / f"{name}-{embedder.contract_id[:16]}.npy"
    if kept is not None and kept.is_file():
        return np.asarray(np.load(kept, allow_pickle=False), np.float32)
    found = np.concatenate(
        [embedder.embed(Crops(crops[i : i + BATCH])).vectors for i in range(0, len(crops), BATCH)]
    )
    if kept is not None:
        np.save(kept, found)
        kept.chmod(0o600)
    return found


def milliseconds(embedders: dict[str, Embedder], crops: Image) -> dict[str, float]:
    """The best of a few rounds, in turns, a face at a time."""
    best = dict.fromkeys(embedders, np.inf)
    for _ in range(ROUNDS):
        for name, embedder in embedders.items():
            began = time.perf_counter()
            for crop in crops[:16]:
                embedder.embed(Crops(crop[None]))
            best[name] = min(best[name], 1000 * (time.perf_counter() - began) / 16)
    return best


def at(rate: float, member: PairBootstrap, ensemble: PairBootstrap) -> Difference:
    return paired_difference(
        f"TAR@FMR={rate:g}",
        member,
        ensemble,
        lambda p: tar_at_fmr(p.genuine, p.impostor, rate),
        lambda boot: boot.tar_at_fmr([rate])[:, 0],
    )


def told(difference: Difference) -> str:
    return f"{100 * difference.difference:+.2f} [{100 * difference.low:+.2f}, " + (
        f"{100 * difference.high:+.2f}]"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ensembles", default=DEFAULT)
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--sets", default="lfw-dev,vgg,celeba,fiw")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    data = paths.required_data_dir() / "data"
    wanted = options.ensembles.split(",")
    names = list(dict.fromkeys(name for one in wanted for name in parse(one)))
    single: dict[str, Embedder] = {name: load_embedder(resolve(name)) for name in names}
    judged = options.sets.split(",")
    sets = [lfw(data)] if "lfw-dev" in judged else []
    sets += held_out(data, "select", judged)
    cache = options.cache
    cosines = {
        (s.name, n): s.cosines(embed(e, s.crops, cache, f"{s.name}-select"))
        for s in sets
        for n, e in single.items()
    }
    boots = {
        (s.name, n): PairBootstrap(s.scores(cosines[s.name, n]), options.replicates)
        for s in sets
        for n in single
    }
    fitting = []
    for those in held_out(data, "calibrate"):
        part = f"{those.name}-calibrate"
        known = {n: those.cosines(embed(e, those.crops, cache, part)) for n, e in single.items()}
        fitting.append((those.people_first == those.people_second, known))
    shown, listed = deepface(data)
    shots = {name: embed(e, shown) for name, e in single.items()}
    print(f"{len(listed)} deepface pairs, {len(fitting)} sets to fit on", flush=True)
    together: dict[str, Embedder] = {one: load_embedder(resolve(one)) for one in wanted}
    spent = milliseconds({**single, **together}, sets[0].crops)
    rows: list[dict[str, Any]] = []
    for ensemble in wanted:
        members = list(parse(ensemble))
        same = np.concatenate([labels for labels, _ in fitting])
        joined = np.stack([np.concatenate([of[name] for _, of in fitting]) for name in members])
        ways = {
            "equal": tuple(1 / len(members) for _ in members),
            "llr": fusion.fit_each(joined, same).weights,
            "logistic": fusion.fit_together(joined, same).weights,
        }
        for way, weights in ways.items():
            row: dict[str, Any] = {
                "ensemble": ensemble, "way": way,
                "weights": " ".join(f"{weight:.3f}" for weight in weights),
                "fitted_on": f"{len(same)} pairs, {int(same.sum())} of one person",
                "ms": round(spent[ensemble], 2),
                "ms_ratio": round(spent[ensemble] / spent[members[0]], 2),
                "member_ms": " ".join(f"{spent[name]:.2f}" for name in members),
            }  # fmt: skip
            scores = [sum(w * float(shots[n][a] @ shots[n][b])
                          for n, w in zip(members, weights, strict=True))
                      for a, b, _ in listed]  # fmt: skip
            yes = np.array([one for _, _, one in listed])
            row["deepface_auc"] = round(auc(np.array(scores)[yes], np.array(scores)[~yes]), 5)
            row["deepface_member_auc"] = " ".join(
                f"{_auc(shots[name], listed):.5f}" for name in members
            )
            for those in sets:
                mine = sum(
                    w * cosines[those.name, n] for n, w in zip(members, weights, strict=True)
                )
                ours = PairBootstrap(those.scores(np.asarray(mine)), options.replicates)
                for rate in FMRS:
                    differences = [at(rate, boots[those.name, name], ours) for name in members]
                    best = max(range(len(members)), key=lambda i: differences[i].a)
                    key = f"{those.name}@{rate:.0e}"
                    row[f"{key} best member"] = f"{members[best]} {100 * differences[best].a:.2f}"
                    row[key] = round(100 * differences[best].b, 2)
                    row[f"{key} gain"] = told(differences[best])
            rows.append(row)
            print(row, flush=True)
    path = options.output or Path(__file__).parent / f"results/ensembles-{hardware_slug()}.csv"
    write_csv(path, rows)
    print(f"written to {path}")
    return 0


def _auc(vectors: Vectors, listed: list[tuple[int, int, bool]]) -> float:
    scores = np.array([float(vectors[a] @ vectors[b]) for a, b, _ in listed])
    same = np.array([one for _, _, one in listed])
    return auc(scores[same], scores[~same])


if __name__ == "__main__":
    sys.exit(main())
