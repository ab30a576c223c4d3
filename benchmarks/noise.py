"""What wrong labels cost, what ``arcid clean`` finds of them, and what training again gains.

    python benchmarks/noise.py

For closed-set flips and open-set outliers, and for every seed: put noise into the labels, train
with sub-centres, drop photos by the rule, then train with one centre on the noisy list, on the kept
list and on the clean one, with the same budget. Verification is on people held out.

Purification needs a network that knows its photos. ``--purify projection`` trains one linear layer,
at first the identity, with batch norm on the embeddings of the reference model, by the trainer's
own loss and classifier; ``--purify network`` runs ``arcid clean``, from nothing or from what
``--set init_from=BUNDLE`` names (``network-ready`` in the file's name).
``--retrain network`` trains a small network on each list, ``projection`` such a layer. Whole runs
go on where they were stopped. Writes benchmarks/results/noise-….csv and, for the defaults, the
tables of docs/studies/clean-noise.md.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from wrong_labels import Listed, add_outliers, flip_identities, listed, write_list

from arcid.bench.common import hardware_slug
from arcid.evaluate.metrics import Array, IndexArray, auc
from arcid.files import replacing
from arcid.train.clean import Rule, Verdict, clean, judge
from arcid.train.clean.purify import restore_centres
from arcid.train.config.recipe import DataConfig, LossConfig, SourceConfig, TrainConfig, load_config
from arcid.train.data.crops import centre
from arcid.train.data.dataset import SampleSet, open_data
from arcid.train.data.features import read_crops
from arcid.train.heads.classifier import Classifier
from arcid.train.heads.margin import ClassificationLoss
from arcid.train.objectives.losses import loss_spec
from arcid.train.recogniser.job import train as run_training
from arcid.train.study.measure import (
    Photos,
    Verification,
    some_of_each,
    unit_features,
    verification,
    verify_vectors,
)
from arcid.train.study.ranking import Interval, rank, seed_bootstrap
from arcid.train.weights.restore import restore_backbone
from arcid.train.weights.teachers import Teacher
from arcid.types import FloatArray

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "studies" / "clean-noise.md"
BEGIN, END = "<!-- tables of benchmarks/noise.py -->", "<!-- end of the tables -->"
PEOPLE = "${ARCID_DATA}/data/train/vgg.tar"  # trained on
MORE = "${ARCID_DATA}/data/train/celeba-a.tar"  # trained on, too
STRANGERS = "${ARCID_DATA}/data/train/celeba-b.tar"  # whose photos become outliers
REFERENCE = "mobilefacenet_128"
#: A network small enough to be trained fifteen times; softmax learns most in so few steps.
SHORT = ("data.size=32", "schedule.steps=300", "schedule.warmup=20")
KINDS = {"flip": "closed-set flips", "outlier": "open-set outliers"}
TRAINED = ("noisy", "kept", "clean")
NUMBERS = ("accuracy", "tar", "eer", "auc")
FIELDS = ("kind", "seed", "photos", "noisy_photos", "judged", "dropped", "precision", "recall",
          "clean_dropped", "noise_before", "noise_in_dominant", "noise_after", "dominant_share",
          "angle_auc",
          *(f"{number}_{what}" for what in TRAINED for number in NUMBERS),
          "seconds")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Judged:
    """What the rule made of the photos it saw."""

    keys: Sequence[str]
    labels: IndexArray
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with one centre an identity, measured.

    ``accuracy``: share of photos held out of the trained identities, rightly labelled, that are
    nearest to the centre of their own.
    """

    strangers: Verification
    accuracy: float


class Trials(Protocol):
    """How photos are judged and networks trained: by a projection or a whole network."""

    fmr: float

    def purify(self, photos: Sequence[Listed], name: str, seed: int) -> Judged: ...

    def train(self, photos: Sequence[Listed], name: str, seed: int) -> Trained: ...


def split(people: int, size: int) -> DataConfig:
    """The people trained on, photos held out of them, and whole people held out to judge on."""
    base = load_config(ROOT / "configs" / "clean_small.yaml").data
    return base.but(
        size=size, identities=0, max_images=0, min_images=10, holdout=0.1, cache="none",
        holdout_identities=people, sources=(SourceConfig(path=PEOPLE), SourceConfig(path=MORE)),
    )  # fmt: skip


