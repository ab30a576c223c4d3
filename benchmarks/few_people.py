"""Calibrations on few people, judged on other people of the same photographs.

    python benchmarks/calibration_holdout.py        writes the study that this is a part of

Sets that the packaged calibration did not use. What the method takes from data (``GROWTH_SPREAD``)
comes from five other sets than those it is judged on.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from arcid import paths, pipeline
from arcid.calibration import Calibration
from arcid.decide import DEFAULT_FMR, DEFAULT_FPIR
from arcid.errors import ArcidError
from arcid.evaluate.calibrate import Provenance, calibrate
from arcid.evaluate.measured import Measured
from arcid.evaluate.transfer import GROWTH_SPREAD, STARTS, Transfer
from arcid.models import weights
from arcid.types import Crops, Embeddings

JUDGED = ("vgg", "celeba-b", "fiw")
SPREAD = ("scut", "aaf", "utk", "ukmp", "celeba-a")
COUNTS = (8, 20, 50, 200)
DRAWS = 10
PHOTOS = 6  # of a person at most
OTHERS = 300  # people at most to judge on
GALLERY = 100  # templates
ALIKE = 0.65  # in sets without identities: one person twice
BOOTSTRAPS = 60
PROVENANCE = Provenance("", "", "", "few people", "0" * 64, 0, "")
Labels = npt.NDArray[np.int64]


class People(NamedTuple):
    """Embedded crops and who is on them."""

    embeddings: Embeddings
    labels: Labels

    def of(self, chosen: Labels) -> People:
        rows = np.flatnonzero(np.isin(self.labels, chosen))
        vectors = self.embeddings.vectors[rows]
        return People(Embeddings(vectors, self.embeddings.contract_id), self.labels[rows])


class Draw(NamedTuple):
    """One calibration and what other people show at its thresholds, (value, low, high) each."""

    measured_fmr: float
    fmr: tuple[float, float, float]
    fpir: tuple[float, float, float]
    packaged_fmr: float
    fnmr: float
    packaged_fnmr: float


def section(cache: Path) -> list[str]:
    """Markdown lines for the study."""
    packaged = weights.packaged_calibration(weights.resolve_default("recognition"))
    lines = INTRODUCTION.strip().splitlines()
    for name in JUDGED:
        people = embedded(name, cache)
        for count in COUNTS:
            if count <= 0.9 * len(np.unique(people.labels)):
                lines.append(row(name, count, list(draws(people, count, packaged))))
    lines += ["", *SPREAD_TEXT.strip().splitlines()]
    growths = {name: growth_of(embedded(name, cache), packaged) for name in SPREAD}
    lines += [
        f"| {name} | " + " | ".join(f"{g:.2f}" for g in found) + " |"
        for name, found in growths.items()
    ]
    found = np.abs(np.log(list(growths.values())))
    medians = " | ".join(f"{m:.2f}" for m in np.median(found, axis=0))
    lines.append(f"| median of abs(log g), τ = {GROWTH_SPREAD} is used | {medians} |")
    return lines


def draws(people: People, count: int, packaged: Calibration) -> Iterator[Draw | None]:
    """None for a draw whose calibration fails or refuses what the packaged one answers."""
    everybody = np.unique(people.labels)
    threshold = packaged.threshold_at_fmr(DEFAULT_FMR).cosine
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(everybody)
        here, there = people.of(order[:count]), people.of(order[count : count + OTHERS])
        try:
            made = calibrate(*here, PROVENANCE, packaged=packaged, bootstraps=BOOTSTRAPS)
            one = made.threshold_at_fmr(DEFAULT_FMR).cosine
            made.threshold_at_fmr(packaged.smallest_supported_fmr)
            for r in packaged.data["gallery_table"]:
                made.threshold_at_fpir(
                    r["fpir"], r["gallery_size"], allow_extrapolation=r["extrapolated"]
                )
            many = made.threshold_at_fpir(DEFAULT_FPIR, GALLERY).cosine
        except ArcidError:
            yield None
            continue
        found = Measured(*there, bootstraps=BOOTSTRAPS)
        value, probed = float(found.stats.fmr(one)[0]), found.searches.fpir(many, GALLERY)
        ends = (0.0, min(1.0, 3 / found.person_pairs))  # rule of 3
        if value:
            ends = found.fmr_intervals(np.array([one]))[0]
        between = (0.0, min(1.0, 3 / len(found.exposure)))
        if probed:
            between = found.searches.fpir_interval(many, GALLERY)
        yield Draw(
            made.smallest_measured_fmr,
            (value, *ends),
            (probed, *between),
            float(found.stats.fmr(threshold)[0]),
            float((found.genuine < one).mean()),
            float((found.genuine < threshold).mean()),
        )


def row(name: str, count: int, found: Sequence[Draw | None]) -> str:
    good = [d for d in found if d is not None]
    own = sorted(d.measured_fmr for d in good)[len(good) // 2]

    def realised(pairs: Sequence[tuple[float, float, float]], asked: float) -> str:
        values = sorted(v for v, _, _ in pairs)
        kept = sum(low <= asked for _, low, _ in pairs)
        lows, highs = (float(np.median([p[i] for p in pairs])) for i in (1, 2))
        middle = values[len(values) // 2]
        return (
            f"{middle:.1e} [{lows:.1e}, {highs:.1e}] | {values[0]:.1e} to {values[-1]:.1e} | "
            f"{kept} of {len(values)}"
        )

    missed, before = (float(np.median([getattr(d, k) for d in good]))
                      for k in ("fnmr", "packaged_fnmr"))  # fmt: skip
    return (
        f"| {name} | {count} | {len(good)} of {len(found)} | {f'{own:.1e}' if own < 1 else 'none'} "
        f"| {np.median([d.packaged_fmr for d in good]):.1e} "
        f"| {realised([d.fmr for d in good], DEFAULT_FMR)} "
        f"| {realised([d.fpir for d in good], DEFAULT_FPIR)} | {before:.1%} to {missed:.1%} |"
    )


def growth_of(people: People, packaged: Calibration) -> list[float]:
    """g of all people of a set, the tail beginning at several rates."""
    scores = people.embeddings.vectors @ people.embeddings.vectors.T
    twice = np.triu((scores > ALIKE) & (people.labels[:, None] != people.labels[None, :]))
    excluded = list(zip(*(side.tolist() for side in np.nonzero(twice)), strict=True))
    return [
        float(
            Transfer(
                people.embeddings.vectors, people.labels, packaged,
                supported=start, excluded=excluded,
            ).to_dict()["growth"]
        )
        for start in (STARTS[1], 0.1, STARTS[0])
    ]  # fmt: skip


def embedded(name: str, cache: Path, model: str | None = None) -> People:
    """The crops of one ``.tar``, embedded once by a recogniser, by default the default one."""
    bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
    contract_id = bundle.manifest.contract_id
    kept = cache / f"few-people-{name}-{contract_id[:12]}.npz"
    if not kept.is_file():
        embedder = pipeline.load_embedder(bundle)
        names, crops = zip(*read_crops(name), strict=True)
        vectors = np.concatenate(
            [embedder.embed(Crops(np.stack(crops[i : i + 64]))).vectors
             for i in range(0, len(crops), 64)]
        )  # fmt: skip
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=vectors, names=np.array(names))
    with np.load(kept) as found:
        labels = np.unique(found["names"], return_inverse=True)[1].astype(np.int64)
        return People(Embeddings(found["vectors"], contract_id), labels)


def read_crops(name: str) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """(person, aligned crop): the first photos of everybody with two; of families one person each;
    of sets without identities 1,500 photos, each as a person."""
    path = paths.required_data_dir() / "data" / "train" / f"{name}.tar"
    with tarfile.open(path) as tar:
        members = sorted((m for m in tar if m.isfile()), key=lambda m: zlib.crc32(m.name.encode()))
        if name not in (*JUDGED, "celeba-a"):
            chosen = [(m.name, m) for m in members[:1500]]
        else:
            by_person: dict[str, list[tarfile.TarInfo]] = {}
            for member in members:
                by_person.setdefault(Path(member.name).parent.name, []).append(member)
            many = {p: ms[:PHOTOS] for p, ms in by_person.items() if len(ms) > 1}
            if name == "fiw":
                many = {p: many[p] for p in {p.split("_")[0]: p for p in many}.values()}
            kept = sorted(many, key=lambda p: zlib.crc32(p.encode()))[:1000]
            chosen = [(p, m) for p in kept for m in many[p]]
        for person, member in chosen:
            stream = tar.extractfile(member)
            assert stream is not None
            with Picture.open(io.BytesIO(stream.read())) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            yield person, np.ascontiguousarray(pixels[8:-8, 8:-8])


INTRODUCTION = f"""
## Few people, together with the packaged calibration

