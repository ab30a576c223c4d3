"""The published figures of ArcFace, and ours on every one of their sets that is here.

A set lies in a folder of its own below one folder (``SETS`` names them). What others published is
quoted with whose it is; ours is measured now, with the model asked for. Sets that are tests stay
tests: nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from arcid.apps.evaluate_photos import Run
from arcid.apps.photo_options import Options
from arcid.errors import DatasetInvalid, InputError
from arcid.evaluate import protocols, readers
from arcid.evaluate.metrics import Rate, wilson
from arcid.evaluate.readers import PairList
from arcid.evaluate.sources import Photo
from arcid.image import load_image

PAPER = "ArcFace paper, R100 on MS1MV3"
PAGE = "ArcFace's page at HyperAI, R100 on MS1MV2"
KERAS = "Keras ArcFace (serengil)"
LUXONIS = "Luxonis card, R100"
CARD = "industrial card, R50 on 3,000 people"
ALIGNED_PX = (112, 112)
How = TypeVar("How", bound=Options)  # with what a command line adds


@dataclass(frozen=True, slots=True)
class Published:
    """What somebody says of a set; ``value`` a fraction."""

    value: float
    whose: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one set: ours, where the set is here, beside what was published."""

    name: str
    metric: str
    ours: Rate | None
    published: tuple[Published, ...] = ()
    note: str = ""  # why ours is missing, or what it rests on

    def to_dict(self) -> dict[str, Any]:
        return {
            "set": self.name,
            "metric": self.metric,
            "ours": None if self.ours is None else self.ours.to_dict(),
            "published": [
                {"value": p.value, "whose": p.whose, "note": p.note} for p in self.published
            ],
            "note": self.note,
        }


Found = list[tuple[str, str, Rate]]  # set, metric, ours


class Bench(Generic[How]):
    """Measures one set after the other with one model, opened once."""

    def __init__(self, how: How, begin: Callable[[How, object], Run]) -> None:
        self._how, self._begin = how, begin
        self._first: Run | None = None

    def verified(self, listed: PairList, data: Path) -> protocols.VerificationResult:
        """``arcid evaluate`` of the list, with its report where one was asked for."""
        run = self.run(listed.name, data, listed.photos)
        made = protocols.verify(listed, run.embed(listed.photos), seed=self._how.seed)
        run.finish(made, listed=listed)
        return made

    def run(self, name: str, data: Path, photos: Sequence[Photo]) -> Run:
        """Photos of 112 × 112 pixels are taken as aligned."""
        aligned = bool(photos) and _is_crop(photos[0])
        output = self._how.output
        how = replace(
            self._how,
            aligned=aligned,
            output=None if output is None else output / name,
        )
        run = self._begin(how, data)
        if self._first is not None:
            run.pipeline = self._first.pipeline
        self._first = self._first or run
        return run

    @property
    def seed(self) -> int:
        return self._how.seed


def _is_crop(photo: Photo) -> bool:
    """Aligned by points the set brings, or of the size of the template."""
    return photo.points is not None or load_image(photo.source).shape[:2] == ALIGNED_PX


def accuracy(bench: Bench[Any], data: Path, listed: PairList) -> Found:
    return [(listed.name, "accuracy", bench.verified(listed, data).accuracy)]


def _lfw(bench: Bench[Any], folder: Path) -> Found:
    listed = readers.read_lfw(folder / "pairs.txt", _images(folder))
    return accuracy(bench, folder, listed)


def _lfw_dev(bench: Bench[Any], folder: Path) -> Found:
    listed = readers.read_lfw(folder / "pairsDevTest.txt", _images(folder), name="lfw-dev")
    return accuracy(bench, folder, listed)


def _xqlfw(bench: Bench[Any], folder: Path) -> Found:
    listed = readers.read_lfw(folder / "xqlfw_pairs.txt", _images(folder), name="xqlfw")
    return accuracy(bench, folder, listed)


def _rfw(bench: Bench[Any], folder: Path) -> Found:
    root = folder / "test" if (folder / "test").is_dir() else folder
    return [row for one in readers.read_rfw(root).values() for row in accuracy(bench, root, one)]


def _cfp(bench: Bench[Any], folder: Path) -> Found:
    return accuracy(bench, folder, readers.read_cfp(folder, "FP"))


def _ytf(bench: Bench[Any], folder: Path) -> Found:
    listed = readers.read_ytf(folder / "splits.txt", _images(folder))
    return accuracy(bench, folder, listed)


