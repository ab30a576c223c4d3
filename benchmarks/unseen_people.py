"""People held out of every training: turned heads, relatives, masks, blur and darkness.

    python benchmarks/unseen_people.py [--recognisers arcid-face-s,edgeface_xs] [--role select]

Aligned crops of the data folder, of the people in ``configs/held_out_ROLE.txt``:

    vgg, celeba, fiw   all pairs of each set
    profiles           vgg, heads turned by 15° at most against those turned by 45° and more
    relatives          fiw, impostors of the same family only
    masked, blurred,   celeba, one photo of each pair with a drawn mask, out of focus (σ 2.5 px),
    dark, 24px         an eighth of the light, a face 24 pixels wide

TAR at FMR 1e-2, 1e-3 and 1e-4 with 95 % intervals that resample the people; wrong labels (some per
cent) count against every model alike. Yaw is the quality gate's, by SCRFD's points. ``a+b`` joins
two recognisers, their vectors side by side; ``--flip`` adds the mirror image's vector. Role
``select`` decides between recipes; ``calibrate`` decided nothing. Models trained before the lists
were made (``arcid-face-s`` of version 0.1) may have seen these photos. Writes
``results/unseen-people-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from default_models import DEGRADED

from arcid import paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.embed import Embedder
from arcid.errors import ModelNotFound
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import operating_points
from arcid.evaluate.metrics import eer
from arcid.evaluate.pairs import PairScores
from arcid.models.weights import resolve
from arcid.pipeline import load_detector, load_embedder
from arcid.quality import pose
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Crops, Image

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SOURCES = {"vgg": ("vgg",), "celeba": ("celeba-a", "celeba-b"), "fiw": ("fiw",)}
FRONT_DEG, TURNED_DEG = 15.0, 45.0
RIM = 32  # pixels around a crop, so that the face does not fill what the detector sees
BATCH = 64
FMRS = (1e-2, 1e-3, 1e-4)
Names = npt.NDArray[np.str_]
Vectors = npt.NDArray[np.float32]
Embed = Callable[[Image], Vectors]


class People(NamedTuple):
    """One set: (N,112,112,3) crops, whose they are, and (N,) yaw in degrees, NaN if unknown."""

    crops: Image
    names: Names
    yaw: npt.NDArray[np.float64]


def read_people(data: Path, sources: tuple[str, ...], held: set[str], *, yaw: bool) -> People:
    """The held-out people's photos; yaw is measured only where asked for."""
    detector = load_detector("scrfd_2.5g") if yaw else None
    crops, names, angles = [], [], []
    for source, person, canvas in _held_photos(data, sources, held):
        crops.append(centre(canvas, 112))
        names.append(f"{source}/{person}")
        angle = np.nan
        if detector is not None:
            rimmed = cv2.copyMakeBorder(canvas, RIM, RIM, RIM, RIM, cv2.BORDER_REFLECT)
            found = detector.detect([np.asarray(rimmed, np.uint8)])[0].select("center")
            if len(found) and found.points is not None:
                angle = pose(found.points)[0, 0]
        angles.append(angle)
    return People(np.stack(crops), np.array(names), np.array(angles))


def _held_photos(
    data: Path, sources: tuple[str, ...], held: set[str]
) -> Iterator[tuple[str, str, Image]]:
    for source in sources:
        with tarfile.open(data / "train" / f"{source}.tar") as archive:
            for member in archive:
                person = member.name.rpartition("/")[0]
                file = archive.extractfile(member)
                if f"{source}/{person}" in held and file is not None:
                    yield source, person, fit_crop(decode_crop(file.read()), -1, 112)


