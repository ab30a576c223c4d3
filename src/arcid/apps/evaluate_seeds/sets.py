"""How each set is read and measured, all with one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from arcid.apps.evaluate_photos import Run
from arcid.apps.photo_options import Options
from arcid.errors import DatasetInvalid
from arcid.evaluate import protocols, readers
from arcid.evaluate.metrics import Rate, wilson
from arcid.evaluate.readers import PairList
from arcid.evaluate.sources import Photo
from arcid.image import load_image

ALIGNED_PX = (112, 112)
How = TypeVar("How", bound=Options)  # with what a command line adds

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


def measure_bin(bench: Bench[Any], file: Path) -> Found:
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
    "bin": measure_bin,  # each file in it
}


def _images(folder: Path) -> Path:
    """Where the photos of a set lie: its one folder of them, else the set's own."""
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    return inside[0] if len(inside) == 1 else folder


__all__ = ["SETS", "Bench", "Found", "How", "measure_bin"]