class Projection:
    """A linear layer and batch norm on the reference model's embeddings, and class centres."""

    fmr = 1e-3

    def __init__(self, work: Path, people: int, steps: int) -> None:
        self.steps = steps
        whole = split(people, 112)
        mine = open_data(whole)
        others = open_data(
            whole.but(
                sources=(SourceConfig(path=STRANGERS),), max_images=1, min_images=1,
                holdout=0.0, holdout_identities=0,
            )
        )  # fmt: skip
        judges = some_of_each(mine.held, 10)
        self._pure = listed(mine.train, mine.classes)
        self._held = listed(mine.holdout, mine.classes)
        self._strangers = [others.train.key(row) for row in range(len(others.train))]
        self._judges = embedded(judges, work / "judges.npy"), judges.labels
        vectors = np.concatenate(
            [
                embedded(mine.train, work / "people.npy"),
                embedded(mine.holdout, work / "held.npy"),
                embedded(others.train, work / "others.npy"),
            ]
        )
        keys = [*(photo.key for photo in (*self._pure, *self._held)), *self._strangers]
        self._vectors = dict(zip(keys, vectors, strict=True))

    def clean_list(self) -> list[Listed]:
        return self._pure

    def strangers(self) -> list[str]:
        return self._strangers

    def purify(self, photos: Sequence[Listed], name: str, seed: int) -> Judged:
        vectors, labels, classes = self._of(photos)
        head, centres = self._train(vectors, labels, len(classes), 3, seed)
        with torch.no_grad():
            cosines = centres.sub_centre_cosines(head(vectors), labels)
        verdict = judge(cosines.numpy(), labels.numpy(), len(classes), Rule())
        return Judged([photo.key for photo in photos], labels.numpy(), verdict)

    def train(self, photos: Sequence[Listed], name: str, seed: int) -> Trained:
        vectors, labels, classes = self._of(photos)
        head, centres = self._train(vectors, labels, len(classes), 1, seed)
        theirs, people = self._judges
        held = torch.from_numpy(np.stack([self._vectors[photo.key] for photo in self._held]))
        with torch.no_grad():
            found = F.normalize(head(torch.from_numpy(theirs)), dim=1).numpy()
            guessed = centres.predict(head(held)).tolist()
        right = [classes[g] == p.identity for g, p in zip(guessed, self._held, strict=True)]
        return Trained(verify_vectors(found, people, self.fmr), float(np.mean(right)))

    def start(self) -> Verification:
        """The reference model itself."""
        return verify_vectors(*self._judges, self.fmr)

    def _of(self, photos: Sequence[Listed]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        classes = sorted({photo.identity for photo in photos})
        place = {name: number for number, name in enumerate(classes)}
        vectors = torch.from_numpy(np.stack([self._vectors[photo.key] for photo in photos]))
        return vectors, torch.tensor([place[photo.identity] for photo in photos]), classes

    def _train(
        self, vectors: torch.Tensor, labels: torch.Tensor, classes: int, k: int, seed: int
    ) -> tuple[nn.Module, Classifier]:
        torch.manual_seed(seed)
        dim = vectors.shape[1]
        linear = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(linear.weight)
        head = nn.Sequential(linear, nn.BatchNorm1d(dim, affine=False))
        loss = loss_spec("subcenter_arcface" if k > 1 else "arcface").build()
        if not isinstance(loss, ClassificationLoss):
            raise TypeError("a margin loss was asked for")
        centres = Classifier(classes, dim, loss, k=k, seed=seed)
        optimizer = torch.optim.SGD(
            [*head.parameters(), *centres.parameters()], 0.1, momentum=0.9, weight_decay=5e-4
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            rows = torch.randint(len(vectors), (256,))
            optimizer.zero_grad()
            torch.autograd.backward(centres(head(vectors[rows]), labels[rows]).loss)
            nn.utils.clip_grad_norm_([*head.parameters(), *centres.parameters()], 5.0)
            optimizer.step()
            schedule.step()
        return head.eval(), centres.eval()


class Network:
    """``arcid clean`` and ``arcid train`` on whole networks."""

    fmr = 1e-2

    def __init__(self, work: Path, people: int, overrides: Sequence[str]) -> None:
        self.work = work
        self.base = load_config(ROOT / "configs" / "clean_small.yaml", overrides)
        found = open_data(split(people, self.base.data.size))
        self._held, self._held_names = found.holdout, found.classes
        self._judges = Photos(*read_crops(some_of_each(found.held, 10)))

    def purify(self, photos: Sequence[Listed], name: str, seed: int) -> Judged:
        config = self._config(photos, f"{name}-sub-centres", seed)
        found = clean(config, self.work / f"{name}-found", Rule(), sheet_photos=0)
        return Judged(found.keys, found.labels, found.verdict)

    def train(self, photos: Sequence[Listed], name: str, seed: int) -> Trained:
        config = self._config(photos, name, seed)
        trained = run_training(config.but(loss=LossConfig(name="softmax")))
        if trained.stopped:
            raise KeyboardInterrupt
        restored = restore_backbone(trained.checkpoint)
        photos_held = Photos(*read_crops(self._held))
        features = torch.from_numpy(unit_features(restored.backbone, photos_held))
        guessed = restore_centres(restored.checkpoint).predict(features).tolist()
        names = (trained.run / "classes.txt").read_text().splitlines()
        own = [self._held_names[label] for label in photos_held.labels.tolist()]
        right = [names[g] == name for g, name in zip(guessed, own, strict=True)]
        found = verification(restored.backbone, self._judges, self.fmr)
        return Trained(found, float(np.mean(right)))

    def _config(self, photos: Sequence[Listed], name: str, seed: int) -> TrainConfig:
        """The base run on exactly these photos."""
        keep = self.work / f"{name}.csv"
        write_list(keep, photos)
        sources = tuple(SourceConfig(path=path) for path in (PEOPLE, MORE, STRANGERS))
        data = self.base.data.but(
            sources=sources, keep=str(keep), min_images=2, identities=0,
            max_images=0,
        )  # fmt: skip
        return self.base.but(out=str(self.work / name), seed=seed, data=data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--purify", choices=("projection", "network"), default="projection")
    parser.add_argument("--retrain", choices=("network", "projection"), default="network")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path("runs/noise"))
    parser.add_argument("--people", type=int, default=100, help="people to judge on")
    parser.add_argument("--steps", type=int, default=1000, help="of a projection")
    parser.add_argument("--set", nargs="*", default=list(SHORT), help="settings of networks")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    projection = Projection(options.work, options.people, options.steps)
    network = Network(options.work, options.people, options.set)
    judge_by: Trials = projection if options.purify == "projection" else network
    train_by: Trials = projection if options.retrain == "projection" else network
    pure = projection.clean_list()
    rows, samples = [], {}
    for seed in options.seeds:
        ceiling = train_by.train(pure, f"clean-seed{seed}", seed)
        for kind in KINDS:
            began = time.perf_counter()
            noisy = (
                flip_identities(pure, options.share, seed)
                if kind == "flip"
                else add_outliers(pure, projection.strangers(), options.share, seed)
            )
            found = judge_by.purify(noisy, f"{kind}-seed{seed}", seed)
            row, samples[kind, seed] = retrained(train_by, found, noisy, kind, seed, ceiling)
            rows.append({**row, "seconds": time.perf_counter() - began})
            print(rows[-1], flush=True)
    ready = "-ready" if options.purify == "network" and network.base.init_from else ""
    name = f"noise-{options.purify}{ready}-{options.retrain}-{hardware_slug()}.csv"
    with (Path(__file__).parent / "results" / name).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows({k: v if isinstance(v, str) else f"{v:.6g}" for k, v in row.items()}
                         for row in rows)  # fmt: skip
    begun = projection.start() if train_by is projection else None
    text = tables(rows, samples, options.seeds, train_by.fmr, begun)
    print(text)
    if (options.purify, options.retrain) == ("projection", "network"):
        before, _, rest = REPORT.read_text("utf-8").partition(BEGIN)
        REPORT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


def retrained(
    trials: Trials,
    found: Judged,
    noisy: Sequence[Listed],
    kind: str,
    seed: int,
    ceiling: Trained,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """A row of numbers of one noisy set, and the bootstrap of each trained network."""
    name = f"{kind}-seed{seed}"
    dropped = {key for key, keep in zip(found.keys, found.verdict.keep, strict=True) if not keep}
    kept = [photo for photo in noisy if photo.key not in dropped]
    measured = {
        "noisy": trials.train(noisy, f"{name}-noisy", seed),
        "kept": trials.train(kept, f"{name}-kept", seed),
        "clean": ceiling,
    }
    row: dict[str, Any] = {"kind": kind, "seed": seed, **counted(found, noisy)}
    for what, numbers in measured.items():
        there = numbers.strangers
        row |= {f"tar_{what}": there.tar, f"eer_{what}": there.eer, f"auc_{what}": there.auc,
                f"accuracy_{what}": numbers.accuracy}  # fmt: skip
    return row, {what: numbers.strangers.samples for what, numbers in measured.items()}


def counted(found: Judged, noisy: Sequence[Listed]) -> dict[str, float]:
    """Precision and recall of what was dropped, against the noise put in."""
    wrong = {photo.key: photo.noisy for photo in noisy}
    truth = np.array([wrong[key] for key in found.keys])
    verdict = found.verdict
    gone, seen = ~verdict.keep, verdict.judged[found.labels]
    dominant = verdict.nearest == verdict.dominant[found.labels]
    return {
        "photos": len(truth),
        "noisy_photos": int(truth.sum()),
        "dropped": int(gone.sum()),
        "precision": float(truth[gone].mean()) if gone.any() else 0.0,
        "recall": float(gone[truth].mean()),
        "clean_dropped": float(gone[~truth].mean()),
        "noise_before": float(truth.mean()),
        "judged": float(seen.mean()),
        "noise_in_dominant": float(truth[dominant].mean()),
        "noise_after": float(truth[verdict.keep].mean()),
        "dominant_share": float(dominant[seen].mean()),
        "angle_auc": auc(verdict.angle_deg[truth & seen], verdict.angle_deg[~truth & seen]),
    }


def embedded(crops: SampleSet, path: Path) -> FloatArray:
    """(N,D) float32 unit-norm embeddings by the reference model, kept for its owner in ``path``."""
    if path.is_file():
        kept: FloatArray = np.load(path)
        return kept
    teacher = Teacher(REFERENCE, 112)
    found = []
    for start in range(0, len(crops), 64):
        faces = [centre(crops.store.read(int(r)), 112) for r in crops.rows[start : start + 64]]
        images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2)
        found.append(F.normalize(teacher(images)[0], dim=1).numpy())
    vectors = np.concatenate(found)
    with replacing(path, private=True) as file:
        np.save(file, vectors)
    return vectors


def tables(
    rows: Sequence[dict[str, Any]],
    samples: dict[tuple[str, int], dict[str, Array]],
    seeds: Sequence[int],
    fmr: float,
    begun: Verification | None,
) -> str:
    """The tables of the study."""
    columns = (
        "noise", "seed", "judged", "dropped", "precision", "recall", "clean photos lost",
        "noise before",
        "at the dominant sub-centre", "after", "AUC of the angle",
    )  # fmt: skip
    lines = ["", "## What the rule drops", "", f"| {' | '.join(columns)} |",
             "|---" * len(columns) + "|"]  # fmt: skip
    for row in rows:
        shares = (
            "precision", "recall", "clean_dropped", "noise_before", "noise_in_dominant",
            "noise_after",
        )  # fmt: skip
        lines.append(
            f"| {KINDS[row['kind']]} | {row['seed']} | {percent(row['judged'])} "
            f"| {row['dropped']:,} of {row['photos']:,} | "
            + " | ".join(percent(row[name]) for name in shares)
            + f" | {row['angle_auc']:.4f} |"
        )
    lines += ["", "## What training again gains", "",
              "| noise | trained on | trained people, other photos: accuracy | strangers: TAR | "
              "95 % interval | EER | AUC |",
              "|---|---|---|---|---|---|---|"]  # fmt: skip
    if begun is not None:
        lines.append(
            f"| – | nothing: the reference model | – | {percent(begun.tar)} | "
            f"{between(begun.samples)} | {percent(begun.eer)} | {begun.auc:.4f} |"
        )
    verdicts = []
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        boots = seed_bootstrap(
            {what: [samples[kind, seed][what] for seed in seeds] for what in TRAINED}
        )
        means = {what: float(np.mean([row[f"tar_{what}"] for row in mine])) for what in TRAINED}
        ranking = rank(means, boots)
        for what in TRAINED:
            own: Interval = ranking.values[what]
            lines.append(
                f"| {KINDS[kind]} | {what} list "
                f"| {accuracy(row[f'accuracy_{what}'] for row in mine)} | {percent(own.value)} "
                f"| {percent(own.low)} – {percent(own.high)} "
                f"| {percent(float(np.mean([row[f'eer_{what}'] for row in mine])))} "
                f"| {np.mean([row[f'auc_{what}'] for row in mine]):.4f} |"
            )
        for (a, b), gap in ranking.differences.items():
            verdicts.append(
                f"- {KINDS[kind]}: {a} − {b} {100 * gap.value:+.2f} points of TAR "
                f"({100 * gap.low:+.2f} to {100 * gap.high:+.2f}), "
                + ("separate" if gap.separate else "not separate")
            )
    note = (
        f"TAR at FMR {fmr:g}. Differences with simultaneous 95 % intervals over people and seeds:"
    )
    return "\n".join([*lines, "", note, "", *verdicts, ""])


def accuracy(values: Iterable[float]) -> str:
    """Mean over seeds, and the lowest and highest."""
    seen = list(values)
    return f"{percent(float(np.mean(seen)))} ({percent(min(seen))} – {percent(max(seen))})"


def between(samples: Array) -> str:
    low, high = np.percentile(samples, [2.5, 97.5])
    return f"{percent(float(low))} – {percent(float(high))}"


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


if __name__ == "__main__":
    main()