def embed_with(recogniser: str, flip: bool) -> Embed:
    """Crops → unit vectors, of one recogniser or of several side by side."""
    embedders = [load_embedder(resolve(name)) for name in recogniser.split("+")]

    def embed(crops: Image) -> Vectors:
        views = [crops, np.ascontiguousarray(crops[:, :, ::-1])] if flip else [crops]
        parts = [
            _unit(np.sum([_batched(embedder, view) for view in views], axis=0))
            for embedder in embedders
        ]
        return _unit(np.concatenate(parts, axis=1))

    return embed


def _batched(embedder: Embedder, crops: Image) -> Vectors:
    return np.concatenate(
        [embedder.embed(Crops(crops[i : i + BATCH])).vectors for i in range(0, len(crops), BATCH)]
    )


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def tasks(people: dict[str, People], embed: Embed) -> Iterator[tuple[str, PairScores]]:
    """Every set's name and scores."""
    vectors = {name: embed(those.crops) for name, those in people.items()}
    for name, those in people.items():
        yield name, _within(vectors[name], vectors[name], those.names)
    vgg, own = people["vgg"], vectors["vgg"]
    front, turned = np.abs(vgg.yaw) <= FRONT_DEG, np.abs(vgg.yaw) >= TURNED_DEG
    scores = own[front] @ own[turned].T
    one, other = np.meshgrid(vgg.names[front], vgg.names[turned], indexing="ij")
    yield "profiles", PairScores.from_labels(scores.ravel(), one.ravel(), other.ravel())
    family = np.array([name.partition("_")[0] for name in people["fiw"].names])
    yield "relatives", _within(vectors["fiw"], vectors["fiw"], people["fiw"].names, family)
    celeba = people["celeba"]
    for name, change in DEGRADED.items():
        worse = embed(np.stack([change(crop, i) for i, crop in enumerate(celeba.crops)]))
        yield name, _within(vectors["celeba"], worse, celeba.names)


def _within(left: Vectors, right: Vectors, names: Names, groups: Names | None = None) -> PairScores:
    """All pairs of two different photos, or those within one group only."""
    first, second = np.triu_indices(len(names), k=1)
    if groups is not None:
        kept = groups[first] == groups[second]
        first, second = first[kept], second[kept]
    return PairScores.from_labels((left @ right.T)[first, second], names[first], names[second])


def measured(name: str, pairs: PairScores) -> dict[str, Any]:
    row: dict[str, Any] = {
        "set": name,
        "people": len(np.unique([pairs.first, pairs.second])),
        "genuine_pairs": int(pairs.same.sum()),
        "impostor_pairs": int((~pairs.same).sum()),
        "eer": round(100 * eer(pairs.scores[pairs.same], pairs.scores[~pairs.same])[0], 2),
    }
    for point in operating_points(PairBootstrap(pairs), list(FMRS)):
        label = f"tar_at_{point.target_fmr:.0e}"
        row[label] = round(100 * point.tar.value, 2)
        row[f"{label}_interval"] = f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}"
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recognisers", default="arcid-face-s,arcid-face-s-int8,mobilefacenet_128")
    parser.add_argument("--role", choices=["select", "calibrate"], default="select")
    parser.add_argument("--flip", action="store_true", help="add the mirror image's vector")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    data = paths.required_data_dir() / "data"
    held = set((CONFIGS / f"held_out_{options.role}.txt").read_text().splitlines()[1:])
    people = {
        name: read_people(data, sources, held, yaw=name == "vgg")
        for name, sources in SOURCES.items()
    }
    rows = []
    for recogniser in options.recognisers.split(","):
        try:
            embed = embed_with(recogniser, options.flip)
        except ModelNotFound as missing:
            print(f"{recogniser}: left out: {missing.message}")
            continue
        for name, pairs in tasks(people, embed):
            rows.append({"recogniser": recogniser, "role": options.role, **measured(name, pairs)})
            print(rows[-1], flush=True)
    if not rows:
        return 4
    results = Path(__file__).parent / "results"
    path = options.output or results / f"unseen-people-{hardware_slug()}.csv"
    write_csv(path, rows)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