def _listed(name: str) -> Callable[[Bench[Any], Path], Found]:
    """A pair list of one of the published forms, called ``pairs*.txt`` or ``*_ann.txt``."""

    def measure(bench: Bench[Any], folder: Path) -> Found:
        lists = sorted({*folder.glob("pairs*.txt"), *folder.glob("*_ann.txt"),
                        *folder.glob("pairs*.csv")})  # fmt: skip
        if len(lists) != 1:
            raise DatasetInvalid(
                f"{folder.name} holds {len(lists)} lists of pairs; one pairs*.txt, pairs*.csv or "
                "*_ann.txt is needed"
            )
        first = next(iter(lists[0].read_text("utf-8-sig", "replace").splitlines()), "")
        two_lines = len(first.split()) == 2 and "," not in first
        reader = readers.read_two_line_list if two_lines else readers.read_labelled_list
        return accuracy(bench, folder, reader(lists[0], _images(folder), name=name))

    return measure


def _rmfrd(bench: Bench[Any], folder: Path) -> Found:
    return accuracy(bench, folder, readers.read_rmfrd(folder))


def _bin(bench: Bench[Any], file: Path) -> Found:
    return accuracy(bench, file, readers.read_bin(file))


def _deepface(bench: Bench[Any], folder: Path) -> Found:
    listed = readers.read_pairs_csv(folder / "master.csv", folder, name="deepface-pairs")
    run = bench.run(listed.name, folder, listed.photos)
    made = protocols.evaluate_pair_list(listed, run.embed(listed.photos))
    run.finish(made, listed=listed)
    one = made.distances["cosine"].in_sample
    shares = {
        "precision": (one.tp, one.tp + one.fp),
        "recall": (one.tp, one.tp + one.fn),
        "accuracy": (one.tp + one.tn, one.tp + one.fp + one.tn + one.fn),
    }
    return [
        (listed.name, metric, Rate(n / max(of, 1), *wilson(n, of), n, of, "trials"))
        for metric, (n, of) in shares.items()
    ]


def _ijbc(bench: Bench[Any], folder: Path) -> Found:
    meta = readers.read_ijb(folder, "IJBC")
    run = bench.run("ijbc", folder, meta.photos)
    made = protocols.evaluate_ijb(meta, run.embed(meta.photos), seed=bench.seed)
    run.finish(made)
    return [("ijbc", f"TAR at FMR {p.target_fmr:g}", p.tar) for p in made.points]


def _ijbs(bench: Bench[Any], folder: Path) -> Found:
    found: Found = []
    for protocol in ("single", "booking", "surveillance"):
        listed = readers.read_ijbs(folder, protocol)
        made = bench.verified(listed, folder)
        found += [(listed.name, f"TAR at FMR {p.target_fmr:g}", p.tar) for p in made.points]
    return found


def _megaface(bench: Bench[Any], folder: Path) -> Found:
    lists = readers.read_megaface(folder / "probes.json", folder / "distractors.json")
    near = [Photo(name, folder / name) for name in lists.probes]
    far = [Photo(name, folder / name) for name in lists.distractors]
    return _among(bench, folder, "megaface", near, list(lists.people), far)


def _trillion(bench: Bench[Any], folder: Path) -> Found:
    return _among(bench, folder, "trillion-pairs", *readers.read_trillion_pairs(folder).parts())


def _among(
    bench: Bench[Any],
    folder: Path,
    name: str,
    near: list[Photo],
    people: list[str],
    far: list[Photo],
) -> Found:
    run = bench.run(name, folder, near)
    probes = run.embed(near)
    made = protocols.evaluate_megaface(probes, people, run.embed(far), seed=bench.seed)
    run.finish(made, more={"name": name})
    size = max(made.sizes)
    rows: Found = [(name, f"rank 1 among {size:,}", made.rank_1[size])]
    return rows + [(name, f"TAR at FMR {rate:g}", tar) for rate, tar in made.tar.items()]


def _gallery(bench: Bench[Any], folder: Path) -> Found:
    people = readers.read_people(folder)
    chosen = protocols.split(people, seed=bench.seed)
    used = sorted({*chosen.enrolled.tolist(), *chosen.probes.tolist()})
    photos = [people.photos[i] for i in used]
    run = bench.run("gallery", folder, photos)
    made = protocols.evaluate_gallery(chosen, run.embed(photos), seed=bench.seed)
    run.finish(made)
    return [("gallery", f"top-{rank}", rate) for rank, rate in made.top.items()]