The default recogniser, aligned crops. {DRAWS} times a few people with up to {PHOTOS} photos each
are drawn and calibrated with; up to {OTHERS} other people of the same set are counted at the
default rates, FMR {DEFAULT_FMR:g} and FPIR {DEFAULT_FPIR:g} over {GALLERY} templates.

- *worked*: calibrating succeeds, and every rate that the packaged calibration answers is answered;
- *alone*: the smallest FMR that these people support by themselves, median draw;
- *packaged*: FMR of the others at the packaged threshold;
- *realised*: the median draw, and the median ends of the 95 % intervals over the people counted;
- *draws*: the lowest and the highest;
- *kept*: draws that exceed the rate by no more than their interval allows;
- *FNMR*: of the others, at the packaged threshold for FMR {DEFAULT_FMR:g} and at the new one.

None of these photographs made the packaged calibration. The choices of the method were made on
`celeba-a` and on synthetic scores. `arcid-face-s-1` was trained on people of `vgg` (VGGFace2) and
of CelebA and never saw `fiw` (Families in the Wild, here one person a family); recognisers after it
were trained on people of all three. About 1 to 3 % of the labels of these sets are wrong, and one
person under two names counts as a false match here.

| set | people | worked | alone | packaged | FMR realised | draws | kept | FPIR realised | draws \
| kept | FNMR |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
SPREAD_TEXT = f"""
### How far the growth of the tail differs between sets

g of `transfer.py`: the mean excess of a set's impostor scores over its own cosine at the start of
the tail, as a multiple of the packaged calibration's. Sets without identities count every photo as
a person; pairs above {ALIKE} are left out as one person twice. None of these sets is judged above.

| set | g, tail from FMR {STARTS[1]:g} | 0.1 | {STARTS[0]:g} |
|---|---|---|---|
"""
