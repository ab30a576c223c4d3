"""Detectors that vote beside each of them alone: faces found, false alarms, points, time.

    python benchmarks/detectors_vote.py [--members arcid-detect-s,yunet,scrfd_2.5g]
        [--empty 300] [--every 6] [-o FILE.csv]

Each at its own threshold and with its second try, as it runs. ``scenes``: the 100 pictures of
``benchmarks/data/scenes_corrected.jsonl``, judged by eye; faces of 16 pixels and more. ``empty``:
pictures of ``background/`` of ``scenes.tar``. ``tight``: photos of lfw-dev cut to the box that
scrfd_2.5g finds in the whole photo. Intervals are 95 % and resample pictures; the last rows are
paired differences of a vote and that of its members which finds most faces of the scenes. A vote
takes as long as its members and joining them. Points are compared with those of the labels, most of
which are scrfd_2.5g's. Writes ``results/detectors-vote-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tight_crops import located, members

from arcid import paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.detect import Detector, VotingDetector
from arcid.evaluate.bootstrap import identity_weights, interval
from arcid.models.votes import RULES
from arcid.pipeline import load_detector
from arcid.train.detector.config import ScenesConfig
from arcid.train.detector.evaluate import compare
from arcid.train.detector.labels import PictureLabels
from arcid.train.detector.scenes import labelled
from arcid.types import Detections, Image

LABELS = Path(__file__).parent / "data/scenes_corrected.jsonl"
SETS = ("scenes", "empty", "tight")
Array = npt.NDArray[np.float64]
Found = dict[str, list[Detections]]  # by set


def looked(detector: Detector, sets: dict[str, list[Image]]) -> tuple[Found, float]:
    """What it finds in every picture, and its seconds a picture of the scenes."""
    began = time.perf_counter()
    scenes = [detector.detect([picture])[0] for picture in sets["scenes"]]
    seconds = (time.perf_counter() - began) / len(scenes)
    rest = {name: [detector.detect([p])[0] for p in sets[name]] for name in SETS[1:]}
    return {"scenes": scenes, **rest}, seconds


def counted(found: Found, labels: Sequence[PictureLabels]) -> dict[str, Array]:
    """What each picture brings: (N,) faces, those found, alarms, and the points' errors."""
    told = [compare(one, known) for one, known in zip(found["scenes"], labels, strict=True)]
    return {
        "faces": np.array([one.faces for one in told], float),
        "found": np.array([one.hits.sum() for one in told], float),
        "alarms": np.array([(~one.hits).sum() for one in told], float),
        "empty": np.array([len(one) for one in found["empty"]], float),
        "tight": np.array([len(one) > 0 for one in found["tight"]], float),
        "errors": np.concatenate([one.errors[np.isfinite(one.errors)] for one in told]),
    }


def share(part: Array, whole: Array | None = None) -> tuple[float, Array]:
    """Of all pictures, and of replicates: mean a picture, or the ratio of sums."""
    weights = identity_weights(len(part))
    below = np.full(len(part), 1.0) if whole is None else whole
    return float(part.sum() / below.sum()), (weights @ part) / (weights @ below)


def row_of(name: str, seen: dict[str, Array], ms: float, first_ms: float) -> dict[str, Any]:
    row: dict[str, Any] = {"detector": name, "faces": int(seen["faces"].sum())}
    for key, part, whole in (
        ("found", seen["found"], seen["faces"]),
        ("alarms", seen["alarms"], None),
        ("empty", seen["empty"], None),
        ("tight", seen["tight"], None),
    ):
        value, replicates = share(part, whole)
        low, high = interval(replicates)
        row |= {
            f"{key}_count": int(part.sum()),
            f"{key}_of": len(part),
            f"{key}_share": round(value, 4),
            f"{key}_interval": f"{low:.3f} to {high:.3f}",
        }
    row |= {"point_error": round(float(seen["errors"].mean()), 4), "ms": round(ms, 1)}
    return row | {"ms_ratio": round(ms / first_ms, 2)}


def difference(name: str, seen: dict[str, Array], best: dict[str, Array]) -> dict[str, Any]:
    row: dict[str, Any] = {"detector": name, "faces": int(seen["faces"].sum())}
    for key in ("found", "alarms", "empty", "tight"):
        whole = seen["faces"] if key == "found" else None
        value, replicates = share(seen[key] - best[key], whole)
        low, high = interval(replicates)
        row |= {f"{key}_share": round(value, 4), f"{key}_interval": f"{low:.3f} to {high:.3f}"}
    return row


def votes(names: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (some for count in range(2, len(names) + 1) for some in combinations(names, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", default="arcid-detect-s,yunet,scrfd_2.5g")
    parser.add_argument("--empty", type=int, default=300)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    data = paths.required_data_dir() / "data"
    parts = labelled(ScenesConfig(path=str(data / "scenes.tar"), labels=str(LABELS)))
    both = [(part, row) for part in parts for row in range(len(part))]
    labels = [part.labels(row) for part, row in both]
    files = sorted((data / "lfw-dev/images").rglob("*.jpg"))[:: given.every]
    photos = located("lfw-dev", files, load_detector("scrfd_2.5g"))
    sets = {
        "scenes": [part.image(row) for part, row in both],
        "empty": list(members(data / "scenes.tar", "background/", given.empty)),
        "tight": [photos.tight(i, factor=1.0, side=None).image for i in range(len(files))],
    }
    names = given.members.split(",")
    detectors = {name: load_detector(name) for name in names}
    looks = {name: looked(detector, sets) for name, detector in detectors.items()}
    seen = {name: counted(found, labels) for name, (found, _) in looks.items()}
    ms = {name: 1000 * seconds for name, (_, seconds) in looks.items()}
    best: dict[str, str] = {}
    for some in votes(names):
        for rule in RULES:
            if rule == "all" and len(some) == 2:
                continue  # the majority of two
            voting = VotingDetector([detectors[name] for name in some], rule=rule)
            name = f"{rule}:{'+'.join(some)}"
            best[name] = max(some, key=lambda one: seen[one]["found"].sum())
            began = time.perf_counter()
            scenes = voting.joined([looks[one][0]["scenes"] for one in some])
            joining = 1000 * (time.perf_counter() - began) / len(scenes)
            rest = {key: voting.joined([looks[one][0][key] for one in some]) for key in SETS[1:]}
            seen[name] = counted({"scenes": scenes, **rest}, labels)
            ms[name] = sum(ms[one] for one in some) + joining
    rows = [row_of(name, one, ms[name], ms[names[0]]) for name, one in seen.items()]
    rows += [difference(f"{name} less {one}", seen[name], seen[one]) for name, one in best.items()]
    for row in rows:
        print(row)
    path = given.output or Path(__file__).parent / f"results/detectors-vote-{hardware_slug()}.csv"
    write_csv(path, rows)
    print(f"written to {path}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