#: Folder → how it is measured.
SETS: dict[str, Callable[[Bench[Any], Path], Found]] = {
    "lfw": _lfw,
    "lfw-dev": _lfw_dev,
    "deepface-pairs": _deepface,
    "cfp": _cfp,
    "agedb": _listed("agedb"),
    "calfw": _listed("calfw"),
    "cplfw": _listed("cplfw"),
    "xqlfw": _xqlfw,
    "ytf": _ytf,
    "rfw": _rfw,
    "rmfrd": _rmfrd,
    "casia-masks": _listed("casia-masks"),
    "celeba-masks": _listed("celeba-masks"),
    "ijbc": _ijbc,
    "ijbs": _ijbs,
    "megaface": _megaface,
    "trillion-pairs": _trillion,
    "gallery": _gallery,
    "bin": _bin,  # each file in it
}
NOT_THE_SAME = "other people and photos"
IN_SAMPLE = "276 pairs; threshold found on them, as ours"
#: (set, metric) → what was published of it.
PUBLISHED: dict[tuple[str, str], tuple[Published, ...]] = {
    ("lfw", "accuracy"): (
        Published(0.9983, PAGE),
        Published(0.9983, LUXONIS),
        Published(0.9940, KERAS),
    ),
    ("deepface-pairs", "precision"): (Published(0.98, KERAS, IN_SAMPLE),),
    ("deepface-pairs", "recall"): (Published(0.89, KERAS, IN_SAMPLE),),
    ("deepface-pairs", "accuracy"): (Published(0.97, KERAS, IN_SAMPLE),),
    ("cfp-fp", "accuracy"): (Published(0.9879, PAPER),),
    ("agedb", "accuracy"): (Published(0.9823, PAPER),),
    ("calfw", "accuracy"): (Published(0.9602, PAPER),),
    ("cplfw", "accuracy"): (Published(0.9321, PAPER),),
    ("ytf", "accuracy"): (Published(0.9802, PAGE), Published(0.9802, LUXONIS)),
    ("casia-masks", "accuracy"): (Published(0.8795, PAGE),),
    ("celeba-masks", "accuracy"): (Published(0.9178, PAGE),),
    ("ijbc", "TAR at FMR 0.0001"): (Published(0.9683, "ArcFace paper, R100 on MS1MV3"),),
    ("ijbc", "TAR at FMR 1e-05"): (Published(0.9607, "HyperAI, R100 on IBUG-500K"),),
    ("megaface", "rank 1 among 1,000,000"): (Published(0.9835, PAGE, "refined lists"),),
    ("megaface", "TAR at FMR 1e-06"): (Published(0.9848, PAGE, "refined lists"),),
    ("trillion-pairs", "identification"): (Published(0.5748, "HyperAI, Arc-Softmax"),),
    ("trillion-pairs", "verification"): (Published(0.5745, "HyperAI, Arc-Softmax"),),
    ("gallery", "top-1"): (Published(0.92, CARD, NOT_THE_SAME),),
    ("gallery", "top-3"): (Published(0.96, CARD, NOT_THE_SAME),),
    ("gallery", "top-5"): (Published(0.968, CARD, NOT_THE_SAME),),
}


def present(root: Path) -> list[str]:
    """Names of the sets whose folder is here. Raises ``DatasetInvalid`` where none is."""
    found = [name for name in SETS if (root / name).is_dir()]
    if not found:
        raise DatasetInvalid(
            f"{root.name or root} holds none of the sets; each lies in a folder of its own: "
            f"{', '.join(SETS)}"
        )
    return found


def evaluate_seeds(root: Path, how: How, begin: Callable[[How, object], Run]) -> list[Row]:
    """Measure every set that is here; ``begin`` starts one measurement.

    A set that cannot be read or measured is a row that says why; the others go on. Raises
    ``DatasetInvalid`` where no set is here, and ``ModelError`` kinds.
    """
    here = {name: root / name for name in present(root)}
    folder = here.pop("bin", None)
    places = [(name, SETS[name], place) for name, place in here.items()]
    if folder is not None:
        places += [(file.name, _bin, file) for file in sorted(folder.glob("*.bin"))]
    bench = Bench(how, begin)
    rows: list[Row] = []
    for name, measure, place in places:
        try:
            found = measure(bench, place)
        except InputError as error:
            rows.append(Row(name, "", None, note=error.message))
            continue
        rows += [
            Row(of, metric, rate, PUBLISHED.get((of, metric), ())) for of, metric, rate in found
        ]
    told = {(row.name, row.metric) for row in rows}
    rows += [
        Row(of, metric, None, published, "not here" if of not in here else "not measured so")
        for (of, metric), published in PUBLISHED.items()
        if (of, metric) not in told
    ]
    return rows


def _images(folder: Path) -> Path:
    """Where the photos of a set lie: its one folder of them, else the set's own."""
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    return inside[0] if len(inside) == 1 else folder


__all__ = ["PUBLISHED", "SETS", "Bench", "Published", "Row", "evaluate_seeds", "present"]
